"""A streaming artifact that predicts while samples come, on an engine in a process of its own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from keras_mtl.core import EngineCrash, EngineTimeout, errors
from keras_mtl.firmware_host.device import Detection, silence_after, within
from keras_mtl.firmware_host.engines.live_worker import END, HEADER_BYTES
from keras_mtl.firmware_host.engines.request import ENVIRONMENT, MOST_BYTES, last_words, make_request
from keras_mtl.tflite.artifact import Artifact

_WORKER = "keras_mtl.firmware_host.engines.live_worker"
#: Samples of one message: few enough for the time limit, however much comes at once.
_MOST_SAMPLES = 1 << 16
_READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Update:
    """What is known after a push.

    Attributes:
        detections: what became known by it.
        scene: the scene now; None before the first.
        active: the events that last.
        samples: how many came since the start.
        busy_s: seconds that the engine's process spent on this push.
    """

    detections: tuple[Detection, ...]
    scene: str | None
    active: tuple[str, ...]
    samples: int
    busy_s: float


class LiveSession:
    """Predicts by a streaming artifact, in constant memory. A context manager: the process ends with the block.

    Args:
        timeout_s: seconds that the engine may take to start, and for each part of a push.

    Raises:
        ArtifactError: the artifact takes clips.
        EngineError: it is unknown, can't run a member, died, or did not start in time.
    """

    def __init__(self, engine: str, artifact: Artifact, timeout_s: float = 60.0) -> None:
        self._engine, self._timeout_s = engine, timeout_s
        self._stream, self._samples, self._settings = artifact.wiring.stream, 0, artifact.facts.features
        self._temporary = tempfile.TemporaryDirectory(prefix="keras_mtl_live_")
        self._folder, self._unread, self._unsent = Path(self._temporary.name), b"", b""
        self._written, self._got = list[int](), list[bytes]()
        self._owed, self._unreported = 1, list[Detection]()  # it says that it is there
        self._process: subprocess.Popen[bytes] | None = None
        try:
            known = ("features", "labels", "decoding")
            facts = {key: value for key, value in artifact.facts.values.items() if key in known}
            request = make_request(engine, artifact, self._folder) | {"facts": facts, "most_bytes": MOST_BYTES}
            question = self._folder / "request.json"
            question.write_text(json.dumps(request), "utf-8")
            self._process = subprocess.Popen(
                [sys.executable, "-m", _WORKER, str(question)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **ENVIRONMENT},
                start_new_session=True,  # an interrupt is for this process, which then asks for the end
            )
            assert self._process.stdin is not None
            os.set_blocking(self._process.stdin.fileno(), False)
            self._answer()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LiveSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Number of the engine's process."""
        return self._alive().pid

    def push(self, samples: np.ndarray) -> Update:
        """Takes samples [samples], float in [-1, 1] or int16, at the features' rate; gives what is known after them.

        Raises:
            EngineError: the engine died, or did not reply in time.
        """
        scale = 32768 if samples.dtype == np.int16 else 1
        parts = [samples[first : first + _MOST_SAMPLES] for first in range(0, len(samples), _MOST_SAMPLES)] or [samples]
        answers = [
            self._ask(
                len(part).to_bytes(HEADER_BYTES, "little") + (part.astype(np.float32) / scale).astype("<f4").tobytes()
            )
            for part in parts
        ]
        return self._update(answers)

    def finish(self) -> Update:
        """The end of a recording; after it nothing more can be pushed.

        After a push that was interrupted it gives what became known by that, too.
        """
        return self._update([self._ask(END.to_bytes(HEADER_BYTES, "little", signed=True))])

    def end_recording(self) -> Update:
        """The end of a recording that is predicted up to its last sample: silence follows it.

        Returns:
            As of `finish`, with no time beyond the recording.
        """
        samples, rate_hz = self._samples, self._settings.sample_rate_hz
        silence = self.push(np.zeros(silence_after(samples, self._settings, self._stream), np.int16))
        end = self.finish()
        both = (*silence.detections, *end.detections)
        detections = within(both, samples / rate_hz, self._settings)
        return replace(end, detections=detections, samples=samples, busy_s=silence.busy_s + end.busy_s)

    def close(self) -> None:
        """Stops the engine's process, if it still lives."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for end in (process.stdin, process.stdout):
                if end is not None:
                    end.close()
            process.wait()
        self._temporary.cleanup()

    def _ask(self, message: bytes) -> dict[str, Any]:
        """Sends a message and gives its reply, after what an interrupt left unsent and unread.

        An interrupt comes between two calls, also between a write and the assignment of what it wrote. So system calls
        leave their results in lists from within C, and what belongs together is assigned at once.
        """
        process = self._alive()
        assert process.stdin is not None
        self._unsent, self._owed = self._unsent + message, self._owed + 1
        end, deadline = process.stdin.fileno(), time.monotonic() + self._timeout_s
        while True:
            self._unsent, self._written = self._unsent[sum(self._written) :], []
            if not self._unsent:
                break
            _, ready, _ = select.select([], [end], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise self._late()
            try:
                self._written.extend(map(os.write, (end,), (self._unsent,)))
            except BrokenPipeError:
                break  # it died, or has an error: the reply has which
        while True:
            answer = self._answer()
            if not self._owed:
                return answer

    def _update(self, answers: list[dict[str, Any]]) -> Update:
        last, busy_s = answers[-1], sum(answer["busy_s"] for answer in answers)
        update = Update(tuple(self._unreported), last["scene"], tuple(last["active"]), last["samples"], busy_s)
        self._samples, self._unreported = last["samples"], []
        return update

    def _answer(self) -> dict[str, Any]:
        process = self._alive()
        assert process.stdout is not None
        end, deadline = process.stdout.fileno(), time.monotonic() + self._timeout_s
        while True:
            self._unread, self._got = self._unread + b"".join(self._got), []
            if b"\n" in self._unread:
                break
            ready, _, _ = select.select([end], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise self._late()
            self._got.extend(map(os.read, (end,), (_READ_BYTES,)))
            if not self._got[-1]:
                raise EngineCrash(f"{self._engine} died{last_words(self._folder)}")
        line, _, rest = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise errors.by_name(answer["error"])(answer["message"], hint=answer["hint"])
        unreported = self._unreported + [Detection(**each) for each in answer.get("detections", ())]
        self._unread, self._owed, self._unreported = rest, self._owed - 1, unreported
        return answer

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise EngineCrash(f"{self._engine} was stopped and takes nothing more")
        return self._process

    def _late(self) -> EngineTimeout:
        return EngineTimeout(f"{self._engine} did not answer within {self._timeout_s:g} s and was stopped")
