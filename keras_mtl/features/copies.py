"""Features of scene clips as other devices would have recorded them, prepared once and drawn from in training.

A device's impulse response acts on the audio, and what is cached is log-mel. So whole copies of the features are
prepared: in copy k, each clip of the chosen devices has been convolved with a response that the seed, k and the clip
choose. A batch then takes some of its clips from a copy. That is exact, unlike filtering of log-mel frames, and costs
a training step nothing. Each copy costs preparing and disk, once: for each second of audio 25,600 bytes (with the
features of `mt`), and about the time of the plain features. Held-out and evaluation clips have no copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import DataError, LogMelSettings, RecipeError
from keras_mtl.datasets import Corpus
from keras_mtl.datasets.prepare import Clips
from keras_mtl.features.arrays import AnyLevels
from keras_mtl.features.impulse_responses import convolved, fingerprint, read_impulse_responses
from keras_mtl.features.sets import SceneSet, prepared_levels
from keras_mtl.recipes import AugmentSettings


@dataclass(frozen=True)
class ImpulseCopies:
    """Copies of some clips' features.

    Attributes:
        levels: for each copy, float16 [rows, frames, mel_bands] in dB.
        rows: the row of each clip in every copy, int [clips]; -1 for clips without copies.
        probability: that a clip with copies is replaced by one.
        seed: of the draws.
    """

    levels: tuple[AnyLevels, ...]
    rows: np.ndarray
    probability: float
    seed: int

    def take(self, index: np.ndarray) -> ImpulseCopies:
        """Those of the clips at these places."""
        return replace(self, rows=self.rows[index])

    def into(self, levels: np.ndarray, index: np.ndarray, step: int) -> np.ndarray:
        """A batch's levels with some clips replaced: a function of the seed and the step alone.

        Args:
            levels: [batch, frames, mel_bands] in dB.
            index: the clips of the batch, int [batch].
            step: the batch's number.
        """
        random = np.random.default_rng((self.seed, 7, step))
        chosen = random.random(len(index)) < self.probability
        copies = random.integers(0, len(self.levels), len(index))
        out = np.array(levels)
        for place in np.flatnonzero(chosen & (self.rows[index] >= 0)):
            out[place] = self.levels[copies[place]][self.rows[index[place]]]
        return out


def impulse_copies(
    corpus: Corpus,
    split: str,
    clips: SceneSet,
    settings: LogMelSettings,
    cache: Path,
    augment: AugmentSettings,
    seed: int,
) -> ImpulseCopies | None:
    """The copies that a recipe asks for, prepared on the first time; None where it asks for none.

    Args:
        corpus: the data.
        split: a split of its scenes.
        clips: that split's features.
        settings: the features' settings.
        cache: where log-mel features are kept.
        augment: the recipe's group.
        seed: chooses each clip's response, and the clips that are replaced.

    Raises:
        RecipeError: a folder without a probability, or a probability without a folder.
        DataError: no impulse responses, or no clip of the devices.
    """
    if bool(augment.ir_folder) != bool(augment.ir_probability):
        hint = "set both augment.ir_folder and augment.ir_probability, or neither"
        raise RecipeError(f"ir_folder = {augment.ir_folder!r}, ir_probability = {augment.ir_probability}", hint=hint)
    if not augment.ir_folder:
        return None
    responses = read_impulse_responses(augment.ir_folder, settings.sample_rate_hz)
    devices = np.asarray([device.strip() for device in augment.ir_devices.split(",")])
    chosen = np.ones(len(clips), bool) if augment.ir_devices == "all" else np.isin(clips.devices, devices)
    if not chosen.any():
        there = ", ".join(np.unique(clips.devices))
        raise DataError(f"{corpus.name}: no scene clip of augment.ir_devices = {augment.ir_devices!r} (there: {there})")
    source, stamp = corpus.scenes[split], f"{fingerprint(responses)[:12]}_{augment.ir_devices.replace(',', '-')}_{seed}"
    levels = tuple(
        prepared_levels(
            _ConvolvedClips(
                name=f"{source.name}_ir_{stamp}_{copy}",
                count=int(chosen.sum()),
                census=source.census,
                builder=source.builder,
                sample_rate_hz=source.sample_rate_hz,
                source=source,
                responses=responses,
                chosen=chosen,
                seed=(seed, 8, copy),
            ),
            corpus.fingerprint,
            settings,
            cache,
        )
        for copy in range(augment.ir_copies)
    )
    return ImpulseCopies(levels, np.where(chosen, np.cumsum(chosen) - 1, -1), augment.ir_probability, seed)


@dataclass(frozen=True, kw_only=True)
class _ConvolvedClips(Clips):
    """The chosen clips of `source`, each convolved with a response of its own choice: audio float32."""

    source: Clips = field(repr=False)
    responses: list[np.ndarray] = field(repr=False)
    chosen: np.ndarray = field(repr=False)
    seed: tuple[int, ...]

    def between(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """See `Clips.between`."""
        places = np.flatnonzero(self.chosen)[first:last]
        wanted = set(places.tolist())
        for number, example in enumerate(self.source.between(int(places[0]), int(places[-1]) + 1), int(places[0])):
            if number in wanted:
                which = np.random.default_rng((*self.seed, number)).integers(len(self.responses))
                audio = np.asarray(example["audio"], np.float32) / 32768.0
                yield {**example, "audio": convolved(audio, self.responses[which])}
