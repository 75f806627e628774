"""Quantizes the scene part of a network with tensorflow-model-optimization, in a process of its own."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mtl.core import ConversionError, EngineCrash, EngineTimeout, LogMelSettings, run_isolated
from keras_mtl.features import SceneSet
from keras_mtl.models import build_scene_part
from keras_mtl.tflite.tfmot.description import describe_scene_part
from keras_mtl.tflite.tfmot.files import GRAPH_FILE, WEIGHTS_FILE, save_twin

_WORKER = "keras_mtl.tflite.tfmot.training_worker"
_START_S = 600.0
_FRAME_S = 0.005  # for each frame of each pass: ten times what the scene networks take on two cores
_CHUNK = 1000


@dataclass(frozen=True)
class TfmotQuantized:
    """What tfmot made of a network; the files lie in the folder that was given.

    Attributes:
        kept, nearness: as of `keras_mtl.tflite.quantize.Quantized`.
        twin_difference: the largest difference between a logit of the float twin and the network's.
    """

    kept: str
    nearness: dict[str, dict[str, float]]
    twin_difference: float


def quantize_with_tfmot(
    network: keras.Model,
    calibration: np.ndarray,
    folder: Path,
    clips: SceneSet | None = None,
    settings: LogMelSettings | None = None,
    *,
    epochs: int = 0,
    batch: int = 64,
    learning_rate: float = 1e-4,
    seed: int = 0,
    timeout_s: float | None = None,
) -> TfmotQuantized:
    """Quantizes the scene part of a network to int8. The network itself is not changed.

    Args:
        network: float network with the layers "encoder" and "scene_head".
        calibration: normalised log-mel of some 100 to 200 training clips, float32 [n, frames, mel_bands].
        folder: gets `qat_tfmot.npz`, `qat_tfmot.pb` and, with epochs, `quantize.csv`.
        clips: scene clips to fine-tune on.
        settings: how their log-mel is normalised.
        epochs: passes over the clips; 0 calibrates only.
        batch: clips of a batch.
        learning_rate: Adam's peak.
        seed: of the order of the clips.
        timeout_s: seconds that tfmot's process may take; None allows what a slow machine needs.

    Raises:
        ConversionError: tfmot is not installed, a layer that it refuses, calibration clips that can't be used, or a
            process that died or did not come back.
        ValueError: epochs without clips.
    """
    if epochs and (clips is None or settings is None):
        raise ValueError("fine-tuning needs clips and the features' settings")
    if importlib.util.find_spec("tensorflow_model_optimization") is None:
        why = "tensorflow-model-optimization is not installed; it wants NumPy 1, and TensorFlow on Python 3.13 NumPy 2"
        raise ConversionError(why, hint="quantize without --engine tfmot, or on Python 3.11 or 3.12")
    described = describe_scene_part(network, calibration.shape[1])
    part = build_scene_part(network, calibration.shape[1])
    with tempfile.TemporaryDirectory(prefix="keras_mtl_tfmot_") as temporary:
        given = Path(temporary)
        save_twin(given / "network.npz", described.document, described.weights)
        logits = part.predict(calibration[..., None], batch_size=50, verbose=0)
        np.savez(given / "samples.npz", calibration=calibration, logits=logits)
        request: dict[str, Any] = {
            "network": str(given / "network.npz"),
            "samples": str(given / "samples.npz"),
            "epochs": epochs,
            "learning_rate": learning_rate,
            "seed": seed,
            "weights": str(folder / WEIGHTS_FILE),
            "graph": str(folder / GRAPH_FILE),
            "log": str(folder / "quantize.csv"),
        }
        limit = _START_S if timeout_s is None else timeout_s
        if epochs and clips is not None and settings is not None:
            request |= _hand_over(clips, given) | {"batch": batch, "features": settings.to_dict()}
            frames = epochs * len(clips) * clips.log_mel.shape[1]
            limit = _START_S + frames * _FRAME_S if timeout_s is None else timeout_s
            print(f"tfmot fine-tunes on {len(clips)} clips; it shows no progress", file=sys.stderr)
        try:
            result = run_isolated(_WORKER, request, limit, {"TF_USE_LEGACY_KERAS": "1"})
        except (EngineCrash, EngineTimeout) as error:
            raise ConversionError(f"tfmot failed: {error.message}", hint="--engine native needs no tfmot") from None
    return TfmotQuantized(**result)


def _hand_over(clips: SceneSet, folder: Path) -> dict[str, Any]:
    """Writes clips where the worker maps them into memory: they may be more than fit."""
    log_mel, scenes = folder / "log_mel.npy", folder / "scenes.npy"
    written = np.lib.format.open_memmap(log_mel, mode="w+", dtype=clips.log_mel.dtype, shape=clips.log_mel.shape)
    for start in range(0, len(clips), _CHUNK):
        written[start : start + _CHUNK] = clips.log_mel[start : start + _CHUNK]
    written.flush()
    np.save(scenes, clips.scenes)
    return {"log_mel": str(log_mel), "scenes": str(scenes)}
