"""Hears the golden sound by a streaming set on TensorFlow Lite Micro. A worker: imported in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.causal_decoding import CausalDecoder
from keras_mtl.firmware_host.device_loop import Member
from keras_mtl.firmware_host.engines import tflm_worker
from keras_mtl.firmware_host.engines.exchange import clear_refusals
from keras_mtl.firmware_host.engines.set_worker import open_members
from keras_mtl.firmware_host.stream_set_loop import StreamSetLoop
from keras_mtl.scene_smoothing import SceneSmoother
from keras_mtl.tflite.artifact import dequantize
from keras_mtl.tflite.stream_set_wiring import StreamWiring

#: The kinds of `kmtl_heard_kind_t`.
SCENE, BEGIN, END = range(3)


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Hears the request's recording from a start to its end, and keeps what comes of it on the way.

    Args:
        request: as `open_members` takes it, and `wiring`, `smoothing` and `decoding` (arguments of `SceneSmoother` and
            of `CausalDecoder`; None without the task), `recorded` ({member: [name in the archive, place among its
            outputs]}); in the folder `recording.npy`, log-mel [frames, mel_bands] in the encoder's input type.

    Returns:
        `arena_bytes` of each member. Beside the recording lies `chain.npz`: for each recorded member what its output
        was, call by call [calls, elements], and `heard` int32 [results, 5], what a listener tells, in its order: kind,
        label, step, onset, sum of the scores.

    Raises:
        EngineRefused: with the interpreter's own words.
    """
    folder, wiring = Path(request["folder"]), StreamWiring.from_dict(request["wiring"])
    found: dict[str, list[np.ndarray]] = {}
    with clear_refusals(request, tflm_worker.PACKAGE):
        opened, members = open_members(tflm_worker, request)
        for member, (name, place) in request["recorded"].items():
            calls = found[name] = []
            members[member] = replace(members[member], invoke=_recorded(members[member].invoke, calls, place))
        rows = _heard(request, wiring, members, np.load(folder / "recording.npy"))
        arenas = {name: model.arena() for name, model in opened.items()}
    np.savez(folder / "chain.npz", heard=np.array(rows, np.int32).reshape(-1, 5), **found)
    return {"arena_bytes": arenas}


def _recorded(invoke: Callable[..., Any], calls: list[np.ndarray], place: int) -> Callable[..., Any]:
    def call(inputs: list[np.ndarray]) -> list[np.ndarray]:
        outputs: list[np.ndarray] = invoke(inputs)
        calls.append(np.array(outputs[place]).ravel())
        return outputs

    return call


def _heard(
    request: dict[str, Any], wiring: StreamWiring, members: dict[str, Member], recording: np.ndarray
) -> list[tuple[int, ...]]:
    """What `stream_listener` says of it, in integers."""
    loop = StreamSetLoop(wiring, members)
    rows: list[tuple[int, ...]] = []
    decoder, smoother, believed = None, None, None
    if request["decoding"] is not None:
        decoder = CausalDecoder(**request["decoding"])
    if request["smoothing"] is not None:
        smoother = SceneSmoother(**request["smoothing"])

    def changed(changes: Any) -> list[tuple[int, ...]]:
        return [
            (END, c.label, c.offset, c.onset, c.score_sum) if c.ended else (BEGIN, c.label, c.onset, c.onset, 0)
            for c in changes
        ]

    for answers in loop.steps(recording):
        for step, logits in answers.scenes:
            assert smoother is not None
            scene = smoother.push(dequantize(logits, members[wiring.scene_head].outputs[0]))
            if scene != believed:
                believed = scene
                rows.append((SCENE, scene, step, step, 0))
        if decoder is not None and len(answers.strong):
            rows += changed(decoder.push(answers.strong))
    left = loop.finish()
    if decoder is not None:
        rows += changed([*(decoder.push(left.strong) if len(left.strong) else []), *decoder.finish()])
    return rows
