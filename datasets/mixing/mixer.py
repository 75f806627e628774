"""Event clips mixed from isolated sounds over backgrounds, with exact onsets and offsets.

What is heard when is drawn from a seed, the number of the pass and the number of the clip alone: the same numbers give
the same samples, so that a training that mixes anew for every pass can be taken up anywhere. A sound begins and ends
where it is within 40 dB of its own loudest frame, also where it is played faster or slower. Levels are drawn as in
DESED's synthetic set (Turpault et al. 2019): a background, and each event some decibels above it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import mono_blocks, random_equaliser, random_speed, to_int16
from keras_mtl.datasets.mixing.occurrence import Occurrence
from keras_mtl.decoding import Event

#: Part of the clips without any event, and most events of the others.
_EMPTY, _MOST_EVENTS, _MOST_AT_ONCE = 0.1, 4, 2
#: Level of the background in dB of full scale, and the largest sample of a clip.
_BACKGROUND_DB, _PEAK = (-55.0, -35.0), 0.95
_TRIM_DB, _TRIM_FRAME, _TRIM_HOP = 40.0, 512, 128
#: Frames within so many dB of the loudest count for a sound's level: not the pauses in it.
_ACTIVE_DB, _ACTIVE_S = 20.0, 0.02
#: A sound that is cut is faded there.
_FADE_S = 0.01
#: Part of the clips with a distractor, and its level above the background.
_DISTRACTED, _DISTRACTOR_DB = 0.4, (0.0, 15.0)
#: Of clips that are varied: the slowest and the fastest speed of a sound, and how many backgrounds run backwards.
_SPEED, _REVERSED = (0.9, 1.1), 0.3
#: A sound is repeated where its class lasts so many times longer, and so much of it is near its loudest frame: one that
#: goes on, and not a bark. The repeats overlap by so much.
_LONGER, _STEADY, _OVERLAP_S = 1.25, 0.9, 0.25
#: Random places that are tried for an event; where too many sound at once at all of them, it is left out.
_TRIES = 20
#: Recordings kept in memory by each process.
_KEPT = 512


@dataclass(frozen=True)
class Mixer:
    """Mixes clips of one side of a split.

    Attributes:
        sounds: isolated sounds by class; every class has some.
        backgrounds: what lies below them; noise, where there are none.
        clip_s: seconds of a clip.
        sample_rate_hz: their rate.
        snr_db: ends of the range of an event's level above the background.
        seed: numbers that make the clips these ones.
        distractors: sounds that are no event: some clips have one, without a label.
        vary: whether every sound is played at another speed and through another equaliser each time, sounds may reach
            over the ends of the clip by up to half of them, and some backgrounds run backwards.
        no_onset: sounds that were cut after their begin: they sound as the clip begins.
        no_offset: sounds that were cut before their end: they sound until the clip ends.
        occurrence: how events occur in clips that these should be like, by class. Then as many are in a clip, as many
            of them are cut by its ends, and where clips are varied steady sounds are repeated where those of their
            class last longer than its recordings: a sound by as much as its place among these says.
    """

    sounds: Mapping[str, Sequence[Path]]
    backgrounds: Sequence[Path]
    clip_s: float
    sample_rate_hz: int
    snr_db: tuple[float, float]
    seed: tuple[int, ...]
    distractors: Sequence[Path] = ()
    vary: bool = False
    no_onset: frozenset[Path] = frozenset()
    no_offset: frozenset[Path] = frozenset()
    occurrence: Occurrence | None = None

    def clip(self, number: int, mix: int = 0) -> tuple[np.ndarray, list[Event]]:
        """A clip: int16 [samples], and its events by onset.

        Args:
            number: of the clip.
            mix: of the pass over the clips.

        Raises:
            DataError: a recording that can't be read, or is silent.
        """
        rng = np.random.default_rng([*self.seed, mix, number])
        samples = round(self.clip_s * self.sample_rate_hz)
        clip = self._background(rng, samples)
        level = _active_level(clip, self.sample_rate_hz)
        active: list[tuple[int, int, str]] = []
        for _ in range(self._events(rng)):
            label = list(self.sounds)[rng.integers(len(self.sounds))]
            path = self.sounds[label][rng.integers(len(self.sounds[label]))]
            sound = self._sound(rng, path, samples, self.snr_db, level, self._duration_s(rng, label, path))
            if not sound.any():  # a pause as long as the clip
                continue
            for start in self._starts(rng, label, path, len(sound), samples):
                first, last = max(start, 0), min(start + len(sound), samples)
                if self._fits(active, first, last, label):
                    clip[first:last] += sound[first - start : last - start]
                    active.append((first, last, label))
                    break
        if self.distractors and rng.random() < _DISTRACTED:
            path = self.distractors[rng.integers(len(self.distractors))]
            sound = self._sound(rng, path, samples, _DISTRACTOR_DB, level)
            start = int(rng.integers(0, samples - len(sound) + 1))
            clip[start : start + len(sound)] += sound
        clip *= min(1.0, _PEAK / max(float(np.abs(clip).max()), 1e-9))
        rate = self.sample_rate_hz
        return to_int16(clip), sorted(Event(first / rate, last / rate, label) for first, last, label in active)

    def _background(self, rng: np.random.Generator, samples: int) -> np.ndarray:
        level = 10.0 ** (rng.uniform(*_BACKGROUND_DB) / 20.0)
        if not self.backgrounds:
            return level * rng.standard_normal(samples)
        path = self.backgrounds[rng.integers(len(self.backgrounds))]
        recording = _recording(path, self.sample_rate_hz, False).astype(np.float64)
        if len(recording) < samples:
            part = _faded(recording, self.sample_rate_hz)
            recording = np.tile(part, -(-2 * samples // len(part)))
        start = int(rng.integers(0, len(recording) - samples + 1))
        part = recording[start : start + samples]
        if not part.any():  # a recorder's own silence
            return level * rng.standard_normal(samples)
        if self.vary:
            part = part[::-1] if rng.random() < _REVERSED else part
            part = random_equaliser(part.astype(np.float32), rng, self.sample_rate_hz).astype(np.float64)
        return part * level / _active_level(part, self.sample_rate_hz)

    def _sound(
        self,
        rng: np.random.Generator,
        path: Path,
        samples: int,
        above_db: tuple[float, float],
        level: float,
        duration_s: float = 0.0,
    ) -> np.ndarray:
        """A sound, or of one that is longer than a clip a part as long as a clip, so far above a level."""
        sound = _recording(path, self.sample_rate_hz, True)
        if self.vary:
            sound = _lasting(sound, min(round(duration_s * self.sample_rate_hz), samples), self.sample_rate_hz)
        if self.vary:  # no more of it than may be heard
            sound = random_speed(_part(rng, sound, math.ceil(samples * _SPEED[1]) + 1), rng, *_SPEED)
            sound = random_equaliser(sound, rng, self.sample_rate_hz)
        sound = sound.astype(np.float64)
        if len(sound) > samples:
            sound = _faded(_part(rng, sound, samples), self.sample_rate_hz)
        own_level = max(_active_level(sound, self.sample_rate_hz), 1e-9)
        return sound * (level * 10.0 ** (rng.uniform(*above_db) / 20.0) / own_level)

    def _events(self, rng: np.random.Generator) -> int:
        """How many events a clip shall have."""
        if self.occurrence is not None:
            return int(np.searchsorted(np.cumsum(self.occurrence.per_clip)[:-1], rng.random(), side="right"))
        return 0 if rng.random() < _EMPTY else int(rng.integers(1, _MOST_EVENTS + 1))

    def _duration_s(self, rng: np.random.Generator, label: str, path: Path) -> float:
        """How long an event of a recording shall be: as far up among its class's events as it is among recordings."""
        durations_s = self.occurrence.durations_s.get(label, ()) if self.occurrence is not None else ()
        if not durations_s:
            return 0.0
        own_s, all_s = _duration_of(path), _durations_of(tuple(self.sounds[label]))
        first, last = np.searchsorted(all_s, own_s, side="left"), np.searchsorted(all_s, own_s, side="right")
        place = rng.uniform(int(first), int(last)) / len(all_s)
        return durations_s[min(int(place * len(durations_s)), len(durations_s) - 1)]

    def _starts(self, rng: np.random.Generator, label: str, path: Path, length: int, samples: int) -> list[int]:
        """Where a sound of this length may begin, the first choice first."""
        if path in self.no_onset:
            return [0]
        if path in self.no_offset:
            return [samples - length]
        beyond, latest = length // 2, samples - length
        if self.occurrence is None:
            beyond = beyond if self.vary else 0
            return rng.integers(-beyond, latest + beyond + 1, _TRIES).tolist()
        before, after = (cut.get(label, 0.0) for cut in (self.occurrence.cut_before, self.occurrence.cut_after))
        place = rng.random()
        if place < before:
            return rng.integers(-beyond, 1, _TRIES).tolist()
        if place < before + after:
            return rng.integers(latest, latest + beyond + 1, _TRIES).tolist()
        return rng.integers(0, latest + 1, _TRIES).tolist()

    def _fits(self, active: Sequence[tuple[int, int, str]], first: int, last: int, label: str) -> bool:
        """Whether a sound has room: none of its class beside it, and not too many at once."""
        over = [each for each in active if each[0] < last and first < each[1]]
        most = _MOST_AT_ONCE if self.occurrence is None else self.occurrence.at_once
        return len(over) < most and all(other != label for _, _, other in over)


