"""Streaming artifacts of scenes alone, and what streaming takes off the multiply-accumulates of both tasks."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from event_networks import CLIP, SECOND, SETTINGS, clips, computes_the_network, run_of, small_network

from keras_mtl.cli import group
from keras_mtl.core import DCASE, ConversionError, RunError
from keras_mtl.cost import cost
from keras_mtl.decoding import DecodeSettings
from keras_mtl.firmware_host.bundle import verify_bundle
from keras_mtl.models import build
from keras_mtl.runs import Samples, save_samples
from keras_mtl.tflite.artifact import Artifact, Recurrent, Stream, Wiring
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.convert.stage import golden_recording
from keras_mtl.tflite.qat import as_network
from keras_mtl.tflite.quantize import quantize_network

#: Of the run: not the defaults, and with a class of the events, which are no part of the artifact.
DECODE = DecodeSettings(
    0.4, 0.2, hysteresis=0.1, scene_weight=0.8, scene_hold_calls=2, classes={"Dog": {"median_s": 99.0}}
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Of a network of both tasks that is quantized for the scenes only: one graph of encoder and scene head."""
    network = small_network()
    quantized = quantize_network(network, "int8", {"scenes": clips(12, SECOND)})
    return run_of(tmp_path_factory.mktemp("scenes"), network, quantized, tasks=["scenes"], decode=DECODE)


@pytest.fixture(scope="module")
def artifact(run, tmp_path_factory):
    """Made by the command, since a conversion takes its time."""
    out = tmp_path_factory.mktemp("made")
    arguments = ["convert", str(run.path), "--schedule", "stream", "--format", "int8", "--out", str(out), "--json"]
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["path"] == str(out / "artifact.json")
    return Artifact.load(out)


@pytest.mark.parametrize("engine", ["tflm", "litert"])
def test_engines_compute_what_the_network_computes(artifact, engine):
    computes_the_network(engine, artifact)


def test_scenes_alone(artifact):
    assert [*artifact.members] == ["encoder_step", "scene_head"]
    manifest = artifact.manifest
    assert (manifest["part"], manifest["schedule"]) == ("scenes", "stream")
    assert [*manifest["labels"]] == [*manifest["latency_s"]] == [*manifest["rings"]] == ["scenes"]
    assert manifest["decoding"] == asdict(replace(DECODE, classes={}))
    assert "cells" not in manifest
    assert [*manifest["buffers"]] == ["ring", "encoder_states"]
    # The run has six golden seconds: a recording has ten, the first ones again.
    recording = artifact.golden.inputs["recording"]
    assert len(recording) == 10 * SECOND
    np.testing.assert_array_equal(recording[: 4 * SECOND], recording[6 * SECOND :])


@pytest.mark.slow
def test_one_file_and_a_stream_of_the_same_run_have_the_same_scene_decoder(run, artifact):
    """By default scenes are one file; what its decoder takes is what the stream's takes at a call."""
    whole = convert(run, "scenes", "int8")
    assert (whole.streams, whole.facts.part) == (False, "scenes")
    parts = {name: member.macs for name, member in artifact.members.items()}
    assert whole.network.macs == SECOND // 4 * parts["encoder_step"] + parts["scene_head"]
    assert artifact.wiring.scene_ring == SECOND // 4


