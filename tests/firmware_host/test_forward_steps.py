"""The causal event decoder on a device: step by step through all layers, against layer by layer over the whole clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_mtl.firmware_host.device_loop import DeviceLoop, Member
from keras_mtl.firmware_host.forward_steps import ForwardSteps
from keras_mtl.tflite.wiring import Recurrent, Windows, Wiring

SIZE, UNITS, EVENTS, ZERO, STATE_ZERO = 5, 4, 3, -7, 2


def cell(inputs: int, seed: int) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """A cell of integers whose next state depends on every value of its input and of its state."""
    generator = np.random.default_rng(seed)
    read, kept = (generator.integers(-90, 90, (size, UNITS)) for size in (inputs, UNITS))

    def invoke(given: list[np.ndarray]) -> list[np.ndarray]:
        heard, state = (values.astype(np.int64) for values in given)
        return [((heard @ read + state @ kept) % 60_001 - 30_000).astype(np.int16)]

    return invoke


def device(layers: int, shift: int | None, ahead: int, windows: Windows, clip: int) -> tuple[Wiring, dict[str, Member]]:
    recurrent = tuple(Recurrent(f"cell_{number}") for number in range(layers))
    wiring = Wiring(windows, clip, recurrent, shift, classifiers="classifiers", look_ahead=ahead)
    state = {"dtype": "int16", "shape": [1, UNITS], "zero_point": STATE_ZERO}
    members = {
        layer.forward: Member(cell(UNITS if number else SIZE, number), [{"dtype": "int16"}, state], [state])
        for number, layer in enumerate(recurrent)
    }
    # An encoder that gives of each stretch of frames the first one, and classifiers that give two parts of a state.
    members["encoder"] = Member(
        lambda given: [given[0][:, :: windows.stride, :, 0]], [], [{"dtype": "int8", "zero_point": ZERO}]
    )
    members["classifiers"] = Member(lambda given: [given[0][:, :EVENTS], given[0][:, 1:]], [], [])
    return wiring, members


def layer_by_layer(wiring: Wiring, members: dict[str, Member], embeddings: np.ndarray) -> np.ndarray:
    """States of the last layer [steps, units], each layer over the whole clip before the next one begins."""
    steps = embeddings if wiring.shift is None else (embeddings.astype(int) - ZERO) * 2**wiring.shift
    for layer in wiring.recurrent:
        state, states = np.full((1, UNITS), STATE_ZERO), []
        for step in steps:
            (state,) = members[layer.forward].invoke([step[None], state])
            states.append(state[0])
        steps = np.stack(states)
    return steps


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (count, SIZE, 1)).astype(np.int8)


@pytest.mark.parametrize(("layers", "shift", "ahead"), [(1, None, 0), (2, 7, 3), (3, 3, 1)])
def test_a_clip_is_what_its_layers_say_read_a_look_ahead_later(layers, shift, ahead):
    windows, clip = Windows(frames=16, stride=2, first=2, last=7), frames(46)
    wiring, members = device(layers, shift, ahead, windows, len(clip))
    strong, attention = DeviceLoop(wiring, members).events(clip)
    states = layer_by_layer(wiring, members, clip[::2, :, 0])
    read = np.minimum(np.arange(23) + ahead, 22)
    np.testing.assert_array_equal(strong, states[read, :EVENTS])
    np.testing.assert_array_equal(attention, states[read, 1:])
    assert len(np.unique(strong)) > 40


def test_answers_come_as_soon_as_the_look_ahead_is_heard():
    wiring, members = device(2, 7, 3, Windows(8, 1, 0, 8), 8)
    decoder, given = ForwardSteps(wiring, members), frames(8)[..., 0]
    said = [decoder.push(each) for each in given]
    assert [len(pairs) for pairs in said] == [0, 0, 0, 1, 1, 1, 1, 1]
    assert len(decoder.finish()) == 3
    # From a new start the same is heard again.
    decoder.begin()
    again = [decoder.push(each) for each in given]
    np.testing.assert_array_equal(again[3][0][0], said[3][0][0])
    decoder.begin()
    assert decoder.finish() == []
    decoder.push(given[0])
    assert len(decoder.finish()) == 1  # a clip shorter than the look-ahead has an answer for each step


def test_pieces_of_a_clip_are_the_clip():
    """A stream goes on where it was: what is kept between two pushes is all that there is."""
    wiring, members = device(2, 7, 2, Windows(8, 1, 0, 8), 8)
    given: Any = frames(40, 3)[..., 0]
    decoder = ForwardSteps(wiring, members)
    found = [pair for each in given for pair in decoder.push(each)] + decoder.finish()
    states = layer_by_layer(wiring, members, given)
    goal = states[np.minimum(np.arange(40) + 2, 39)]
    np.testing.assert_array_equal(np.concatenate([strong for strong, _ in found]), goal[:, :EVENTS])
