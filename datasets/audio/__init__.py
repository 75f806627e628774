"""Recordings on disk: where they lie, their digests, and reading them whole or in blocks."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.datasets.audio import files, layout
    from keras_mtl.datasets.audio.files import (
        AUDIO_SUFFIXES,
        SAMPLE_RATE_HZ,
        AudioFormat,
        audio_format,
        channel_blocks,
        mono_blocks,
        read_audio,
        to_int16,
    )
    from keras_mtl.datasets.audio.layout import in_threads, require_folder
    from keras_mtl.datasets.audio.waveform import changed_speed, mixed, random_equaliser, random_gain, random_speed
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "AUDIO_SUFFIXES", "SAMPLE_RATE_HZ", "AudioFormat", "audio_format", "changed_speed", "channel_blocks", "files",
    "in_threads", "layout", "mixed", "mono_blocks", "random_equaliser", "random_gain", "random_speed", "read_audio",
    "require_folder", "to_int16",
]  # fmt: skip
