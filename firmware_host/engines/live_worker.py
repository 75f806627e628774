"""Predicts by a streaming artifact while samples come: a process that lives as long as the sound does.

It reads messages on its standard input (the number of samples as eight bytes, little-endian, then float32 samples; -1
for the end) and answers each with one line of JSON on its standard output.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_mtl.core import KerasMtlError, limit_process
from keras_mtl.firmware_host.device import StreamPredictor
from keras_mtl.firmware_host.engines.exchange import clear_refusals
from keras_mtl.firmware_host.engines.interpreters import open_members
from keras_mtl.tflite.artifact import Facts, Wiring

END = -1
HEADER_BYTES = 8


def main(question: str) -> None:
    """Answers until the end, or until its input is closed.

    Args:
        question: path of a request: what `open_members` takes, `facts` (of the artifact: `features`, `labels`,
            `decoding`) and `most_bytes`.
    """
    request = json.loads(Path(question).read_text("utf-8"))
    limit_process(request["most_bytes"])
    source = sys.stdin.buffer
    # What native code prints on the standard output must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        with clear_refusals(request):
            members, wiring = open_members(request), Wiring.from_dict(request["wiring"])
            _serve(StreamPredictor(Facts(request["facts"]), wiring, members), source, answers)
    except KerasMtlError as error:
        _send(answers, {"error": type(error).__name__, "message": error.message, "hint": error.hint})


def _serve(predictor: StreamPredictor, source: IO[bytes], answers: IO[str]) -> None:
    _send(answers, {"ready": True})
    samples = 0
    while len(header := source.read(HEADER_BYTES)) == HEADER_BYTES:
        count = int.from_bytes(header, "little", signed=True)
        began = time.perf_counter()
        if count == END:
            detections = predictor.finish()
        else:
            detections = predictor.push(np.frombuffer(source.read(4 * count), "<f4"))
            samples += count
        _send(
            answers,
            {
                "detections": [each.to_dict() for each in detections],
                "scene": predictor.decoder.scene,
                "active": predictor.decoder.active,
                "samples": samples,
                "busy_s": time.perf_counter() - began,
            },
        )
        if count == END:
            return


def _send(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
    # Native libraries may crash while they are torn down, after the last answer.
    os._exit(0)
