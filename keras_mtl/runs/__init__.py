"""Run folders: what a training leaves behind, and the data that it was made of."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.runs.folder import (
        Run,
        Samples,
        describe,
        git_revision,
        open_data,
        require_same_data,
        save_samples,
        stamp_data,
        versions,
    )
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "Run", "Samples", "describe", "git_revision", "open_data", "require_same_data", "save_samples", "stamp_data",
    "versions",
]  # fmt: skip
