"""The end of a recording that comes as a stream: silence follows it, and no detection lies in the silence.

The front end waits for half an FFT of samples behind a frame's centre, and the encoder's embeddings are some steps late
(`Stream.latency`). So the last embeddings of a recording need samples that it does not have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from keras_mtl.core import LogMelSettings
from keras_mtl.firmware_host.device.detections import SCENE, Detection
from keras_mtl.tflite.artifact import Stream


def embeddings_of(samples: int, settings: LogMelSettings, stream: Stream) -> int:
    """Embeddings that a recording has: one for each step that one of its frames lies in.

    Args:
        samples: how many it has; a frame is centred on each sample that is a multiple of the hop.
        settings: the features.
        stream: how the encoder is driven.
    """
    frames = -(-samples // settings.hop)
    return -(-frames // stream.stride)


def silence_after(samples: int, settings: LogMelSettings, stream: Stream) -> int:
    """Zero samples to be pushed after a recording, so that just `embeddings_of` it have been given.

    Args:
        samples: of the recording, pushed since a start; nothing follows on nothing.
        settings: the features.
        stream: how the encoder is driven.
    """
    if not samples:
        return 0
    frames = (embeddings_of(samples, settings, stream) + stream.latency) * stream.stride
    needed = (frames - 1) * settings.hop + settings.fft // 2
    return max(0, needed - samples)


def within(detections: Iterable[Detection], duration_s: float, settings: LogMelSettings) -> tuple[Detection, ...]:
    """What became known by the silence, with no time beyond the recording.

    The last embedding reaches to the end of the recording, as in `timeline`: its step may end half a hop before, or up
    to a step after it.

    Args:
        detections: as a predictor gave them.
        duration_s: length of the recording.
        settings: the features.
    """
    last_s, end_s = duration_s - settings.hop_s / 2, round(duration_s, 6)

    def cut(seconds: float) -> float:
        # Times are rounded to a millionth, and no other step begins as near to it.
        return end_s if seconds > last_s - 1e-6 else seconds

    return tuple(
        replace(
            each,
            # An event begins with a step, and every step that is scored begins within the recording.
            onset_s=cut(each.onset_s) if each.kind == SCENE else each.onset_s,
            offset_s=None if each.offset_s is None else cut(each.offset_s),
            known_s=cut(each.known_s),
        )
        for each in detections
    )
