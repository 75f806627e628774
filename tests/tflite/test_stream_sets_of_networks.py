"""Streaming sets of quantized networks: what the engines hear of a recording is what the network hears of it."""

from __future__ import annotations

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from event_networks import CLIP, SECOND, SETTINGS, clips, run_of, small_network

from keras_mtl.bootstrap import Bootstrap
from keras_mtl.cli import group
from keras_mtl.cli.listeners import open_listener
from keras_mtl.cost import cost
from keras_mtl.datasets.corpus import open_corpus
from keras_mtl.errors import ArtifactError, ConversionError, RunError
from keras_mtl.evaluation import evaluate
from keras_mtl.firmware_host.bundle import verify_bundle
from keras_mtl.firmware_host.engines.set_runner import run_set
from keras_mtl.firmware_host.engines.stream_set_runner import run_stream_set
from keras_mtl.firmware_host.stream_set_emulator import emulate_stream_set
from keras_mtl.firmware_host.target import load_target
from keras_mtl.models import build
from keras_mtl.run_folder import Samples, save_samples
from keras_mtl.tflite.artifact_set import ArtifactSet
from keras_mtl.tflite.convert_set import convert_set
from keras_mtl.tflite.qat import quantize, quantize_network
from keras_mtl.tflite.qat_scene_parts import as_network
from keras_mtl.tflite.stream_set_convert import convert_stream_set, golden_recording
from keras_mtl.tflite.stream_set_wiring import StreamWiring
from keras_mtl.tflite.stream_wiring import Stream
from keras_mtl.tflite.wiring import Recurrent, Windows, Wiring

CALIBRATION = {"scenes": clips(12, SECOND), "events": clips(4, CLIP)}
#: Steps of a clip, which are those of the ring.
RING = CLIP // 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    network = small_network()
    return run_of(tmp_path_factory.mktemp("int8"), network, quantize_network(network, "int8", CALIBRATION))


@pytest.fixture(scope="module")
def scene_run(tmp_path_factory):
    """Of a network of both tasks that is quantized for the scenes only: one graph of encoder and scene head."""
    network = small_network()
    quantized = quantize(network, "int8", CALIBRATION["scenes"])
    return run_of(tmp_path_factory.mktemp("scenes"), network, quantized, tasks=["scenes"])


def converted(run, out):
    """Made by the command, since a conversion takes its time."""
    arguments = ["convert", str(run.path), "--part", "stream", "--format", "int8", "--out", str(out), "--json"]
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 0, done.output
    return ArtifactSet.load(json.loads(done.stdout)["set"])


