"""The golden sound through a streaming artifact on TFLM. A worker: imported in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.firmware_host.device import BEGIN, END, SCENE, StreamPredictor
from keras_mtl.firmware_host.engines import clear_refusals, open_members
from keras_mtl.tflite.artifact import Facts, Wiring

#: The kinds of detections in the order of `kmtl_heard_kind_t`.
KINDS = (SCENE, BEGIN, END)


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the artifact over the request's recording from a start to its end, and keeps what comes of it on the way.

    Args:
        request: as `open_members` takes it, and `facts` of the artifact; in the folder `recording.npy`, log-mel
            [frames, mel_bands] in the encoder's input type.

    Returns:
        `arena_bytes` of each member. Beside the recording lies `chain.npz`: `embeddings` [steps, size], and where there
        is such a decoder `logits` [calls, scenes] and `strong` [calls, events], call by call of the network; `heard`
        int32 [detections, 5]: number of the kind, class, step, onset, sum of the scores; scenes, then events,
        since when an event is known depends on how a device spreads its passes.

    Raises:
        EngineRefused: with the interpreter's own message.
    """
    folder, wiring = Path(request["folder"]), Wiring.from_dict(request["wiring"])
    with clear_refusals(request):
        members = open_members(request)
        predictor = StreamPredictor(Facts(request["facts"]), wiring, members)
        traces, end = list(predictor.steps(np.load(folder / "recording.npy"))), predictor.end()
        arenas = {name: member.arena() for name, member in members.items()}
    embeddings = [trace.outputs.embedding for trace in traces if trace.outputs.embedding is not None]
    found = {"embeddings": np.stack(embeddings)}
    if wiring.scene_head:
        found["logits"] = np.stack([each.outputs.scenes for each in traces if each.outputs.scenes is not None])
    if wiring.classifiers:
        # Of a causal decoder the scores of all the last steps come of one call.
        last = end.outputs.strong[: 1 if wiring.causal else None]
        found["strong"] = np.concatenate([*(trace.outputs.strong for trace in traces), last])
    rows = [
        (KINDS.index(each.kind), each.number, each.step, each.onset, each.score_sum)
        for trace in (*traces, end)
        for each in trace.found
    ]
    rows.sort(key=lambda row: row[0] != KINDS.index(SCENE))
    np.savez(folder / "chain.npz", heard=np.array(rows, np.int32).reshape(-1, 5), **found)
    return {"arena_bytes": arenas}
