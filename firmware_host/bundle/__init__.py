"""The firmware folder of what passed: networks as C arrays, portable C around them, self-test; and how to check it."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.bundle.folder import require_free, write_bundle
    from keras_mtl.firmware_host.bundle.names import bundle_names
    from keras_mtl.firmware_host.bundle.release.verify import verify_bundle
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["bundle_names", "require_free", "verify_bundle", "write_bundle"]
