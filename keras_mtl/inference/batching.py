"""Hearing a recording while it comes: events in windows, scenes in seconds, given to the network in batches."""

from __future__ import annotations

import numpy as np

from keras_mtl.core import EVENTS, SCENES
from keras_mtl.decoding import Event
from keras_mtl.features import shared_log_mel
from keras_mtl.inference.predictor import Listener
from keras_mtl.inference.windows import Joint, Window, WindowPlan

EVENT_WINDOW_S = 10
SCENE_CLIP_S = 1
_WINDOWS_AT_A_TIME = 16
_SECONDS_AT_A_TIME = 128


class EventHearing:
    """Gives the frame probabilities of a recording whose levels come in parts.

    Args:
        listener: a listener that hears events.
    """

    def __init__(self, listener: Listener) -> None:
        assert listener.event_probabilities is not None
        settings, fixed = listener.settings, listener.event_frames
        length = fixed or settings.frames(EVENT_WINDOW_S * settings.sample_rate_hz)
        self._hear = listener.event_probabilities
        self.plan = WindowPlan(length, listener.frames_per_embedding, fixed is not None)
        self._joint = Joint(self.plan)
        self._levels = np.zeros((0, settings.mel_bands), np.float32)
        self._first = 0  # the frame that the levels held begin with
        self._number = 0  # windows cut so far
        self._waiting: list[tuple[Window, np.ndarray]] = []

    def push(self, levels: np.ndarray) -> np.ndarray:
        """Takes [frames, mel_bands] in dB; gives the probabilities that are ready, [embeddings, events]."""
        self._levels = np.concatenate([self._levels, levels])
        ready = [np.zeros((0, len(EVENTS)), np.float32)]
        while (window := self.plan.inner(self._number)).first + window.frames < self._first + len(self._levels):
            self._cut(window)
            if len(self._waiting) == _WINDOWS_AT_A_TIME:
                ready += [self._joint.add(window, answers) for window, answers in self._heard()]
        return np.concatenate(ready)

    def frames_wanted(self, frames: int) -> int:
        """Frames that `finish` must have got for a recording of so many: the last window may reach beyond it."""
        last = self.plan.windows(frames)[-1]
        return max(frames, last.first + last.frames)

    def finish(self, frames: int, levels: np.ndarray) -> np.ndarray:
        """Takes the last levels, up to `frames_wanted(frames)`; gives the probabilities that are left."""
        within = max(0, frames - self._first - len(self._levels))
        ready = [self.push(levels[:within])]
        self._levels = np.concatenate([self._levels, levels[within:]])
        self._cut(self.plan.last(self._number, frames))
        *inner, (last, answers) = self._heard()
        ready += [self._joint.add(window, heard) for window, heard in inner]
        return np.concatenate([*ready, self._joint.end(last, answers, frames)])

    def _cut(self, window: Window) -> None:
        self._levels = self._levels[window.first - self._first :]
        self._first = window.first
        self._waiting.append((window, self._levels[: window.frames].copy()))
        self._number += 1

    def _heard(self) -> list[tuple[Window, np.ndarray]]:
        """The windows that wait, with their answers."""
        probabilities, _ = self._hear(np.stack([levels for _, levels in self._waiting]))
        heard = [(window, answers) for (window, _), answers in zip(self._waiting, probabilities, strict=True)]
        self._waiting = []
        return heard


class SceneHearing:
    """Gives the scene of a recording whose audio comes in parts, and its course.

    Each second is heard as in training: as a clip of its own, with silence beyond its ends. Of a recording that is
    no whole number of seconds, the rest is left out; one shorter than a second is followed by silence.

    Args:
        listener: a listener that hears scenes.
        window_s: whole seconds whose mean makes one step of the course.
    """

    def __init__(self, listener: Listener, window_s: int) -> None:
        assert listener.scene_logits is not None
        self._hear, self._window_s = listener.scene_logits, window_s
        self._log_mel = shared_log_mel(listener.settings)
        self._second = SCENE_CLIP_S * listener.settings.sample_rate_hz
        self._audio = np.zeros(0, np.float32)
        self._sum = np.zeros(len(SCENES))
        self._seconds = 0
        self._part, self._part_seconds = np.zeros(len(SCENES)), 0
        self._course: list[tuple[int, int, np.ndarray]] = []  # (first second, seconds, sum), neighbours differ

    def push(self, audio: np.ndarray) -> None:
        """Takes float32 [samples] at the rate of the features."""
        self._audio = np.concatenate([self._audio, audio])
        while len(self._audio) >= _SECONDS_AT_A_TIME * self._second:
            self._seconds_heard(_SECONDS_AT_A_TIME)

    def finish(self, duration_s: float) -> tuple[dict[str, float], tuple[tuple[Event, float], ...]]:
        """Mean probability of each scene, and the scenes one after the other with their mean probability.

        Args:
            duration_s: where the last scene ends.
        """
        if not self._seconds and len(self._audio) < self._second:
            self._audio = np.pad(self._audio, (0, self._second - len(self._audio)))
        if len(self._audio) >= self._second:
            self._seconds_heard(len(self._audio) // self._second)
        self._step()
        mean = self._sum / self._seconds
        ends = [*(float(first) for first, _, _ in self._course[1:]), duration_s]
        course = []
        for (first, seconds, total), end_s in zip(self._course, ends, strict=True):
            best = int(total.argmax())
            course.append((Event(float(first), end_s, SCENES[best]), float(total[best]) / seconds))
        return {scene: round(float(p), 6) for scene, p in zip(SCENES, mean, strict=True)}, tuple(course)

    def _seconds_heard(self, count: int) -> None:
        logits = self._hear(self._log_mel(self._audio[: count * self._second].reshape(count, self._second)))
        self._audio = self._audio[count * self._second :]
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        for scores in exponents / exponents.sum(axis=1, keepdims=True):
            self._sum += scores
            self._seconds += 1
            self._part += scores
            self._part_seconds += 1
            if self._part_seconds == self._window_s:
                self._step()

    def _step(self) -> None:
        """Ends a step of the course, and joins it to the last one where both have the same scene."""
        if not self._part_seconds:
            return
        first, seconds, total = self._seconds - self._part_seconds, self._part_seconds, self._part
        if self._course and self._course[-1][2].argmax() == total.argmax():
            before = self._course.pop()
            first, seconds, total = before[0], before[1] + seconds, before[2] + total
        self._course.append((first, seconds, total))
        self._part, self._part_seconds = np.zeros(len(SCENES)), 0
