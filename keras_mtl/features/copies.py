"""Features of scene clips as other devices would have recorded them (Morocutti et al. 2023), prepared once.

A device's impulse response acts on the audio, and what is cached is log-mel. So whole copies of the features are
prepared: in copy k, each clip of the chosen devices has been convolved with a response that the seed, k and the clip
choose. A batch then takes some of its clips from a copy. That is exact, unlike filtering of log-mel frames, and costs
a training step nothing. Each copy costs preparing and disk, once: for each second of audio 25,600 bytes (with the
features of `mt`), and about the time of the plain features. Held-out and evaluation clips have no copies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import DataError, LogMelSettings, RecipeError
from keras_mtl.datasets import Corpus
from keras_mtl.datasets.audio import read_audio, recordings_below
from keras_mtl.datasets.prepare import Clips
from keras_mtl.features.arrays import AnyLogMel
from keras_mtl.features.cache import open_log_mel
from keras_mtl.features.sets import SceneSet
from keras_mtl.recipes import AugmentSettings


@dataclass(frozen=True)
class ImpulseCopies:
    """Copies of some clips' features.

    Attributes:
        log_mel: for each copy, float16 [rows, frames, mel_bands] in dB.
        rows: the row of each clip in every copy, int [clips]; -1 for clips without copies.
        probability: that a clip with copies is replaced by one.
        seed: of the draws.
    """

    log_mel: tuple[AnyLogMel, ...]
    rows: np.ndarray
    probability: float
    seed: int

    def take(self, index: np.ndarray) -> ImpulseCopies:
        """Those of the clips at these places."""
        return replace(self, rows=self.rows[index])

    def into(self, log_mel: np.ndarray, index: np.ndarray, step: int) -> np.ndarray:
        """A batch's log-mel with some clips replaced: a function of the seed and the step alone.

        Args:
            log_mel: [batch, frames, mel_bands] in dB.
            index: the clips of the batch, int [batch].
            step: the batch's number.
        """
        random = np.random.default_rng((self.seed, 7, step))
        chosen = random.random(len(index)) < self.probability
        copies = random.integers(0, len(self.log_mel), len(index))
        out = np.array(log_mel)
        for place in np.flatnonzero(chosen & (self.rows[index] >= 0)):
            out[place] = self.log_mel[copies[place]][self.rows[index[place]]]
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
    log_mel = tuple(
        open_log_mel(
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
            corpus.key,
            settings,
            cache,
        ).log_mel
        for copy in range(augment.ir_copies)
    )
    return ImpulseCopies(log_mel, np.where(chosen, np.cumsum(chosen) - 1, -1), augment.ir_probability, seed)


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


def read_impulse_responses(folder: str | Path, sample_rate_hz: int) -> list[np.ndarray]:
    """Reads every recording under a folder, in the order of their paths.

    Each response is scaled to energy 1, so that white noise keeps its level: it is the colour that is to be varied.

    Returns:
        float64 [samples] of each.

    Raises:
        DataError: no such folder, no recording in it, or one that is silent or can't be read.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"no folder of impulse responses at {folder}", hint="set augment.ir_folder")
    paths = recordings_below(folder)
    if not paths:
        raise DataError(f"{folder} holds no recordings of impulse responses", hint="set augment.ir_folder")
    responses = [read_audio(path, sample_rate_hz).astype(np.float64) for path in paths]
    for path, response in zip(paths, responses, strict=True):
        if not response.any():
            raise DataError(f"{path} is silent: no impulse response")
    return [response / np.sqrt(np.square(response).sum()) for response in responses]


def fingerprint(responses: Sequence[np.ndarray]) -> str:
    """sha256 over the responses, in their order."""
    digest = hashlib.sha256()
    for response in responses:
        digest.update(str(len(response)).encode())
        digest.update(np.asarray(response, np.float32).tobytes())
    return digest.hexdigest()


def convolved(audio: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The first samples of audio * response, as many as `audio` has: float32 [samples]."""
    length = len(audio) + len(response) - 1
    spectrum = np.fft.rfft(audio, length) * np.fft.rfft(response, length)
    return np.fft.irfft(spectrum, length)[: len(audio)].astype(np.float32)
