"""Runs a streaming set on one engine over a whole recording. A worker: imported in a process of its own."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.firmware_host.engines.exchange import clear_refusals, package_version
from keras_mtl.firmware_host.engines.set_worker import open_members
from keras_mtl.firmware_host.stream_set_loop import StreamSetLoop
from keras_mtl.tflite.stream_set_wiring import StreamWiring


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Hears the request's recording from a start to its end.

    Args:
        request: as `open_members` takes it, and `engine`, `worker` (module of the engine), `wiring`, `pushes` (sizes of
            the parts in which the recording comes); in the folder `recording.npy`, log-mel [frames, mel_bands] in the
            encoder's input type.

    Returns:
        `version`, `arena_bytes` of each member by its name, `busy_s` (seconds spent). Beside the recording lie
        `calls.npy` (embeddings heard at each call of the scene decoder), `scenes.npy` and `strong.npy`, integers.

    Raises:
        EngineRefused: with the interpreter's own words, or because it isn't installed.
    """
    folder, engine = Path(request["folder"]), importlib.import_module(request["worker"])
    recording = np.load(folder / "recording.npy", mmap_mode="r")
    with clear_refusals(request, engine.PACKAGE):
        opened, members = open_members(engine, request)
        loop = StreamSetLoop(StreamWiring.from_dict(request["wiring"]), members)
        began, ends = time.perf_counter(), np.cumsum(request["pushes"])
        answers = [loop.push(recording[end - size : end]) for size, end in zip(request["pushes"], ends, strict=True)]
        answers.append(loop.finish())
        busy_s = time.perf_counter() - began
        arenas = {name: model.arena() for name, model in opened.items()}
    scenes = [call for each in answers for call in each.scenes]
    np.save(folder / "calls.npy", np.array([heard for heard, _ in scenes], np.int64))
    np.save(folder / "scenes.npy", np.array([logits for _, logits in scenes]))
    np.save(folder / "strong.npy", np.concatenate([each.strong for each in answers]))
    return {"version": package_version(engine.PACKAGE), "arena_bytes": arenas, "busy_s": busy_s}
