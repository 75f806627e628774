"""Runs a streaming encoder on one engine, push by push. A worker: imported in a process of its own."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.device_loop import Member
from keras_mtl.firmware_host.engines.exchange import clear_refusals, package_version
from keras_mtl.firmware_host.stream_loop import SampleLoop, StreamLoop
from keras_mtl.tflite.stream_wiring import Stream


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Hears what the request gives.

    Args:
        request: `engine`, `worker` (module of the engine), `stream`, `inputs` and `outputs` (ports as in the manifest),
            `pushes` (sizes of the parts), `arena_bytes`, and `folder` with `model.tflite` and `heard.npy`: log-mel in
            the file's input type or, where the request has `features`, samples.

    Returns:
        `version` and `arena_bytes`. Beside the model lies `embeddings.npy`.

    Raises:
        EngineRefused: with the interpreter's own words, or because it isn't installed.
    """
    folder, engine = Path(request["folder"]), importlib.import_module(request["worker"])
    heard, stream = np.load(folder / "heard.npy", mmap_mode="r"), Stream.from_dict(request["stream"])
    with clear_refusals(request, engine.PACKAGE):
        model = engine.open_model((folder / "model.tflite").read_bytes(), request)
        member = Member(model.invoke, request["inputs"], request["outputs"])
        features = request.get("features")
        loop: Any = StreamLoop(stream, member)
        if features:
            loop = SampleLoop(LogMelSettings.from_dict(features), stream, member)
        ends = np.cumsum(request["pushes"])
        found = [loop.push(heard[end - size : end]) for size, end in zip(request["pushes"], ends, strict=True)]
        arena_bytes = model.arena()
    np.save(folder / "embeddings.npy", np.concatenate(found))
    return {"version": package_version(engine.PACKAGE), "arena_bytes": arena_bytes}
