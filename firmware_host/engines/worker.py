"""Runs an artifact on one engine, as a device would. A worker: imported in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import ArtifactError, EngineRefused
from keras_mtl.firmware_host.device import OpenMember, StreamLoop
from keras_mtl.firmware_host.engines.exchange import FROM_RESET, LARGE, PACKAGES, clear_refusals, package_version
from keras_mtl.firmware_host.engines.interpreters import open_members
from keras_mtl.tflite.artifact import Wiring

#: What an engine may give for all inputs together, and for each of many: ten seconds' events are ten thousand bytes.
_MOST_OUTPUT_BYTES, _SMALL_OUTPUT_BYTES = 64 << 20, 1 << 20


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the request's artifact on its inputs.

    Args:
        request: as `open_members` takes it, `inputs` (their names), `pushes` (sizes of the parts in which a recording
            comes) and `from_reset` (whether rows are computed from a reset, too); in the folder `NAME.npy` of each
            input, as `runner.run` takes them.

    Returns:
        `version`, `arena_bytes` of each member by its name, `busy_s` (seconds spent on the inputs) and `outputs`, names
        of the arrays that lie in the folder as `out_NAME.npy`, in the types of the files.

    Raises:
        EngineRefused: with the interpreter's own message, or because it isn't installed.
    """
    folder = Path(request["folder"])
    given = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in request["inputs"]}
    with clear_refusals(request):
        wiring, members = Wiring.from_dict(request["wiring"]), open_members(request)
        began = time.perf_counter()
        if "recording" in given:
            outputs = _recording(StreamLoop(wiring, members), given["recording"], request["pushes"])
        elif wiring.streams:
            outputs = _stream_clips(wiring, members, given)
        else:
            outputs = _rows(lambda: members[wiring.encoder], given)
        busy_s = time.perf_counter() - began
        arenas = {name: member.arena() for name, member in members.items()}
        if request["from_reset"]:
            # Interpreters differ in what their resets reset: one that was just opened has no past.
            again = _rows(lambda: open_members(request)[wiring.encoder], given)
            outputs |= {f"{FROM_RESET}{name}": values for name, values in again.items()}
    for name, values in outputs.items():
        np.save(folder / f"out_{name}.npy", values)
    return {
        "version": package_version(PACKAGES[request["engine"]]),
        "arena_bytes": arenas,
        "busy_s": busy_s,
        "outputs": list(outputs),
    }


def _rows(member: Callable[[], OpenMember], given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One file, row by row; `member` gives it for each."""
    found: list[list[np.ndarray]] = []
    for row in zip(*given.values(), strict=True):
        found.append(member()(*row))
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


def _stream_clips(
    wiring: Wiring, members: Mapping[str, OpenMember], given: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Clips, each from a start to its end, as by a device that is switched on for it: nothing is known of before it.

    Beyond a clip's end comes what stands for 0, as it does beyond the ends in the encoder's padding, until the encoder,
    which is some steps late, has given every embedding of the clip.
    """
    # A decoder's outputs do not depend on the other one, which need not run.
    alone = {
        "scene_clips": replace(wiring, recurrent=(), classifiers="", event_ring=0, look_ahead=0),
        "event_clips": replace(wiring, scene_head="", scene_ring=0),
    }
    beyond = members[wiring.encoder].inputs[0].zeros()[0, ..., 0]
    outputs = {"scene_clips": ["scenes"], "event_clips": ["strong", "attention"]}
    found: dict[str, list[np.ndarray]] = {key: [] for name in given for key in outputs[name]}
    for name, clips in given.items():
        task, member = ("scene", wiring.scene_head) if name == "scene_clips" else ("event", wiring.classifiers)
        if not member:
            raise ArtifactError(f"the artifact has no {task} decoder", hint="give it clips of its own task")
        loop = StreamLoop(alone[name], members)
        for clip in clips:
            loop.reset()
            steps = [*loop.push(np.concatenate([clip[..., 0], *[beyond] * wiring.stream.latency])), loop.finish()]
            if task == "event":
                found["strong"].append(np.concatenate([step.strong for step in steps]))
                found["attention"].append(np.concatenate([step.attention for step in steps]))
                continue
            calls = [step.scenes for step in steps if step.scenes is not None]
            if not calls:
                raise ArtifactError(f"{len(clip)} frames are too few for the scene decoder", hint="give longer clips")
            found["scenes"].append(calls[-1])
    return {name: np.stack(arrays) for name, arrays in found.items()}
