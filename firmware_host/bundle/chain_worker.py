"""Hears the golden clip by a set on TensorFlow Lite Micro. A worker: imported in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.firmware_host.device_loop import DeviceLoop, Member
from keras_mtl.firmware_host.engines import tflm_worker
from keras_mtl.firmware_host.engines.exchange import clear_refusals
from keras_mtl.tflite.wiring import Wiring


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Hears the request's clip, and keeps what comes of it on the way.

    Args:
        request: `wiring`, `arena_bytes`, `members` ({name: {"inputs", "outputs"}}, ports as in the manifests), and
            `folder`, with a file of each member by its name and `clip.npy` in the encoder's input type.

    Returns:
        `arena_bytes` of each member. Beside the clip lies `chain.npz`: `network_embeddings`, `strong`,
        `attention` and, with a scene decoder, `network_scenes` of every window; all integers.

    Raises:
        EngineRefused: with the interpreter's own words.
    """
    folder, wiring = Path(request["folder"]), Wiring.from_dict(request["wiring"])
    with clear_refusals(request, tflm_worker.PACKAGE):
        opened = {name: tflm_worker.open_model((folder / name).read_bytes(), request) for name in request["members"]}
        members = {name: Member(opened[name].invoke, **ports) for name, ports in request["members"].items()}
        loop, clip = DeviceLoop(wiring, members), np.load(folder / "clip.npy")
        strong, attention = loop.events(clip)
        found = {"network_embeddings": loop.embeddings(clip), "strong": strong, "attention": attention}
        if wiring.scene_head:
            starts = [start for start, _, _ in wiring.windows.over(len(clip))]
            found["network_scenes"] = np.stack([loop.scenes(clip[s : s + wiring.windows.frames]) for s in starts])
        arenas = {name: model.arena() for name, model in opened.items()}
    np.savez(folder / "chain.npz", **found)
    return {"arena_bytes": arenas}
