"""The tuning stage: probabilities of held-out clips in, and of ambient audio; an operating point of each class out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tqdm import tqdm

from keras_mtl.core import DataError
from keras_mtl.decoding import DecodeSettings
from keras_mtl.metrics import false_alarm_figures
from keras_mtl.tuning.objectives import ClassPsds, EventF1, HitsAtBound, Objective, hits_and_alarms, key_of
from keras_mtl.tuning.search import Gain, choose
from keras_mtl.tuning.tracks import Tracks

SCHEMA = "keras_mtl.tuning/1"
BY = ("f1", "psds", "false-alarms")
_KEYS = ("threshold", "hysteresis", "median_s", "shortest_s", "gap_s")


@dataclass(frozen=True)
class Point:
    """The operating point of a class.

    Attributes:
        label: the class.
        events: its held-out events.
        before, after: its settings, without overrides; equal where nothing was chosen.
        why: one line.
        gain: of the search over the default on clips that it did not see; None where nothing was searched.
        misses: part of the held-out events that no decoded one overlaps, before and after; None without events.
        alarms: figures of `false_alarm_figures` on ambient audio, before and after; None without any.
    """

    label: str
    events: int
    before: DecodeSettings
    after: DecodeSettings
    why: str
    gain: Gain | None
    misses: tuple[float, float] | None
    alarms: tuple[dict[str, Any], dict[str, Any]] | None

    @property
    def changed(self) -> bool:
        """Whether the class gets other settings."""
        return key_of(self.before) != key_of(self.after)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "held_out_events": self.events,
            "changed": self.changed,
            "why": self.why,
            "gain": asdict(self.gain) if self.gain else None,
            "before": self._side(0, self.before),
            "after": self._side(1, self.after),
        }

    def _side(self, side: int, settings: DecodeSettings) -> dict[str, Any]:
        found: dict[str, Any] = {key: getattr(settings, key) for key in _KEYS}
        found["misses"] = self.misses[side] if self.misses else None
        return found | {"ambient": self.alarms[side] if self.alarms else None}


@dataclass(frozen=True)
class Tuning:
    """The operating points of all classes.

    Attributes:
        by: one of `BY`.
        most_per_hour: the bound of false alarms per hour of each class; None where none was asked for.
        points: of each class.
        decoding: the settings with what was chosen.
        clips, hours: how many clips were held out, and their hours.
        ambient_hours: hours of ambient audio.
    """

    by: str
    most_per_hour: float | None
    points: tuple[Point, ...]
    decoding: DecodeSettings
    clips: int
    hours: float
    ambient_hours: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "by": self.by,
            "max_false_alarms_per_hour": self.most_per_hour,
            "held_out": {"clips": self.clips, "hours": self.hours},
            "ambient_hours": self.ambient_hours or None,
            "classes": {point.label: point.to_dict() for point in self.points},
            "decode": {"classes": self.decoding.classes},
        }


def tune(
    held_out: Tracks,
    decoding: DecodeSettings,
    *,
    by: str = "f1",
    ambient: Tracks | None = None,
    most_per_hour: float | None = None,
    longest_s: float = 10.0,
    seed: int = 0,
    progress: bool = False,
) -> Tuning:
    """Chooses an operating point of each class; see `keras_mtl.tuning.search` for what keeps it from overfitting.

    Args:
        held_out: clips that the network was not trained on; never those of an evaluation split.
        decoding: the default, which stays where nothing is better beyond chance.
        by: "f1": event-based F1 of the class; "psds": PSDS1 of the class, by which the median filter alone is chosen;
            "false-alarms": fewest misses with no more than `most_per_hour` on the ambient audio.
        ambient: recordings without events: every detection in them is a false alarm.
        most_per_hour: the bound of each class, needed by "false-alarms".
        longest_s: of a median filter, in seconds.
        seed: of folds and draws.
        progress: whether to show a bar on stderr.

    Raises:
        DataError: "false-alarms" without ambient audio or a bound, or an unknown `by`.
    """
    if by not in BY:
        raise DataError(f"nothing is tuned by {by!r}", hint=", ".join(BY))
    if by == "false-alarms" and (ambient is None or not len(ambient) or most_per_hour is None):
        raise DataError("false alarms need ambient audio and a bound", hint="--ambient, --max-false-alarms-per-hour")
    points = []
    for label in tqdm(held_out.labels, desc="tune", unit="class", file=sys.stderr, disable=None if progress else True):
        before = decoding.of(label)
        objective: Objective
        if by == "false-alarms":
            assert ambient is not None
            assert most_per_hour is not None
            objective = HitsAtBound(held_out, label, longest_s, ambient, most_per_hour, before.threshold)
        else:
            objective = (EventF1 if by == "f1" else ClassPsds)(held_out, label, longest_s)
        truth = held_out.truth_of(label)
        events = sum(map(len, truth))
        chosen = choose(objective, before, events, len(held_out), seed)
        sides = (before, chosen.setting)
        misses = alarms = None
        if events:
            hits = [hits_and_alarms(truth, held_out.decode(label, each))[:, 0].sum() for each in sides]
            misses = (1.0 - float(hits[0]) / events, 1.0 - float(hits[1]) / events)
        if ambient is not None and ambient.hours:
            counts = [sum(map(len, ambient.decode(label, each))) for each in sides]
            alarms = (false_alarm_figures(counts[0], ambient.hours), false_alarm_figures(counts[1], ambient.hours))
        points.append(Point(label, events, *sides, chosen.why, chosen.gain, misses, alarms))
    classes = with_points(decoding, {point.label: point.after for point in points if point.changed})
    hours = ambient.hours if ambient is not None else 0.0
    return Tuning(by, most_per_hour, tuple(points), classes, len(held_out), held_out.hours, hours)


def with_points(decoding: DecodeSettings, chosen: Mapping[str, DecodeSettings]) -> DecodeSettings:
    """The settings with those of some classes, of which `classes` gets what is other than for all."""
    classes = {label: dict(table) for label, table in decoding.classes.items()}
    for label, point in chosen.items():
        own = {key: getattr(point, key) for key in _KEYS}
        classes[label] = {key: value for key, value in own.items() if value != getattr(decoding, key)}
    return replace(decoding, classes={label: table for label, table in classes.items() if table})
