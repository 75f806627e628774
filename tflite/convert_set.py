"""The stage from a quantized run folder to a set of artifacts (no TensorFlow in this process).

The event decoder goes to a microcontroller one step at a time: the converter crashes on recurrent loops of integers, so
each cell is a file of its own, and the set's manifest says how a device drives them.
"""

from __future__ import annotations

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
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.artifact_set import ArtifactSet
from keras_mtl.tflite.audit import require_integer_only
from keras_mtl.tflite.convert import origin
from keras_mtl.tflite.patch import patch_int16x8
from keras_mtl.tflite.patch_matmul import transpose_before_matmul
from keras_mtl.tflite.ports import name_ports
from keras_mtl.tflite.wiring import Wiring

_WORKER = "keras_mtl.tflite.set_conversion_worker"
_TIMEOUT_S = 600.0
_SECOND = 1


def convert_set(run: Run, part: str, kind: str, timeout_s: float = _TIMEOUT_S) -> ArtifactSet:
    """Converts the event decoder of a quantized run, with its encoder, to a set. The same run gives the same bytes.

    Args:
        run: a run quantized to the format, with the events among its tasks.
        part: "events", or "joint" for both decoders behind one encoder.
        kind: "int8" or "int16x8".
        timeout_s: seconds that the converter may take.

    Raises:
        ConversionError: a run that was not quantized so, an encoder that can't go window by window, a converter that
            refused, crashed or hung, or a file that is not integer-only.
        RunError: the run's samples are missing.
    """
    require_quantized(run, part, kind)
    samples, cells = run.samples(), run.info["quantization"]["cells"]
    if not len(samples.golden_events):
        raise RunError(f"{run.path} holds no golden clips of events", hint="train it again with this version")
    try:
        with tempfile.TemporaryDirectory(prefix="keras_mtl_convert_") as folder:
            arrays = Path(folder, "samples.npz")
            np.savez(arrays, golden=samples.golden, golden_events=samples.golden_events)
            request: dict[str, Any] = {
                "model": str((run.path / "qat.keras").resolve()),
                "samples": str(arrays),
                "folder": folder,
            }
            request |= {"part": part, "format": kind, "cells": cells, "window_frames": window_frames(run)}
            answer = run_isolated(_WORKER, request, timeout_s, {"TF_CPP_MIN_LOG_LEVEL": "2"})
            members = {name: (Path(each["content"]).read_bytes(), each) for name, each in answer["members"].items()}
            with np.load(answer["golden"]) as named:
                golden = dict(named)
    except (EngineCrash, EngineTimeout) as error:
        hint = "the converter can't do every graph; see which layers the network holds"
        raise ConversionError(f"conversion of {part} to {kind} failed: {error.message}", hint=hint) from None
    wiring = Wiring.from_dict(answer["wiring"])
    facts = set_facts(run, part, kind, cells)
    calls = wiring.calls_per_second(run.settings.frame_rate)
    made = {
        name: finish_member(
            content, each, {"part": f"{part}/{name}", "system": facts["system"], "audio_seconds": 1 / calls[name]}
        )
        for name, (content, each) in members.items()
    }
    facts["audio_seconds"] = run.settings.seconds(wiring.clip_frames)
    return ArtifactSet.build(made, wiring, facts, golden)


def finish_member(content: bytes, worked: dict[str, Any], facts: dict[str, Any]) -> Artifact:
    """Makes a member of what the converter gave.

    Args:
        content: the converter's bytes.
        worked: the worker's `format`, `inputs` and `outputs` of the member.
        facts: the manifest keys that the file does not tell.

    Raises:
        ConversionError: the file is not integer-only.
    """
    if worked["format"] == "int16x8":
        content = patch_int16x8(content)
    model = flatbuffer.read_model(content)
    require_integer_only(model)
    transpose_before_matmul(model)  # what the members keep for good adds up, what is planned they share
    name_ports(model, worked["inputs"], worked["outputs"])
    return Artifact.build(flatbuffer.write_model(model), {**facts, "format": worked["format"]})


def require_quantized(run: Run, part: str, kind: str) -> None:
    """Refuses a run that was not quantized to a format, or not in all of a part.

    Raises:
        ConversionError: with what to do instead.
    """
    scheme = run.info.get("scheme") if run.info["stage"] == "qat" else None
    if scheme != kind:
        state = f"quantized to {scheme}" if scheme else "not quantized"
        raise ConversionError(
            f"{run.path} is {state}, so it gives no {kind} files",
            hint=f"keras_mtl quantize RUN --part {part} --scheme {kind}",
        )
    lacking = {"scenes": ["scenes"], "events": ["events"], "joint": ["scenes", "events"]}[part]
    lacking = [task for task in lacking if task not in run.info["tasks"]]
    if lacking:
        raise ConversionError(
            f"{run.path} is quantized for {' and '.join(run.info['tasks'])}, and holds no quantized {lacking[0]} part",
            hint=f"keras_mtl quantize RUN --part {part}",
        )


def window_frames(run: Run) -> int:
    """The encoder hears a second at a time, as the scene decoder was taught."""
    return run.settings.frames(_SECOND * run.settings.sample_rate_hz)


def set_facts(run: Run, part: str, kind: str, cells: str | None) -> dict[str, Any]:
    """The keys of a set's manifest that come from the run.

    Args:
        run: what the set is made of.
        part: "scenes", "events" or "joint".
        kind: format of encoder and scene decoder.
        cells: of the event decoder; None without one.
    """
    labels = {} if part == "scenes" else {"events": list(EVENTS)}
    labels |= {} if part == "events" else {"scenes": list(SCENES)}
    return {
        "part": part,
        "format": kind,
        **({} if cells is None else {"cells": cells}),
        "system": run.info["system"],
        "features": run.settings.to_dict(),
        "labels": labels,
        "decoding": asdict(run.recipe.decode),
        **origin(run),
    }
