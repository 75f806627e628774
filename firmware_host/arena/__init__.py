"""The tensor arena, planned from the file alone as TensorFlow Lite Micro does."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.arena.report import arena_of, arena_of_members, largest_scratch
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["arena_of", "arena_of_members", "largest_scratch"]
