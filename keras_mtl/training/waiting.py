"""How long a training waits for its batches: what a faster processor for the network could not make up for."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import keras


class Waiting(keras.callbacks.Callback):
    """Measures what part of the steps' time goes by until the batch is there.

    Steps that compile are left out: the first of every fit. So is what a frozen encoder computes for a batch: it is the
    training's own work.

    Attributes:
        waited_s: seconds between the begin of a step and its batch, all steps together.
        steps_s: seconds of these steps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waited_s = self.steps_s = 0.0
        self._asked = self._got = 0.0
        self._compiled = False
        self._before = (0.0, 0.0)
        self._computed: list[tuple[float, float]] = []

    @property
    def fraction(self) -> float | None:
        """`waited_s` as part of `steps_s`; None before the second step."""
        return self.waited_s / self.steps_s if self.steps_s else None

    def got_batch(self) -> None:
        """To be called as a batch is handed over; from any thread."""
        self._got = time.perf_counter()

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """While a network computes what belongs to a batch; from the thread that makes the batches."""
        began = time.perf_counter()
        yield
        self._computed.append((began, time.perf_counter()))

    def on_train_begin(self, logs: Any = None) -> None:
        """A fit begins."""
        self._compiled = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """An epoch begins."""
        self._before = self.waited_s, self.steps_s

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """A batch is asked for."""
        self._asked = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """A step is done."""
        computed, self._computed = self._computed, []
        if self._compiled:
            own_s = sum(max(0.0, min(end, self._got) - max(begin, self._asked)) for begin, end in computed)
            self.steps_s += time.perf_counter() - self._asked
            self.waited_s += max(0.0, self._got - self._asked - own_s)
        self._compiled = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Says how much of the epoch was waiting."""
        waited_s, steps_s = (
            now - before for now, before in zip((self.waited_s, self.steps_s), self._before, strict=True)
        )
        if steps_s:
            print(f"epoch {epoch + 1}: {waited_s / steps_s:.1%} of {steps_s:.0f} s waited for data", file=sys.stderr)
