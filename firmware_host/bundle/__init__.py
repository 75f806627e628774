"""The firmware folder of an artifact that passed: C arrays, operator resolver, settings, golden vectors, manifest."""

from keras_mtl.firmware_host.bundle.folder import Bundle, write_bundle

__all__ = ["Bundle", "write_bundle"]
