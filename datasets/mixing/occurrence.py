"""How events occur in clips with strong labels: what clips that are mixed should have in common with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_mtl.decoding import Event

#: Durations by which a mixer is told how long events of a class are.
_QUANTILES = 20
#: An event this near an end of the clip is taken as cut there.
_AT_THE_END_S = 0.05


@dataclass(frozen=True)
class Occurrence:
    """How often, how long and where in a clip events are.

    Attributes:
        durations_s: by class, quantiles of the events' durations in seconds, each as likely, the shortest first.
        cut_before: by class, the part of the events that sound as the clip begins.
        cut_after: by class, the part of them that sound until the clip ends.
        per_clip: the part of the clips with no event, with one, with two, and so on.
        at_once: most events that sound at the same time.
    """

    durations_s: Mapping[str, tuple[float, ...]]
    cut_before: Mapping[str, float]
    cut_after: Mapping[str, float]
    per_clip: tuple[float, ...]
    at_once: int

    @classmethod
    def of(cls, clips: Sequence[Sequence[Event]], clip_s: float) -> Occurrence | None:
        """That of clips of so many seconds, given by their events; None where there is no event in them."""
        by_class: dict[str, list[Event]] = {}
        for event in (event for events in clips for event in events):
            by_class.setdefault(event.label, []).append(event)
        if not by_class:
            return None
        middles = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        durations_s, before, after = {}, {}, {}
        for label, events in sorted(by_class.items()):
            lengths_s = np.quantile([event.offset_s - event.onset_s for event in events], middles)
            durations_s[label] = tuple(lengths_s.round(2).tolist())
            before[label] = round(float(np.mean([event.onset_s < _AT_THE_END_S for event in events])), 3)
            after[label] = round(float(np.mean([event.offset_s > clip_s - _AT_THE_END_S for event in events])), 3)
        counts = np.bincount([len(events) for events in clips])
        per_clip = tuple((counts / counts.sum()).round(4).tolist())
        return cls(durations_s, before, after, per_clip, max(map(_at_once, clips)))


def _at_once(events: Sequence[Event]) -> int:
    return max((sum(e.onset_s <= event.onset_s < e.offset_s for e in events) for event in events), default=0)
