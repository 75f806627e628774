"""The preparation of data sets by TFDS: planning, census, workers, and clips read back."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.datasets.prepare import clips
    from keras_mtl.datasets.prepare.census import NAMED, Census, printable
    from keras_mtl.datasets.prepare.clips import EVENT_CLIP_S
    from keras_mtl.datasets.prepare.local_builder import (
        LocalBuilder,
        RateConfig,
        Split,
        listing,
        present_files,
        rate_config,
    )
    from keras_mtl.datasets.prepare.preparation import Clips, censuses, prepared, quiet
    from keras_mtl.datasets.prepare.workers import Workers, beam_options, in_processes, in_turn, with_beam
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "EVENT_CLIP_S", "NAMED", "Census", "Clips", "LocalBuilder", "RateConfig", "Split", "Workers", "beam_options",
    "censuses", "clips", "in_processes", "in_turn", "listing", "prepared", "present_files", "printable", "quiet",
    "rate_config", "with_beam",
]  # fmt: skip
