"""The targets that ship with the package: one TOML file each, with the source of every figure in a comment."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.targets.kernel_library import REFERENCE, KernelBuild
    from keras_mtl.firmware_host.targets.target import Target, load_target, target_names
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["REFERENCE", "KernelBuild", "Target", "load_target", "target_names"]
