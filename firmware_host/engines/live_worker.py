"""Hears samples by a streaming set as they come: a process that lives as long as the sound does.

It reads messages on its standard input (the number of samples as eight bytes, little-endian, then float32 samples; -1
for the end) and answers each with one line of JSON on its standard output.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_mtl.errors import KerasMtlError
from keras_mtl.firmware_host.engines.exchange import clear_refusals
from keras_mtl.firmware_host.engines.set_worker import open_members
from keras_mtl.firmware_host.stream_listener import StreamListener
from keras_mtl.isolation import limit_process
from keras_mtl.tflite.stream_set_wiring import StreamWiring

END = -1
HEADER_BYTES = 8


def main(question: str) -> None:
    """Answers until the end, or until its input is closed.

    Args:
        question: path of a request: what `open_members` takes, `manifest` (of the set: `features`, `labels`,
            `decoding`, `smoothing`), `wiring`, `engine`, `worker` and `most_bytes`.
    """
    request = json.loads(Path(question).read_text("utf-8"))
    limit_process(request["most_bytes"])
    given = sys.stdin.buffer
    # What native code prints on the standard output must not get between the answers.
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        engine = importlib.import_module(request["worker"])
        with clear_refusals(request, engine.PACKAGE):
            _, members = open_members(engine, request)
            _serve(StreamListener(request["manifest"], StreamWiring.from_dict(request["wiring"]), members), given, told)
    except KerasMtlError as error:
        _say(told, {"error": type(error).__name__, "message": error.message, "hint": error.hint})


def _serve(listener: StreamListener, given: IO[bytes], told: IO[str]) -> None:
    _say(told, {"ready": True})
    samples = 0
    while len(header := given.read(HEADER_BYTES)) == HEADER_BYTES:
        count = int.from_bytes(header, "little", signed=True)
        began = time.perf_counter()
        if count == END:
            heard = listener.finish()
        else:
            heard = listener.push(np.frombuffer(given.read(4 * count), "<f4"))
            samples += count
        _say(
            told,
            {
                "heard": [each.to_dict() for each in heard],
                "scene": listener.decoder.scene,
                "sounding": listener.decoder.sounding,
                "samples": samples,
                "busy_s": time.perf_counter() - began,
            },
        )
        if count == END:
            return


def _say(told: IO[str], answer: dict[str, Any]) -> None:
    told.write(json.dumps(answer) + "\n")
    told.flush()


if __name__ == "__main__":
    main(sys.argv[1])
    # Native libraries may crash while they are torn down, after all was said.
    os._exit(0)