@functools.cache
def _duration_of(path: Path) -> float:
    return float(soundfile.info(path).duration)


@functools.cache
def _durations_of(paths: tuple[Path, ...]) -> np.ndarray:
    """Seconds of recordings, the shortest first."""
    return np.sort([_duration_of(path) for path in paths])


@functools.lru_cache(maxsize=_KEPT)
def _recording(path: Path, sample_rate_hz: int, trimmed: bool) -> np.ndarray:
    """A recording at a rate: float32 [samples]; of a sound what lies between its ends."""
    audio = np.concatenate(list(mono_blocks(path, sample_rate_hz)))
    if trimmed:
        if not audio.any():
            raise DataError(f"{path} is silent", hint="remove it")
        audio = audio[ends_of(audio)]
    return audio


def ends_of(audio: np.ndarray) -> slice:
    """What lies between the first and the last frame within so many dB of the loudest.

    As `librosa.effects.trim` has it, whose import would be most of the time that a process takes to start.
    """
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, _TRIM_FRAME // 2), _TRIM_FRAME)[::_TRIM_HOP]
    power = np.maximum(np.square(frames).mean(axis=1), np.float32(1e-10))
    heard = np.flatnonzero(power > power.max() * 10.0 ** (-_TRIM_DB / 10.0))
    return slice(int(heard[0]) * _TRIM_HOP, min(len(audio), int(heard[-1] + 1) * _TRIM_HOP))


