"""A scene part as plain data for tfmot: what is described, what is refused and why, and the file it is kept in."""

from __future__ import annotations

import importlib.util
from typing import Any

import keras
import numpy as np
import pytest
import scene_networks as networks

from keras_mtl.core import ConversionError, RunError
from keras_mtl.tflite.tfmot import describe_scene_part, load_twin
from keras_mtl.tflite.tfmot.description import REASONS
from keras_mtl.tflite.tfmot.files import save_twin

layers = keras.layers


def test_the_attention_is_said_in_other_words(network):
    described = describe_scene_part(network).document
    kinds = [(layer["kind"], layer["range"]) for layer in described["layers"]]
    assert kinds[-9:] == [
        ("Reshape", None),
        ("Dense", None),
        ("Activation", [-1.0, 127 / 128]),
        ("Dense", None),
        ("Reshape", None),
        ("Softmax", [0.0, 255 / 256]),
        ("WeightedMean", "moving"),
        ("Reshape", None),
        ("Dense", None),
    ]
    assert (described["input"], described["embeddings"], described["logits"]) == (
        [100, 128, 1],
        "embeddings",
        "scene_logits",
    )


def _network(layer: Any) -> networks.Parts:
    inputs = keras.Input((8, 6, 1))
    maps = layers.Conv2D(4, 1, name="conv")(inputs)
    encoder = keras.Model(inputs, layer(maps))
    embeddings = keras.Input(encoder.output_shape[1:])
    logits = layers.Dense(10, name="scene_logits")(layers.Flatten()(embeddings))
    return networks.Parts(encoder, keras.Model(embeddings, logits))


REFUSED = {
    "Multiply": lambda x: layers.Multiply(name="x")([x, x]),
    "LayerNormalization": layers.LayerNormalization(name="x"),
    "BatchNormalization": lambda x: layers.BatchNormalization(name="x")(layers.ReLU()(x)),
    "GRU": lambda x: layers.GRU(3, name="x")(layers.Reshape((8, 24))(x)),
    "Bidirectional": lambda x: layers.Bidirectional(layers.GRU(3), name="x")(layers.Reshape((8, 24))(x)),
    "Attention": lambda x: layers.Attention(name="x")([layers.Reshape((8, 24))(x)] * 2),
    "Dot": lambda x: layers.Dot((1, 1), name="x")([layers.Reshape((8, 24))(x)] * 2),
    "LeakyReLU": layers.LeakyReLU(name="x"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_layer_is_named_with_the_reason(kind):
    with pytest.raises(ConversionError, match=rf"^layer x \({kind}\) can't be quantized by tfmot: ") as caught:
        describe_scene_part(_network(REFUSED[kind]), 8)
    assert REASONS.get(kind, "8-bit scheme has no such layer") in caught.value.message


def test_grn_is_refused():
    with pytest.raises(ConversionError, match=r"layer grn_0 \(GRN\) can't be quantized by tfmot: a layer of our own"):
        describe_scene_part(networks.cp_mobile(17, 32, grn=True), 17)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason="tensorflow-model-optimization is not installed: it wants NumPy 1",
)
def test_tfmot_itself_refuses_these(run_python):
    code = """
import json, os
import tensorflow_model_optimization as tfmot
from tf_keras import Input, Model, layers
maps, rows = Input((8, 6, 4)), Input((8, 24))
kinds = {
    "Multiply": (maps, lambda x: layers.Multiply()([x, x])),
    "LayerNormalization": (maps, layers.LayerNormalization()),
    "BatchNormalization": (maps, lambda x: layers.BatchNormalization()(layers.ReLU()(x))),
    "GRU": (rows, layers.GRU(3)),
    "LSTM": (rows, layers.LSTM(3)),
    "Bidirectional": (rows, layers.Bidirectional(layers.GRU(3))),
    "Attention": (rows, lambda x: layers.Attention()([x, x])),
    "Dot": (rows, lambda x: layers.Dot((1, 1))([x, x])),
    "Add": (maps, lambda x: layers.Add()([x, x])),
}
refused = []
for kind, (inputs, layer) in kinds.items():
    try:
        tfmot.quantization.keras.quantize_model(Model(inputs, layer(inputs)))
    except RuntimeError as error:
        assert "is not supported" in str(error), error
        refused.append(kind)
print(json.dumps(refused))
"""
    assert set(run_python(code)) == set(REASONS) - {"FusedBatchNorm", "GRN"}  # which tfmot has never seen


def test_a_damaged_file_is_told(tmp_path):
    save_twin(tmp_path / "qat_tfmot.npz", {"input": [1]}, {"a/kernel": np.zeros(3)})
    document, weights = load_twin(tmp_path / "qat_tfmot.npz")
    assert (document["input"], list(weights)) == ([1], ["a/kernel"])
    (tmp_path / "qat_tfmot.npz").write_bytes(b"PK")
    with pytest.raises(RunError, match=r"qat_tfmot.npz is missing or damaged"):
        load_twin(tmp_path / "qat_tfmot.npz")
