"""Predicts by a streaming artifact in the real TensorFlow Lite Micro, and records every call of a network.

A program: `record_listener.py ARTIFACT SAMPLES OUT [frames]`, where SAMPLES are int16 or, with that word, log-mel
frames in the encoder's type. Into the folder OUT it writes `networks` (how many there are, and of each the inputs and
outputs and their bytes), for each network `calls_N` (the inputs and outputs of each call, in their order) and
`heard.json` (what the predictor in Python gave, push by push of one hop).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.firmware_host.device import StreamPredictor
from keras_mtl.firmware_host.engines.exchange import native_words
from keras_mtl.firmware_host.engines.interpreters import open_model
from keras_mtl.tflite.artifact import Artifact


def _recorded(invoke: Callable[..., Any], path: Path) -> Callable[..., Any]:
    file = path.open("wb")

    def call(inputs: list[np.ndarray]) -> list[np.ndarray]:
        file.write(b"".join(np.ascontiguousarray(values).tobytes() for values in inputs))
        outputs = [np.array(values) for values in invoke(inputs)]
        file.write(b"".join(np.ascontiguousarray(values).tobytes() for values in outputs))
        file.flush()
        return outputs

    return call


def main(folder: str, samples: str, out: str, kind: str = "samples") -> None:
    """Records."""
    artifact, made = Artifact.load(folder), Path(out)
    numbers, members = [len(artifact.members)], {}
    with tempfile.TemporaryDirectory() as exchange, native_words(Path(exchange)):
        request = {"engine": "tflm", "arena_bytes": 1 << 22, "folder": exchange}
        for place, (name, member) in enumerate(artifact.members.items()):
            opened = open_model(member.content, member.inputs, member.outputs, request)
            members[name] = replace(opened, invoke=_recorded(opened.invoke, made / f"calls_{place}"))
            ends = member.inputs, member.outputs
            numbers += [*map(len, ends), *(port.elements * port.element_bytes for ports in ends for port in ports)]
        np.array(numbers, "<u4").tofile(made / "networks")
        predictor = StreamPredictor(artifact.facts, artifact.wiring, members)
        if kind == "frames":
            port = artifact.network.inputs[0]
            found = predictor.push_log_mel(np.fromfile(samples, port.dtype).reshape(-1, port.shape[2]))
        else:
            sound, hop = np.fromfile(samples, "<i2"), artifact.facts.features.hop
            found = [each for first in range(0, len(sound), hop) for each in predictor.push(sound[first : first + hop])]
        found += predictor.finish()
    (made / "heard.json").write_text(json.dumps([each.to_dict() for each in found]))


if __name__ == "__main__":
    main(*sys.argv[1:])