def test_commands_take_scenes_alone(artifact, tmp_path):
    saved, run = str(artifact.save(tmp_path / "made")), CliRunner().invoke
    done = run(group, ["emulate", saved, "--target", "stm32h743", "--engine", "litert", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert {"parity_lsb", "arena_bytes", "audio_latency_s"} <= {check["name"] for check in report["checks"]}
    assert report["artifact"]["latency_s"] == artifact.manifest["latency_s"]
    shown = run(group, ["emulate", saved, "--target", "stm32h743", "--engine", "tflm"])
    assert "latency   at most, computing not counted: scenes 0.304 s" in shown.stdout
    done = run(group, ["bundle", saved, "--target", "stm32h743", "--out", str(tmp_path / "firmware")])
    assert done.exit_code == 0, done.output
    assert verify_bundle(tmp_path / "firmware").passed
    assert "&scenes" in (tmp_path / "firmware" / "listener.c").read_text()
    noise = np.random.default_rng(2).normal(0, 3000, 3 * SETTINGS.sample_rate_hz).astype(np.int16)
    found = run(group, ["listen", "-", "--model", saved, "--engine", "tflm", "--json"], input=noise.tobytes())
    assert found.exit_code == 0, found.output
    *scenes, end = (json.loads(line) for line in found.stdout.splitlines())
    assert scenes
    assert {each["kind"] for each in scenes} == {"scene"}
    assert {each["label"] for each in scenes} <= {*artifact.manifest["labels"]["scenes"]}
    assert (end["kind"], end["duration_s"]) == ("end", 3.0)


def test_scenes_alone_that_can_not_be_converted_are_refused(run, tmp_path):
    tfmot = replace(run, info={**run.info, "engine": "tfmot"})
    with pytest.raises(ConversionError, match="by tfmot, whose model can't be taken apart") as refused:
        convert(tfmot, "scenes", "int8", "stream")
    assert "--engine native" in refused.value.hint
    with pytest.raises(ConversionError, match="quantized to int8, so it gives no int16x8"):
        convert(run, "scenes", "int16x8", "stream")
    save_samples(tmp_path, Samples(clips(1, SECOND), clips(0, SECOND)))
    with pytest.raises(RunError, match="holds no golden clips"):
        convert(replace(run, path=tmp_path), "scenes", "int8", "stream")


def test_a_scene_part_taken_apart_is_the_scene_part(run):
    twin = run.load_keras("qat.keras")
    network = as_network(twin)
    log_mel = clips(3, SECOND, 5)[..., None]
    np.testing.assert_array_equal(network(log_mel)["scenes"], twin(log_mel))
    assert as_network(network) is network
    beside = keras.layers.Add()([twin.output, keras.layers.Dense(10)(keras.layers.Flatten()(twin.input))])
    with pytest.raises(ConversionError, match="reads more of the encoder than its embeddings"):
        as_network(keras.Model(twin.input, beside, name="beside"))


def test_golden_recording_is_of_events_where_there_are_some():
    seconds, events = clips(3, SECOND), clips(4, CLIP)
    np.testing.assert_array_equal(golden_recording(Samples(seconds, seconds, events)), np.concatenate(events[:3]))
    alone = golden_recording(Samples(seconds, seconds))
    np.testing.assert_array_equal(alone, np.concatenate([*seconds, *seconds, *seconds, seconds[0]]))
    assert not len(golden_recording(Samples(seconds, seconds[:0])))


def test_golden_recording_fills_the_ring_of_scenes_longer_than_the_events():
    scenes, events = clips(3, 4 * CLIP), clips(2, CLIP)
    recording = golden_recording(Samples(scenes, scenes, events))
    np.testing.assert_array_equal(recording, np.concatenate([*events] * 4))
    assert len(recording) == 2 * scenes.shape[1]


def test_documents_have_the_macs_of_streaming_artifacts(repository):
    """Of `cnn`, `crnn` and `mt`, whose encoders are alike: what a member takes at a call is what its layers take."""
    page = (repository.root / "docs" / "device.md").read_text()
    taken = {ahead: macs_of_members(ahead) for ahead in (None, 5)}
    rows = (
        ("default hops: 5 and 230 steps", None, 5, None),
        ("`--event-hop 240`", None, 5, 240),
        ("`--event-hop 244`", None, 5, 244),
        ("`--scene-hop 10`", None, 10, None),
        ("`--scene-hop 10 --event-hop 240`", None, 10, 240),
        ("causal, default hop", 5, 5, None),
    )
    for words, ahead, scene_hop, event_hop in rows:
        alone, sides, both = (
            round(sum(taken[ahead][name] * calls for name, calls in calls_of(tasks, ahead, scene_hop, event_hop)))
            for tasks in ((True, False), (False, True), (True, True))
        )
        assert alone + sides - both == 28_800_000
        less = 100 * (1 - both / (alone + sides))
        row = f"| {words} | {alone:,} | {sides:,} | {alone + sides:,} | {both:,} | {less:.3f} % |"
        assert row in page, row


def calls_of(tasks, ahead, scene_hop, event_hop):
    """Name and calls a second of each member of an artifact of `mt` or of one of its halves."""
    scenes, events = tasks
    layers = tuple(Recurrent(f"{n}_f", f"{n}_b" if ahead is None else None) for n in (1, 2))
    wiring = Wiring(encoder="encoder", scene_head="scenes" if scenes else "", scene_ring=25 if scenes else 0)
    if events:
        wiring = replace(wiring, recurrent=layers, classifiers="events", look_ahead=ahead or 0)
        wiring = replace(wiring, event_ring=250 if ahead is None else 0)
    stream = wiring.streaming(Stream(4, 3, 3), scene_hop, event_hop if events else None)
    return stream.calls_per_second(100.0).items()


def macs_of_members(ahead):
    """MACs of one call of each member, from the network."""
    options = {} if ahead is None else {"bidirectional": False, "look_ahead": ahead}
    rows = {row.name: row.macs for row in cost(build("mt", DCASE, frames=100, options=options), 1.0).rows}
    cells = ("bigru", 2) if ahead is None else ("gru", 1)
    macs = {"encoder": sum(rows[f"conv_{n}"] for n in range(1, 7)) / 25}
    macs["scenes"] = sum(
        rows[name] for name in ("attention_hidden", "attention_score", "weighted_mean", "scene_logits")
    )
    macs["events"] = (rows["strong"] + rows["event_attention"]) / 25
    for n in (1, 2):
        macs[f"{n}_f"] = macs[f"{n}_b"] = rows[f"{cells[0]}_{n}"] / 25 / cells[1]
    return macs


@pytest.mark.slow
def test_scenes_alone_in_16_bits(tmp_path):
    network = small_network()
    quantized = quantize_network(network, "int16x8", {"scenes": clips(12, SECOND)})
    made = convert(run_of(tmp_path, network, quantized, tasks=["scenes"]), "scenes", "int16x8", "stream")
    for engine in ("tflm", "litert"):
        computes_the_network(engine, made)
