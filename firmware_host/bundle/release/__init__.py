"""The manifest of a bundle, its signature, its bill of materials, and the check of all that."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.bundle.release import manifest, sbom
    from keras_mtl.firmware_host.bundle.release.manifest import MANIFEST, SCHEMA, SIGNATURE, manifest_json
    from keras_mtl.firmware_host.bundle.release.signature import load_private_key, sign
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["MANIFEST", "SCHEMA", "SIGNATURE", "load_private_key", "manifest", "manifest_json", "sbom", "sign"]
