"""The preparation of data sets by TFDS: planning, census, workers, and clips read back."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.datasets.prepare import clips
    from keras_mtl.datasets.prepare.census import NAMED, Census, printable
    from keras_mtl.datasets.prepare.local_builder import (
        ClipConfig,
        LocalBuilder,
        Split,
        clip_config,
        present_files,
    )
    from keras_mtl.datasets.prepare.preparation import Clips, censuses, prepared, quiet
    from keras_mtl.datasets.prepare.settings import DataSettings
    from keras_mtl.datasets.prepare.workers import Workers, beam_options, in_processes, in_turn, open_pool, with_beam
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "NAMED", "Census", "ClipConfig", "Clips", "DataSettings", "LocalBuilder", "Split", "Workers", "beam_options",
    "censuses", "clip_config", "clips", "in_processes", "in_turn", "open_pool", "prepared", "present_files",
    "printable", "quiet", "with_beam",
]  # fmt: skip
