"""Recurrent layers whose states go in and out: a network of one step on a device is the sequence that was trained."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mtl import qat
from keras_mtl.core import ConversionError
from keras_mtl.firmware_host.engines import run

sys.path.insert(0, str(Path(__file__).parent))
import qat_graphs as graphs

layers = keras.layers
SCHEMES = ("int8", "int16x8")
STEPS, UNITS = 2, 3
CELLS = {"gru": (layers.GRU, 1), "lstm": (layers.LSTM, 2), "simple": (layers.SimpleRNN, 1)}


def _network(steps: int) -> keras.Model:
    """The three cells over some steps of the same input, each with its states as inputs and outputs."""
    keras.utils.set_random_seed(0)
    x = keras.Input((steps, 4), name="x")
    inputs, outputs = {"x": x}, {}
    for name, (kind, states) in CELLS.items():
        ends = {f"{name}_{number}": keras.Input((UNITS,), name=f"{name}_{number}") for number in range(states)}
        layer = kind(UNITS, return_sequences=True, return_state=True, name=name)
        values, *after = layer(x, initial_state=list(ends.values()))
        inputs |= ends
        outputs[f"{name}_classes"] = layers.Dense(2, name=f"{name}_dense")(values)
        outputs |= {f"{end}_next": state for end, state in zip(ends, after, strict=True)}
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_steps_on_a_device_are_the_sequence(scheme):
    random = np.random.default_rng(0)
    x = random.normal(size=(32, STEPS, 4)).astype(np.float32)
    sequence = qat.quantize_model(_network(STEPS), scheme)
    states = [name for name in _network(1).input if name != "x"]
    start = {name: np.zeros((len(x), UNITS), np.float32) for name in states}
    qat.calibrate(sequence, {"x": x, **start})
    goal = sequence({"x": x[:2], **{name: each[:2] for name, each in start.items()}})
    step = qat.quantize_model(_network(1), scheme)
    step.set_weights(sequence.get_weights())
    given = {name: random.normal(size=(6, UNITS)).astype(np.float32) for name in states}
    artifact = qat.convert(step, {"x": x[:6, :1], **given})
    assert set(graphs.steps_apart(artifact, "tflm").values()) == {0}
    entries, ends = ({port.name: port for port in each} for each in (artifact.network.inputs, artifact.network.outputs))
    for name in states:
        assert (entries[name].scale, entries[name].zero_point) == (
            ends[f"{name}_next"].scale,
            ends[f"{name}_next"].zero_point,
        )
    carried = {name: entries[name].quantize(start[name][:2]) for name in states}
    for time in range(STEPS):
        now = {"x": entries["x"].quantize(x[:2, time : time + 1]), **carried}
        made = run("tflm", artifact, {f"input_{number}": now[name] for number, name in enumerate(entries)}).outputs
        found = {name: made[f"output_{number}"] for number, name in enumerate(ends)}
        for name in CELLS:
            wanted = ends[f"{name}_classes"].quantize(np.asarray(goal[f"{name}_classes"])[:, time : time + 1])
            np.testing.assert_array_equal(found[f"{name}_classes"].reshape(wanted.shape), wanted)
        carried = {name: found[f"{name}_next"].reshape(2, UNITS) for name in states}


def test_outputs_of_one_layer_are_apart(tmp_path):
    """The output of an LSTM that gives its last state is that state: two values of the file."""
    keras.utils.set_random_seed(0)
    x, memory = keras.Input((2, 4), name="x"), keras.Input((UNITS,), name="memory")
    state = layers.Dense(UNITS, activation="tanh")(memory)  # no input of the model, so on a grid of its own
    outputs = layers.LSTM(UNITS, return_state=True, name="lstm")(x, initial_state=[state, memory])
    twin, artifact = graphs.converted(keras.Model([x, memory], outputs), "int8")
    assert graphs.steps_apart(artifact, "tflm") == {"lstm": 0, "lstm_2": 0, "lstm_3": 0}
    twin.save(tmp_path / "twin.keras")
    again = qat.convert(qat.load(tmp_path / "twin.keras"), [each[:6] for each in graphs.examples(twin)])
    assert again.network.content == artifact.network.content


def test_states_that_do_not_fit_are_refused():
    x, start = keras.Input((2, 4), name="x"), keras.Input((UNITS,), name="start")
    shared = layers.GRU(UNITS, name="shared")
    twice = layers.Add()([shared(x), shared(x, initial_state=start)])
    both = layers.Bidirectional(layers.GRU(UNITS, return_state=True), name="both")(x)[0]
    kept = layers.GRU(UNITS, stateful=True, name="kept")
    fixed = keras.Input(batch_shape=(1, 2, 4))
    masked = layers.GRU(UNITS, name="masked")(x, mask=keras.ops.all(x > 0.0, axis=-1))
    for model, words in (
        (keras.Model([x, start], twice), r"shared \(GRU\) has calls that start from different kinds of state"),
        (keras.Model(x, both), r"both \(Bidirectional\) has states that are given out"),
        (keras.Model(fixed, kept(fixed)), r"kept \(GRU\) has states that it keeps"),
        (keras.Model(x, masked), r"masked \(GRU\) is called with a mask"),
    ):
        with pytest.raises(ConversionError, match=words) as caught:
            qat.quantize_model(model)
        assert caught.value.hint


def test_names_of_outputs_go_with_their_values():
    """Keras flattens a dict by its sorted keys, in whichever order it was written."""
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    model = keras.Model(x, {"wide": layers.Dense(5)(x), "narrow": layers.Dense(2)(x)})
    twin = qat.quantize_model(model)
    (given,) = graphs.examples(model)
    qat.calibrate(twin, given)
    ports = qat.convert(twin, given[:4]).network.outputs
    assert {port.name: tuple(port.shape) for port in ports} == {"narrow": (1, 2), "wide": (1, 5)}
