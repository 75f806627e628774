"""Runs an artifact on one engine, as a device would. A worker: imported in a process of its own."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.device import OpenMember, StreamClips, StreamLoop
from keras_mtl.firmware_host.engines.exchange import LARGE, clear_refusals, package_version
from keras_mtl.tflite.artifact import Port, Wiring

#: What an engine may give for all inputs together, and for each of many: ten seconds' events are ten thousand bytes.
_MOST_OUTPUT_BYTES, _SMALL_OUTPUT_BYTES = 64 << 20, 1 << 20


def open_members(request: dict[str, Any]) -> dict[str, OpenMember]:
    """Opens the members of a request, as `request.make_request` makes it."""
    engine, opened = importlib.import_module(request["module"]), {}
    for name, entry in request["members"].items():
        content = Path(request["folder"], entry["file"]).read_bytes()
        opened[name] = engine.open_model(content, _ports(entry["inputs"]), _ports(entry["outputs"]), request)
    return opened


def _ports(listed: list[dict[str, Any]]) -> tuple[Port, ...]:
    return tuple(Port(**{**port, "shape": tuple(port["shape"])}) for port in listed)


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the request's artifact on its inputs.

    Args:
        request: as `open_members` takes it, `inputs` (their names) and `pushes` (sizes of the parts in which a
            recording comes); in the folder `NAME.npy` of each input, as `runner.run` takes them.

    Returns:
        `version`, `arena_bytes` of each member by its name, `busy_s` (seconds spent on the inputs) and `outputs`, names
        of the arrays that lie in the folder as `out_NAME.npy`, in the types of the files.

    Raises:
        EngineRefused: with the interpreter's own words, or because it isn't installed.
    """
    folder, package = Path(request["folder"]), importlib.import_module(request["module"]).PACKAGE
    given = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in request["inputs"]}
    with clear_refusals(request, package):
        wiring, members = Wiring.from_dict(request["wiring"]), open_members(request)
        began = time.perf_counter()
        if "recording" in given:
            outputs = _recording(StreamLoop(wiring, members), given["recording"], request["pushes"])
        elif wiring.streams:
            outputs = _stream_clips(StreamClips(wiring, members), given)
        else:
            outputs = _rows(members[wiring.encoder], given)
        busy_s = time.perf_counter() - began
        arenas = {name: member.arena() for name, member in members.items()}
    for name, values in outputs.items():
        np.save(folder / f"out_{name}.npy", values)
    return {
        "version": package_version(package),
        "arena_bytes": arenas,
        "busy_s": busy_s,
        "outputs": list(outputs),
    }


def _rows(member: OpenMember, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One file, row by row."""
    found: list[list[np.ndarray]] = []
    for row in zip(*given.values(), strict=True):
        found.append(member(*row))
        each = sum(values.nbytes for values in found[-1])
        if each > _SMALL_OUTPUT_BYTES and len(next(iter(given.values()))) * each > _MOST_OUTPUT_BYTES:
            raise EngineRefused(f"the outputs are larger than {_MOST_OUTPUT_BYTES:,} bytes", hint=LARGE)
    return {f"output_{number}": np.stack(values) for number, values in enumerate(zip(*found, strict=True))}


def _recording(loop: StreamLoop, recording: np.ndarray, pushes: list[int]) -> dict[str, np.ndarray]:
    """A stream from a start to its end, in parts."""
    ends = np.cumsum(pushes)
    steps = [step for end, size in zip(ends, pushes, strict=True) for step in loop.push(recording[end - size : end])]
    steps.append(loop.finish())
    calls = [(step.embeddings, step.scenes) for step in steps if step.scenes is not None]
    return {
        "calls": np.array([embeddings for embeddings, _ in calls], np.int64),
        "scenes": np.array([logits for _, logits in calls]),
        "strong": np.concatenate([step.strong for step in steps]),
    }


def _stream_clips(loop: StreamClips, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Clips, each from a start to its end."""
    outputs = {}
    if "scene_clips" in given:
        outputs["scenes"] = np.stack([loop.scenes(clip) for clip in given["scene_clips"]])
    if "event_clips" in given:
        strong, attention = zip(*(loop.events(clip) for clip in given["event_clips"]), strict=True)
        outputs |= {"strong": np.stack(strong), "attention": np.stack(attention)}
    return outputs
