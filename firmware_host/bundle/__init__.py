"""The firmware folder of what passed: networks as C arrays, portable C around them, self-test; and how to check it."""

from keras_mtl.firmware_host.bundle.folder import Bundle, write_bundle
from keras_mtl.firmware_host.bundle.verify import Difference, Verification, verify_bundle

__all__ = ["Bundle", "Difference", "Verification", "verify_bundle", "write_bundle"]
