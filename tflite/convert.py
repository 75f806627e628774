"""The stage from a run folder to an artifact (no TensorFlow in this process: the converter runs in its own).

Convert, patch (types of int16x8, starts of loops), audit (integer formats), embed what is known, and attach golden
data: evaluation clips of the run, and what the very model that was converted gives for them.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import ConversionError, EngineCrash, EngineTimeout, RunError
from keras_mtl.isolation import run_isolated
from keras_mtl.labels import EVENTS, SCENES
from keras_mtl.run_folder import Run
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Golden, describe, quantize
from keras_mtl.tflite.audit import require_integer_only
from keras_mtl.tflite.loop_starts import fill_loop_starts
from keras_mtl.tflite.patch import patch_int16x8
from keras_mtl.tflite.ports import name_ports
from keras_mtl.tflite.scheme import FORMATS, SCHEMES
from keras_mtl.tflite.tfmot_files import WEIGHTS_FILE

PARTS = ("scenes", "events", "joint")
#: Names of each part's outputs, in the file's order. A part with several gives them to the converter by these names.
_OUTPUTS = {"scenes": ("scene_logits",), "events": ("strong", "weak")}
_FLOATS = tuple(kind for kind in FORMATS if kind not in SCHEMES)
_WORKER, _TFMOT_WORKER = "keras_mtl.tflite.conversion_worker", "keras_mtl.tflite.tfmot_conversion_worker"
_TIMEOUT_S = 600.0


def convert(run: Run, part: str, kind: str, timeout_s: float = _TIMEOUT_S) -> Artifact:
    """Converts one part of a run's network to TensorFlow Lite. The same run gives the same bytes.

    Args:
        run: a float run for "float32" and "float16"; a quantized one of the same scheme for "int8" and "int16x8".
        part: "scenes": encoder and scene head, one second of log-mel in, logits out. "events", float formats only:
            encoder and event head with its loops, ten seconds in, probabilities "strong" and "weak" out.
        kind: the format: "float32", "float16", "int8" or "int16x8". Input and output of the integer formats are
            integers themselves.
        timeout_s: seconds that the converter may take.

    Raises:
        ConversionError: a part or format that can't be made of this run, a converter that refused, crashed or hung,
            or a file that is not integer-only although it must be.
        RunError: the run's samples are missing.
    """
    model = run.path / _model_file(run, part, kind)
    _require_taught(run, part)
    samples = run.samples()
    golden = samples.golden_events if part == "events" else samples.golden
    if not len(golden):
        raise RunError(f"{run.path} holds no golden clips of {part}", hint="train it again with this version")
    try:
        with tempfile.TemporaryDirectory(prefix="keras_mtl_convert_") as folder:
            arrays = Path(folder, "samples.npz")
            np.savez(arrays, calibration=samples.calibration, golden=golden)
            request = {"model": str(model.resolve()), "part": part, "format": kind}
            request |= {"samples": str(arrays), "folder": folder}
            worker = _TFMOT_WORKER if model.name == WEIGHTS_FILE else _WORKER
            paths = run_isolated(worker, request, timeout_s, {"TF_CPP_MIN_LOG_LEVEL": "2"})
            content = Path(paths["content"]).read_bytes()
            inputs = np.load(paths["inputs"])
            with np.load(paths["outputs"]) as named:
                outputs = dict(named)
    except (EngineCrash, EngineTimeout) as error:
        hint = "the converter can't do every graph; see which layers the network holds"
        raise ConversionError(f"conversion of {part} to {kind} failed: {error.message}", hint=hint) from None
    return _finish(content, inputs, outputs, _facts(run, part, kind, golden.shape[1]))


def origin(run: Run) -> dict[str, Any]:
    """What a manifest says of the run that a file was made of: seed, revision, data, recipe and figures."""
    info, recipe = run.info, run.path / "recipe.toml"
    digest = hashlib.sha256(recipe.read_bytes()).hexdigest() if recipe.is_file() else None
    return {
        "seed": info["seed"],
        "git_revision": info["git_revision"],
        "data": info["data"],
        "recipe": {"name": info.get("recipe"), "sha256": digest},
        "metrics": info.get("metrics"),
    }


def _finish(content: bytes, inputs: np.ndarray, outputs: dict[str, np.ndarray], facts: dict[str, Any]) -> Artifact:
    part, kind = facts["part"], facts["format"]
    content = patch_int16x8(content) if kind == "int16x8" else fill_loop_starts(content)
    model = flatbuffer.read_model(content)
    if kind in SCHEMES:
        require_integer_only(model)
    name_ports(model, ("log_mel",), _OUTPUTS[part])
    content = flatbuffer.write_model(model)
    ports = describe(content, facts["audio_seconds"])["outputs"]
    given = [outputs[port["name"]] for port in ports] if len(ports) > 1 else list(outputs.values())
    if part == "events":
        # To the nearest: pools drop frames that do not fill them, strides pad the last ones.
        facts["frames_per_embedding"] = round(inputs.shape[1] / ports[0]["shape"][1])
    golden = tuple(quantize(values, port) for values, port in zip(given, ports, strict=True))
    return Artifact.build(content, facts, Golden((inputs,), golden))


def _require_taught(run: Run, part: str) -> None:
    """Refuses a part whose task the run did not learn: its head would hold the weights that it began with."""
    tasks = run.info.get("tasks", list(_OUTPUTS))
    if part in tasks:
        return
    if run.info["stage"] == "qat":
        raise ConversionError(
            f"{run.path} is quantized, and holds no {part} part", hint="convert the float run that it was made of"
        )
    raise ConversionError(
        f"{run.path} was not trained on {part}, so that part can't be converted",
        hint=f"it was trained on {' and '.join(tasks)}: --part {tasks[0]}",
    )


def _model_file(run: Run, part: str, kind: str) -> str:
    if part not in PARTS or kind not in FORMATS:
        raise ConversionError(
            f"unknown part {part!r} or format {kind!r}",
            hint=f"parts: {', '.join(PARTS)}; formats: {', '.join(FORMATS)}",
        )
    if part == "joint":
        raise ConversionError(
            "part 'joint' can't be converted: it hears one second of scenes and ten of events at a time",
            hint="--part scenes, --part events; in integers both make a set, from a run quantized with --part joint",
        )
    if part == "events" and kind not in _FLOATS:
        raise ConversionError(
            f"part 'events' can't be converted to {kind}: the converter crashes on the loops of a GRU in integers",
            hint=f"--format {' or '.join(_FLOATS)}; in integers it is a set (`convert_set`)",
        )
    if kind not in SCHEMES:
        return "network.keras"
    require_scheme(run, kind)
    return WEIGHTS_FILE if run.info.get("engine") == "tfmot" else "qat.keras"


def require_scheme(run: Run, kind: str) -> None:
    """Refuses a run that is not quantized, or to the other of the two schemes."""
    scheme = run.info.get("scheme") if run.info["stage"] == "qat" else None
    if scheme != kind:
        state = f"quantized to {scheme}" if scheme else "not quantized"
        raise ConversionError(
            f"{run.path} is {state}, so it gives no {kind} file", hint=f"keras_mtl quantize RUN --scheme {kind}"
        )


def _facts(run: Run, part: str, kind: str, frames: int) -> dict[str, Any]:
    settings, info = run.settings, run.info
    about: dict[str, Any] = {"labels": {"scenes": list(SCENES)}, "output": "logits"}
    if part == "events":
        about = {"labels": {"events": list(EVENTS)}, "output": "probabilities", "decoding": asdict(run.recipe.decode)}
    return {
        "part": part,
        "format": kind,
        "system": info["system"],
        "features": settings.to_dict(),
        **about,
        "audio_seconds": settings.seconds(frames),
        **origin(run),
    }
