"""The length of a set's median filter in steps, from the seconds that its manifest has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_mtl.decoding import median_frames
from keras_mtl.features import LogMelSettings
from keras_mtl.tflite.wiring import Wiring
from keras_mtl.timeline import Grid


def median_steps(manifest: Mapping[str, Any], wiring: Wiring) -> int:
    """An odd number of steps; a step is that of the encoder's embeddings.

    Args:
        manifest: of a set that decodes events: `features` and `decoding`.
        wiring: of the set, which hears clips or a stream.
    """
    stride = wiring.windows.stride
    grid = Grid.over(LogMelSettings.from_dict(manifest["features"]), stride, stride)
    return median_frames(manifest["decoding"]["median_s"], grid)
