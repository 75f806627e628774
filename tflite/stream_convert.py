"""The stage from a run folder to a streaming encoder (no TensorFlow in this process: the converter runs in its own).

The file is one step: a few log-mel frames and the layers' states in, one embedding and the next states out. Its weights
and levels are those of the run's network, so it gives the embeddings that the network gives for the whole recording.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import ConversionError, EngineCrash, EngineTimeout, RunError
from keras_mtl.isolation import run_isolated
from keras_mtl.run_folder import Run
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Golden, describe, quantize
from keras_mtl.tflite.audit import require_integer_only
from keras_mtl.tflite.convert import origin, require_scheme
from keras_mtl.tflite.patch import patch_int16x8
from keras_mtl.tflite.ports import name_ports
from keras_mtl.tflite.scheme import FORMATS, SCHEMES
from keras_mtl.tflite.stream_patch import concatenate_sums
from keras_mtl.tflite.stream_wiring import Stream

PART = "stream"
_WORKER = "keras_mtl.tflite.stream_conversion_worker"
_TIMEOUT_S = 600.0
_GOLDEN_FRAMES = 100


def convert_stream(run: Run, kind: str, timeout_s: float = _TIMEOUT_S) -> Artifact:
    """Converts the encoder of a run to one step of a stream. The same run gives the same bytes.

    Args:
        run: a float run for "float32" and "float16"; one quantized to the same scheme for "int8" and "int16x8",
            whatever its parts.
        kind: the format.
        timeout_s: seconds that the converter may take.

    Returns:
        An artifact of the part "stream". Its manifest has under `stream` what `Stream.from_dict` reads, `state_bytes`
        and, as `first_exact_step`, the number (from 0) of the first step since the start whose embedding depends on
        nothing before the start. Its golden data are consecutive steps.

    Raises:
        ConversionError: a run that gives no such file, an encoder that can't go step by step, a converter that
            refused, crashed or hung, or a file that is not integer-only although it must be.
        RunError: the run's samples are missing.
    """
    model = run.path / _model_file(run, kind)
    samples = run.samples()
    golden = samples.golden_events if len(samples.golden_events) else samples.golden
    if not len(golden):
        raise RunError(f"{run.path} holds no golden clips", hint="train it again with this version")
    try:
        with tempfile.TemporaryDirectory(prefix="keras_mtl_convert_") as folder:
            arrays = Path(folder, "samples.npz")
            np.savez(arrays, frames=golden[0][:_GOLDEN_FRAMES])
            request = {"model": str(model.resolve()), "format": kind, "samples": str(arrays), "folder": folder}
            answer = run_isolated(_WORKER, request, timeout_s, {"TF_CPP_MIN_LOG_LEVEL": "2"})
            content = Path(answer["content"]).read_bytes()
            with np.load(answer["golden"]) as named:
                steps = dict(named)
    except (EngineCrash, EngineTimeout) as error:
        hint = "the converter can't do every graph; see which layers the network holds"
        raise ConversionError(f"conversion of {PART} to {kind} failed: {error.message}", hint=hint) from None
    content = finish_step(content, kind, answer)
    facts = step_facts(run, kind, Stream.from_dict(answer["stream"]), content)
    ports = describe(content, facts["audio_seconds"])
    made = {
        end: tuple(quantize(steps[f"{end}_{number}"], port) for number, port in enumerate(ports[f"{end}s"]))
        for end in ("input", "output")
    }
    return Artifact.build(content, facts, Golden(made["input"], made["output"]))


def finish_step(content: bytes, kind: str, answer: dict[str, Any]) -> bytes:
    """Patches, audits and names what the converter gave for a step.

    Args:
        content: the converter's bytes.
        kind: the format.
        answer: the worker's: `inputs` and `outputs`, names of the ports.

    Raises:
        ConversionError: the file is not integer-only although it must be.
    """
    model = flatbuffer.read_model(content)
    if kind == "int16x8":
        concatenate_sums(model)
        model = flatbuffer.read_model(patch_int16x8(flatbuffer.write_model(model)))
    if kind in SCHEMES:
        require_integer_only(model)
    name_ports(model, answer["inputs"], answer["outputs"])
    return flatbuffer.write_model(model)


def _model_file(run: Run, kind: str) -> str:
    if kind not in FORMATS:
        raise ConversionError(f"unknown format {kind!r}", hint=f"formats: {', '.join(FORMATS)}")
    if kind not in SCHEMES:
        return "network.keras"
    require_scheme(run, kind)
    require_native(run, kind)
    return "qat.keras"


def require_native(run: Run, kind: str) -> None:
    """Refuses a run that tfmot quantized.

    Raises:
        ConversionError: with what to do instead.
    """
    if run.info.get("engine") == "tfmot":
        raise ConversionError(
            f"{run.path} was quantized by tfmot, whose model can't be taken apart into steps",
            hint=f"keras_mtl quantize RUN --scheme {kind} --engine native",
        )


def step_facts(run: Run, kind: str, stream: Stream, content: bytes) -> dict[str, Any]:
    """The manifest keys of a step that the file itself does not tell, or not at once.

    Args:
        run: what it was made of.
        kind: the format.
        stream: how a device drives it.
        content: the file's bytes.
    """
    states = describe(content, 1.0)["inputs"][1:]
    return {
        "part": PART,
        "format": kind,
        "system": run.info["system"],
        "features": run.settings.to_dict(),
        "output": "embedding",
        "audio_seconds": stream.stride * run.settings.hop_s,
        "stream": stream.to_dict(),
        "latency_s": round(stream.latency * stream.stride * run.settings.hop_s, 6),
        "first_exact_step": stream.latency + stream.warm_up,
        "state_bytes": sum(_bytes(port) for port in states),
        **origin(run),
    }


def _bytes(port: dict[str, Any]) -> int:
    return int(np.prod(port["shape"])) * np.dtype(port["dtype"]).itemsize
