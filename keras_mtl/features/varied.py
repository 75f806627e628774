"""Scene clips varied as waveforms, prepared once: copies with their label, and clips without one for a teacher.

A teacher is asked about the very audio that the network hears, so what changes the sound is done before both: a copy
is played faster or slower, coloured and made louder or softer; two scenes are mixed; a second is cut out of an event
clip. Each is a split like those of the corpus, whose log-mel lies in the same cache. What clip number n is depends on
the seed, n and the clips that are trained on alone. Held-out and evaluation clips have no part in any of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_mtl.datasets import Corpus
from keras_mtl.datasets.audio import mixed, random_equaliser, random_gain, random_speed
from keras_mtl.datasets.mixing import MixedClips
from keras_mtl.datasets.prepare import Clips
from keras_mtl.recipes import AugmentSettings

#: What stands for the scene of a clip that has none.
NO_SCENE = -1
#: Between the recordings that are heard in one clip, in its `recording`.
JOINED = "\t"
#: Clips among which the partner of a mix is drawn: they are in memory together. TFDS has shuffled them.
_BLOCK = 500
_MIX_DB = (-10.0, 10.0)
_OVER_SCENE = 0.3


def recordings_in(recording: str) -> tuple[str, ...]:
    """The scene recordings that are heard in a clip, of its `recording`: of a cut of event audio there may be none."""
    return tuple(part for part in recording.split(JOINED) if part)


def varied_scenes(
    corpus: Corpus, kept: np.ndarray, events: Mapping[str, np.ndarray], augment: AugmentSettings, seed: int
) -> tuple[list[Clips], list[Clips]]:
    """The splits that a recipe asks for beside the plain scene clips.

    Args:
        corpus: the data.
        kept: numbers of the scene clips that are trained on, int [clips].
        events: of the corpus's splits of event clips that may be cut, the numbers of the clips that may.
        augment: how many of each.
        seed: of all draws.

    Returns:
        Splits with scenes, and splits without; each empty where none is asked for.
    """
    train, scenes = corpus.scenes["train"], _Chosen(corpus.scenes["train"], kept)
    sources = [_Chosen(corpus.events[split], rows) for split, rows in sorted(events.items()) if len(rows)]
    labelled: list[Clips] = []
    pool: list[Clips] = []
    if augment.waveform_copies:
        labelled.append(_split(_Copies, train, "copies", [scenes], augment.waveform_copies, (seed, 9)))
    if augment.waveform_mixes:
        pool.append(_split(_Mixes, train, "mixes", [scenes], augment.waveform_mixes, (seed, 10)))
    if augment.waveform_cuts and sources:
        pool.append(_split(_Cuts, train, "cuts", [scenes, *sources], augment.waveform_cuts, (seed, 11)))
    return labelled, pool


@dataclass(frozen=True)
class _Chosen:
    """Some clips of a split: those of these numbers, in its order."""

    clips: Clips | MixedClips
    rows: np.ndarray

    def between(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Chosen clips number `first` to `last`."""
        rows = self.rows[first:last]
        if not len(rows):
            return
        wanted = set(rows.tolist())
        for number, example in enumerate(self.clips.between(int(rows[0]), int(rows[-1]) + 1), int(rows[0])):
            if number in wanted:
                yield example


def _endless(sources: Sequence[_Chosen], first: int) -> Iterator[dict[str, Any]]:
    """The clips of all sources after each other from number `first` on, again and again."""
    while True:
        for source in sources:
            yield from source.between(min(first, len(source.rows)), len(source.rows))
            first = max(first - len(source.rows), 0)


