"""The causal event decoder on a device: step by step through all layers, against layer by layer over the whole clip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from keras_mtl.firmware_host.device import OpenMember
from keras_mtl.firmware_host.device.events import CausalSteps
from keras_mtl.tflite.artifact import Port, Recurrent, Wiring

SIZE, UNITS, EVENTS, ZERO, STATE_ZERO = 5, 4, 3, -7, 2


def cell(inputs: int, seed: int) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """A cell of integers whose next state depends on every value of its input and of its state."""
    generator = np.random.default_rng(seed)
    read, kept = (generator.integers(-90, 90, (size, UNITS)) for size in (inputs, UNITS))

    def invoke(given: list[np.ndarray]) -> list[np.ndarray]:
        read_in, state = (values.astype(np.int64) for values in given)
        return [((read_in @ read + state @ kept) % 60_001 - 30_000).astype(np.int16)]

    return invoke


def decoder_of(layers: int, shift: int | None, ahead: int) -> tuple[Wiring, dict[str, OpenMember], CausalSteps]:
    recurrent = tuple(Recurrent(f"cell_{number}") for number in range(layers))
    wiring = Wiring(recurrent=recurrent, shift=shift, classifiers="classifiers", look_ahead=ahead)
    state = Port("state", "int16", (1, UNITS), 1.0, STATE_ZERO)
    members = {
        layer.forward: OpenMember(
            cell(UNITS if number else SIZE, number), (Port("input", "int16", (1, UNITS)), state), (state,)
        )
        for number, layer in enumerate(recurrent)
    }
    # Classifiers that give two parts of a state.
    members["classifiers"] = OpenMember(lambda given: [given[0][:, :EVENTS], given[0][:, 1:]], (), ())
    embedding = Port("embedding", "int8", (1, SIZE), 1.0, ZERO)
    return wiring, members, CausalSteps(wiring, members, embedding)


def layer_by_layer(wiring: Wiring, members: dict[str, OpenMember], embeddings: np.ndarray) -> np.ndarray:
    """States of the last layer [steps, units], each layer over the whole clip before the next one begins."""
    steps = embeddings if wiring.shift is None else (embeddings.astype(int) - ZERO) * 2**wiring.shift
    for layer in wiring.recurrent:
        state, states = np.full((1, UNITS), STATE_ZERO), []
        for step in steps:
            (state,) = members[layer.forward].invoke([step[None], state])
            states.append(state[0])
        steps = np.stack(states)
    return steps


def embeddings(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (count, SIZE)).astype(np.int8)


@pytest.mark.parametrize(("layers", "shift", "ahead"), [(1, None, 0), (2, 7, 3), (3, 3, 1)])
def test_outputs_are_those_of_the_layers_read_a_look_ahead_later(layers, shift, ahead):
    """A stream goes on where it was: what is kept between two pushes is all that there is."""
    wiring, members, decoder = decoder_of(layers, shift, ahead)
    given = embeddings(23)
    pairs = [pair for each in given for pair in decoder.push(each)] + decoder.finish()
    strong, attention = (np.concatenate(each) for each in zip(*pairs, strict=True))
    states = layer_by_layer(wiring, members, given)
    read = np.minimum(np.arange(23) + ahead, 22)
    np.testing.assert_array_equal(strong, states[read, :EVENTS])
    np.testing.assert_array_equal(attention, states[read, 1:])
    assert len(np.unique(strong)) > 40


def test_outputs_come_as_soon_as_the_look_ahead_is_there():
    _, _, decoder = decoder_of(2, 7, 3)
    given = embeddings(8)
    found = [decoder.push(each) for each in given]
    assert [len(pairs) for pairs in found] == [0, 0, 0, 1, 1, 1, 1, 1]
    assert len(decoder.finish()) == 3
    # From a new start the same comes again.
    decoder.reset()
    again = [decoder.push(each) for each in given]
    np.testing.assert_array_equal(again[3][0][0], found[3][0][0])
    decoder.reset()
    assert decoder.finish() == []
    decoder.push(given[0])
    assert len(decoder.finish()) == 1  # a clip shorter than the look-ahead has an output for each step
