"""Recordings on disk: where they lie, their digests, and reading them whole or in blocks."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.datasets.audio import files, layout
    from keras_mtl.datasets.audio.files import (
        SAMPLE_RATE_HZ,
        AudioFormat,
        Inspected,
        audio_format,
        channel_blocks,
        inspect,
        mono_blocks,
        read_audio,
        resampled_blocks,
        to_int16,
    )
    from keras_mtl.datasets.audio.layout import in_threads, require_folder
    from keras_mtl.datasets.audio.levels import LevelMeter, Levels, decibels
    from keras_mtl.datasets.audio.listing import files_in, is_hidden, is_recording, recordings_below, walk
    from keras_mtl.datasets.audio.pipes import Readable, WaveStream, read_some, wave_stream
    from keras_mtl.datasets.audio.waveform import changed_speed, mixed, random_equaliser, random_gain, random_speed
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "SAMPLE_RATE_HZ",
    "AudioFormat",
    "Inspected",
    "LevelMeter",
    "Levels",
    "Readable",
    "WaveStream",
    "audio_format",
    "changed_speed",
    "channel_blocks",
    "decibels",
    "files",
    "files_in",
    "in_threads",
    "inspect",
    "is_hidden",
    "is_recording",
    "layout",
    "mixed",
    "mono_blocks",
    "random_equaliser",
    "random_gain",
    "random_speed",
    "read_audio",
    "read_some",
    "recordings_below",
    "require_folder",
    "resampled_blocks",
    "to_int16",
    "walk",
    "wave_stream",
]  # fmt: skip
