"""Runs a whole set of artifacts on one engine, as a device would. A worker: imported in a process of its own."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.firmware_host.device_loop import DeviceLoop, Member
from keras_mtl.firmware_host.engines.exchange import Opened, clear_refusals, package_version
from keras_mtl.firmware_host.stream_clips import StreamClips
from keras_mtl.tflite.stream_set_wiring import StreamWiring
from keras_mtl.tflite.wiring import Wiring


def open_members(engine: Any, request: dict[str, Any]) -> tuple[dict[str, Opened], dict[str, Member]]:
    """Opens the members of a set.

    Args:
        engine: the engine's module.
        request: `members` ({name: {"inputs", "outputs"}}, ports as in the manifests), `arena_bytes`, and `folder` with
            a file of each member by its name.
    """
    opened = {n: engine.open_model(Path(request["folder"], n).read_bytes(), request) for n in request["members"]}
    return opened, {name: Member(opened[name].invoke, **ports) for name, ports in request["members"].items()}


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Hears the request's clips.

    Args:
        request: as `open_members` takes it, and `engine`, `worker` (module of the engine) and `wiring`; in the folder,
            where there are any, `seconds.npy` and `clips.npy` in the encoder's input type.

    Returns:
        `version`, and `arena_bytes` of each member by its name. Beside the clips lie `scenes.npy`, `strong.npy` and
        `attention.npy`, integers.

    Raises:
        EngineRefused: with the interpreter's own words, or because it isn't installed.
    """
    folder, engine = Path(request["folder"]), importlib.import_module(request["worker"])
    found: dict[str, list[np.ndarray]] = {"scenes": [], "strong": [], "attention": []}
    with clear_refusals(request, engine.PACKAGE):
        opened, members = open_members(engine, request)
        loop = _loop(request["wiring"], members)
        for second in _rows(folder / "seconds.npy"):
            found["scenes"].append(loop.scenes(second))
        for clip in _rows(folder / "clips.npy"):
            strong, attention = loop.events(clip)
            found["strong"].append(strong)
            found["attention"].append(attention)
        arenas = {name: model.arena() for name, model in opened.items()}
    for name, rows in found.items():
        if rows:
            np.save(folder / f"{name}.npy", np.stack(rows))
    return {"version": package_version(engine.PACKAGE), "arena_bytes": arenas}


def _loop(wiring: dict[str, Any], members: dict[str, Member]) -> DeviceLoop | StreamClips:
    if "stream" in wiring:
        return StreamClips(StreamWiring.from_dict(wiring), members)
    return DeviceLoop(Wiring.from_dict(wiring), members)


def _rows(path: Path) -> Any:
    return np.load(path, mmap_mode="r") if path.exists() else ()
