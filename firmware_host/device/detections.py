"""Scenes that do not flicker, and events as soon as they begin and end, of the outputs of a streaming artifact.

Times follow from how many embeddings there are: the clock is that of the audio, and never drifts from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from keras_mtl.core import LogMelSettings
from keras_mtl.decoding import Change, EventDecoder, Grid, SceneSmoother, decoder_numbers
from keras_mtl.firmware_host.device.member import OpenMember
from keras_mtl.firmware_host.device.stream import Outputs
from keras_mtl.tflite.artifact import Facts, Stream, Wiring

SCENE, BEGIN, END = "scene", "event_begin", "event_end"


@dataclass(frozen=True)
class Detection:
    """A scene or an event that became known.

    Attributes:
        kind: "scene" (it changed), "event_begin" or "event_end".
        label: the scene or the event.
        onset_s: since when: of a scene, the end of the audio with which it was decided.
        offset_s: until when; None while it lasts.
        score: of a scene its smoothed probability, of an event that ended the mean of its filtered ones; else None.
        known_s: seconds of audio that had been embedded when it became known.
    """

    kind: str
    label: str
    onset_s: float
    offset_s: float | None
    score: float | None
    known_s: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class StepDetection:
    """The same in steps and integers, as the C of a firmware bundle gives it.

    Attributes:
        kind: as of `Detection`.
        number: of the class.
        step: where it lies: of a scene the embeddings that it was decided with, of an event its first step or, when it
            ended, the step after its last one.
        onset: of an event its first step; of a scene `step`.
        score_sum: of an event that ended its filtered integers, summed over its steps; else 0.
        score: of a scene its smoothed probability; else None.
    """

    kind: str
    number: int
    step: int
    onset: int
    score_sum: int = 0
    score: float | None = None


class DetectionDecoder:
    """Turns the outputs of a streaming artifact into scenes and events."""

    def __init__(self, facts: Facts, wiring: Wiring, members: Mapping[str, OpenMember]) -> None:
        stride = wiring.stream.stride
        self._grid = Grid.over(facts.features, stride, stride)
        self._labels = {SCENE: facts.labels.scenes, BEGIN: facts.labels.events}
        self._labels[END] = self._labels[BEGIN]
        self._smoother = self._decoder = None
        if wiring.scene_ring:
            self._logits = members[wiring.scene_head].outputs[0]
            self._smoother = SceneSmoother(
                len(self._labels[SCENE]), facts.decoding.scene_weight, facts.decoding.scene_hold_calls
            )
        if wiring.classifiers:
            self._strong = port = members[wiring.classifiers].outputs[0]
            numbers = decoder_numbers(facts.decoding, self._labels[END], self._grid.step_s, port.to_dict())
            self._decoder = EventDecoder(len(self._labels[END]), **numbers)
        self.reset()

    def reset(self) -> None:
        """Starts anew, with no scene and no event."""
        self._scene: int | None = None
        self._active: list[int] = []
        for each in (self._smoother, self._decoder):
            if each is not None:
                each.reset()

    @property
    def scene(self) -> str | None:
        """The scene; None before the first call of the scene decoder."""
        return None if self._scene is None else self._labels[SCENE][self._scene]

    @property
    def active(self) -> tuple[str, ...]:
        """The events that last, as far as is known."""
        return tuple(self._labels[END][number] for number in self._active)

    def push(self, outputs: Outputs) -> list[StepDetection]:
        """Takes the next outputs; gives what became known by them."""
        found = []
        if self._smoother is not None and outputs.scenes is not None:
            scene = self._smoother.push(self._logits.dequantize(outputs.scenes))
            if scene != self._scene:
                self._scene, at = scene, outputs.embeddings
                found.append(StepDetection(SCENE, scene, at, at, score=float(self._smoother.scores[scene])))
        changes = self._decoder.push(outputs.strong) if self._decoder is not None and len(outputs.strong) else []
        return found + [self._event(change) for change in changes]

    def finish(self) -> list[StepDetection]:
        """The end of a recording: ends the events that last."""
        return [self._event(change) for change in self._decoder.finish()] if self._decoder is not None else []

    def in_seconds(self, found: StepDetection, embeddings: int) -> Detection:
        """A detection that became known with so many embeddings, in seconds of the audio since the start."""
        label, known_s = self._labels[found.kind][found.number], self._seconds(embeddings)
        onset_s, offset_s, score = self._seconds(found.onset), None, found.score
        if found.kind == END:
            offset_s = self._seconds(found.step)
            mean = found.score_sum / (found.step - found.onset) - self._strong.zero
            score = float(mean * (self._strong.scale or 1.0))
        return Detection(found.kind, label, onset_s, offset_s, None if score is None else round(score, 6), known_s)

    def _seconds(self, embeddings: int) -> float:
        """Where embedding number `embeddings` begins."""
        return round(max(0.0, self._grid.start_s + self._grid.step_s * embeddings), 6)

    def _event(self, change: Change) -> StepDetection:
        self._active = [number for number in self._active if number != change.label]
        if change.ended:
            return StepDetection(END, change.label, change.offset, change.onset, int(change.score_sum))
        self._active.append(change.label)
        return StepDetection(BEGIN, change.label, change.onset, change.onset)


def embeddings_of(samples: int, settings: LogMelSettings, stream: Stream) -> int:
    """Embeddings that a recording has: one for each step that one of its frames lies in.

    `samples`: how many it has; a frame is centred on each sample that is a multiple of the hop.
    """
    frames = -(-samples // settings.hop)
    return -(-frames // stream.stride)


def silence_after(samples: int, settings: LogMelSettings, stream: Stream) -> int:
    """Zero samples to be pushed after a recording, so that just `embeddings_of` it have been given.

    `samples`: of the recording, pushed since a start; nothing follows on nothing.
    """
    if not samples:
        return 0
    frames = (embeddings_of(samples, settings, stream) + stream.latency) * stream.stride
    needed = (frames - 1) * settings.hop + settings.fft // 2
    return max(0, needed - samples)


def within(detections: Iterable[Detection], duration_s: float, settings: LogMelSettings) -> tuple[Detection, ...]:
    """What became known by the silence, with no time beyond the recording.

    The last embedding reaches to the end of the recording, as in `timeline`: its step may end half a hop before, or up
    to a step after it.
    """
    last_s, end_s = duration_s - settings.hop_s / 2, round(duration_s, 6)

    def cut(seconds: float) -> float:
        # Times are rounded to a millionth, and no other step begins as near to it.
        return end_s if seconds > last_s - 1e-6 else seconds

    return tuple(
        replace(
            each,
            # An event begins with a step, and every step that is scored begins within the recording.
            onset_s=cut(each.onset_s) if each.kind == SCENE else each.onset_s,
            offset_s=None if each.offset_s is None else cut(each.offset_s),
            known_s=cut(each.known_s),
        )
        for each in detections
    )
