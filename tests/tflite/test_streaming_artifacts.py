"""Streaming artifacts of networks of both tasks: what engines compute of a recording is what the network computes."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from event_networks import CLIP, SECOND, SETTINGS, clips, computes_the_network, run_of, small_network

from keras_mtl.cli import group
from keras_mtl.core import DCASE, ArtifactError, ConversionError, RunError
from keras_mtl.datasets import open_corpus
from keras_mtl.decoding import DecodeSettings, median_filter
from keras_mtl.firmware_host.device import score_embeddings
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.engines import ENGINES, run
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.metrics import Bootstrap, evaluate
from keras_mtl.models import build, build_mt
from keras_mtl.predictors import open_predictor
from keras_mtl.runs import save_samples
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import METADATA_NAME, Artifact, Golden, Wiring
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.convert.plans import build_decoders, wire
from keras_mtl.tflite.qat import FakeQuant
from keras_mtl.tflite.quantize import quantize_network

PAIRS = {"int8": "int16x8", "int16x8": "int16x8", "cells8": "int8"}
#: Frames of a golden clip: ten seconds, 250 embeddings, but where 8-bit states would drift.
FRAMES = {"int8": 1000, "int16x8": 1000, "cells8": CLIP}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    network, calibration = small_network(), {"scenes": clips(12, SECOND), "events": clips(4, CLIP)}
    found = {"float": run_of(tmp_path_factory.mktemp("float"), network)}
    for name, cells in PAIRS.items():
        scheme = "int8" if name == "cells8" else name
        made = quantize_network(network, scheme, calibration, cells=cells)
        found[name] = run_of(tmp_path_factory.mktemp(name), network, made, cells, clip=FRAMES[name])
    return found


@pytest.fixture(scope="module")
def converted(runs, tmp_path_factory):
    """What the command says of the conversion in 8 bits, which is made by it since a conversion takes its time."""
    out = tmp_path_factory.mktemp("made")
    (out / "other").touch()
    arguments = ["convert", str(runs["int8"].path), "--part", "joint", "--format", "int8", "--out", str(out), "--json"]
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 0, done.output
    return out, json.loads(done.stdout)


@pytest.fixture(scope="module")
def artifacts(runs, converted):
    made = {name: convert(runs[name], "joint", "int8" if name == "cells8" else name) for name in [*PAIRS][1:]}
    return {"int8": Artifact.load(converted[1]["path"]), **made}


@pytest.mark.parametrize("name", PAIRS)
def test_every_scale_in_a_file_is_the_layers_own(runs, artifacts, name):
    """Exactly, layer by layer: what QAT rounds to is what the file holds."""
    network, artifact = runs[name].load_keras("qat.keras"), artifacts[name]
    models = {artifact.wiring.encoder: network.get_layer("encoder"), **build_decoders(network, artifact.wiring)}
    assert [*models] == [*artifact.members]
    for member, model in models.items():
        own = {one.scale_and_zero_point() for one in model._flatten_layers() if isinstance(one, FakeQuant)}
        tree = artifact.members[member].model
        constants = {id(t) for t in tree.subgraphs[0].tensors if flatbuffer.constant(tree, t) is not None}
        held = set()
        for tensor in tree.subgraphs[0].tensors:
            found = flatbuffer.quantization(tensor)
            if found is not None and id(tensor) not in constants:
                held.add((found.scale[0], found.zero_point[0]))
        # What the format fixes: sigmoid and tanh of 16 bits, softmax of 16 bits.
        assert held - own <= {(2.0**-15, 0)}, member
        assert len(held & own) >= 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PAIRS)
def test_engines_compute_what_the_network_computes(artifacts, name, engine):
    """Thirty seconds of ten a pass, where states have 16 bits: what is off must not add up."""
    artifact = artifacts[name]
    assert artifact.wiring.event_ring == FRAMES[name] // 4
    found = computes_the_network(engine, artifact, 0.06 if name == "cells8" else 0.01)
    if name == "cells8":  # 8-bit states are off by steps of 1/128
        return
    # An untrained network is undecided all the time. Where it is not, within 0.01, all decisions are the same.
    filtered = [median_filter(each, 11) for each in (found.outputs["strong"], artifact.golden.outputs["strong"])]
    differs = (filtered[0] > 0.5) != (filtered[1] > 0.5)
    assert differs.mean() < 0.01
    assert np.abs(filtered[1][differs] - 0.5).max(initial=0.0) < 0.01
    assert 0.2 < (filtered[1] > 0.5).mean() < 0.8


def test_events_far_from_a_clips_ends_are_those_of_the_clip(runs, artifacts):
    """States forget: far from a clip's beginning and end the stream gives what the network gives at once."""
    artifact, port = artifacts["int8"], artifacts["int8"].network.inputs[0]
    ring = artifact.wiring.event_ring
    assert artifact.wiring.stream.event_hop == ring - 2 * (ring // 25)
    clip = artifact.golden.inputs["recording"][: FRAMES["int8"]]
    whole = runs["int8"].load_keras("qat.keras").predict_on_batch(port.dequantize(clip)[None, ..., None])["strong"][0]
    found = run("tflm", artifact, {"recording": clip}).outputs["strong"]
    middle = slice(ring // 3, 2 * ring // 3)
    assert np.abs(found[middle] - whole[middle]).max() < 0.02
    assert np.ptp(whole[middle]) > 0.2


def test_the_encoder_is_the_encoder_alone(runs, artifacts):
    """The same file but for what is embedded about it, and what the network gives to the bit, on every engine."""
    encoder = convert(runs["int8"], "encoder", "int8")

    def bare(content: bytes) -> bytes:
        model = flatbuffer.read_model(content)
        flatbuffer.set_metadata(model, METADATA_NAME, b"")
        return flatbuffer.write_model(model)

    assert bare(encoder.network.content) == bare(artifacts["int8"].network.content)
    for engine in ENGINES:
        found = run(engine, encoder, encoder.golden.inputs).outputs
        assert {*found} == {*encoder.golden.outputs}
        for name, goal in encoder.golden.outputs.items():
            np.testing.assert_array_equal(found[name], goal)
    embedding = [port.name for port in encoder.network.outputs].index("embedding")
    assert len(np.unique(encoder.golden.outputs[f"output_{embedding}"])) > 50


def test_the_same_run_gives_the_same_bytes(runs, artifacts, tmp_path):
    again = convert(runs["int8"], "joint", "int8")
    for name, artifact in (("a", again), ("b", artifacts["int8"])):
        artifact.save(tmp_path / name)
    saved = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab"]
    assert saved[0] == saved[1]
    assert len(saved[0]) == 2 * 7 + 2


@pytest.mark.slow
def test_events_alone_have_no_scene_decoder(runs):
    """The run has both decoders, and the artifact of the events leaves the other one out."""
    made = convert(runs["cells8"], "events", "int8", event_hop=40)
    assert "scene_head" not in made.members
    assert (made.wiring.scene_head, made.wiring.scene_ring, made.wiring.stream.event_hop) == ("", 0, 40)
    assert [*made.golden.outputs] == ["strong"]
    assert [*made.facts.labels.to_dict()] == [*made.manifest["latency_s"]] == ["events"]
    computes_the_network("tflm", made, 0.06)


@pytest.mark.slow
def test_scenes_of_a_run_with_both_parts_are_one_file(runs):
    """The whole network has the event head's loops in it, which the converter of integers refuses."""
    artifact = convert(runs["int8"], "scenes", "int8")
    (source,), (port,) = artifact.network.inputs, artifact.network.outputs
    found = run("tflm", artifact, artifact.golden.inputs).outputs["output_0"]
    log_mel = source.dequantize(artifact.golden.inputs["input_0"])
    goal = runs["int8"].load_keras("qat.keras").predict_on_batch(log_mel)["scenes"]
    assert (port.name, artifact.streams) == ("scene_logits", False)
    assert np.abs(port.dequantize(found) - goal).max() <= 1.001 * port.scale
    assert np.ptp(goal) > 100 * port.scale


def test_what_is_saved_is_read_back(artifacts, tmp_path):
    folder = artifacts["int16x8"].save(tmp_path / "made")
    assert {path.name for path in folder.iterdir()} > {"artifact.json", "golden.npz", "encoder_step.int16x8.tflite"}
    for path in (folder, folder / "artifact.json"):
        loaded = Artifact.load(path)
        assert loaded.manifest == artifacts["int16x8"].manifest
        assert loaded.wiring == artifacts["int16x8"].wiring
        assert loaded.sha256 == artifacts["int16x8"].sha256
        assert [m.content for m in loaded.members.values()] == [
            m.content for m in artifacts["int16x8"].members.values()
        ]
        for name, values in (loaded.golden.inputs | loaded.golden.outputs).items():
            goal = artifacts["int16x8"].golden
            np.testing.assert_array_equal(values, (goal.inputs | goal.outputs)[name])
    with pytest.raises(ArtifactError, match="holds something already"):
        artifacts["int16x8"].save(folder)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema",), "keras_mtl.streaming_artifact/9", "has schema keras_mtl.streaming_artifact/9"),
        (("members", "encoder_step", "file"), "../x", "outside of its folder"),
        (("members", "encoder_step", "file"), "x" * 300, "300 characters"),
        (("members", "encoder_step", "sha256"), "0" * 64, "sha256 differs"),
        (("members", "encoder_step", "macs"), 1, "members is not what its members hold"),
        (("members",), {}, "is not the manifest of an artifact"),
        (("wiring",), 3, "wiring of the artifact can't be read"),
        (("wiring",), Wiring(encoder="encoder_step").to_dict(), "parameter_bytes is not what its members hold"),
        (("wiring", "event_hop"), 76, "event hop of 76 steps"),
        (("latency_s",), {"scenes": 0.0, "events": 0.0}, "latency_s is not what its members hold"),
        (("rings",), {}, "rings is not what"),
        (("buffer_bytes",), 1, "buffer_bytes is not what"),
        (("decoding", "threshold"), None, "decode.threshold = None is out of range"),
        (("decoding", "scene_weight"), 2.0, "decode.scene_weight = 2.0 is out of range"),
        (("decoding", "scene_hold_calls"), 0, "decode.scene_hold_calls = 0 is out of range"),
        (("decoding",), {"median": 0.45}, "decoding can't be used"),
        (("labels",), None, "has no labels"),
        (("labels", "events"), ["bark"], r"names 1 events, the network's output is \(1, 10\)"),
        (("labels", "scenes"), ["park", "quay"], r"names 2 scenes, the network's output is \(1, 10\)"),
        (("features", "hop"), 0, "hop 0 is not"),
    ],
    ids=str,
)
def test_a_changed_manifest_is_refused(artifacts, tmp_path, path, value, message):
    folder = artifacts["cells8"].save(tmp_path / "made")
    manifest = json.loads((folder / "artifact.json").read_text())
    place = manifest
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (folder / "artifact.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=message) as refused:
        Artifact.load(folder)
    assert "\n" not in str(refused.value)


def test_a_damaged_folder_is_refused(artifacts, tmp_path):
    folder = artifacts["cells8"].save(tmp_path / "made")
    other = artifacts["int16x8"].save(tmp_path / "other")
    golden = (folder / "golden.npz").read_bytes()
    for content, message in (
        ((other / "golden.npz").read_bytes(), "does not fit the artifact: recording, scenes, strong"),
        (golden[:500], "golden.npz can't be read"),
    ):
        (folder / "golden.npz").write_bytes(content)
        with pytest.raises(ArtifactError, match=message):
            Artifact.load(folder)
    (folder / "golden.npz").unlink()
    assert Artifact.load(folder).golden is None
    files = artifacts["cells8"].manifest["members"]
    cell, manifest = folder / files["bigru_1_forward"]["file"], folder / "artifact.json"
    shutil.copyfile(folder / files["bigru_1_backward"]["file"], cell)
    with pytest.raises(ArtifactError, match="sha256 differs"):
        Artifact.load(folder)
    cell.unlink()
    with pytest.raises(ArtifactError, match=r"can't read .*No such file"):
        Artifact.load(folder)
    cell.symlink_to(other / artifacts["int16x8"].manifest["members"]["bigru_1_forward"]["file"])
    with pytest.raises(ArtifactError, match="outside of its folder"):
        Artifact.load(folder)
    for text in ("{", "[]", "3", '{"schema": "keras_mtl.streaming_artifact/1"}'):
        manifest.write_text(text)
        with pytest.raises(ArtifactError, match="is not the manifest of an artifact"):
            Artifact.load(folder)


def test_report(artifacts):
    artifact, board = artifacts["int8"], load_target("stm32h743")
    report = emulate(artifact, board, ["litert"])
    assert report.passed, report.failures()
    names = {check.name for check in report.checks}
    assert {"flash_bytes", "arena_bytes", "integer_only", "parity_lsb", "parity_probability", "events_differ"} <= names
    assert {result.engine for result in report.engines} == {"tflm", "litert"}
    members = report.artifact["members"]
    calls = artifact.wiring.calls_per_second(100.0)
    assert report.artifact["macs_per_second"] == round(sum(calls[name] * members[name]["macs"] for name in members))
    assert calls["encoder_step"] == 25
    assert all(each["planned_bytes"] == each["measured_bytes"] for each in report.arena["members"].values())
    assert report.arena["shared_bytes"] < report.arena["planned_bytes"]
    assert report.parity["first_difference"] is None
    assert len(report.ops) == sum(len(list(flatbuffer.operators(m.model))) for m in artifact.members.values())
    latency = report.check("audio_latency_s")
    waits = artifact.manifest["latency_s"]["events"] + score_embeddings(artifact.wiring) * artifact.step_s
    waits += report.compute["burst_s"][0]
    assert latency.value == pytest.approx(waits, abs=6e-4)
    total = sum(part["macs_per_second"] for part in report.compute["parts"])
    assert total == pytest.approx(artifact.manifest["macs_per_second"], rel=1e-6)
    assert any(found["layer"].startswith("bigru_1_forward/") for found in report.compatibility)
    small = replace(board, arena_ram_bytes=board.application_ram_bytes + 1000, audio_latency_s=1.0)
    failed = emulate(artifact, small, [])
    assert not failed.passed
    assert "arena_bytes" in failed.failures()
    assert "a causal event part" in failed.check("audio_latency_s").why


def test_report_names_what_is_off(artifacts):
    artifact = artifacts["cells8"]
    outputs = {"strong": 1.0 - artifact.golden.outputs["strong"], "scenes": artifact.golden.outputs["scenes"] + 1.0}
    other = replace(artifact, golden=Golden(artifact.golden.inputs, outputs))
    report = emulate(other, load_target("dcase-asc"), ["litert"])
    failed = {check.name for check in report.checks if not check.ok}
    assert {"parity_lsb", "parity_probability", "events_differ"} <= failed
    with pytest.raises(ArtifactError, match="no golden data"):
        emulate(replace(artifact, golden=None), load_target("dcase-asc"), ["litert"])


def test_it_is_scored_from_its_files(runs, converted, tmp_path):
    """A clip's beginning and end differ from what the network gives for the clip at once."""
    found, goal = open_predictor(converted[0] / "joint.int8"), open_predictor(runs["int8"].path)
    clip = clips(2, CLIP, 9) * SETTINGS.std_db + SETTINGS.mean_db
    second = clips(5, SECOND, 9) * SETTINGS.std_db + SETTINGS.mean_db
    for one, other in zip(found.event_probabilities(clip), goal.event_probabilities(clip), strict=True):
        assert np.abs(one - other).mean() < 0.02
    assert np.abs(found.scene_logits(second) - goal.scene_logits(second)).mean() < 0.5
    assert found.frames_per_embedding == 4
    assert found.event_probabilities(clip[:, :200])[0].shape == (2, 50, 10)
    with pytest.raises(ArtifactError, match="takes 100 frames at a time, not 90"):
        found.scene_logits(second[:, :90])
    figures = evaluate(found, open_corpus("soundscapes:tiny", tmp_path), tmp_path, Bootstrap(0))
    assert figures["scenes"]["clips"] and figures["events"]["clips"]


def test_a_prediction_is_what_listen_gives(converted, tmp_path):
    folder, wav, picture = converted[0] / "joint.int8", tmp_path / "sound.wav", tmp_path / "sound.png"
    time_s = np.arange(20 * SETTINGS.sample_rate_hz) / SETTINGS.sample_rate_hz
    loud = np.repeat(np.random.default_rng(3).uniform(0, 0.3, 40) ** 2, len(time_s) // 40)
    soundfile.write(
        wav, loud * np.sin(2 * np.pi * 900 * time_s * (1 + 0.2 * np.floor(time_s))), SETTINGS.sample_rate_hz
    )
    told = CliRunner().invoke(group, ["listen", str(wav), "--model", str(folder), "--json"])
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    done = CliRunner().invoke(group, ["predict", str(wav), "--model", str(folder), "--plot", str(picture), "--json"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)["files"]
    assert found["duration_s"] == 20.0
    goal = {(round(line["onset_s"], 3), line["label"]) for line in lines if line["kind"] == "event_end"}
    assert {(each["onset_s"], each["label"]) for each in found["events"]} == goal
    assert [each["label"] for each in found["scenes"]] == [line["label"] for line in lines if line["kind"] == "scene"]
    assert found["scenes"][-1]["offset_s"] == 20.0
    assert sum(found["scene_scores"].values()) == pytest.approx(1, abs=1e-5)
    assert goal
    assert picture.stat().st_size > 10_000
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(8000), SETTINGS.sample_rate_hz)
    done = CliRunner().invoke(group, ["predict", str(short), "--model", str(folder), "--json"])
    (found,) = json.loads(done.stdout)["files"]
    assert (found["scene"], found["scene_scores"], found["scenes"]) == (None, None, [])
    soundfile.write(short, np.zeros(800), SETTINGS.sample_rate_hz)
    refused = CliRunner().invoke(group, ["predict", str(short), "--model", str(folder)])
    assert "holds 50 ms of audio" in str(refused.exception)


def test_commands(converted, artifacts):
    out, document = converted
    assert artifacts["int8"].manifest["decoding"] == asdict(DecodeSettings())
    folder = out / "joint.int8"
    assert document["schema"] == "keras_mtl.convert/2"
    assert document["path"] == str(folder / "artifact.json")
    assert (document["part"], document["format"], document["schedule"]) == ("joint", "int8", "stream")
    assert document["buffer_bytes"] > 0
    assert len(document["artifacts"]) == 7
    for row in document["artifacts"]:
        member = Artifact.load(row["path"])
        assert {key: member.manifest[key] for key in row if key != "path"} == {k: row[k] for k in row if k != "path"}
        assert member.facts.part.startswith("stream/")
    done = CliRunner().invoke(group, ["emulate", str(folder), "--target", "stm32h743", "--engine", "litert"])
    assert done.exit_code == 0, done.output
    assert "parity_probability" in done.stdout
    one = next(folder.glob("bigru_1_forward*.tflite"))
    done = CliRunner().invoke(group, ["evaluate", str(one), "--data", "soundscapes:tiny"])
    assert isinstance(done.exception, ArtifactError)
    assert "name the folder of the streaming artifact" in done.exception.hint


def test_what_can_not_be_converted_is_refused(runs, tmp_path):
    with pytest.raises(ConversionError, match="not quantized") as refused:
        convert(runs["float"], "joint", "int8")
    assert "--part joint" in refused.value.hint
    with pytest.raises(ConversionError, match="quantized to int8, so it gives no int16x8"):
        convert(runs["int8"], "joint", "int16x8")
    scenes = replace(runs["int8"], info={**runs["int8"].info, "tasks": ["scenes"]})
    for part in ("events", "joint"):
        with pytest.raises(ConversionError, match="holds no quantized events part"):
            convert(scenes, part, "int8")
    save_samples(tmp_path, replace(runs["int8"].samples(), golden_events=np.zeros((0, 0, 0), np.float32)))
    for part in ("events", "joint"):
        with pytest.raises(RunError, match=f"holds no golden clips of {part}"):
            convert(replace(runs["int8"], path=tmp_path), part, "int8")
    arguments = ["convert", str(runs["int8"].path), "--format", "int8", "--out"]
    file = CliRunner().invoke(group, [*arguments, str(tmp_path / "a.tflite"), "--part", "joint"])
    assert file.exit_code == 2
    assert "--part encoder makes one file" in file.output
    hop = CliRunner().invoke(group, [*arguments, str(tmp_path / "b"), "--event-hop", "5"])
    assert isinstance(hop.exception, ConversionError)
    assert "belong to a stream" in hop.exception.message
    assert not (tmp_path / "b").exists()


def test_a_converter_that_does_not_come_back_is_one_error(runs):
    with pytest.raises(ConversionError, match=r"conversion of joint to int8 failed: .* did not come back within 1 s"):
        convert(runs["int8"], "joint", "int8", timeout_s=1.0)


@pytest.mark.slow
def test_a_hop_longer_than_the_ring_is_refused(runs):
    with pytest.raises(ArtifactError, match="event hop of 76 steps"):
        convert(runs["cells8"], "joint", "int8", event_hop=76)


def test_decoders_that_read_no_whole_number_of_embeddings_are_refused():
    network = build_mt(channels=(2,), pools=((4, 8),), mel_bands=8, scenes=10, events=10)
    assert wire(network, "encoder", 4, {"scenes": 100}).scene_ring == 25
    with pytest.raises(ConversionError, match="reads 99 frames, no whole number of embeddings of 4") as refused:
        wire(network, "encoder", 4, {"scenes": 99})
    assert "data.scene_clip_s that is a multiple of 4 frames" in refused.value.hint
    with pytest.raises(ConversionError, match="no decoder of events"):
        wire(build("cnn", DCASE, frames=100), "encoder", 4, {"events": 100})
