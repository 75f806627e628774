"""Inference over a recording that comes in parts: events in overlapping windows, scenes in seconds, both in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keras_mtl.decoding import Event
from keras_mtl.features import shared_log_mel
from keras_mtl.inference.predictor import Predictor

_WINDOWS_AT_A_TIME = 16
_CLIPS_AT_A_TIME_S = 128


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


class WindowMean:
    """The mean of overlapping windows' probabilities, each weighted by the distance from the nearer end of its window.

    There the context is shortest, and the weight next to nothing; so the mean passes gradually from one window to the
    next, and hardly depends on where the windows lie. A recording of one window keeps its probabilities as they are.
    """

    def __init__(self, plan: WindowPlan) -> None:
        self._plan = plan
        places = np.arange(plan.embeddings + 1) + 0.5
        self._weights = np.maximum(0.5, np.minimum(places, plan.embeddings - places))[:, None]
        self._given = 0  # embeddings
        self._sum: np.ndarray | None = None  # of those that follow
        self._weight = np.zeros((0, 1))

    def add(self, window: Window, probabilities: np.ndarray) -> np.ndarray:
        """Takes an inner window's [embeddings, events], in order; gives those that no later window will change."""
        self._take(window, probabilities[: self._plan.embeddings])
        return self._give(window.first // self._plan.stride)

    def end(self, window: Window, probabilities: np.ndarray, frames: int) -> np.ndarray:
        """Takes the last window's, and how many frames there are; gives all that are left."""
        before = window.first // self._plan.stride
        probabilities = probabilities[: -(-frames // self._plan.stride) - before]
        if self._sum is None:
            return probabilities
        self._take(window, probabilities)
        return self._give(before + len(probabilities))

    def _take(self, window: Window, probabilities: np.ndarray) -> None:
        at = window.first // self._plan.stride - self._given
        beyond = max(0, at + len(probabilities) - len(self._weight))
        if self._sum is None:
            self._sum = np.zeros((0, probabilities.shape[1]))
        self._sum = np.pad(self._sum, ((0, beyond), (0, 0)))
        self._weight = np.pad(self._weight, ((0, beyond), (0, 0)))
        weights = self._weights[: len(probabilities)]
        self._sum[at : at + len(probabilities)] += weights * probabilities
        self._weight[at : at + len(probabilities)] += weights

    def _give(self, until: int) -> np.ndarray:
        assert self._sum is not None
        count = until - self._given
        joined = (self._sum[:count] / self._weight[:count]).astype(np.float32)
        self._sum, self._weight, self._given = self._sum[count:], self._weight[count:], until
        return joined


class EventInference:
    """Gives the frame probabilities of a recording whose log-mel comes in parts."""

    def __init__(self, predictor: Predictor) -> None:
        assert predictor.event_probabilities is not None
        settings, fixed = predictor.settings, predictor.event_frames
        length = fixed or settings.frames(round(predictor.data.event_clip_s * settings.sample_rate_hz))
        self._probabilities = predictor.event_probabilities
        self.plan = WindowPlan(length, predictor.frames_per_embedding, fixed is not None)
        self._mean = WindowMean(self.plan)
        self._nothing = np.zeros((0, len(predictor.labels.events)), np.float32)
        self._log_mel = np.zeros((0, settings.mel_bands), np.float32)
        self._first = 0  # the frame that the held log-mel begins with
        self._number = 0  # windows cut so far
        self._waiting: list[tuple[Window, np.ndarray]] = []

    def push(self, log_mel: np.ndarray) -> np.ndarray:
        """Takes [frames, mel_bands] in dB; gives the probabilities that are ready, [embeddings, events]."""
        self._log_mel = np.concatenate([self._log_mel, log_mel])
        ready = [self._nothing]
        while (window := self.plan.inner(self._number)).first + window.frames < self._first + len(self._log_mel):
            self._cut(window)
            if len(self._waiting) == _WINDOWS_AT_A_TIME:
                ready += [self._mean.add(*each) for each in self._run_waiting()]
        return np.concatenate(ready)

    def frames_wanted(self, frames: int) -> int:
        """Frames that `finish` must have got for a recording of so many: the last window may reach beyond it."""
        last = self.plan.windows(frames)[-1]
        return max(frames, last.first + last.frames)

    def finish(self, frames: int, log_mel: np.ndarray) -> np.ndarray:
        """Takes the last frames, up to `frames_wanted(frames)`; gives the probabilities that are left."""
        within = max(0, frames - self._first - len(self._log_mel))
        ready = [self.push(log_mel[:within])]
        self._log_mel = np.concatenate([self._log_mel, log_mel[within:]])
        self._cut(self.plan.last(self._number, frames))
        *inner, last = self._run_waiting()
        ready += [self._mean.add(*each) for each in inner]
        return np.concatenate([*ready, self._mean.end(*last, frames)])

    def _cut(self, window: Window) -> None:
        self._log_mel = self._log_mel[window.first - self._first :]
        self._first = window.first
        self._waiting.append((window, self._log_mel[: window.frames].copy()))
        self._number += 1

    def _run_waiting(self) -> list[tuple[Window, np.ndarray]]:
        """The windows that wait, with their probabilities."""
        strong, _ = self._probabilities(np.stack([log_mel for _, log_mel in self._waiting]))
        done = [(window, probabilities) for (window, _), probabilities in zip(self._waiting, strong, strict=True)]
        self._waiting = []
        return done


class SceneInference:
    """Gives the scene of a recording whose audio comes in parts, and its course.

    Each clip (a second, `DataSettings.scene_clip_s`) is one inference, as in training: a clip of its own, with silence
    beyond its ends. Of a recording that is no whole number of clips, the rest is left out; one shorter than a clip is
    followed by silence.

    Args:
        predictor: a predictor with `scene_logits`.
        window_s: seconds whose mean makes one step of the course; at least a clip, and rounded to whole clips.
    """

    def __init__(self, predictor: Predictor, window_s: float) -> None:
        assert predictor.scene_logits is not None
        self._clip_s, self._names = predictor.data.scene_clip_s, predictor.labels.scenes
        self._logits, self._window = predictor.scene_logits, max(1, round(window_s / self._clip_s))
        self._compute = shared_log_mel(predictor.settings)
        self._samples = round(self._clip_s * predictor.settings.sample_rate_hz)
        self._most = max(1, round(_CLIPS_AT_A_TIME_S / self._clip_s))
        self._audio = np.zeros(0, np.float32)
        self._sum = np.zeros(len(self._names))
        self._clips = 0
        self._part, self._part_clips = np.zeros(len(self._names)), 0
        self._course: list[tuple[int, int, np.ndarray]] = []  # (first clip, clips, sum), neighbours differ

    def push(self, audio: np.ndarray) -> None:
        """Takes float32 [samples] at the rate of the features."""
        self._audio = np.concatenate([self._audio, audio])
        while len(self._audio) >= self._most * self._samples:
            self._infer(self._most)

    def finish(self, duration_s: float) -> tuple[dict[str, float], tuple[tuple[Event, float], ...]]:
        """Mean probability of each scene, and the scenes one after the other with their mean probability.

        Args:
            duration_s: where the last scene ends.
        """
        if not self._clips and len(self._audio) < self._samples:
            self._audio = np.pad(self._audio, (0, self._samples - len(self._audio)))
        if len(self._audio) >= self._samples:
            self._infer(len(self._audio) // self._samples)
        self._step()
        mean = self._sum / self._clips
        ends = [*(first * self._clip_s for first, _, _ in self._course[1:]), duration_s]
        course = []
        for (first, clips, total), end_s in zip(self._course, ends, strict=True):
            best = int(total.argmax())
            course.append((Event(first * self._clip_s, end_s, self._names[best]), float(total[best]) / clips))
        return {scene: round(float(p), 6) for scene, p in zip(self._names, mean, strict=True)}, tuple(course)

    def _infer(self, count: int) -> None:
        logits = self._logits(self._compute(self._audio[: count * self._samples].reshape(count, self._samples)))
        self._audio = self._audio[count * self._samples :]
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        for scores in exponents / exponents.sum(axis=1, keepdims=True):
            self._sum += scores
            self._clips += 1
            self._part += scores
            self._part_clips += 1
            if self._part_clips == self._window:
                self._step()

    def _step(self) -> None:
        """Ends a step of the course, and joins it to the last one where both have the same scene."""
        if not self._part_clips:
            return
        first, clips, total = self._clips - self._part_clips, self._part_clips, self._part
        if self._course and self._course[-1][2].argmax() == total.argmax():
            before = self._course.pop()
            first, clips, total = before[0], before[1] + clips, before[2] + total
        self._course.append((first, clips, total))
        self._part, self._part_clips = np.zeros(len(self._names)), 0
