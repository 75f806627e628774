"""The golden chain: a made-up sound and what comes of it at every stage, so that a device can be checked end to end.

Stages are checked one by one, each from the golden result before it: a rounding that differs in one stage does not
hide what the next one does. So log-mel is kept in steps of 1/256 dB, and the networks' input is made of these.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import ArtifactError, FeatureMismatch, LogMelSettings
from keras_mtl.decoding import DecodeSettings, EventDecoder, SceneSmoother, decoder_numbers
from keras_mtl.firmware_host.bundle.golden.audio import golden_waveform, input_scaling, log_mel_db, quantized_log_mel
from keras_mtl.firmware_host.bundle.golden.vectors import C_VECTORS, GoldenVectors, numbered
from keras_mtl.firmware_host.device import FixedLogMel
from keras_mtl.firmware_host.engines import make_request, run, run_worker
from keras_mtl.tflite.artifact import Artifact, Member, Port

#: Log-mel is kept in steps of 1 / this dB: 16 bits reach from -128 to 128 dB.
STEPS_PER_DB = 256
#: Seconds of a stream's golden recording at least, and calls of the scene decoder after the first one, for which its
#: window must be full. It lies in flash, so that it is shorter than the ring of an event decoder of both directions may
#: be; its end then makes the decoder's turn.
_SECONDS, _CALLS = 3.0, 5
_WORKER = "keras_mtl.firmware_host.bundle.golden.chain_worker"
#: Steps of made-up scores behind those of the sound, in which little may happen.
MADE_UP_STEPS = 60
_SEED = 11
#: How often each golden output of a scene model is taken: often enough that it becomes the scene.
CALLS_EACH = 3


@dataclass(frozen=True, eq=False)
class Chain:
    """A sound and what comes of it.

    Attributes:
        waveform: int16 [samples].
        log_mel: in steps of 1/256 dB, int16 [frames, mel_bands].
        fixed_log_mel: the same as the fixed-point front end has it.
        inputs: what the first network takes for them, in its input's type [frames, mel_bands].
        results: what TensorFlow Lite Micro gives, and what the decoders make of it. Of one file "network_output" (or
            "network_output_0", ...), in the output's type, and for scenes "scene" as of `smoothed`. Of a
            streaming artifact "embeddings" [steps, size], with those of a start that a device drops; "logits" [calls,
            scenes]; "scores" and "changes" as of `decoded`, each where there is such a decoder; "heard" int32
            [results, 5] (see `chain_worker.work`).
        arena_bytes: that each member used.
    """

    waveform: np.ndarray
    log_mel: np.ndarray
    fixed_log_mel: np.ndarray
    inputs: np.ndarray
    results: dict[str, np.ndarray]
    arena_bytes: dict[str, int]

    @property
    def log_mel_db(self) -> np.ndarray:
        """The log-mel in dB, float32."""
        return self.log_mel.astype(np.float32) / np.float32(STEPS_PER_DB)


def features_of(artifact: Artifact) -> LogMelSettings | None:
    """The features that the one input of a file takes; None where these are others or not known."""
    try:
        settings, (port,) = artifact.facts.features, artifact.network.inputs
    except (ArtifactError, FeatureMismatch, ValueError):
        return None
    shape = port.shape
    fits = len(shape) >= 3 and shape[2] == settings.mel_bands and math.prod(shape) == shape[1] * shape[2]
    return settings if fits and shape[1] > int(settings.keep_last_frame) else None


def file_chain(artifact: Artifact, settings: LogMelSettings, vectors: GoldenVectors, timeout_s: float) -> Chain:
    """The chain of one file, on a sound as long as its input.

    Raises:
        EngineError: TensorFlow Lite Micro does not run the file.
    """
    (port,), outputs = artifact.network.inputs, artifact.network.outputs
    chain = _begin(settings, port, port.shape[1])
    given = {"input_0": chain.inputs.reshape(1, *port.shape[1:])}
    made = run("tflm", artifact, given, timeout_s=timeout_s)
    arrays = made.outputs.values()
    found = {f"network_{numbered('output', i, len(outputs))}": values[0] for i, values in enumerate(arrays)}
    if has_scenes(artifact.network):
        calls = scene_calls(found["network_output"].ravel(), list(vectors.outputs[0][:C_VECTORS]))
        found |= smoothed(calls, outputs[0], artifact.facts.decoding)
    return replace(chain, results=found, arena_bytes=_arenas(made.arena_bytes))


def stream_chain(artifact: Artifact, timeout_s: float) -> Chain:
    """The chain of a streaming artifact: all that a predictor makes of the sound, network by network.

    Raises:
        EngineError: TensorFlow Lite Micro does not run a member.
    """
    wiring, settings = artifact.wiring, artifact.facts.features
    stride, window = wiring.stream.stride, wiring.scene_ring
    heard = window + min(window, _CALLS * wiring.stream.scene_hop)
    frames = max(round(_SECONDS / settings.hop_s), (wiring.stream.latency + heard) * stride)
    chain = _begin(settings, artifact.network.inputs[0], -(-frames // stride) * stride)
    with tempfile.TemporaryDirectory(prefix="keras_mtl_chain_") as name:
        folder = Path(name)
        request = make_request("tflm", artifact, folder) | {"facts": dict(artifact.facts.values)}
        np.save(folder / "recording.npy", chain.inputs[: frames_of(settings, len(chain.waveform))])
        answer = run_worker(_WORKER, request, artifact, timeout_s)
        with np.load(folder / "chain.npz", allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in arrays}
    if wiring.classifiers:
        found |= decoded(found.pop("strong"), event_numbers(artifact))
    return replace(chain, results=found, arena_bytes=_arenas(answer["arena_bytes"]))


def frames_of(settings: LogMelSettings, samples: int) -> int:
    """Frames that a front end completes of so many samples: without those that reach beyond their end."""
    return max(0, (samples - settings.fft // 2) // settings.hop + 1)


def _begin(settings: LogMelSettings, port: Port, frames: int) -> Chain:
    """The chain up to the first network's input, a port, of so many log-mel frames, without results."""
    waveform = golden_waveform(settings, settings.seconds(frames))
    log_mel = np.rint(log_mel_db(waveform, settings) * STEPS_PER_DB).clip(-(2**15), 2**15 - 1).astype(np.int16)
    fixed_log_mel = (FixedLogMel(settings)(waveform[None])[0] * STEPS_PER_DB).astype(np.int16)
    chain = Chain(waveform, log_mel, fixed_log_mel, np.zeros(0), {}, {})
    inputs = quantized_log_mel(chain.log_mel_db, input_scaling(settings, port), port.dtype)
    return replace(chain, inputs=inputs)


