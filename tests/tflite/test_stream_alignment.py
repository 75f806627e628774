"""Encoders laid out in time: one step after the other gives what the encoder gives for the whole, and nothing later."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_mtl.core import ArtifactError, ConversionError
from keras_mtl.models import GRN, build_baseline_sed, build_cp_mobile, build_cp_mobile_rnn, build_encoder
from keras_mtl.tflite.artifact import Stream
from keras_mtl.tflite.convert.alignment import align
from keras_mtl.tflite.convert.step import build_step

layers = keras.layers
BANDS, STEPS = 16, 12


def encoder_of(*chain) -> keras.Model:
    """An encoder of layers one after the other."""
    inputs = x = keras.Input((None, BANDS, 1))
    for layer in chain:
        x = layer(x)
    return keras.Model(inputs, layers.Reshape((-1, x.shape[2] * x.shape[3]))(x), name="encoder")


def conv(filters, kernel, strides=1, **options):
    return layers.Conv2D(
        filters, kernel, strides, padding="same", activation="relu", bias_initializer="ones", **options
    )


ENCODERS = {
    "default": lambda: build_encoder(mel_bands=128),
    "pools of 3 and 2": lambda: build_encoder(None, BANDS, (2, 3, 2), ((3, 2), (1, 2), (2, 2))),
    "first pool in the middle": lambda: build_encoder(None, BANDS, (2, 2, 3, 2), ((1, 2), (1, 1), (4, 2), (1, 1))),
    "one embedding a frame": lambda: build_encoder(None, BANDS, (2, 2), ((1, 4), (1, 2))),
    "wide and even kernels": lambda: encoder_of(
        conv(2, (5, 3)), conv(3, (4, 2)), layers.MaxPooling2D((2, 2)), conv(2, (3, 4))
    ),
    "dilated": lambda: encoder_of(conv(2, 3, dilation_rate=(3, 2)), layers.AveragePooling2D((4, 1)), conv(2, 3)),
    "strided": lambda: encoder_of(conv(2, 3, (2, 2)), conv(2, 3), conv(2, (5, 3), (3, 2))),
    "depthwise": lambda: encoder_of(
        conv(2, 3), layers.DepthwiseConv2D(3, 2, padding="same"), conv(2, 1), conv(2, 1, 2)
    ),
    "pool before anything": lambda: encoder_of(layers.MaxPooling2D((2, 1)), conv(2, 3), layers.MaxPooling2D((3, 2))),
    "gated": lambda: build_baseline_sed(mel_bands=BANDS, channels=(2, 2), pools=((2, 4), (2, 4)), events=10).get_layer(
        "encoder"
    ),
}


def stepped(encoder: keras.Model, log_mel: np.ndarray) -> tuple[np.ndarray, Stream]:
    """The embeddings of all steps, those of what was before the start too."""
    model, stream = build_step(encoder)
    states = [np.zeros((1, *port.shape[1:]), np.float32) for port in model.inputs[1:]]
    found = []
    for first in range(0, log_mel.shape[1], stream.stride):
        given = [log_mel[:, first : first + stream.stride], *states]
        made = model([keras.ops.convert_to_tensor(values) for values in given])
        states = [made[state.given] for state in stream.states]
        found.append(np.asarray(made["embedding"])[0])
    return np.stack(found), stream


@pytest.mark.parametrize("name", ENCODERS)
def test_steps_give_what_the_whole_gives(name):
    keras.utils.set_random_seed(4)
    encoder = ENCODERS[name]()
    plan = align(encoder)
    frames = plan.stride * STEPS
    log_mel = np.random.default_rng(5).normal(size=(1, frames, *encoder.input_shape[2:])).astype(np.float32)
    whole = np.asarray(encoder(log_mel))[0]
    assert len(whole) == STEPS
    found, stream = stepped(encoder, log_mel)
    assert (stream.stride, stream.latency, stream.warm_up) == (plan.stride, plan.latency, plan.warm_up)
    # The end is missing: it comes when what it looks at is there.
    same = found[stream.latency + stream.warm_up :]
    assert len(same) >= 5
    np.testing.assert_allclose(same, whole[stream.warm_up : STEPS - stream.latency], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_no_embedding_comes_later_than_it_must(name):
    """Each hangs on a frame of the step that gives it, or a pool alone made it wait."""
    keras.utils.set_random_seed(6)
    encoder = ENCODERS[name]()
    plan = align(encoder)
    frames, random = plan.stride * STEPS, np.random.default_rng(7)
    for weight in encoder.trainable_weights:
        weight.assign(np.abs(weight.numpy()) + 0.01)  # nothing hides behind a ReLU
    log_mel = random.uniform(0.5, 1.0, (1, frames, *encoder.input_shape[2:])).astype(np.float32)
    middle = STEPS // 2
    louder = np.repeat(log_mel, 1 + frames, axis=0)
    louder[np.arange(frames) + 1, np.arange(frames)] += 5.0
    goal, *found = np.asarray(encoder(louder))[:, middle]
    changed = np.flatnonzero(np.abs(np.stack(found) - goal).max(axis=1) > 1e-6 * np.abs(goal).max())
    # What it sees begins with the frame that the warm-up says, and ends within the steps that the latency says.
    assert -(-(middle * plan.stride - changed[0]) // plan.stride) == plan.warm_up
    assert changed[-1] // plan.stride - middle <= plan.latency
    waits = plan.latency - (changed[-1] // plan.stride - middle)
    assert waits <= (1 if plan.stride > 1 else 0)


def test_the_default_encoder_is_laid_out_as_described():
    plan = align(ENCODERS["default"]())
    assert (plan.stride, plan.latency, plan.warm_up) == (4, 3, 3)
    held = {name: place.held for name, place in plan.places.items() if place.held}
    assert held == {"conv_1": 3, **{f"conv_{number}": 2 for number in range(2, 7)}}
    _, stream = build_step(ENCODERS["default"]())
    assert Stream.from_dict(stream.to_dict()) == stream


def joined() -> keras.Model:
    inputs = x = keras.Input((None, BANDS, 1))
    x = layers.Add(name="shortcut")([layers.Conv2D(1, 3, padding="same")(x), x])
    return keras.Model(inputs, layers.Reshape((-1, BANDS))(x), name="encoder")


def over_the_clip() -> keras.Model:
    return encoder_of(layers.Conv2D(2, 3, padding="same"), GRN(name="grn"))


REFUSED = {
    "joins paths of different delays": joined,
    "other frames than those at hand": over_the_clip,
    "so its pools overlap": lambda: encoder_of(layers.MaxPooling2D(3, 1)),
    'has padding "valid"': lambda: encoder_of(layers.Conv2D(2, 3)),
    "no sequence of embeddings": lambda: build_cp_mobile(32, BANDS, scenes=10).get_layer("encoder"),
    "layer b1_add .* joins paths": lambda: build_cp_mobile_rnn(mel_bands=32, events=10).get_layer("encoder"),
    "mixes frames": lambda: keras.Sequential(
        [keras.Input((8, BANDS, 1)), layers.Reshape((4, 2 * BANDS))], name="encoder"
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_encoders_that_do_not_align_are_refused_with_the_reason(reason):
    with pytest.raises(ConversionError, match=reason):
        build_step(REFUSED[reason]())


@pytest.mark.parametrize(
    "damage", [None, {}, {"stride": 0}, {"latency": -1}, {"warm_up": 1.5}, {"states": [{"layer": "a"}]}]
)
def test_wirings_that_can_not_be_read_are_refused(damage):
    values = {"stride": 4, "latency": 1, "warm_up": 1, "states": []}
    assert Stream.from_dict(values) == Stream(4, 1, 1, ())
    with pytest.raises(ArtifactError, match="schedule of the stream"):
        Stream.from_dict({**values, **damage} if damage else damage)
