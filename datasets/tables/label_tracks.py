"""Label tracks as Audacity exports them and `keras_mtl predict` writes them: start, end and name, without a header."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from keras_mtl.core import DataError

SCENE = "scene: "

_SUFFIX = ".txt"  # what Audacity and `predict` call a track
_SCORE = re.compile(r" \(\d\.\d\d\)$")  # which `predict` writes behind a name


@dataclass(frozen=True)
class Track:
    """The labels of one recording, times in seconds.

    Attributes:
        events: (onset, offset, label), in the order of the file.
        scenes: the same of labels that begin with "scene: ", which is taken off.
    """

    events: list[tuple[float, float, str]]
    scenes: list[tuple[float, float, str]]


def read_track(path: Path) -> Track | None:
    """Reads a label track; None where the file is none: its first line does not begin with two numbers.

    A file without lines whose name ends in `.txt` is a track without labels. Of labels with a range of frequencies, the
    range is passed over; of names with a score, as `predict` writes them, the score.

    Raises:
        DataError: the file can't be read, is not text, or has a line without two times in their order.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"no labels at {path}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file") from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        return Track([], []) if path.suffix.lower() == _SUFFIX else None
    if not _is_number(lines[0][1].split("\t")[0]):
        return None
    track = Track([], [])
    for number, line in lines:
        if line.startswith("\\"):  # the frequencies of the label above
            continue
        cells = line.split("\t", 2)
        times = [float(cell) for cell in cells[:2] if _is_number(cell)]
        if len(times) < 2 or not 0 <= times[0] <= times[1]:
            hint = "a label track has start, end and name, TAB-separated; a table has a header with filename"
            raise DataError(f"{path}, line {number}: {line.strip()[:60]!r} does not begin with two times", hint=hint)
        name = _SCORE.sub("", cells[2].strip() if len(cells) > 2 else "")
        (track.scenes if name.startswith(SCENE) else track.events).append(
            (times[0], times[1], name.removeprefix(SCENE))
        )
    return track


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
