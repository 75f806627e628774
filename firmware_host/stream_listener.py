"""What a device makes of sound as it comes: scenes that do not flicker, and events as soon as they begin and end.

Samples go through the front end, the networks of a streaming set and the decoders behind them. Times follow from how
many samples came: the clock of what is heard is that of the audio, and never drifts from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_mtl.causal_decoding import CausalDecoder, Change, integer_threshold
from keras_mtl.decoding import median_frames
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.device_loop import Member
from keras_mtl.firmware_host.stream_levels import LevelStream
from keras_mtl.firmware_host.stream_set_loop import Answers, StreamSetLoop
from keras_mtl.scene_smoothing import SceneSmoother
from keras_mtl.tflite.artifact import dequantize, quantize
from keras_mtl.tflite.stream_set_wiring import StreamWiring
from keras_mtl.timeline import Grid

SCENE, BEGIN, END = "scene", "event_begin", "event_end"


@dataclass(frozen=True)
class Heard:
    """Something that became known.

    Attributes:
        kind: "scene" (it changed), "event_begin" or "event_end".
        label: the scene or the event.
        onset_s: since when: of a scene, the end of the audio with which it was believed.
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


class AnswerDecoder:
    """Turns the decoders' answers into scenes and events.

    Args:
        manifest: of a streaming set: `features`, `labels`, `decoding` and `smoothing`.
        wiring: of the set.
        ports: the outputs of each member, as in its manifest.
    """

    def __init__(self, manifest: Mapping[str, Any], wiring: StreamWiring, ports: Mapping[str, Any]) -> None:
        settings, stride = LogMelSettings.from_dict(manifest["features"]), wiring.stream.stride
        self._grid = Grid.over(settings, stride, stride)
        self._labels = manifest["labels"]
        self._smoother = self._decoder = None
        if wiring.scene_ring:
            self._logits = ports[wiring.scene_head][0]
            self._smoother = SceneSmoother(len(self._labels["scenes"]), **manifest["smoothing"])
        if wiring.classifiers:
            self._strong = port = ports[wiring.classifiers][0]
            decoding = manifest["decoding"]
            threshold = integer_threshold(decoding["threshold"], port["scale"], port["zero_point"], port["dtype"])
            median = median_frames(decoding["median_s"], self._grid)
            self._decoder = CausalDecoder(len(self._labels["events"]), median, threshold, zero=port["zero_point"])
        self.reset()

    def reset(self) -> None:
        """Begins anew, with no scene and no event."""
        #: The scene that is believed; None before the first call of the scene decoder.
        self.scene: str | None = None
        #: The events that sound, as far as is known.
        self.sounding: tuple[str, ...] = ()
        for each in (self._smoother, self._decoder):
            if each is not None:
                each.reset()

    def push(self, answers: Answers, embeddings: int) -> list[Heard]:
        """Takes the next answers, after so many embeddings since the start; gives what became known by them."""
        found = [heard for call, logits in answers.scenes for heard in self._scene(call, logits)]
        changes = self._decoder.push(answers.strong) if self._decoder is not None and len(answers.strong) else []
        return found + [self._event(change, embeddings) for change in changes]

    def finish(self, embeddings: int) -> list[Heard]:
        """The end of a recording of so many embeddings: ends what sounds."""
        changes = self._decoder.finish() if self._decoder is not None else []
        return [self._event(change, embeddings) for change in changes]

    def seconds(self, embeddings: int) -> float:
        """Where embedding number `embeddings` begins, in seconds of the audio since the start."""
        return round(max(0.0, self._grid.start_s + self._grid.step_s * embeddings), 6)

    def _scene(self, call: int, logits: np.ndarray) -> list[Heard]:
        assert self._smoother is not None
        number = self._smoother.push(dequantize(logits, self._logits))
        label = self._labels["scenes"][number]
        if label == self.scene:
            return []
        self.scene, at = label, self.seconds(call)
        return [Heard(SCENE, label, at, None, round(float(self._smoother.scores[number]), 6), at)]

    def _event(self, change: Change, embeddings: int) -> Heard:
        label, onset_s, known_s = (
            self._labels["events"][change.label],
            self.seconds(change.onset),
            self.seconds(embeddings),
        )
        others = tuple(name for name in self.sounding if name != label)
        if not change.ended:
            self.sounding = (*others, label)
            return Heard(BEGIN, label, onset_s, None, None, known_s)
        self.sounding = others
        mean = change.score_sum / (change.offset - change.onset) - self._strong["zero_point"]
        score = round(float(mean * self._strong["scale"]), 6)
        return Heard(END, label, onset_s, self.seconds(change.offset), score, known_s)


class StreamListener:
    """Hears samples by a streaming set, from a start on, in constant memory.

    Args:
        manifest: of the set.
        wiring: of the set.
        members: each member by its name, opened.
    """

    def __init__(self, manifest: Mapping[str, Any], wiring: StreamWiring, members: Mapping[str, Member]) -> None:
        self._levels = LevelStream(LogMelSettings.from_dict(manifest["features"]))
        self._loop, self._port = StreamSetLoop(wiring, members), members[wiring.encoder].inputs[0]
        self.decoder = AnswerDecoder(manifest, wiring, {name: member.outputs for name, member in members.items()})

    def push(self, samples: np.ndarray) -> list[Heard]:
        """Takes samples [samples], float in [-1, 1] or int16, at the features' rate.

        Returns:
            What became known by them, in the order in which it did: the same however the samples are cut.
        """
        return self.hear(quantize(self._levels.push(samples), self._port))

    def hear(self, frames: np.ndarray) -> list[Heard]:
        """As `push`, but takes log-mel frames [frames, mel_bands] in the encoder's input type."""
        return [
            heard for answers in self._loop.steps(frames) for heard in self.decoder.push(answers, self._loop.embeddings)
        ]

    def finish(self) -> list[Heard]:
        """The end of a recording: decodes what was held back, and ends what sounds. Then it must be reset."""
        found = self.decoder.push(self._loop.finish(), self._loop.embeddings)
        return found + self.decoder.finish(self._loop.embeddings)

    def reset(self) -> None:
        """Starts anew."""
        self._levels.reset()
        self._loop.reset()
        self.decoder.reset()
