"""The golden chain: a made-up sound and what comes of it at every stage, so that a device can be checked end to end.

Stages are checked one by one, each from the golden result before it: a rounding that differs in one stage does not
hide what the next one does. So levels are kept in steps of 1/256 dB, and the networks' input is made of these.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import FeatureMismatch
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.bundle.golden import numbered
from keras_mtl.firmware_host.bundle.golden_audio import golden_waveform, input_scaling, log_mel_db, quantized_levels
from keras_mtl.firmware_host.engines.process import ENVIRONMENT, MOST_BYTES
from keras_mtl.firmware_host.engines.runner import ARENA_OFFERED_BYTES, run_engine
from keras_mtl.isolation import run_isolated
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.artifact_set import ArtifactSet

#: Levels are kept in steps of 1 / this dB: 16 bits reach from -128 to 128 dB.
STEPS_PER_DB = 256
#: Windows of its encoder that a set's golden clip is long.
_WINDOWS = 2
_WORKER = "keras_mtl.firmware_host.bundle.chain_worker"


@dataclass(frozen=True, eq=False)
class Chain:
    """A sound and what comes of it.

    Attributes:
        waveform: int16 [samples].
        levels: log-mel in steps of 1/256 dB, int16 [frames, mel_bands].
        inputs: what the first network takes for them, in its input's type [frames, mel_bands].
        results: what TensorFlow Lite Micro gives: of one model "network_output" (or "network_output_0", ...), in the
            output's type; of a set "network_embeddings" [steps, size], "strong" and "attention" [steps, events] and,
            with a scene decoder, "network_scenes" [windows, scenes], the logits of every window.
    """

    waveform: np.ndarray
    levels: np.ndarray
    inputs: np.ndarray
    results: dict[str, np.ndarray]

    @property
    def levels_db(self) -> np.ndarray:
        """The levels in dB, float32."""
        return self.levels.astype(np.float32) / np.float32(STEPS_PER_DB)


def features_of(manifest: Mapping[str, Any], port: Mapping[str, Any]) -> LogMelSettings | None:
    """The features that a network's input port takes; None where it takes something else or does not say."""
    try:
        settings = LogMelSettings.from_dict(manifest["features"])
    except (FeatureMismatch, KeyError, TypeError, AttributeError):
        return None
    shape = port["shape"]
    fits = len(shape) >= 3 and shape[2] == settings.mel_bands and math.prod(shape) == shape[1] * shape[2]
    return settings if fits and shape[1] > int(settings.keep_last_frame) else None


def model_chain(artifact: Artifact, settings: LogMelSettings, timeout_s: float) -> Chain:
    """The chain of one model, on a sound as long as its input.

    Raises:
        EngineError: TensorFlow Lite Micro does not run the file.
    """
    port = artifact.manifest["inputs"][0]
    chain = begin_chain(settings, port, port["shape"][1])
    run = run_engine("tflm", artifact.content, [chain.inputs.reshape(1, *port["shape"][1:])], timeout_s)
    found = {f"network_{numbered('output', i, len(run.outputs))}": values[0] for i, values in enumerate(run.outputs)}
    return Chain(chain.waveform, chain.levels, chain.inputs, found)


def set_chain(artifacts: ArtifactSet, settings: LogMelSettings, timeout_s: float) -> tuple[Chain, dict[str, int]]:
    """The chain of a set, on a sound two windows long, and the arena in bytes that each member used.

    Raises:
        EngineError: TensorFlow Lite Micro does not run a member.
    """
    wiring = artifacts.wiring
    port = artifacts.members[wiring.encoder].manifest["inputs"][0]
    stride = wiring.windows.stride
    frames = min(wiring.clip_frames or wiring.windows.frames, _WINDOWS * wiring.windows.frames) // stride * stride
    chain = begin_chain(settings, port, frames)
    with tempfile.TemporaryDirectory(prefix="keras_mtl_chain_") as name:
        folder = Path(name)
        for member, artifact in artifacts.members.items():
            (folder / member).write_bytes(artifact.content)
        np.save(folder / "clip.npy", chain.inputs[..., None])
        ports = {
            member: {end: artifact.manifest[end] for end in ("inputs", "outputs")}
            for member, artifact in artifacts.members.items()
        }
        request = {"folder": name, "wiring": artifacts.manifest["wiring"], "members": ports}
        request["arena_bytes"] = ARENA_OFFERED_BYTES // len(ports)
        answer = run_isolated(_WORKER, request, timeout_s, ENVIRONMENT, MOST_BYTES)
        with np.load(folder / "chain.npz", allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in arrays}
    return Chain(chain.waveform, chain.levels, chain.inputs, found), answer["arena_bytes"]


def begin_chain(settings: LogMelSettings, port: Mapping[str, Any], frames: int) -> Chain:
    """The chain up to the first network's input, without results.

    Args:
        settings: the features' settings.
        port: the input of the first network, as in its manifest.
        frames: log-mel frames that the sound is long.
    """
    seconds = settings.seconds(frames)
    waveform = golden_waveform(settings, seconds)
    levels = np.rint(log_mel_db(waveform, settings) * STEPS_PER_DB)
    levels = levels.clip(-(2**15), 2**15 - 1).astype(np.int16)
    levels_db = levels.astype(np.float32) / np.float32(STEPS_PER_DB)
    return Chain(waveform, levels, quantized_levels(levels_db, input_scaling(settings, port), port["dtype"]), {})
