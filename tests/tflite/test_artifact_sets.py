"""Sets of artifacts: the event decoder step by step in integers, on every engine, against the network behind it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from event_networks import CLIP, SECOND, SETTINGS, clips, run_of, small_network

from keras_mtl.cli import group
from keras_mtl.cli.listeners import open_listener
from keras_mtl.decoding import median_filter
from keras_mtl.errors import ArtifactError, ConversionError
from keras_mtl.firmware_host.device_loop import DeviceLoop, Member
from keras_mtl.firmware_host.engines import ENGINES, run_engine
from keras_mtl.firmware_host.engines.set_runner import run_set
from keras_mtl.firmware_host.engines.stream_runner import run_stream
from keras_mtl.firmware_host.set_emulator import emulate_set
from keras_mtl.firmware_host.target import load_target
from keras_mtl.models import build_mt
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import dequantize, quantize
from keras_mtl.tflite.artifact_set import ArtifactSet
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.convert_set import convert_set
from keras_mtl.tflite.members import build_members, find_windows, wire
from keras_mtl.tflite.qat import FakeQuant, quantize_network
from keras_mtl.tflite.stream_convert import convert_stream

PAIRS = {"int8": "int16x8", "int16x8": "int16x8", "cells8": "int8"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    network, calibration = small_network(), {"scenes": clips(12, SECOND), "events": clips(4, CLIP)}
    found = {"float": run_of(tmp_path_factory.mktemp("float"), network)}
    for name, cells in PAIRS.items():
        scheme = "int8" if name == "cells8" else name
        made = quantize_network(network, scheme, calibration, cells=cells)
        found[name] = run_of(tmp_path_factory.mktemp(name), network, made, cells)
    return found


@pytest.fixture(scope="module")
def sets(runs):
    return {name: convert_set(runs[name], "joint", "int8" if name == "cells8" else name) for name in PAIRS}


@pytest.mark.parametrize("name", PAIRS)
def test_every_scale_in_a_file_is_the_layers_own(runs, sets, name):
    """Exactly, layer by layer: what QAT rounds to is what the file holds."""
    network = runs[name].load_keras("qat.keras")
    for member, model in build_members(network, wire(network, SECOND, CLIP)).items():
        own = {one.scale_and_zero_point() for one in model._flatten_layers() if isinstance(one, FakeQuant)}
        tree = flatbuffer.read_model(sets[name].members[member].content)
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
def test_engines_hear_what_the_network_hears(sets, name, engine):
    golden = sets[name].golden
    heard = run_set(engine, sets[name], golden["seconds"], golden["clips"])
    most = 0.06 if name == "cells8" else 0.01  # 8-bit states are off by levels of 1/128
    assert np.abs(heard.strong - golden["strong"]).max() < most
    assert np.abs(heard.weak - golden["weak"]).max() < most
    assert np.ptp(golden["strong"]) > 0.2
    step = sets[name].members["scene_head"].manifest["outputs"][0]["scale"]
    assert np.abs(heard.scenes - golden["scenes"]).max() <= 2.001 * step
    arenas = heard.arena_bytes
    assert list(arenas) == list(sets[name].wiring.members)
    assert all((size or 0) > 500 if engine == "tflm" else size is None for size in arenas.values())


@pytest.mark.parametrize("engine", ["tflm", "litert"])
@pytest.mark.parametrize("name", ["int8", "int16x8"])
def test_ten_seconds_end_with_the_same_decisions(runs, sets, name, engine):
    """250 steps: what is off must not add up."""
    wiring = {**sets[name].manifest["wiring"], "clip_frames": 1000}
    artifacts = replace(sets[name], manifest={**sets[name].manifest, "wiring": wiring})
    port = artifacts.members["encoder"].manifest["inputs"][0]
    given = quantize(clips(32, 1000, 11)[..., None], port)
    goal = runs[name].load_keras("qat.keras").predict_on_batch(dequantize(given, port))
    heard = run_set(engine, artifacts, clips=given)
    assert np.abs(heard.strong - goal["strong"]).max() < 0.01
    # An untrained network is undecided all the time. Where it is not, within 0.01, all decisions are the same.
    filtered = [np.stack([median_filter(clip, 11) for clip in found]) for found in (heard.strong, goal["strong"])]
    differs = (filtered[0] > 0.5) != (filtered[1] > 0.5)
    assert differs.mean() < 0.01
    assert np.abs(filtered[1][differs] - 0.5).max(initial=0.0) < 0.01
    assert 0.2 < (filtered[1] > 0.5).mean() < 0.8


@pytest.mark.parametrize("engine", ENGINES)
def test_8_bit_encoder_of_the_network_is_the_files_to_the_bit(runs, sets, engine):
    encoder = sets["int8"].members["encoder"]
    given = quantize(clips(24, SECOND, 12)[..., None], encoder.manifest["inputs"][0])
    network = runs["int8"].load_keras("qat.keras").get_layer("encoder")
    found = network.predict_on_batch(dequantize(given, encoder.manifest["inputs"][0]))
    (heard,) = run_engine(engine, encoder.content, [given]).outputs
    np.testing.assert_array_equal(quantize(found, encoder.manifest["outputs"][0]), heard)
    assert len(np.unique(heard)) > 100


def test_a_clip_heard_by_windows_has_the_embeddings_of_the_clip(runs, sets):
    network, artifacts = runs["int8"].load_keras("qat.keras"), sets["int8"]
    encoder = artifacts.members["encoder"].manifest
    log_mel = dequantize(artifacts.golden["clips"][:1], encoder["inputs"][0])
    whole = quantize(network.get_layer("encoder").predict_on_batch(log_mel)[0], encoder["outputs"][0])

    def invoke(given):
        window = dequantize(given[0], encoder["inputs"][0])
        found = network.get_layer("encoder").predict_on_batch(window)
        return [quantize(found, encoder["outputs"][0])]

    loop = DeviceLoop(artifacts.wiring, {"encoder": Member(invoke, encoder["inputs"], encoder["outputs"])})
    by_windows = loop.embeddings(artifacts.golden["clips"][0])
    assert by_windows.shape == (CLIP // 4, whole.shape[1])
    np.testing.assert_array_equal(by_windows, whole)


def test_the_same_run_gives_the_same_bytes(runs, sets, tmp_path):
    again = convert_set(runs["int8"], "joint", "int8")
    assert {k: v.content for k, v in again.members.items()} == {k: v.content for k, v in sets["int8"].members.items()}
    for name, artifacts in (("a", again), ("b", sets["int8"])):
        artifacts.save(tmp_path / name)
    assert (tmp_path / "a/set.json").read_bytes() == (tmp_path / "b/set.json").read_bytes()


def test_events_alone_have_no_scene_head(runs):
    made = convert_set(runs["int16x8"], "events", "int16x8")
    # The run has both decoders, and a set of events leaves the scenes' out.
    assert "scene_head" not in made.members
    assert set(made.golden) == {"clips", "strong", "weak"}
    assert made.manifest["labels"].keys() == {"events"}


def test_scenes_of_a_run_with_both_parts_are_one_file(runs, sets):
    """The whole network has the event head's loops in it, which the converter of integers refuses."""
    artifact, golden = convert(runs["int8"], "scenes", "int8"), sets["int8"].golden
    (heard,) = run_engine("tflm", artifact.content, [golden["seconds"]]).outputs
    (port,) = artifact.manifest["outputs"]
    assert port["name"] == "scene_logits"
    assert np.abs(dequantize(heard, port) - golden["scenes"]).max() <= 1.001 * port["scale"]
    assert np.ptp(golden["scenes"]) > 100 * port["scale"]