def _arenas(measured: dict[str, int | None]) -> dict[str, int]:
    return {name: size or 0 for name, size in measured.items()}


def has_scenes(member: Member) -> bool:
    """Whether a network gives logits of scenes, and nothing else, as integers that the C smoother takes."""
    (first, *others), facts = member.outputs, member.facts
    whole = first.dtype in ("int8", "int16") and not others
    return whole and facts.get("output") == "logits" and first.elements == len(facts.labels.scenes)


def event_numbers(artifact: Artifact) -> dict[str, Any]:
    """How a device decodes the events of a streaming artifact.

    Returns:
        As of `decoder_numbers`, in the integers of the probabilities.
    """
    strong, facts = artifact.members[artifact.wiring.classifiers].outputs[0], artifact.facts
    return decoder_numbers(facts.decoding, facts.labels.events, artifact.step_s, strong.to_dict())


def decoded(strong: np.ndarray, numbers: dict[str, Any]) -> dict[str, np.ndarray]:
    """What the event decoder makes of probabilities.

    `strong`: the probabilities [steps, events], integers of the classifiers.

    Returns:
        `scores` int16 [steps + 60, events]: these and, behind them, made-up ones.
        `changes` int32 [changes, 5]: onset, offset (0 while it lasts), label, whether it ended, sum of the scores.
    """
    made_up = _made_up(strong.shape[1], numbers["on_above"], strong.dtype)
    scores = np.concatenate([strong.astype(np.int16), made_up])
    decoder = EventDecoder(strong.shape[1], **numbers)
    found = [*decoder.push(scores), *decoder.finish()]
    rows = [(c.onset, c.offset, c.label, int(c.ended), c.score_sum) for c in found]
    return {"scores": scores, "changes": np.array(rows, np.int32).reshape(-1, 5)}


def smoothed(logits: np.ndarray, port: Port, decoding: DecodeSettings) -> dict[str, np.ndarray]:
    """`scene` int16 [calls, 1], the scene after each call.

    `logits`: [calls, scenes], integers of the port.
    """
    smoother = SceneSmoother(logits.shape[1], decoding.scene_weight, decoding.scene_hold_calls)
    scenes = [smoother.push(each) for each in port.dequantize(logits)]
    return {"scene": np.array(scenes, np.int16)[:, None]}


def scene_calls(first: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Logits of the calls in a scene model's self-test [calls, scenes]: each output several times in a row."""
    return np.repeat(np.stack([first, *others]), CALLS_EACH, axis=0)


def _made_up(classes: int, thresholds: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Scores that wander about the threshold of each class, int16 [60, classes]."""
    limits, generator = np.iinfo(dtype), np.random.default_rng(_SEED)
    spread = (int(limits.max) - int(limits.min)) // 8
    walk = np.cumsum(generator.integers(-spread, spread, (MADE_UP_STEPS, classes), endpoint=True), axis=0)
    return (np.asarray(thresholds) + walk - walk.mean(0).astype(int)).clip(limits.min, limits.max).astype(np.int16)
