"""The end of a recording that is heard as a stream: an embedding for all of it, and nothing told beyond it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import two_state_streams
from small_stream_sets import make_stream_set

from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.stream_ending import embeddings_of, silence_after, within
from keras_mtl.firmware_host.stream_levels import LevelStream
from keras_mtl.firmware_host.stream_listener import BEGIN, END, SCENE, Heard
from keras_mtl.tflite.stream_wiring import Stream

#: Features, and stride and latency of an encoder.
KINDS = {
    "mt": (LogMelSettings(), 4, 3),
    "window shorter than the FFT": (LogMelSettings(8000, window=300, fft=512, hop=97, mel_bands=20), 3, 1),
    "hop longer than the window, no latency": (LogMelSettings(8000, window=64, fft=64, hop=200, mel_bands=8), 1, 0),
    "hop as long as the window": (LogMelSettings(8000, window=64, fft=64, hop=64, mel_bands=4), 2, 2),
}
#: Hears noise of so many samples by the set's real encoder, and tells how often that ran, and what was told.
_PROGRAM = """
import json, sys, tempfile
from dataclasses import replace
from pathlib import Path
import numpy as np
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.device_loop import Member
from keras_mtl.firmware_host.engines.exchange import native_words
from keras_mtl.firmware_host.engines.tflm_worker import open_model
from keras_mtl.firmware_host.stream_ending import silence_after, within
from keras_mtl.firmware_host.stream_listener import StreamListener
from keras_mtl.tflite.artifact_set import ArtifactSet

artifacts, lengths = ArtifactSet.load(sys.argv[1]), json.loads(sys.argv[2])
wiring, settings, calls = artifacts.stream_wiring, LogMelSettings.from_dict(artifacts.manifest["features"]), []
sound = np.random.default_rng(7).normal(0, 3000, max(lengths)).astype(np.int16)
with tempfile.TemporaryDirectory() as exchange, native_words(Path(exchange)):
    members = {}
    for name, artifact in artifacts.members.items():
        model = open_model(artifact.content, {"arena_bytes": 1 << 22, "folder": exchange})
        members[name] = Member(model.invoke, artifact.manifest["inputs"], artifact.manifest["outputs"])
    encoder = members[wiring.encoder]
    def counted(inputs):
        calls.append(1)
        return encoder.invoke(inputs)
    members[wiring.encoder] = replace(encoder, invoke=counted)
    listener, told = StreamListener(artifacts.manifest, wiring, members), []
    for length in lengths:
        calls.clear()
        listener.reset()
        before = listener.push(sound[:length])
        silence = np.zeros(silence_after(length, settings, wiring.stream), np.int16)
        after = [*listener.push(silence), *listener.finish()]
        heard = [*before, *within(after, length / settings.sample_rate_hz, settings)]
        told.append([len(calls), [each.to_dict() for each in heard]])
print(json.dumps(told))
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
    levels, held = LevelStream(settings), settings.fft // 2
    for samples in lengths_of(settings, stride, 20_000):
        goal = embeddings_goal(samples, settings.hop, stride)
        assert embeddings_of(samples, settings, stream) == goal
        silence = silence_after(samples, settings, stream)
        levels.reset()
        frames = len(levels.push(np.zeros(samples + silence, np.int16)))
        assert frames // stride - latency == goal, samples
        # It is the least that does it: one sample less, and the last step is not whole.
        assert silence == 0 or (samples + silence - held) % settings.hop == 0
        assert silence <= (latency + 1) * stride * settings.hop + held


def test_a_listener_gives_every_embedding_of_the_recording(builder, run_python, tmp_path):
    """Real networks, many lengths: so many embeddings, and nothing is told beyond the end."""
    sets = {"one late": make_stream_set(builder, "int8", event_hop=8), "causal": make_stream_set(builder, "int8", 2)}
    sets["two late"] = two_state_streams.make_stream_set(builder, "int16", False)
    for name, artifacts in sets.items():
        stream, settings = artifacts.stream_wiring.stream, LogMelSettings.from_dict(artifacts.manifest["features"])
        lengths = lengths_of(settings, stream.stride, 30_000)
        told = run_python(_PROGRAM, str(artifacts.save(tmp_path / name)), json.dumps(lengths))
        ends = set()
        for samples, (calls, heard) in zip(lengths, told, strict=True):
            assert calls - stream.latency == embeddings_goal(samples, settings.hop, stream.stride), (name, samples)
            end_s = round(samples / settings.sample_rate_hz, 6)
            for each in heard:
                assert 0 <= each["onset_s"] <= each["known_s"] <= end_s
                if each["kind"] == END:
                    assert each["onset_s"] < each["offset_s"] <= end_s
                    ends.add(each["offset_s"] == end_s)
        # Some events last to the very end, some do not.
        assert ends == {True, False}, name


def test_times_are_cut_to_the_recording():
    """With hops of 10 ms the last step of 1 s ends at 0.995 s: that is the end. Of 0.985 s it would end beyond it."""
    settings = LogMelSettings()
    heard = (
        Heard(SCENE, "park", 0.995, None, 0.5, 0.995),
        Heard(BEGIN, "bark", 0.955, None, None, 0.995),
        Heard(END, "bark", 0.955, 0.995, 0.75, 0.995),
        Heard(END, "bell", 0.5, 0.9, 0.75, 0.915),
    )
    for end_s in (1.0, 0.985):
        assert within(heard, end_s, settings) == (
            Heard(SCENE, "park", end_s, None, 0.5, end_s),
            Heard(BEGIN, "bark", 0.955, None, None, end_s),
            Heard(END, "bark", 0.955, end_s, 0.75, end_s),
            heard[3],
        )
    # A recording shorter than half a hop.
    assert within([Heard(END, "bark", 0.0, 0.035, 0.5, 0.035)], 0.001, settings) == (
        Heard(END, "bark", 0.0, 0.001, 0.5, 0.001),
    )
