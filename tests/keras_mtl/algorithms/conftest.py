"""A very small network whose every part has batch normalisation and dropout, and batches for it."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_mtl.algorithms import PartialAdamW
from keras_mtl.models import WeakPooling

FRAMES, BANDS, CLASSES = 8, 6, 10


def part(name, inputs, outputs):
    return keras.Model(inputs, outputs, name=name)


def network(decoders=("scene_head", "event_head"), name="little", embedding=5, dropout=0.1):
    """[batch, frames, 6, 1] to 1 embedding every 2 frames; scenes are 8 frames, events 40."""
    log_mel = keras.Input((None, BANDS, 1))
    x = keras.layers.Conv2D(embedding, (2, BANDS), strides=(2, BANDS))(log_mel)
    x = keras.layers.BatchNormalization()(x)
    encoder = part("encoder", log_mel, keras.layers.Reshape((-1, embedding))(keras.layers.ReLU()(x)))
    made = {}
    embeddings = keras.Input((None, embedding))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(4, activation="tanh")(embeddings))
    x = keras.layers.Dropout(dropout)(x)
    made["scene_head"] = part(
        "scene_head", embeddings, keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling1D()(x))
    )
    embeddings = keras.Input((None, embedding))
    x = keras.layers.BatchNormalization()(keras.layers.Conv1D(4, 3, padding="same")(embeddings))
    x = keras.layers.Dropout(dropout)(x)
    strong = keras.layers.Dense(CLASSES, activation="sigmoid")(x)
    attention = keras.layers.Dense(CLASSES, activation="softmax")(x)
    made["event_head"] = part("event_head", embeddings, {"strong": strong, "weak": WeakPooling()([strong, attention])})
    inputs = keras.Input((None, BANDS, 1))
    x = encoder(inputs)
    outputs = {"scene_head": lambda: {"scenes": made["scene_head"](x)}, "event_head": lambda: made["event_head"](x)}
    return keras.Model(inputs, {k: v for name in decoders for k, v in outputs[name]().items()}, name=name)


def scene_batch(random, clips=6):
    return {
        "log_mel": random.normal(size=(clips, FRAMES, BANDS, 1)).astype(np.float32),
        "scene": random.integers(0, CLASSES, clips).astype(np.int32),
    }


def event_batch(random, strong=2, weak=2, unlabelled=3, seconds=5):
    clips, embeddings = strong + weak + unlabelled, seconds * FRAMES // 2
    return {
        "log_mel": random.normal(size=(clips, seconds * FRAMES, BANDS, 1)).astype(np.float32),
        "strong": (random.random((clips, embeddings, CLASSES)) < 0.1).astype(np.float32),
        "weak": (random.random((clips, CLASSES)) < 0.3).astype(np.float32),
        "has_strong": np.repeat([1, 0, 0], [strong, weak, unlabelled]).astype(np.float32),
        "has_weak": np.repeat([0, 1, 0], [strong, weak, unlabelled]).astype(np.float32),
    }


def both(random):
    return {"scenes": scene_batch(random), "events": event_batch(random)}


def compiled(model, rate=1e-2, decay=0.01, eager=True, **options):
    """Eager, since tracing a step costs more than a few steps; whole trainings elsewhere are traced."""
    model.compile(optimizer=PartialAdamW(rate, weight_decay=decay, **options), run_eagerly=eager)
    model.optimizer.build(model.trained_variables())
    return model


def bits(part):
    return [weight.numpy().tobytes() for weight in part.weights]


def moments(model, part):
    """The optimiser's moments of a part's weights, as bytes."""
    optimizer = model.optimizer
    index = [optimizer._get_variable_index(variable) for variable in part.trainable_variables]
    kinds = (optimizer._momentums, optimizer._velocities)
    return [kind[i].numpy().tobytes() for i in index for kind in kinds]


@pytest.fixture
def little():
    return SimpleNamespace(
        network=network,
        scene_batch=scene_batch,
        event_batch=event_batch,
        both=both,
        compiled=compiled,
        bits=bits,
        moments=moments,
    )


@pytest.fixture
def random():
    keras.utils.set_random_seed(11)
    return np.random.default_rng(11)
