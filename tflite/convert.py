"""The stage from a run folder to an artifact (no TensorFlow in this process: the converter runs in its own).

Convert, patch (int16x8), audit (integer formats), embed what is known, and attach golden data: the evaluation clips of
the run, and what the very model that was converted gives for them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import ConversionError, EngineCrash, EngineTimeout
from keras_mtl.isolation import run_isolated
from keras_mtl.labels import SCENES
from keras_mtl.run_folder import Run
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Golden, describe, quantize
from keras_mtl.tflite.audit import require_integer_only
from keras_mtl.tflite.patch import patch_int16x8
from keras_mtl.tflite.scheme import FORMATS, SCHEMES

PARTS = ("scenes", "events", "joint")
_WORKER = "keras_mtl.tflite.conversion_worker"
_TIMEOUT_S = 600.0


def convert(run: Run, part: str, kind: str, timeout_s: float = _TIMEOUT_S) -> Artifact:
    """Converts one part of a run's network to TensorFlow Lite. The same run gives the same bytes.

    Args:
        run: a float run for "float32" and "float16"; a quantized one of the same scheme for "int8" and "int16x8".
        part: "scenes": encoder and scene head, one second of log-mel in, logits out.
        kind: the format: "float32", "float16", "int8" or "int16x8". Input and output of the integer formats are
            integers themselves.
        timeout_s: seconds that the converter may take.

    Raises:
        ConversionError: a part or format that can't be made of this run, a converter that refused, crashed or hung,
            or a file that is not integer-only although it must be.
        RunError: the run's samples are missing.
    """
    model = run.path / _model_file(run, part, kind)
    samples = run.samples()
    try:
        with tempfile.TemporaryDirectory(prefix="keras_mtl_convert_") as folder:
            arrays = Path(folder, "samples.npz")
            np.savez(arrays, calibration=samples.calibration, golden=samples.golden)
            request = {"model": str(model.resolve()), "format": kind, "samples": str(arrays), "folder": folder}
            paths = run_isolated(_WORKER, request, timeout_s, {"TF_CPP_MIN_LOG_LEVEL": "2"})
            content = Path(paths["content"]).read_bytes()
            inputs, outputs = np.load(paths["inputs"]), np.load(paths["outputs"])
    except (EngineCrash, EngineTimeout) as error:
        hint = "the converter can't do every graph; see which layers the network holds"
        raise ConversionError(f"conversion of {part} to {kind} failed: {error.message}", hint=hint) from None
    return _finish(content, inputs, outputs, kind, _facts(run, part, kind))


def _finish(content: bytes, inputs: np.ndarray, outputs: np.ndarray, kind: str, facts: dict[str, Any]) -> Artifact:
    if kind == "int16x8":
        content = patch_int16x8(content)
    model = flatbuffer.read_model(content)
    if kind in SCHEMES:
        require_integer_only(model)
    # The converter's names are the paths of operators, and differ from format to format.
    flatbuffer.graph_inputs(model)[0].name = "log_mel"
    flatbuffer.graph_outputs(model)[0].name = "scene_logits"
    content = flatbuffer.write_model(model)
    port = describe(content, facts["audio_seconds"])["outputs"][0]
    return Artifact.build(content, facts, Golden((inputs,), (quantize(outputs, port),)))


def _model_file(run: Run, part: str, kind: str) -> str:
    if part not in PARTS or kind not in FORMATS:
        raise ConversionError(
            f"unknown part {part!r} or format {kind!r}",
            hint=f"parts: {', '.join(PARTS)}; formats: {', '.join(FORMATS)}",
        )
    if part != "scenes":
        raise ConversionError(
            f"part {part!r} can't be converted: a file with the event head's GRU loop hangs the interpreters",
            hint="--part scenes",
        )
    if kind not in SCHEMES:
        return "network.keras"
    scheme = run.info.get("scheme") if run.info["stage"] == "qat" else None
    if scheme != kind:
        state = f"quantized to {scheme}" if scheme else "not quantized"
        raise ConversionError(
            f"{run.path} is {state}, so it gives no {kind} file", hint=f"keras_mtl quantize RUN --scheme {kind}"
        )
    return "qat.keras"


def _facts(run: Run, part: str, kind: str) -> dict[str, Any]:
    settings, info = run.settings, run.info
    frames = int(run.samples().golden.shape[1])
    return {
        "part": part,
        "format": kind,
        "system": info["system"],
        "features": settings.to_dict(),
        "labels": {"scenes": list(SCENES)},
        "audio_seconds": frames * settings.hop / settings.sample_rate_hz,
        "output": "logits",
        "seed": info["seed"],
        "git_revision": info["git_revision"],
        "data": info["data"],
    }
