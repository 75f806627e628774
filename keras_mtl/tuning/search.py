"""Chooses the setting of one class by an objective, and leaves the default where a gain may be chance.

A few dozen clips can be fitted by a few dozen settings without anything being learned: thresholds that were the best of
100 clips lowered event F1 on others from 0.433 to 0.399. So

- the grids are coarse, and one key is changed after the other, never all together;
- a change is taken where it raises the score by more than one standard error of the paired difference (bootstrap over
  clips), else the value stays what it was;
- the whole search is cross-validated: it is repeated without each of five parts of the clips, and what it chose is
  scored on the part left out. Where the fifth percentile of the paired gain over the default, drawn over clips, is not
  above 0, the default stays;
- a class with fewer than ten held-out events keeps its default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_mtl.decoding import DecodeSettings
from keras_mtl.metrics import Bootstrap
from keras_mtl.tuning.objectives import Objective, at_threshold, key_of

#: Held-out events of a class that are needed to choose by.
LEAST_EVENTS = 10
_FOLDS = 5
_PASSES = 2
_SEARCH_DRAWS = 200
_RESAMPLES = 1000
#: Percentiles of the gain: one-sided 95 % either way.
_TAILS = (5.0, 95.0)


@dataclass(frozen=True)
class Gain:
    """What a search adds to the default on clips that it did not see, with its 5th and 95th percentile."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """The setting of a class.

    Attributes:
        setting: what was chosen.
        why: one line.
        gain: cross-validated; None where nothing was searched or the search changed nothing.
    """

    setting: DecodeSettings
    why: str
    gain: Gain | None = None


def choose(objective: Objective, start: DecodeSettings, events: int, clips: int, seed: int = 0) -> Choice:
    """Chooses the setting of one class; see the module.

    Args:
        objective: what it is judged by.
        start: the default, of this class.
        events: true events of the class in the held-out clips.
        clips: held-out clips.
        seed: of folds and draws.
    """
    everything = np.ones(clips)
    if not events:
        return Choice(start, "no held-out events")
    settled = objective.settle(start, everything)
    if events < LEAST_EVENTS or clips < _FOLDS:
        return Choice(settled, f"{events} held-out events are too few to search by")
    found = _search(objective, start, everything, seed)
    if key_of(found) == key_of(settled):
        return Choice(settled, "no setting is better by more than its standard error")
    gain = _cross_validated(objective, start, clips, seed)
    if not gain.low > 0.0:
        return Choice(settled, "the gain of a search may be chance", gain)
    return Choice(found, "better on clips that the search did not see", gain)


def _search(objective: Objective, start: DecodeSettings, mask: np.ndarray, seed: int) -> DecodeSettings:
    """The setting that is chosen by the clips of a mask."""
    draws = Bootstrap(_SEARCH_DRAWS, seed=seed).draws(len(mask)) * mask
    current = objective.settle(start, mask)
    for _ in range(_PASSES):
        before = key_of(current)
        for key, values in objective.axes(start):
            tried = [objective.settle(each, mask) for each in _variants(current, key, values)]
            scores = [float(objective.score([each], [mask[None]])[0]) for each in tried]
            if not tried or np.isnan(scores).all():
                continue
            best = tried[int(np.nanargmax(scores))]
            gain = np.nanmax(scores) - objective.score([current], [mask[None]])[0]
            noise = objective.score([best], [draws]) - objective.score([current], [draws])
            if gain > np.nanstd(noise) and gain > 0.0:
                current = best
        if key_of(current) == before:
            break
    return current


def _variants(current: DecodeSettings, key: str, values: tuple[float, ...]) -> Iterator[DecodeSettings]:
    for value in values:
        if value == getattr(current, key) or (key == "hysteresis" and value > current.threshold):
            continue
        change: dict[str, Any] = {key: value}
        yield at_threshold(current, value) if key == "threshold" else replace(current, **change)


def _cross_validated(objective: Objective, start: DecodeSettings, clips: int, seed: int) -> Gain:
    """The gain of searching over the default, each clip scored with what was chosen without its part of the clips."""
    part = np.random.default_rng((seed, 23)).permutation(clips) % _FOLDS
    inside = [(part == number).astype(float) for number in range(_FOLDS)]
    searched = [_search(objective, start, 1.0 - each, seed) for each in inside]
    default = [objective.settle(start, 1.0 - each) for each in inside]
    draws = Bootstrap(_RESAMPLES, seed=seed + 1).draws(clips)

    def gains(weights: np.ndarray) -> np.ndarray:
        parts = [weights * each for each in inside]
        return objective.score(searched, parts) - objective.score(default, parts)

    low, high = np.nanpercentile(gains(draws), _TAILS)
    return Gain(float(gains(np.ones((1, clips)))[0]), float(low), float(high))
