"""Streaming sets of quantized networks: what the engines hear of a recording is what the network hears of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from event_networks import CLIP, SECOND, SETTINGS, clips, run_of, small_network

from keras_mtl.bootstrap import Bootstrap
from keras_mtl.cli import group
from keras_mtl.cli.listeners import open_listener
from keras_mtl.datasets.corpus import open_corpus
from keras_mtl.errors import ArtifactError, ConversionError
from keras_mtl.evaluation import evaluate
from keras_mtl.firmware_host.engines.set_runner import run_set
from keras_mtl.firmware_host.engines.stream_set_runner import run_stream_set
from keras_mtl.firmware_host.stream_set_emulator import emulate_stream_set
from keras_mtl.firmware_host.target import load_target
from keras_mtl.tflite.artifact_set import ArtifactSet
from keras_mtl.tflite.convert_set import convert_set
from keras_mtl.tflite.qat import quantize_network
from keras_mtl.tflite.stream_set_convert import convert_stream_set

CALIBRATION = {"scenes": clips(12, SECOND), "events": clips(4, CLIP)}
#: Steps of a clip, which are those of the ring.
RING = CLIP // 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    network = small_network()
    return run_of(tmp_path_factory.mktemp("int8"), network, quantize_network(network, "int8", CALIBRATION))


@pytest.fixture(scope="module")
def artifacts(run, tmp_path_factory):
    """Made by the command, since a conversion takes its time."""
    out = tmp_path_factory.mktemp("set")
    arguments = ["convert", str(run.path), "--part", "stream", "--format", "int8", "--out", str(out), "--json"]
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 0, done.output
    return ArtifactSet.load(json.loads(done.stdout)["set"])


def hears_the_network(engine, artifacts):
    golden, wiring = artifacts.golden, artifacts.stream_wiring
    heard = run_stream_set(engine, artifacts, golden["recording"])
    step = artifacts.members[wiring.scene_head].manifest["outputs"][0]["scale"]
    assert np.abs(heard.scenes - golden["scenes"]).max() <= 2.01 * step
    assert np.abs(heard.strong - golden["strong"]).max() < 0.01
    assert np.ptp(golden["strong"]) > 0.2
    embeddings = len(golden["recording"]) // 4 - wiring.stream.latency
    assert heard.calls.tolist() == list(range(25, embeddings + 1, 5))
    assert len(heard.strong) == embeddings


@pytest.mark.parametrize("engine", ["tflm", "litert"])
def test_engines_hear_what_the_network_hears(artifacts, engine):
    hears_the_network(engine, artifacts)


def test_it_is_scored_from_its_files(run, artifacts, tmp_path):
    """A clip's beginning and end are heard otherwise than by the network that hears the clip at once."""
    heard, goal = open_listener(artifacts.save(tmp_path / "set")), open_listener(run.path)
    clip = clips(2, CLIP, 9) * SETTINGS.std_db + SETTINGS.mean_db
    second = clips(5, SECOND, 9) * SETTINGS.std_db + SETTINGS.mean_db
    for found, expected in zip(heard.event_probabilities(clip), goal.event_probabilities(clip), strict=True):
        assert np.abs(found - expected).mean() < 0.02
    assert np.abs(heard.scene_logits(second) - goal.scene_logits(second)).mean() < 0.5
    assert heard.event_probabilities(clip[:, :200])[0].shape == (2, 50, 10)
    figures = evaluate(heard, open_corpus("soundscapes:tiny", tmp_path), tmp_path, Bootstrap(0))
    assert figures["scenes"]["clips"] and figures["events"]["clips"]


@pytest.mark.slow
def test_events_are_those_of_the_set_that_hears_clips(run, artifacts):
    """Within a turn, away from where a clip's beginning or end is heard otherwise than a stream."""
    wiring = artifacts.stream_wiring
    assert (wiring.event_ring, wiring.event_hop) == (RING, RING - 2 * (RING // 20))
    windowed = convert_set(run, "joint", "int8")
    recording = artifacts.golden["recording"]
    whole = run_set("tflm", windowed, clips=recording[None, :CLIP, :, None]).strong[0]
    heard = run_stream_set("tflm", artifacts, recording[:CLIP]).strong
    # States forget: far from the ends, a clip and a stream say the same to within the last places.
    middle = slice(RING // 3, 2 * RING // 3)
    assert np.abs(heard[middle] - whole[middle]).max() < 0.02


def test_report(artifacts):
    report = emulate_stream_set(artifacts, load_target("stm32h743"), ["litert"])
    assert report.passed, report.failures()
    members = report.artifact["members"]
    calls = artifacts.stream_wiring.calls_per_second(100.0)
    assert report.artifact["macs_per_second"] == round(sum(calls[name] * members[name]["macs"] for name in members))
    assert calls["encoder_step"] == 25


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(run, artifacts):
    again = convert_stream_set(run, "int8")
    assert again.manifest == artifacts.manifest
    assert all(again.members[name].content == artifacts.members[name].content for name in artifacts.members)


def test_what_can_not_be_converted_is_refused(run, tmp_path):
    arguments = ["convert", str(run.path), "--format", "int8", "--out"]
    file = CliRunner().invoke(group, [*arguments, str(tmp_path / "a.tflite"), "--part", "stream"])
    assert file.exit_code == 2
    assert "--part stream-encoder makes one file" in file.output
    hop = CliRunner().invoke(group, [*arguments, str(tmp_path / "b"), "--part", "joint", "--event-hop", "5"])
    assert hop.exit_code == 2
    assert "belong to a streaming set" in hop.output
    with pytest.raises(ConversionError, match="quantized to int8, so it gives no int16x8"):
        convert_stream_set(run, "int16x8")
    with pytest.raises(ConversionError, match="not quantized"):
        convert_stream_set(run_of(tmp_path, small_network()), "int8")


@pytest.mark.slow
def test_a_hop_longer_than_the_ring_is_refused(run):
    with pytest.raises(ArtifactError, match=f"event hop of {RING + 1} steps"):
        convert_stream_set(run, "int8", event_hop=RING + 1)


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "ahead"), [("int16x8", None), ("int8", 3)])
def test_other_networks(tmp_path, scheme, ahead):
    network = small_network(**({} if ahead is None else {"bidirectional": False, "look_ahead": ahead}))
    made = convert_stream_set(run_of(tmp_path, network, quantize_network(network, scheme, CALIBRATION)), scheme)
    assert made.stream_wiring.event_ring == (RING if ahead is None else 0)
    for engine in ("tflm", "litert"):
        hears_the_network(engine, made)
