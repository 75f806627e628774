"""Soundscapes of 10 s from a bank: what sounds when is drawn as for DESED's synthetic set, and Scaper mixes it.

The numbers are those of DESED's own generator (Turpault, Serizel, Shah and Salamon, DCASE workshop 2019; Serizel and
others, ICASSP 2020; https://github.com/turpaultn/DESED and https://github.com/turpaultn/dcase20_task4): background at
-55 LUFS, events 6 to 30 dB above it, neither pitch shift nor time stretch, events whole where they fit, at most two at
once, and labels of one class joined over gaps below 150 ms and at least 250 ms long. That generator draws an event's
neighbours from a table of classes that occur together in AudioSet. Here a neighbour is of the same class, speech, or
any other, with the shares that the table has on average.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import SAMPLE_RATE_HZ, to_int16
from keras_mtl.datasets.mixing import Soundbank, Source
from keras_mtl.decoding import Event

SECONDS = 10.0
REFERENCE_DB = -55.0
SNR_DB = (6.0, 30.0)
MOST_AT_ONCE = 2
SHORTEST_EVENT_S = 0.25
SHORTEST_GAP_S = 0.15

#: Most events of a clip, by the class that it is made for.
_MOST_EVENTS = {
    "Alarm_bell_ringing": 13,
    "Blender": 8,
    "Cat": 9,
    "Dishes": 12,
    "Dog": 14,
    "Electric_shaver_toothbrush": 5,
    "Frying": 14,
    "Running_water": 10,
    "Speech": 14,
    "Vacuum_cleaner": 5,
}
#: Of a neighbour: how likely it is of the clip's own class, and else speech.
_SAME, _SAME_SPEECH, _SPEECH = 0.40, 0.55, 0.45
_PEAK = 0.99


class Placed(NamedTuple):
    """An event: `seconds` of `source` from `start_s` on, audible from `onset_s` on, `snr_db` over the rest."""

    label: str
    source: Source
    start_s: float
    onset_s: float
    seconds: float
    snr_db: float


@dataclass(frozen=True)
class Plan:
    """A soundscape before it is mixed."""

    background: Source
    background_start_s: float
    events: tuple[Placed, ...]

    def labels(self) -> list[Event]:
        """The labels, by onset: events of one class joined where they overlap or nearly touch."""
        joined: list[Event] = []
        for event in sorted(self.events, key=lambda event: (event.label, event.onset_s)):
            offset_s = min(event.onset_s + max(event.seconds, SHORTEST_EVENT_S), SECONDS)
            last = joined[-1] if joined else None
            if last and last.label == event.label and event.onset_s - last.offset_s < SHORTEST_GAP_S:
                joined[-1] = last._replace(offset_s=max(last.offset_s, offset_s))
            else:
                joined.append(Event(event.onset_s, offset_s, event.label))
        return sorted(joined)


def draw_plan(rng: np.random.Generator, bank: Soundbank, label: str) -> Plan:
    """Draws a soundscape that is made for one class: at least one event of it, others beside it."""
    background = bank.backgrounds[rng.integers(len(bank.backgrounds))]
    spare = int(max(0.0, background.seconds - SECONDS) * background.rate_hz)
    # Between two samples: Scaper cuts times in seconds to whole samples, and rounding must not lose it the last one.
    start_s = (rng.integers(spare) + 0.5) / background.rate_hz if spare > 1 else 0.0
    while True:
        others = [_neighbour(rng, bank, label) for _ in range(rng.integers(_MOST_EVENTS[label]))]
        events = tuple(_place(rng, bank, chosen) for chosen in (label, *others))
        if _most_at_once(events) <= MOST_AT_ONCE:
            return Plan(background, float(start_s), events)


def mix(plan: Plan, bank: Soundbank) -> tuple[np.ndarray, bool]:
    """Mixes a plan by Scaper.

    Returns:
        int16 [160000] at 16 kHz, and whether it had to be made softer as a whole to fit.

    Raises:
        DataError: Scaper is not installed, or a recording is silent where it is used.
    """
    scaper = require_scaper()
    scene = scaper.Scaper(SECONDS, str(bank.foreground), str(bank.background), random_state=0)
    scene.ref_db, scene.sr, scene.n_channels = REFERENCE_DB, SAMPLE_RATE_HZ, 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of clipping, which is dealt with below, and of gains of silence
        scene.add_background(
            label=("const", plan.background.folder),
            source_file=("const", str(plan.background.path)),
            source_time=("const", plan.background_start_s),
        )
        for event in plan.events:
            scene.add_event(
                label=("const", event.source.folder),
                source_file=("const", str(event.source.path)),
                source_time=("const", event.start_s),
                event_time=("const", event.onset_s),
                event_duration=("const", event.seconds),
                snr=("const", event.snr_db),
                pitch_shift=None,
                time_stretch=None,
            )
        audio, annotation, _, parts = scene.generate(disable_instantiation_warnings=True)
    for observed, part in zip(annotation.annotations[0].data, parts, strict=True):
        if not (np.isfinite(part).all() and part.any()):
            begin_s = observed.value["source_time"]
            raise DataError(
                f"{observed.value['source_file']} is silent from {begin_s:.2f} s on, where it is used",
                hint="trim it, or remove it from the bank",
            )
    mono = audio[:, 0]
    peak = float(np.abs(mono).max())
    return to_int16(mono * (_PEAK / peak) if peak > _PEAK else mono), peak > _PEAK


def require_scaper() -> Any:
    """The module `scaper`.

    Raises:
        DataError: it is not installed.
    """
    try:
        import scaper
    except ImportError as error:
        raise DataError(
            "scaper is not installed",
            hint="pip install 'keras_mtl[train,scaper]'; it needs SoX's library (on Debian and Ubuntu: libsox-dev)",
        ) from error
    return scaper


def _neighbour(rng: np.random.Generator, bank: Soundbank, label: str) -> str:
    drawn = rng.random()
    same = _SAME_SPEECH if label == "Speech" else _SAME
    if drawn < same:
        return label
    if label != "Speech" and drawn < same + _SPEECH and "Speech" in bank.events:
        return "Speech"
    rest = [other for other in bank.events if other not in (label, "Speech")] or list(bank.events)
    return rest[rng.integers(len(rest))]


def _place(rng: np.random.Generator, bank: Soundbank, label: str) -> Placed:
    sources = bank.events[label]
    source = sources[rng.integers(len(sources))]
    start_s, onset_s, seconds = _times(rng, source)
    return Placed(label, source, start_s, onset_s, seconds, float(rng.uniform(*SNR_DB)))


def _times(rng: np.random.Generator, source: Source) -> tuple[float, float, float]:
    """(where in the recording, where in the clip, how long) in seconds."""
    last_onset_s = SECONDS - SHORTEST_EVENT_S
    if not source.has_onset:
        # It sounds already as the clip begins; it ends with the recording where that holds the end.
        latest_s = source.seconds - (SHORTEST_EVENT_S if source.has_offset else SECONDS)
        start_s = rng.uniform(0.0, max(latest_s, 0.0))
        return start_s, 0.0, min(SECONDS, source.seconds - start_s)
    part = "onset"
    if source.has_offset and source.seconds > SECONDS:
        # Too long for the clip: its begin, its end or its middle.
        shares = (0.375, 0.375, 0.25) if source.seconds >= 3 * SECONDS else (0.5, 0.5, 0.0)
        part = str(rng.choice(("onset", "offset", "middle"), p=shares))
    if part == "offset":
        seconds = rng.uniform(SHORTEST_EVENT_S, last_onset_s)
        return source.seconds - seconds, 0.0, seconds
    if part == "middle":
        return rng.uniform(SECONDS, source.seconds - SECONDS), 0.0, SECONDS
    # Without its end an event must go on to the end of the clip.
    earliest_s = 0.0 if source.has_offset else min(max(0.0, SECONDS - source.seconds), last_onset_s)
    onset_s = rng.uniform(earliest_s, last_onset_s)
    return 0.0, onset_s, min(source.seconds, SECONDS - onset_s)


def _most_at_once(events: Sequence[Placed]) -> int:
    return max(
        sum(other.onset_s <= event.onset_s < other.onset_s + other.seconds for other in events) for event in events
    )
