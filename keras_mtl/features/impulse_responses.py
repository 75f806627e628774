"""Impulse responses of recording devices: read from a folder, applied to waveforms (Morocutti et al. 2023)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import AUDIO_SUFFIXES, read_audio


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
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
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
