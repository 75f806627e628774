"""TensorFlow Lite Micro in a process of its own, which runs one small file after the other."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_ARENA_BYTES = 8 << 20


class TflmProcess:
    """Starts the process with the first file, and anew after a file that ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def run(
        self, content: bytes, runs: Sequence[Sequence[np.ndarray]], tensors: Sequence[int] = ()
    ) -> list[list[np.ndarray]]:
        """Outputs of each inference on a newly opened file, and after them those tensors of the main subgraph.

        Raises:
            RuntimeError: with what the interpreter says, or that it ended the process.
        """
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        assert self._process.stdin and self._process.stdout
        pickle.dump((content, [list(inputs) for inputs in runs], list(tensors)), self._process.stdin)
        self._process.stdin.flush()
        try:
            answer = pickle.load(self._process.stdout)
        except EOFError:
            raise RuntimeError(f"the process ended with {self._process.wait()}") from None
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def _answer(content: bytes, runs: list[list[np.ndarray]], tensors: list[int]) -> Any:
    from tflite_micro.python.tflite_micro import runtime

    kept = runtime.InterpreterConfig.kPreserveAllTensors if tensors else runtime.InterpreterConfig.kAllocationRecording
    try:
        interpreter = runtime.Interpreter.from_bytes(content, arena_size=_ARENA_BYTES, intrepreter_config=kept)
        found = []
        for inputs in runs:
            for place, values in enumerate(inputs):
                interpreter.set_input(values, place)
            interpreter.invoke()
            outputs = []
            while True:
                try:
                    outputs.append(np.array(interpreter.get_output(len(outputs))))
                except (IndexError, ValueError, RuntimeError):
                    break
            found.append(outputs + [interpreter.GetTensor(tensor, 0)["tensor_data"] for tensor in tensors])
    except (RuntimeError, ValueError) as error:
        return str(error) or type(error).__name__
    return found


if __name__ == "__main__":
    while True:
        try:
            asked = pickle.load(sys.stdin.buffer)
        except EOFError:
            break
        pickle.dump(_answer(*asked), sys.stdout.buffer)
        sys.stdout.buffer.flush()