def _part(rng: np.random.Generator, audio: np.ndarray, most: int) -> np.ndarray:
    """The audio, or of more than `most` samples a random part."""
    if len(audio) <= most:
        return audio
    start = int(rng.integers(0, len(audio) - most + 1))
    return audio[start : start + most]


def _active_level(audio: np.ndarray, sample_rate_hz: int) -> float:
    """Root mean square of the frames that are near the loudest one."""
    power = _power(audio, sample_rate_hz)
    return float(np.sqrt(power[_near_the_loudest(power)].mean()))


def _power(audio: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    size = max(1, min(len(audio), round(_ACTIVE_S * sample_rate_hz)))
    frames = audio[: len(audio) // size * size].reshape(-1, size)
    return np.asarray(np.square(frames).mean(axis=1))


def _near_the_loudest(power: np.ndarray) -> np.ndarray:
    return np.asarray(power >= power.max() * 10.0 ** (-_ACTIVE_DB / 10.0))


def _lasting(sound: np.ndarray, samples: int, sample_rate_hz: int) -> np.ndarray:
    """A sound, repeated to be so long where it is clearly shorter and goes on all the time."""
    if samples < _LONGER * len(sound) or _near_the_loudest(_power(sound, sample_rate_hz)).mean() < _STEADY:
        return sound
    count = min(round(_OVERLAP_S * sample_rate_hz), len(sound) // 4)
    rise = np.sin(np.linspace(0.0, np.pi / 2, count, dtype=np.float32))
    long = sound
    while len(long) < samples:
        seam = long[len(long) - count :] * rise[::-1] + sound[:count] * rise
        long = np.concatenate([long[: len(long) - count], seam, sound[count:]])
    return _faded(long[:samples], sample_rate_hz)


def _faded(audio: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    count = min(len(audio) // 2, round(_FADE_S * sample_rate_hz))
    faded, ramp = audio.copy(), np.linspace(0.0, 1.0, count, endpoint=False)
    faded[:count] *= ramp
    faded[len(faded) - count :] *= ramp[::-1]
    return faded
