"""The end of a recording that comes as a stream: an embedding for all of it, and no detection beyond it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from small_artifacts import make_streaming, make_two_state

from keras_mtl.core import LogMelSettings
from keras_mtl.firmware_host.device import BEGIN, END, SCENE, Detection, silence_after, within
from keras_mtl.firmware_host.device.detections import embeddings_of
from keras_mtl.firmware_host.device.predictor import LogMelStream
from keras_mtl.tflite.artifact import Stream

#: Features, and stride and latency of an encoder.
KINDS = {
    "mt": (LogMelSettings(), 4, 3),
    "window shorter than the FFT": (LogMelSettings(8000, window=300, fft=512, hop=97, mel_bands=20), 3, 1),
    "hop longer than the window, no latency": (LogMelSettings(8000, window=64, fft=64, hop=200, mel_bands=8), 1, 0),
    "hop as long as the window": (LogMelSettings(8000, window=64, fft=64, hop=64, mel_bands=4), 2, 2),
}
#: Predicts noise of so many samples by the artifact's real encoder, and prints how often that ran, and the detections.
_PROGRAM = """
import json, sys, tempfile
from dataclasses import replace
from pathlib import Path
import numpy as np
from keras_mtl.firmware_host.device import StreamPredictor, silence_after, within
from keras_mtl.firmware_host.engines.exchange import native_words
from keras_mtl.firmware_host.engines.interpreters import open_model
from keras_mtl.tflite.artifact import Artifact

artifact, lengths = Artifact.load(sys.argv[1]), json.loads(sys.argv[2])
wiring, settings, calls = artifact.wiring, artifact.facts.features, []
sound = np.random.default_rng(7).normal(0, 3000, max(lengths)).astype(np.int16)
with tempfile.TemporaryDirectory() as exchange, native_words(Path(exchange)):
    request = {"engine": "tflm", "arena_bytes": 1 << 22, "folder": exchange}
    members = {
        name: open_model(member.content, member.inputs, member.outputs, request)
        for name, member in artifact.members.items()
    }
    encoder = members[wiring.encoder]
    def counted(inputs):
        calls.append(1)
        return encoder.invoke(inputs)
    members[wiring.encoder] = replace(encoder, invoke=counted)
    predictor, found = StreamPredictor(artifact.facts, wiring, members), []
    for length in lengths:
        calls.clear()
        predictor.reset()
        before = predictor.push(sound[:length])
        silence = np.zeros(silence_after(length, settings, wiring.stream), np.int16)
        after = [*predictor.push(silence), *predictor.finish()]
        detections = [*before, *within(after, length / settings.sample_rate_hz, settings)]
        found.append([len(calls), [each.to_dict() for each in detections]])
print(json.dumps(found))
"""


def lengths_of(settings: LogMelSettings, stride: int, most: int) -> list[int]:
    """None, one, around a hop and a step, and at random."""
    step = settings.hop * stride
    around = [1, settings.hop - 1, settings.hop, settings.hop + 1, step - 1, step, step + 1, 7 * step]
    return [*around, *np.random.default_rng(1).integers(1, most, 40).tolist()]


def embeddings_goal(samples: int, hop: int, stride: int) -> int:
    return math.ceil(math.ceil(samples / hop) / stride)


@pytest.mark.parametrize("kind", KINDS)
def test_silence_completes_just_the_steps_of_the_recording(kind):
    """By the real front end: the encoder gets the frames that the recording's embeddings need, and no step more."""
    settings, stride, latency = KINDS[kind]
    stream = Stream(stride, latency, 0, ())
    assert (embeddings_of(0, settings, stream), silence_after(0, settings, stream)) == (0, 0)
    log_mel, held = LogMelStream(settings), settings.fft // 2
    for samples in lengths_of(settings, stride, 20_000):
        goal = embeddings_goal(samples, settings.hop, stride)
        assert embeddings_of(samples, settings, stream) == goal
        silence = silence_after(samples, settings, stream)
        log_mel.reset()
        frames = len(log_mel.push(np.zeros(samples + silence, np.int16)))
        assert frames // stride - latency == goal, samples
        # It is the least that does it: one sample less, and the last step is not whole.
        assert silence == 0 or (samples + silence - held) % settings.hop == 0
        assert silence <= (latency + 1) * stride * settings.hop + held


def test_a_predictor_gives_every_embedding_of_the_recording(builder, run_python, tmp_path):
    """Real networks, many lengths: so many embeddings, and no detection beyond the end."""
    kinds = {"one late": make_streaming(builder, "int8", event_hop=8), "causal": make_streaming(builder, "int8", 2)}
    kinds["two late"] = make_two_state(builder, "int16")
    for name, artifact in kinds.items():
        stream, settings = artifact.wiring.stream, artifact.facts.features
        lengths = lengths_of(settings, stream.stride, 30_000)
        told = run_python(_PROGRAM, str(artifact.save(tmp_path / name)), json.dumps(lengths))
        ends = set()
        for samples, (calls, detections) in zip(lengths, told, strict=True):
            assert calls - stream.latency == embeddings_goal(samples, settings.hop, stream.stride), (name, samples)
            end_s = round(samples / settings.sample_rate_hz, 6)
            for each in detections:
                assert 0 <= each["onset_s"] <= each["known_s"] <= end_s
                if each["kind"] == END:
                    assert each["onset_s"] < each["offset_s"] <= end_s
                    ends.add(each["offset_s"] == end_s)
        # Some events last to the very end, some do not.
        assert ends == {True, False}, name


def test_times_are_cut_to_the_recording():
    """With hops of 10 ms the last step of 1 s ends at 0.995 s: that is the end. Of 0.985 s it would end beyond it."""
    settings = LogMelSettings()
    detections = (
        Detection(SCENE, "park", 0.995, None, 0.5, 0.995),
        Detection(BEGIN, "bark", 0.955, None, None, 0.995),
        Detection(END, "bark", 0.955, 0.995, 0.75, 0.995),
        Detection(END, "bell", 0.5, 0.9, 0.75, 0.915),
    )
    for end_s in (1.0, 0.985):
        assert within(detections, end_s, settings) == (
            Detection(SCENE, "park", end_s, None, 0.5, end_s),
            Detection(BEGIN, "bark", 0.955, None, None, end_s),
            Detection(END, "bark", 0.955, end_s, 0.75, end_s),
            detections[3],
        )
    # A recording shorter than half a hop.
    assert within([Detection(END, "bark", 0.0, 0.035, 0.5, 0.035)], 0.001, settings) == (
        Detection(END, "bark", 0.0, 0.001, 0.5, 0.001),
    )