def test_the_stream_of_a_run_with_both_parts_is_the_encoder_of_its_set(runs, sets):
    windows, clip = sets["int8"].wiring.windows, sets["int8"].golden["clips"][0]
    heard = run_stream("litert", convert_stream(runs["int8"], "int8"), clip[..., 0], [70, 1, 229]).embeddings
    starts = range(0, CLIP - windows.frames + 1, windows.hop)
    given = np.stack([clip[start : start + windows.frames] for start in starts])
    (found,) = run_engine("litert", sets["int8"].members["encoder"].content, [given]).outputs
    for start, window in zip(starts, found, strict=True):
        first, last = (start // windows.stride + end for end in (windows.first, windows.last))
        np.testing.assert_array_equal(heard[first:last], window[windows.first : windows.last])
    assert len(heard) == CLIP // windows.stride - 1
    assert len(np.unique(heard)) > 50


def test_saved_sets_come_back_and_changed_ones_do_not(sets, tmp_path):
    folder = sets["int8"].save(tmp_path / "set")
    loaded = ArtifactSet.load(folder / "set.json")
    assert loaded.manifest == sets["int8"].manifest
    assert [m.content for m in loaded.members.values()] == [m.content for m in sets["int8"].members.values()]
    with pytest.raises(ArtifactError, match="holds something already"):
        sets["int8"].save(folder)
    manifest = json.loads((folder / "set.json").read_text())
    for change, message in (
        ({"schema": "keras_mtl.artifact_set/9"}, "has schema"),
        (
            {"members": {**manifest["members"], "encoder": {**manifest["members"]["encoder"], "file": "../x"}}},
            "outside",
        ),
        ({"members": {}}, "is not the manifest of a set"),
        ({"wiring": 3}, "wiring of the set"),
    ):
        (folder / "set.json").write_text(json.dumps(manifest | change))
        with pytest.raises(ArtifactError, match=message):
            ArtifactSet.load(folder)
    (folder / "set.json").write_text(json.dumps(manifest))
    cell = folder / manifest["members"]["bigru_1_forward"]["file"]
    shutil.copyfile(folder / manifest["members"]["bigru_1_backward"]["file"], cell)
    with pytest.raises(ArtifactError, match="sha256 differs"):
        ArtifactSet.load(folder)


def test_report_of_a_set(sets):
    board = load_target("stm32h743")
    report = emulate_set(sets["int8"], board, ["litert"])
    assert report.passed, report.failures()
    names = {check.name for check in report.checks}
    assert {"flash_bytes", "arena_bytes", "integer_only", "parity_lsb", "parity_probability", "events_differ"} <= names
    assert {result.engine for result in report.engines} == {"tflm", "litert"}
    buffers = sum(sets["int8"].manifest["buffers"].values())
    arena = report.check("arena_bytes").value
    assert arena > buffers > 0
    members = report.arena["members"]
    assert all(each["planned_bytes"] == each["measured_bytes"] for each in members.values())
    assert sum(each["planned_bytes"] for each in members.values()) == arena - buffers
    assert report.arena["shared_bytes"] < report.arena["planned_bytes"]
    assert (report.parity["of"], report.parity["events"]["of"]) == ("scenes", "events")
    assert report.parity["first_difference"] is None
    assert len(report.ops) == sum(
        len(list(flatbuffer.operators(flatbuffer.read_model(m.content)))) for m in sets["int8"].members.values()
    )
    latency = report.check("audio_latency_s")
    assert latency.value == sets["int8"].manifest["audio_seconds"]
    assert "the backward direction" in latency.why
    assert report.compute["dtype"] == "int8 and int16x8"
    total = sum(part["macs_per_second"] for part in report.compute["parts"])
    assert total == pytest.approx(sets["int8"].manifest["macs_per_second"], rel=1e-6)
    assert any(found["layer"].startswith("bigru_1_forward/") for found in report.compatibility)
    small = replace(board, arena_ram_bytes=board.application_ram_bytes + arena, audio_latency_s=1.0)
    failed = emulate_set(sets["int8"], small, [])
    assert not failed.passed
    assert "arena_bytes" in failed.failures()
    assert "a causal event part" in failed.check("audio_latency_s").why


def test_report_names_what_is_off(sets):
    golden = dict(sets["int8"].golden)
    golden["strong"] = 1.0 - golden["strong"]
    golden["scenes"] = golden["scenes"] + 1.0
    report = emulate_set(replace(sets["int8"], golden=golden), load_target("dcase-asc"), ["litert"])
    failed = {check.name for check in report.checks if not check.ok}
    assert {"parity_lsb", "parity_probability", "events_differ"} <= failed
    with pytest.raises(ArtifactError, match="no golden data"):
        emulate_set(replace(sets["int8"], golden={}), load_target("dcase-asc"), ["litert"])


def test_listener_of_a_set_hears_as_the_network_does(runs, sets, tmp_path):
    folder = sets["int8"].save(tmp_path / "set")
    heard, goal = open_listener(folder), open_listener(runs["int8"].path)
    clip = clips(2, CLIP, 9) * SETTINGS.std_db + SETTINGS.mean_db
    second = clips(5, SECOND, 9) * SETTINGS.std_db + SETTINGS.mean_db
    strong, weak = heard.event_probabilities(clip)
    expected = goal.event_probabilities(clip)
    np.testing.assert_allclose(strong, expected[0], atol=0.01)
    np.testing.assert_allclose(weak, expected[1], atol=0.01)
    np.testing.assert_allclose(heard.scene_logits(second), goal.scene_logits(second), atol=0.05)
    assert heard.frames_per_embedding == 4
    with pytest.raises(ArtifactError, match="300 frames"):
        heard.event_probabilities(clip[:, :200])


def test_commands(runs, tmp_path):
    done = CliRunner().invoke(
        group,
        ["convert", str(runs["int8"].path), "--part", "joint", "--format", "int8", "--out", str(tmp_path), "--json"],
    )
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert len(document["artifacts"]) == 7
    assert all(entry["sha256"] and entry["file_bytes"] for entry in document["artifacts"])
    done = CliRunner().invoke(group, ["emulate", str(tmp_path), "--target", "stm32h743", "--engine", "litert"])
    assert done.exit_code == 0, done.output
    assert "parity_probability" in done.stdout
    one = next(tmp_path.glob("bigru_1_forward*.tflite"))
    done = CliRunner().invoke(group, ["evaluate", str(one), "--data", "soundscapes:tiny"])
    assert isinstance(done.exception, ArtifactError)
    assert "of a set, name the folder" in done.exception.hint


def test_what_can_not_be_converted_is_refused(runs):
    with pytest.raises(ConversionError, match="not quantized"):
        convert_set(runs["float"], "joint", "int8")
    with pytest.raises(ConversionError, match="quantized to int8, so it gives no int16x8"):
        convert_set(runs["int8"], "joint", "int16x8")
    scenes = replace(runs["int8"], info={**runs["int8"].info, "tasks": ["scenes"]})
    with pytest.raises(ConversionError, match="holds no quantized events part"):
        convert_set(scenes, "events", "int8")


def test_a_converter_that_does_not_come_back_is_one_error(runs):
    with pytest.raises(ConversionError, match=r"conversion of joint to int8 failed: .* did not come back within 1 s"):
        convert_set(runs["int8"], "joint", "int8", timeout_s=1.0)


def test_encoders_that_can_not_go_window_by_window_are_refused():
    network = build_mt(channels=(2,), pools=((4, 8),), mel_bands=8)
    with pytest.raises(ConversionError, match="no whole number of embeddings"):
        find_windows(network, 99)
    log_mel = keras.Input((None, 8, 1))
    whole = keras.layers.Add()([keras.layers.GlobalAveragePooling2D(keepdims=True)(log_mel), log_mel])
    encoder = keras.Model(log_mel, keras.layers.Reshape((-1, 8))(whole), name="encoder")
    inputs = keras.Input((None, 8, 1))
    with pytest.raises(ConversionError, match="independent of what lies outside"):
        find_windows(keras.Model(inputs, encoder(inputs)), 20)
