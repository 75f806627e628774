"""Hears samples by a streaming set in the real TensorFlow Lite Micro, and records every call of a network.

A program: `record_listener.py SET SAMPLES OUT [frames]`, where SAMPLES are int16 or, with that word, log-mel frames in
the encoder's type. Into the folder OUT it writes `networks` (how many there are, and of each the inputs and outputs and
their bytes), for each network `calls_N` (the inputs and outputs of each call, in their order) and `heard.json` (what
the listener in Python said, push by push of one hop).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.firmware_host.device_loop import Member
from keras_mtl.firmware_host.engines.exchange import native_words
from keras_mtl.firmware_host.engines.tflm_worker import open_model
from keras_mtl.firmware_host.stream_listener import StreamListener
from keras_mtl.tflite.artifact_set import ArtifactSet


def _recorded(invoke: Callable[..., Any], path: Path) -> Callable[..., Any]:
    file = path.open("wb")

    def call(inputs: list[np.ndarray]) -> list[np.ndarray]:
        file.write(b"".join(np.ascontiguousarray(values).tobytes() for values in inputs))
        outputs = [np.array(values) for values in invoke(inputs)]
        file.write(b"".join(np.ascontiguousarray(values).tobytes() for values in outputs))
        file.flush()
        return outputs

    return call


def _bytes(port: dict[str, Any]) -> int:
    return int(np.prod(port["shape"])) * np.dtype(port["dtype"]).itemsize


def main(folder: str, samples: str, out: str, kind: str = "samples") -> None:
    """Records."""
    artifacts, made = ArtifactSet.load(folder), Path(out)
    numbers, members = [len(artifacts.members)], {}
    with tempfile.TemporaryDirectory() as exchange, native_words(Path(exchange)):
        for place, (name, artifact) in enumerate(artifacts.members.items()):
            ends = [artifact.manifest[end] for end in ("inputs", "outputs")]
            model = open_model(artifact.content, {"arena_bytes": 1 << 22, "folder": exchange})
            members[name] = Member(_recorded(model.invoke, made / f"calls_{place}"), *ends)
            numbers += [*map(len, ends), *(_bytes(port) for ports in ends for port in ports)]
        np.array(numbers, "<u4").tofile(made / "networks")
        listener = StreamListener(artifacts.manifest, artifacts.stream_wiring, members)
        if kind == "frames":
            port = artifacts.members[artifacts.stream_wiring.encoder].manifest["inputs"][0]
            said = listener.hear(np.fromfile(samples, port["dtype"]).reshape(-1, port["shape"][2]))
        else:
            heard, hop = np.fromfile(samples, "<i2"), artifacts.manifest["features"]["hop"]
            said = [found for first in range(0, len(heard), hop) for found in listener.push(heard[first : first + hop])]
        said += listener.finish()
    (made / "heard.json").write_text(json.dumps([each.to_dict() for each in said]))


if __name__ == "__main__":
    main(*sys.argv[1:])
