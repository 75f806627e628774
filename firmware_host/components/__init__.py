"""A bundle as a drop-in component of a build system: Zephyr, ESP-IDF, Arduino, PlatformIO, CMake."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.components.component import component_files
    from keras_mtl.firmware_host.components.image import model_image
    from keras_mtl.firmware_host.components.kinds import KINDS
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["KINDS", "component_files", "model_image"]
