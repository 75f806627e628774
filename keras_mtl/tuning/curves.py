"""False alarms per hour against misses, over the thresholds of a class: what a person picks an operating point from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_mtl.decoding import DecodeSettings
from keras_mtl.metrics import poisson_interval
from keras_mtl.tuning.objectives import HIGH_THRESHOLDS, THRESHOLDS, at_threshold, hits_and_alarms, key_of
from keras_mtl.tuning.stage import Tuning
from keras_mtl.tuning.tracks import Tracks

_BETWEEN = tuple(round(0.025 * step, 3) for step in range(1, 40))


@dataclass(frozen=True)
class CurvePoint:
    """One setting of a class.

    Attributes:
        setting: of the class.
        misses: part of the held-out events that no decoded one overlaps.
        alarms: false alarms in all, and per hour: the rate with its 95 % interval.
        chosen, default: whether it is the one that was chosen, or that held before.
    """

    setting: DecodeSettings
    misses: float
    alarms: int
    per_hour: float
    low: float
    high: float
    chosen: bool
    default: bool


@dataclass(frozen=True)
class Curve:
    """The curve of a class: points from the lowest threshold on; none of a class without held-out events."""

    label: str
    events: int
    hours: float
    points: tuple[CurvePoint, ...]


def curves(tuning: Tuning, held_out: Tracks, ambient: Tracks | None = None) -> list[Curve]:
    """The curve of each class, with the keys beside the threshold as they were chosen.

    Args:
        tuning: what was chosen.
        held_out: the held-out clips.
        ambient: recordings without events; without them, detections of held-out clips that overlap no true event of
            their class are counted as false alarms.
    """
    found = []
    for point in tuning.points:
        label, truth = point.label, held_out.truth_of(point.label)
        hours = ambient.hours if ambient is not None else held_out.hours
        settings = [at_threshold(point.after, each) for each in {*_BETWEEN, *THRESHOLDS, *HIGH_THRESHOLDS}]
        settings = list({key_of(each): each for each in (*settings, point.before, point.after)}.values())
        points = []
        for setting in sorted(settings, key=lambda each: each.threshold) if point.events else ():
            counts = hits_and_alarms(truth, held_out.decode(label, setting)).sum(axis=0)
            alarms = int(counts[1]) if ambient is None else sum(map(len, ambient.decode(label, setting)))
            low, high = poisson_interval(alarms, hours)
            same = [key_of(setting) == key_of(each) for each in (point.after, point.before)]
            misses = 1.0 - float(counts[0]) / point.events
            points.append(CurvePoint(setting, misses, alarms, alarms / hours, low, high, *same))
        found.append(Curve(label, point.events, hours, tuple(points)))
    return found


def thinned(points: Sequence[CurvePoint]) -> list[CurvePoint]:
    """The points without those that neighbour two others with the same counts."""
    kept = []
    for place, point in enumerate(points):
        around = [points[max(0, place - 1)], points[min(len(points) - 1, place + 1)]]
        same = all(np.allclose((each.misses, each.alarms), (point.misses, point.alarms)) for each in around)
        if point.chosen or point.default or not same or place in (0, len(points) - 1):
            kept.append(point)
    return kept
