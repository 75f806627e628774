"""The causal event decoder as files: one float file, and a set whose cells go forwards only, on every engine."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from event_networks import CLIP, SECOND, SETTINGS, SMALL, clips, run_of, small_network

from keras_mtl.cli.listeners import open_listener
from keras_mtl.cost import cost
from keras_mtl.errors import ConversionError, VerdictFailed
from keras_mtl.firmware_host.bundle.set_driver import require_driver
from keras_mtl.firmware_host.engines import ENGINES, run_engine
from keras_mtl.firmware_host.engines.set_runner import run_set
from keras_mtl.firmware_host.set_emulator import emulate_set
from keras_mtl.firmware_host.target import load_target
from keras_mtl.models import build_mt
from keras_mtl.models.event_part import build_event_part
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.convert_set import convert_set
from keras_mtl.tflite.partial_quantization import parts_of
from keras_mtl.tflite.probes import EventProbe
from keras_mtl.tflite.qat import build_qat_network, calibrate_network, quantize_network
from keras_mtl.tflite.qat_event_head import event_head_twin
from keras_mtl.tflite.qat_network import interface

AHEAD = 3
CALIBRATION = {"scenes": clips(12, SECOND), "events": clips(4, CLIP)}


@pytest.fixture(scope="module")
def network():
    return small_network(bidirectional=False, look_ahead=AHEAD)


def converted(folder, network, scheme):
    """A run folder of the quantized network, and its joint set."""
    run = run_of(folder, network, quantize_network(network, scheme, CALIBRATION))
    return run, convert_set(run, "joint", scheme)


@pytest.fixture(scope="module")
def made(network, tmp_path_factory):
    return converted(tmp_path_factory.mktemp("int8"), network, "int8")


@pytest.fixture(scope="module")
def artifacts(made):
    return made[1]


def fixed_part(frames):
    """An event part of these sizes, of which MACs can be counted."""
    return build_event_part(build_mt(frames, bidirectional=False, look_ahead=AHEAD, **SMALL), frames)


def hears_the_network(engine, artifacts):
    golden = artifacts.golden
    heard = run_set(engine, artifacts, golden["seconds"], golden["clips"])
    assert np.abs(heard.strong - golden["strong"]).max() < 0.01
    assert np.abs(heard.weak - golden["weak"]).max() < 0.01
    assert np.ptp(golden["strong"]) > 0.2
    # The last steps of a clip are answered by the last state that there is.
    np.testing.assert_array_equal(np.ptp(heard.strong[:, -AHEAD - 1 :], axis=1), 0.0)
    assert np.ptp(heard.strong[:, -AHEAD - 2 :], axis=1).max() > 0.0
    assert np.ptp(golden["strong"][:, -AHEAD - 1 :], axis=1).max() < 1e-6


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_hear_what_the_network_hears(artifacts, engine):
    hears_the_network(engine, artifacts)


@pytest.mark.slow
def test_a_set_of_16_bits_hears_what_the_network_hears(network, tmp_path):
    _, artifacts = converted(tmp_path, network, "int16x8")
    assert artifacts.wiring.shift is None
    for engine in ENGINES:
        hears_the_network(engine, artifacts)


def test_the_set_has_forward_cells_alone(network, artifacts):
    wiring = artifacts.wiring
    assert (wiring.causal, wiring.look_ahead) == (True, AHEAD)
    assert wiring.members == ("encoder", "scene_head", "gru_1_forward", "gru_2_forward", "event_classifiers")
    # A window's embeddings in 8 bits, and a state of 16 bits for each of two layers.
    size = 6 * 2  # channels times bands of the last map
    assert artifacts.manifest["buffers"] == {"embeddings": 25 * size, "running_states": 2 * 6 * 2}
    # Cells and classifiers take what the network's own layers do, once for each embedding; windows overlap.
    members, calls = artifacts.manifest["members"], artifacts.manifest["calls_per_second"]
    decoders = sum(members[name]["macs"] * calls[name] for name in wiring.members[2:])
    counted = {row.name: row.macs for row in cost(fixed_part(SECOND), 1.0).rows}
    expected = sum(counted[name] for name in ("gru_1", "gru_2", "strong", "event_attention"))
    assert decoders == expected == 25 * (3 * 6 * (size + 6) + 3 * 6 * (6 + 6) + 2 * 6 * 10)


def test_report_of_the_set(artifacts):
    report = emulate_set(artifacts, load_target("stm32h743"), ["litert"])
    assert report.passed, report.failures()
    assert "look-ahead of 0.12 s" in report.check("audio_latency_s").why
    budget = emulate_set(artifacts, load_target("dcase-asc"), ["litert"])
    assert "cells once for every embedding" in budget.check("macs_per_second").why


def test_no_bundle_of_clips_is_made_of_it(artifacts):
    with pytest.raises(VerdictFailed, match="hears forwards only") as refused:
        require_driver(artifacts)
    assert "streaming set" in refused.value.hint


def test_listener_of_the_set_hears_as_the_run_does(made, tmp_path):
    run, artifacts = made
    heard, goal = open_listener(artifacts.save(tmp_path / "set")), open_listener(run.path)
    clip = clips(2, CLIP, 9) * SETTINGS.std_db + SETTINGS.mean_db
    for found, expected in zip(heard.event_probabilities(clip), goal.event_probabilities(clip), strict=True):
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_the_float_file_is_the_network(network, tmp_path):
    artifact = convert(run_of(tmp_path, network), "events", "float32")
    outputs = run_engine("litert", artifact.content, artifact.golden.inputs).outputs
    for found, golden in zip(outputs, artifact.golden.outputs, strict=True):
        np.testing.assert_allclose(found, golden, atol=1e-5)
    goal = network(artifact.golden.inputs[0])["strong"]
    np.testing.assert_allclose(artifact.golden.outputs[0], goal, atol=1e-5)
    assert artifact.manifest["macs_per_second"] == cost(fixed_part(CLIP), CLIP / 100).macs_per_second


def test_a_probe_of_which_nothing_rounds_is_the_network(network):
    twin = build_qat_network(network, "int8", ["events"])
    calibrate_network(twin, {"events": CALIBRATION["events"]})
    probe, given = EventProbe(twin), clips(2, CLIP, 1)[..., None]
    outputs, goal = probe(given, ())[1], network(given)
    np.testing.assert_allclose(outputs[:, :-1], goal["strong"], atol=1e-4)
    np.testing.assert_allclose(outputs[:, -1], goal["weak"], atol=1e-4)
    cells = [part.name for part in parts_of(twin.get_layer("event_head")) if part.kind == "GRU"]
    assert cells == ["gru_1_forward", "gru_2_forward"]


def test_layers_that_go_elsewhere_have_no_twin():
    inputs = keras.Input((10, 4))
    forwards = keras.layers.GRU(3, return_sequences=True, name="one")(inputs)
    both = keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True), name="two")(forwards)
    backwards = keras.layers.GRU(3, return_sequences=True, go_backwards=True, name="three")(inputs)
    for x, words in ((both, "beside bidirectional ones"), (backwards, r"three \(GRU\) has no quantization-aware twin")):
        strong = keras.layers.Dense(2, "sigmoid", name="strong")(x)
        attention = keras.layers.Dense(2, "softmax", name="event_attention")(x)
        head = keras.Model(inputs, {"strong": strong, "weak": attention}, name="event_head")
        with pytest.raises(ConversionError, match=words):
            event_head_twin(head, "int16x8", interface("int8", "int16x8"))
