"""How a recording is cut into overlapping windows, and their answers are joined to one time axis without seams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """One window: its first frame, a multiple of the stride, and its frames; the last may reach beyond the end."""

    first: int
    frames: int


@dataclass(frozen=True)
class WindowPlan:
    """Windows as long as the training clips, each half a window after the one before it.

    They begin at multiples of the stride, and leave the same rest when divided by it as the training clips: strided
    "same" convolutions pad by parity, so that at a length of another rest their embeddings would lie up to a stride
    earlier or later than in training.

    Attributes:
        length: frames of the training clips.
        stride: frames from one embedding to the next.
        fixed: whether the network takes no other length; else a recording shorter than that is one shorter window.
    """

    length: int
    stride: int
    fixed: bool = False

    @property
    def embeddings(self) -> int:
        """Embeddings of a window whose frames are all there."""
        return self.length // self.stride

    def inner(self, number: int) -> Window:
        """A window that is not the last one. It is that if and only if the recording reaches beyond it."""
        return Window(number * max(1, self.embeddings // 2) * self.stride, self.length)

    def last(self, number: int, frames: int) -> Window:
        """The last window, `number` others being before it, of a recording of so many frames."""
        if number:
            return Window(-(-(frames - self.length) // self.stride) * self.stride, self.length)
        rest = self.length % self.stride
        shorter = max(1, -(-(frames - rest) // self.stride)) * self.stride + rest
        return Window(0, self.length if self.fixed else shorter)

    def windows(self, frames: int) -> list[Window]:
        """All windows of a recording."""
        found: list[Window] = []
        while (window := self.inner(len(found))).first + self.length < frames:
            found.append(window)
        return [*found, self.last(len(found), frames)]


class Joint:
    """Joins the answers of windows: a mean, each weighted by the distance from the nearer end of its window.

    There a window knows least of what is around, and its answers count next to nothing; so the joined ones pass
    gradually from one window to the next, and hardly depend on where the windows lie. A recording of one window has its
    answers as they are.

    Args:
        plan: the windows.
    """

    def __init__(self, plan: WindowPlan) -> None:
        self._plan = plan
        places = np.arange(plan.embeddings + 1) + 0.5
        self._weights = np.maximum(0.5, np.minimum(places, plan.embeddings - places))[:, None]
        self._given = 0  # embeddings
        self._sum: np.ndarray | None = None  # of those that follow
        self._weight = np.zeros((0, 1))

    def add(self, window: Window, answers: np.ndarray) -> np.ndarray:
        """Takes an inner window's [embeddings, events], in order; gives those that no later window will change."""
        self._take(window, answers[: self._plan.embeddings])
        return self._give(window.first // self._plan.stride)

    def end(self, window: Window, answers: np.ndarray, frames: int) -> np.ndarray:
        """Takes the last window's, and how many frames there are; gives all that are left."""
        before = window.first // self._plan.stride
        answers = answers[: -(-frames // self._plan.stride) - before]
        if self._sum is None:
            return answers
        self._take(window, answers)
        return self._give(before + len(answers))

    def _take(self, window: Window, answers: np.ndarray) -> None:
        at = window.first // self._plan.stride - self._given
        beyond = max(0, at + len(answers) - len(self._weight))
        if self._sum is None:
            self._sum = np.zeros((0, answers.shape[1]))
        self._sum = np.pad(self._sum, ((0, beyond), (0, 0)))
        self._weight = np.pad(self._weight, ((0, beyond), (0, 0)))
        weights = self._weights[: len(answers)]
        self._sum[at : at + len(answers)] += weights * answers
        self._weight[at : at + len(answers)] += weights

    def _give(self, until: int) -> np.ndarray:
        assert self._sum is not None
        count = until - self._given
        joined = (self._sum[:count] / self._weight[:count]).astype(np.float32)
        self._sum, self._weight, self._given = self._sum[count:], self._weight[count:], until
        return joined
