"""Event clips mixed from isolated sounds over backgrounds, with exact onsets and offsets.

What is heard when is drawn from a seed, the number of the pass and the number of the clip alone: the same numbers give
the same samples, so that a training that mixes anew for every pass can be taken up anywhere. A sound begins and ends
where it is within 40 dB of its own loudest frame. Levels are drawn as in DESED's synthetic set (Turpault et al. 2019):
a background, and each event some decibels above it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from librosa.effects import trim

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import mono_blocks, to_int16
from keras_mtl.datasets.own.folder import HELD_OUT, TEST, TRAIN, OwnFolder
from keras_mtl.datasets.prepare import DataSettings
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
#: Random places that are tried for an event; where too many sound at once at all of them, it is left out.
_TRIES = 20
#: Recordings kept in memory by each process.
_KEPT = 512

#: Numbers that set the random streams apart; never change one.
_STREAMS = {TRAIN: 1, HELD_OUT: 2, TEST: 3}


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
    """

    sounds: Mapping[str, Sequence[Path]]
    backgrounds: Sequence[Path]
    clip_s: float
    sample_rate_hz: int
    snr_db: tuple[float, float]
    seed: tuple[int, ...]

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
        for _ in range(0 if rng.random() < _EMPTY else int(rng.integers(1, _MOST_EVENTS + 1))):
            label = list(self.sounds)[rng.integers(len(self.sounds))]
            sound = self._sound(rng, self.sounds[label], samples)
            gain = level * 10.0 ** (rng.uniform(*self.snr_db) / 20.0) / _active_level(sound, self.sample_rate_hz)
            for start in rng.integers(0, samples - len(sound) + 1, _TRIES).tolist():
                if self._fits(active, start, start + len(sound), label):
                    clip[start : start + len(sound)] += gain * sound
                    active.append((start, start + len(sound), label))
                    break
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
        return part * level / _active_level(part, self.sample_rate_hz)

    def _sound(self, rng: np.random.Generator, paths: Sequence[Path], samples: int) -> np.ndarray:
        """A sound, or of one that is longer than a clip a part as long as a clip."""
        sound = _recording(paths[rng.integers(len(paths))], self.sample_rate_hz, True).astype(np.float64)
        if len(sound) <= samples:
            return sound
        start = int(rng.integers(0, len(sound) - samples + 1))
        return _faded(sound[start : start + samples], self.sample_rate_hz)

    def _fits(self, active: Sequence[tuple[int, int, str]], first: int, last: int, label: str) -> bool:
        """Whether a sound has room: none of its class beside it, and not too many at once."""
        over = [each for each in active if each[0] < last and first < each[1]]
        return len(over) < _MOST_AT_ONCE and all(other != label for _, _, other in over)


def mixer_of(folder: OwnFolder, side: str, settings: DataSettings, sample_rate_hz: int) -> Mixer | None:
    """The mixer of a side of a folder; None where it has no isolated sounds.

    A side without backgrounds of its own has those of the training side.
    """
    by_class = sorted(folder.by_class("events", side).items())  # the clips do not depend on the order of the labels
    sounds = {label: [folder.root / name for name in names] for label, names in by_class if names}
    backgrounds = folder.names("background", side) or folder.names("background", TRAIN)
    if not sounds:
        return None
    return Mixer(
        sounds,
        [folder.root / name for name in backgrounds],
        settings.event_clip_s,
        sample_rate_hz,
        (settings.snr_low_db, max(settings.snr_low_db, settings.snr_high_db)),
        (settings.mix_seed, _STREAMS[side]),
    )


@functools.lru_cache(maxsize=_KEPT)
def _recording(path: Path, sample_rate_hz: int, trimmed: bool) -> np.ndarray:
    """A recording at a rate: float32 [samples]; of a sound what lies between its ends."""
    audio = np.concatenate(list(mono_blocks(path, sample_rate_hz)))
    if trimmed:
        if not audio.any():
            raise DataError(f"{path} is silent", hint="remove it")
        audio, _ = trim(audio, top_db=_TRIM_DB, frame_length=_TRIM_FRAME, hop_length=_TRIM_HOP)
    return audio


def _active_level(audio: np.ndarray, sample_rate_hz: int) -> float:
    """Root mean square of the frames that are near the loudest one."""
    size = max(1, min(len(audio), round(_ACTIVE_S * sample_rate_hz)))
    frames = audio[: len(audio) // size * size].reshape(-1, size)
    power = np.square(frames).mean(axis=1)
    return float(np.sqrt(power[power >= power.max() * 10.0 ** (-_ACTIVE_DB / 10.0)].mean()))


def _faded(audio: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    count = min(len(audio) // 2, round(_FADE_S * sample_rate_hz))
    faded, ramp = audio.copy(), np.linspace(0.0, 1.0, count, endpoint=False)
    faded[:count] *= ramp
    faded[len(faded) - count :] *= ramp[::-1]
    return faded
