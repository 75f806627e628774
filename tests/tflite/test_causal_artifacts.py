"""The causal event decoder as files: one float file, and an artifact whose cells go forwards only, on every engine."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from event_networks import CLIP, SECOND, SETTINGS, SMALL, clips, computes_the_network, run_of, small_network

from keras_mtl.core import ConversionError
from keras_mtl.cost import cost
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.engines import ENGINES, run
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.models import build_event_part, build_mt
from keras_mtl.predictors import open_predictor
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.qat import build_qat, calibrate
from keras_mtl.tflite.qat.event_head import event_head_twin
from keras_mtl.tflite.qat.scene_model import interface
from keras_mtl.tflite.quantize import quantize_network
from keras_mtl.tflite.sensitivity.partial_quantization import parts_of
from keras_mtl.tflite.sensitivity.probes import EventProbe

AHEAD = 3
CALIBRATION = {"scenes": clips(12, SECOND), "events": clips(4, CLIP)}


@pytest.fixture(scope="module")
def network():
    return small_network(bidirectional=False, look_ahead=AHEAD)


def converted(folder, network, scheme):
    """A run folder of the quantized network, and its joint artifact."""
    made = run_of(folder, network, quantize_network(network, scheme, CALIBRATION))
    return made, convert(made, "joint", scheme)


@pytest.fixture(scope="module")
def made(network, tmp_path_factory):
    return converted(tmp_path_factory.mktemp("int8"), network, "int8")


@pytest.fixture(scope="module")
def artifact(made):
    return made[1]


def fixed_part(frames):
    """An event part of these sizes, of which MACs can be counted."""
    return build_event_part(build_mt(frames, bidirectional=False, look_ahead=AHEAD, **SMALL), frames)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_compute_what_the_network_computes(artifact, engine):
    strong = computes_the_network(engine, artifact).outputs["strong"]
    # The last embeddings of a recording have the scores of the last state that there is.
    goal = artifact.golden.outputs["strong"]
    np.testing.assert_array_equal(np.ptp(strong[-AHEAD - 1 :], axis=0), 0.0)
    assert np.ptp(strong[-AHEAD - 2 :], axis=0).max() > 0.0
    assert np.ptp(goal[-AHEAD - 1 :], axis=0).max() < 1e-6


@pytest.mark.slow
def test_16_bits_compute_what_the_network_computes(network, tmp_path):
    _, artifact = converted(tmp_path, network, "int16x8")
    assert artifact.wiring.shift is None
    for engine in ENGINES:
        computes_the_network(engine, artifact)


def test_it_has_forward_cells_alone(network, artifact):
    wiring = artifact.wiring
    assert (wiring.causal, wiring.look_ahead, wiring.event_ring, wiring.stream.event_hop) == (True, AHEAD, 0, 1)
    assert wiring.members == ("encoder_step", "scene_head", "gru_1_forward", "gru_2_forward", "event_classifiers")
    # The scenes' ring of embeddings in 8 bits, and a state of 16 bits for each of two layers.
    size = 6 * 2  # channels times bands of the last map
    kept = {"ring": 25 * size, "running_states": 2 * 6 * 2}
    assert {key: value for key, value in artifact.manifest["buffers"].items() if key != "encoder_states"} == kept
    assert [*artifact.manifest["rings"]] == ["scenes"]
    # Cells and classifiers take what the network's own layers do, once for each embedding.
    members, calls = artifact.manifest["members"], artifact.manifest["calls_per_second"]
    decoders = sum(members[name]["macs"] * calls[name] for name in wiring.members[2:])
    counted = {row.name: row.macs for row in cost(fixed_part(SECOND), 1.0).rows}
    expected = sum(counted[name] for name in ("gru_1", "gru_2", "strong", "event_attention"))
    assert decoders == expected == 25 * (3 * 6 * (size + 6) + 3 * 6 * (6 + 6) + 2 * 6 * 10)


def test_report(artifact):
    report = emulate(artifact, load_target("stm32h743"), ["litert"])
    assert report.passed, report.failures()
    # The encoder's latency, the look-ahead and the median filter, in steps of 40 ms, and half a window of the features.
    (late,) = {artifact.wiring.stream.latency}
    # Then comes what is computed.
    waits = 0.064 + 0.04 * (late + 1 + AHEAD + 5) + report.compute["burst_s"][0]
    assert report.check("audio_latency_s").value == pytest.approx(waits, abs=6e-4)


def test_predictor_of_it_gives_what_the_run_gives(made, tmp_path):
    """But for a clip's beginning and end, which a stream takes otherwise than a network that takes the clip at once."""
    folder, artifact = made
    found, goal = open_predictor(artifact.save(tmp_path / "made")), open_predictor(folder.path)
    clip = clips(2, CLIP, 9) * SETTINGS.std_db + SETTINGS.mean_db
    for one, other in zip(found.event_probabilities(clip), goal.event_probabilities(clip), strict=True):
        assert np.abs(one - other).mean() < 0.02
    middle = slice(25, 50)
    one, other = (each.event_probabilities(clip)[0][:, middle] for each in (found, goal))
    np.testing.assert_allclose(one, other, atol=0.02)


@pytest.mark.slow
def test_the_float_file_is_the_network(network, tmp_path):
    artifact = convert(run_of(tmp_path, network), "events", "float32")
    golden, outputs = artifact.golden, run("litert", artifact, artifact.golden.inputs).outputs
    assert [*outputs] == [*golden.outputs] == ["output_0", "output_1"]
    for name, goal in golden.outputs.items():
        np.testing.assert_allclose(outputs[name], goal, atol=1e-5)
    goal = network(golden.inputs["input_0"])["strong"]
    np.testing.assert_allclose(golden.outputs["output_0"], goal, atol=1e-5)
    assert artifact.manifest["macs_per_second"] == cost(fixed_part(CLIP), CLIP / 100).macs_per_second


def test_a_probe_of_which_nothing_rounds_is_the_network(network):
    twin = build_qat(network, "int8", ["events"])
    calibrate(twin, {"events": CALIBRATION["events"]})
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