def _split(
    kind: type[_Varied], scenes: Clips, name: str, sources: Sequence[_Chosen], times: int, seed: tuple[int, ...]
) -> Clips:
    """`times` as many clips as there are chosen `scenes`, which are the first of the sources."""
    digest = hashlib.sha256(repr(seed).encode())
    for source in sources:
        digest.update(f"{source.clips.name} {len(source.rows)} ".encode() + source.rows.astype("<i8").tobytes())
    return kind(
        name=f"{scenes.name}_{name}_{digest.hexdigest()[:12]}",
        count=times * len(sources[0].rows),
        census=scenes.census,
        builder=scenes.builder,
        sample_rate_hz=scenes.sample_rate_hz,
        sources=tuple(sources),
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True)
class _Varied(Clips):
    """Clips made of those of `sources`, the first of which are the scenes."""

    sources: tuple[_Chosen, ...] = field(repr=False)
    seed: tuple[int, ...]

    def _random(self, number: int) -> np.random.Generator:
        return np.random.default_rng((*self.seed, number))

    def _by_passes(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Clips number `first` to `last` as (pass over the scenes, first and last scene clip in it)."""
        count = len(self.sources[0].rows)
        while first < last:
            number, place = divmod(first, count)
            end = min(count, place + last - first)
            yield number, place, end
            first += end - place


class _Copies(_Varied):
    """Scene clips at another speed, in another colour, at another level."""

    def between(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """See `Clips.between`."""
        for number, place, end in self._by_passes(first, last):
            for at, example in enumerate(self.sources[0].between(place, end), place):
                random = self._random(number * len(self.sources[0].rows) + at)
                audio = random_speed(_floats(example), random, same_length=True)
                audio = random_gain(random_equaliser(audio, random, self.sample_rate_hz), random)
                yield {**example, "audio": audio, "filename": f"{example['filename']}#copy{number + 1}"}


class _Mixes(_Varied):
    """Two scene clips in one, either of them up to 10 dB below the other."""

    def between(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """See `Clips.between`."""
        scenes = self.sources[0]
        for number, place, end in self._by_passes(first, last):
            while place < end:
                start = place - place % _BLOCK
                block = list(scenes.between(start, start + _BLOCK))
                stop = min(end, start + _BLOCK)
                yield from (self._mix(number, start, at, block) for at in range(place, stop))
                place = stop

    def _mix(self, number: int, start: int, at: int, block: list[dict[str, Any]]) -> dict[str, Any]:
        random = self._random(number * len(self.sources[0].rows) + at)
        one = block[at - start]
        other = block[(at - start + int(random.integers(1, max(len(block), 2)))) % len(block)]
        audio = random_gain(mixed(_floats(one), _floats(other), random.uniform(*_MIX_DB)), random)
        return {
            **one,
            "audio": audio,
            "scene": NO_SCENE,
            "recording": JOINED.join(sorted({one["recording"], other["recording"]})),
            "filename": f"{one['filename']}#mix{number + 1}",
        }


class _Cuts(_Varied):
    """Parts of event clips as long as a scene clip, some of them over a scene clip."""

    def between(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """See `Clips.between`."""
        scenes, *others = self.sources
        samples = round(self.clip_s * self.sample_rate_hz)
        sounds = _endless(others, first % sum(len(other.rows) for other in others))
        for at, sound, scene in zip(
            range(first, last), sounds, _endless([scenes], first % len(scenes.rows)), strict=False
        ):
            random = self._random(at)
            start = int(random.integers(0, max(len(sound["audio"]) - samples, 0) + 1))
            audio = _floats(sound)[start : start + samples]
            audio = np.pad(audio, (0, samples - len(audio)))
            over = random.random() < _OVER_SCENE
            if over:
                audio = mixed(audio, _floats(scene), random.uniform(*_MIX_DB))
            yield {
                **scene,
                "audio": random_gain(audio, random),
                "scene": NO_SCENE,
                "recording": scene["recording"] if over else "",
                "filename": f"{sound['filename']}#cut{at}",
            }


def _floats(example: dict[str, Any]) -> np.ndarray:
    return np.asarray(example["audio"], np.float32) / np.float32(32768.0)
