"""From scores to what is reported: events by median filter, hysteresis, gap and shortest; scenes by mean and hold."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.decoding.events import (
        Change,
        EventDecoder,
        begin_delay_steps,
        decode,
        decoder_numbers,
        events_of,
        integer_threshold,
        median_filter,
        median_steps,
    )
    from keras_mtl.decoding.scenes import SceneSmoother
    from keras_mtl.decoding.settings import DecodeSettings, auto_medians
    from keras_mtl.decoding.timeline import Event, Grid
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "Change", "DecodeSettings", "Event", "EventDecoder", "Grid", "SceneSmoother", "auto_medians", "begin_delay_steps",
    "decode", "decoder_numbers", "events_of", "integer_threshold", "median_filter", "median_steps",
]  # fmt: skip
