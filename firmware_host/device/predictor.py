"""What a device predicts of sound as it comes: front end, networks and decoders, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from keras_mtl.core import LogMelSettings, frame_window, mel_filters
from keras_mtl.firmware_host.device.detections import Detection, DetectionDecoder, StepDetection
from keras_mtl.firmware_host.device.member import OpenMember
from keras_mtl.firmware_host.device.stream import Outputs, StreamLoop
from keras_mtl.tflite.artifact import Facts, Wiring


class LogMelStream:
    """Gives each frame as soon as all that its window reaches is there; zeros stand before the start.

    Example:
        >>> LogMelStream(LogMelSettings()).push(np.zeros(16_000, np.int16)).shape
        (94, 128)
    """

    def __init__(self, settings: LogMelSettings) -> None:
        self._settings = settings
        self._window, self._filters = frame_window(settings), mel_filters(settings)
        self.reset()

    def reset(self) -> None:
        """Starts anew."""
        # Frame 0 is centred on the first sample.
        self._held = np.zeros(self._settings.fft // 2)
        self._passed_over = 0  # samples to come that lie between two windows

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Takes samples and gives the frames that they complete.

        Args:
            samples: [samples] of one channel at the settings' rate, float in [-1, 1] or int16.

        Returns:
            float32 [frames, mel_bands], normalised log-mel.
        """
        scale = 1 / 32768 if samples.dtype == np.int16 else 1.0
        new = samples[self._passed_over :]
        self._passed_over -= len(samples) - len(new)
        held = np.concatenate([self._held, new.astype(np.float64) * scale])
        size, hop = self._settings.fft, self._settings.hop
        count = max(0, (len(held) - size) // hop + 1)
        self._held = held[count * hop :].copy()
        self._passed_over += max(0, count * hop - len(held))
        frames = [self._frame(held[first : first + size]) for first in range(0, count * hop, hop)]
        return np.array(frames, np.float32).reshape(count, self._settings.mel_bands)

    def _frame(self, samples: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfft(samples * self._window)) ** 2
        decibels = 10.0 * np.log10(np.maximum(power @ self._filters, self._settings.floor))
        return (decibels - self._settings.mean_db) / self._settings.std_db


@dataclass(frozen=True, eq=False)
class Trace:
    """All that comes of one step of the encoder, or of the end of a recording.

    Attributes:
        outputs: of the networks: log-mel, embedding, logits and probabilities, as integers.
        found: what became known, in steps and integers.
    """

    outputs: Outputs
    found: tuple[StepDetection, ...]


class StreamPredictor:
    """Predicts scenes and events of samples by a streaming artifact, from a start on."""

    def __init__(self, facts: Facts, wiring: Wiring, members: Mapping[str, OpenMember]) -> None:
        self._log_mel, self._port = LogMelStream(facts.features), members[wiring.encoder].inputs[0]
        self._loop, self.decoder = StreamLoop(wiring, members), DetectionDecoder(facts, wiring, members)

    def push(self, samples: np.ndarray) -> list[Detection]:
        """Takes samples [samples], float in [-1, 1] or int16, at the features' rate.

        Returns:
            What became known by them, in the order in which it did: the same however the samples are cut.
        """
        return self.push_log_mel(self._port.quantize(self._log_mel.push(samples)))

    def push_log_mel(self, frames: np.ndarray) -> list[Detection]:
        """As `push`, but takes log-mel frames [frames, mel_bands] in the encoder's input type."""
        return [detection for step in self.steps(frames) for detection in self._detections(step)]

    def finish(self) -> list[Detection]:
        """The end of a recording: decodes what was held back, and ends what lasts. Then it must be reset."""
        return self._detections(self.end())

    def steps(self, frames: np.ndarray) -> Iterator[Trace]:
        """Takes log-mel frames [frames, mel_bands] in the encoder's input type; yields all that comes of each step."""
        for outputs in self._loop.push(frames):
            yield Trace(outputs, tuple(self.decoder.push(outputs)))

    def end(self) -> Trace:
        """All that comes of the end of a recording."""
        outputs = self._loop.finish()
        return Trace(outputs, (*self.decoder.push(outputs), *self.decoder.finish()))

    def reset(self) -> None:
        """Starts anew."""
        self._log_mel.reset()
        self._loop.reset()
        self.decoder.reset()

    def _detections(self, trace: Trace) -> list[Detection]:
        return [self.decoder.in_seconds(each, trace.outputs.embeddings) for each in trace.found]