@pytest.fixture(scope="module")
def artifacts(run, tmp_path_factory):
    return converted(run, tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def scene_set(scene_run, tmp_path_factory):
    return converted(scene_run, tmp_path_factory.mktemp("set"))


def hears_the_network(engine, artifacts):
    golden, wiring = artifacts.golden, artifacts.stream_wiring
    heard = run_stream_set(engine, artifacts, golden["recording"])
    step = artifacts.members[wiring.scene_head].manifest["outputs"][0]["scale"]
    assert np.abs(heard.scenes - golden["scenes"]).max() <= 2.01 * step
    assert np.ptp(golden["scenes"], axis=0).max() > 10 * step
    embeddings = len(golden["recording"]) // 4 - wiring.stream.latency
    assert heard.calls.tolist() == list(range(25, embeddings + 1, 5))
    if not wiring.recurrent:
        assert heard.strong is None
        return
    assert np.abs(heard.strong - golden["strong"]).max() < 0.01
    assert np.ptp(golden["strong"]) > 0.2
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
    assert (wiring.event_ring, wiring.event_hop) == (RING, RING - 2 * (RING // 25))
    windowed = convert_set(run, "joint", "int8")
    recording = artifacts.golden["recording"]
    whole = run_set("tflm", windowed, clips=recording[None, :CLIP, :, None]).strong[0]
    heard = run_stream_set("tflm", artifacts, recording[:CLIP]).strong
    # States forget: far from the ends, a clip and a stream say the same to within the last places.
    middle = slice(RING // 3, 2 * RING // 3)
    assert np.abs(heard[middle] - whole[middle]).max() < 0.02


def test_a_prediction_is_what_listen_tells(artifacts, tmp_path):
    folder, wav, picture = artifacts.save(tmp_path / "set"), tmp_path / "sound.wav", tmp_path / "sound.png"
    time_s = np.arange(20 * SETTINGS.sample_rate_hz) / SETTINGS.sample_rate_hz
    loud = np.repeat(np.random.default_rng(3).uniform(0, 0.3, 40) ** 2, len(time_s) // 40)
    soundfile.write(
        wav, loud * np.sin(2 * np.pi * 900 * time_s * (1 + 0.2 * np.floor(time_s))), SETTINGS.sample_rate_hz
    )
    told = CliRunner().invoke(group, ["listen", str(wav), "--model", str(folder), "--json"])
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    done = CliRunner().invoke(group, ["predict", str(wav), "--model", str(folder), "--plot", str(picture), "--json"])
    assert done.exit_code == 0, done.output
    (heard,) = json.loads(done.stdout)["files"]
    assert heard["duration_s"] == 20.0
    goal = {(round(line["onset_s"], 3), line["label"]) for line in lines if line["kind"] == "event_end"}
    assert {(each["onset_s"], each["label"]) for each in heard["events"]} == goal
    assert [each["label"] for each in heard["scenes"]] == [line["label"] for line in lines if line["kind"] == "scene"]
    assert heard["scenes"][-1]["offset_s"] == 20.0
    assert sum(heard["scene_scores"].values()) == pytest.approx(1, abs=1e-5)
    assert goal
    assert picture.stat().st_size > 10_000
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(8000), SETTINGS.sample_rate_hz)
    done = CliRunner().invoke(group, ["predict", str(short), "--model", str(folder), "--json"])
    (heard,) = json.loads(done.stdout)["files"]
    assert (heard["scene"], heard["scene_scores"], heard["scenes"]) == (None, None, [])
    soundfile.write(short, np.zeros(800), SETTINGS.sample_rate_hz)
    refused = CliRunner().invoke(group, ["predict", str(short), "--model", str(folder)])
    assert "holds 50 ms of audio" in str(refused.exception)


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


@pytest.mark.parametrize("engine", ["tflm", "litert"])
def test_engines_hear_scenes_alone(scene_set, engine):
    hears_the_network(engine, scene_set)


def test_a_set_of_scenes_alone(scene_set):
    assert [*scene_set.members] == ["encoder_step", "scene_head"]
    manifest = scene_set.manifest
    assert [*manifest["labels"]] == [*manifest["latency_s"]] == [*manifest["rings"]] == ["scenes"]
    assert "cells" not in manifest
    assert [*manifest["buffers"]] == ["ring", "encoder_states"]
    # The run has six golden seconds: ten are heard, the first ones again.
    recording = scene_set.golden["recording"]
    assert len(recording) == 10 * SECOND
    np.testing.assert_array_equal(recording[: 4 * SECOND], recording[6 * SECOND :])


def test_its_files_take_what_those_of_the_set_of_both_tasks_take(scene_set, artifacts):
    alone, both = scene_set.manifest, artifacts.manifest
    for name, told in alone["members"].items():
        assert both["members"][name]["macs"] == told["macs"] > 0
        assert both["calls_per_second"][name] == alone["calls_per_second"][name]


def test_documents_have_the_macs_of_streaming_sets(repository):
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
        told = f"| {words} | {alone:,} | {sides:,} | {alone + sides:,} | {both:,} | {less:.3f} % |"
        assert told in page, told


def calls_of(tasks, ahead, scene_hop, event_hop):
    """Name and calls a second of each member of a set of `mt` or of one of its halves."""
    scenes, events = tasks
    layers = tuple(Recurrent(f"{n}_f", f"{n}_b" if ahead is None else None) for n in (1, 2))
    wiring = Wiring(Windows(100, 4, 3, 22), scene_head="scenes" if scenes else "")
    if events:
        wiring = replace(wiring, clip_frames=1000, recurrent=layers, classifiers="events", look_ahead=ahead or 0)
    stream = StreamWiring.of(wiring, Stream(4, 3, 3, ()), "encoder", scene_hop, event_hop if events else None)
    return stream.calls_per_second(100.0).items()


def macs_of_members(ahead):
    """MACs of one call of each member, from the network."""
    options = {} if ahead is None else {"bidirectional": False, "look_ahead": ahead}
    rows = {row.name: row.macs for row in cost(build("mt", frames=100, options=options), 1.0).rows}
    cells = ("bigru", 2) if ahead is None else ("gru", 1)
    macs = {"encoder": sum(rows[f"conv_{n}"] for n in range(1, 7)) / 25}
    macs["scenes"] = sum(
        rows[name] for name in ("attention_hidden", "attention_score", "weighted_mean", "scene_logits")
    )
    macs["events"] = (rows["strong"] + rows["event_attention"]) / 25
    for n in (1, 2):
        macs[f"{n}_f"] = macs[f"{n}_b"] = rows[f"{cells[0]}_{n}"] / 25 / cells[1]
    return macs


def test_a_scene_part_taken_apart_is_the_scene_part(scene_run):
    twin = scene_run.load_keras("qat.keras")
    network = as_network(twin)
    heard = clips(3, SECOND, 5)[..., None]
    np.testing.assert_array_equal(network(heard)["scenes"], twin(heard))
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


def test_commands_take_scenes_alone(scene_set, tmp_path):
    saved, run = str(scene_set.save(tmp_path / "set")), CliRunner().invoke
    done = run(group, ["emulate", saved, "--target", "stm32h743", "--engine", "litert", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert {"parity_lsb", "arena_bytes", "audio_latency_s"} <= {check["name"] for check in report["checks"]}
    assert report["artifact"]["latency_s"] == scene_set.manifest["latency_s"]
    shown = run(group, ["emulate", saved, "--target", "stm32h743", "--engine", "tflm"])
    assert "latency   at most, computing not counted: scenes 0.304 s" in shown.stdout
    done = run(group, ["bundle", saved, "--target", "stm32h743", "--out", str(tmp_path / "firmware")])
    assert done.exit_code == 0, done.output
    assert verify_bundle(tmp_path / "firmware").passed
    assert "&scenes" in (tmp_path / "firmware" / "listener.c").read_text()
    noise = np.random.default_rng(2).normal(0, 3000, 3 * SETTINGS.sample_rate_hz).astype(np.int16)
    heard = run(group, ["listen", "-", "--model", saved, "--engine", "tflm", "--json"], input=noise.tobytes())
    assert heard.exit_code == 0, heard.output
    *scenes, end = (json.loads(line) for line in heard.stdout.splitlines())
    assert scenes
    assert {each["kind"] for each in scenes} == {"scene"}
    assert {each["label"] for each in scenes} <= {*scene_set.manifest["labels"]["scenes"]}
    assert (end["kind"], end["duration_s"]) == ("end", 3.0)


def test_scenes_alone_that_can_not_be_converted_are_refused(scene_run, tmp_path):
    tfmot = replace(scene_run, info={**scene_run.info, "engine": "tfmot"})
    with pytest.raises(ConversionError, match="by tfmot, whose model can't be taken apart") as refused:
        convert_stream_set(tfmot, "int8")
    assert "--engine native" in refused.value.hint
    with pytest.raises(ConversionError, match="quantized to int8, so it gives no int16x8"):
        convert_stream_set(scene_run, "int16x8")
    save_samples(tmp_path, Samples(clips(1, SECOND), clips(0, SECOND)))
    with pytest.raises(RunError, match="holds no golden clips"):
        convert_stream_set(replace(scene_run, path=tmp_path), "int8")


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
    with pytest.raises(ConversionError, match="not quantized") as refused:
        convert_stream_set(run_of(tmp_path, small_network()), "int8")
    assert "--part joint" in refused.value.hint
    save_samples(tmp_path, Samples(clips(1, SECOND), clips(1, SECOND)))
    with pytest.raises(RunError, match="holds no golden clips of events"):
        convert_stream_set(replace(run, path=tmp_path), "int8")


@pytest.mark.slow
def test_a_hop_longer_than_the_ring_is_refused(run):
    with pytest.raises(ArtifactError, match=f"event hop of {RING + 1} steps"):
        convert_stream_set(run, "int8", event_hop=RING + 1)


@pytest.mark.slow
def test_scenes_alone_in_16_bits(tmp_path):
    network = small_network()
    quantized = quantize(network, "int16x8", CALIBRATION["scenes"])
    made = convert_stream_set(run_of(tmp_path, network, quantized, tasks=["scenes"]), "int16x8")
    for engine in ("tflm", "litert"):
        hears_the_network(engine, made)


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "ahead"), [("int16x8", None), ("int8", 3)])
def test_other_networks(tmp_path, scheme, ahead):
    network = small_network(**({} if ahead is None else {"bidirectional": False, "look_ahead": ahead}))
    made = convert_stream_set(run_of(tmp_path, network, quantize_network(network, scheme, CALIBRATION)), scheme)
    assert made.stream_wiring.event_ring == (RING if ahead is None else 0)
    for engine in ("tflm", "litert"):
        hears_the_network(engine, made)
