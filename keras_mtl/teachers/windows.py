"""The windows of audio that a teacher is called with."""

from __future__ import annotations

import numpy as np

from keras_mtl.teachers.settings import TeacherSettings


def window_count(samples: int, teacher: TeacherSettings) -> int:
    """Windows of a clip: one of a clip shorter than two windows, else one for every hop that begins in it."""
    return 1 if samples < 2 * teacher.window else -(-samples // teacher.hop)


def windows(audio: np.ndarray, teacher: TeacherSettings) -> np.ndarray:
    """Cuts a clip into windows.

    Of a clip shorter than two windows it is its middle; where the clip is shorter than one, zeros stand around it. Of a
    longer clip window k is centred at k hops, with zeros before the clip and behind it.

    Args:
        audio: int16, or float in [-1, 1], [samples].
        teacher: the settings.

    Returns:
        float32 [windows, window].
    """
    samples, wanted = len(audio), teacher.window
    whole = np.asarray(audio, np.float32) / (32768.0 if np.asarray(audio).dtype == np.int16 else 1.0)
    count = window_count(samples, teacher)
    if count == 1 and samples < 2 * wanted:
        first = (samples - wanted) // 2
        cut = whole[max(0, first) : max(0, first) + wanted]
        before = (wanted - len(cut)) // 2
        return np.pad(cut, (before, wanted - len(cut) - before))[None]
    padded = np.pad(whole, (wanted // 2, wanted))
    return np.stack([padded[k * teacher.hop : k * teacher.hop + wanted] for k in range(count)])
