"""Small scene networks of the layer kinds that the systems are made of, with uneven weights and statistics."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_mtl.models import GRN

layers = keras.layers


class Parts:
    """Gives encoder and scene head by name, as a network does."""

    def __init__(self, encoder: keras.Model, head: keras.Model) -> None:
        self.get_layer = {"encoder": encoder, "scene_head": head}.__getitem__


def as_parts(inputs: Any, outputs: Any, head: Any) -> Parts:
    """Encoder of the given tensors, and the head that a function from tensor to tensor builds; weights uneven."""
    embeddings = keras.Input(outputs.shape[1:], name="embeddings")
    parts = Parts(
        keras.Model(inputs, outputs, name="encoder"), keras.Model(embeddings, head(embeddings), name="scene_head")
    )
    generator = np.random.default_rng(0)
    for name in ("encoder", "scene_head"):
        for layer in parts.get_layer(name)._flatten_layers():
            _make_uneven(layer, generator)
    return parts


def _make_uneven(layer: Any, generator: np.random.Generator) -> None:
    if isinstance(layer, layers.BatchNormalization):
        width = layer.gamma.shape[0]
        uneven = [generator.uniform(0.6, 1.5, width), *generator.normal(0, 0.3, (2, width))]
        layer.set_weights([*uneven, generator.uniform(0.4, 1.4, width)])
    elif isinstance(layer, GRN):
        layer.set_weights(list(generator.normal(0, 0.5, (2, layer.gamma.shape[0]))))
    elif getattr(layer, "use_bias", False):
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel, generator.normal(0, 0.2, bias.shape)])


def clips(count: int, frames: int, mel_bands: int, seed: int = 1) -> np.ndarray:
    """Normalised log-mel with drifts in time and colour, as recordings have them: [count, frames, mel_bands]."""
    generator = np.random.default_rng(seed)
    drift = generator.normal(size=(count, frames, 1)).cumsum(1) * 0.1
    colour = generator.normal(size=(count, 1, mel_bands)).cumsum(2) * 0.15
    return (drift + colour + generator.normal(size=(count, frames, mel_bands)) * 0.4).astype(np.float32)


#: Expanded and given channels and strides of each block. CP-Mobile's of DCASE 2024 are `CP_MOBILE`.
FEW = ((24, 16, (1, 1)), (24, 16, (2, 1)), (24, 24, (1, 2)))
CP_MOBILE = (*2 * ((64, 32, (1, 1)),), (64, 32, (2, 1)), (64, 56, (1, 2)), (120, 56, (1, 1)), (120, 104, (1, 1)))


def cp_mobile(frames: int, mel_bands: int, stem: tuple = (8, 16), blocks: tuple = FEW, grn: bool = False) -> Parts:
    """Inverted residual blocks; the head is a 1 x 1 convolution and a mean over the map."""

    def normalised(x: Any, layer: Any, rectified: bool = True) -> Any:
        x = layers.BatchNormalization(name=f"{layer.name}_bn")(layer(x))
        return layers.ReLU(name=f"{layer.name}_relu")(x) if rectified else x

    inputs = x = keras.Input((frames, mel_bands, 1))
    keras.utils.set_random_seed(0)
    for i, width in enumerate(stem):
        x = normalised(x, layers.Conv2D(width, 3, 2, padding="same", use_bias=False, name=f"stem_{i}"))
    for i, (expanded, width, strides) in enumerate(blocks):
        y = normalised(x, layers.Conv2D(expanded, 1, use_bias=False, name=f"expand_{i}"))
        depthwise = layers.DepthwiseConv2D(3, strides, padding="same", use_bias=False, name=f"depthwise_{i}")
        y = normalised(y, depthwise)
        y = normalised(y, layers.Conv2D(width, 1, use_bias=False, name=f"project_{i}"), rectified=False)
        if x.shape[-1] == width:
            if strides != (1, 1):
                x = layers.AveragePooling2D(3, strides, padding="same", name=f"shortcut_{i}")(x)
            y = layers.Add(name=f"add_{i}")([y, x])
        if grn:
            y = GRN(name=f"grn_{i}")(y)
        x = layers.ReLU(name=f"relu_{i}")(y)

    def head(maps: Any) -> Any:
        classes = normalised(maps, layers.Conv2D(10, 1, use_bias=False, name="classes"), rectified=False)
        return layers.GlobalAveragePooling2D(name="scene_logits")(classes)

    return as_parts(inputs, x, head)


def baseline(frames: int, mel_bands: int) -> Parts:
    """Convolutions 7 x 7, pools, dropout and two dense layers."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((frames, mel_bands, 1))
    for i, (width, pool) in enumerate(((8, None), (8, 5), (16, (5, 4)))):
        x = layers.Conv2D(width, 7, padding="same", name=f"conv_{i}")(x)
        x = layers.ReLU(name=f"relu_{i}")(layers.BatchNormalization(name=f"bn_{i}")(x))
        if pool:
            x = layers.Dropout(0.3, name=f"dropout_{i}")(layers.MaxPooling2D(pool, name=f"pool_{i}")(x))

    def head(flat: Any) -> Any:
        hidden = layers.Dropout(0.3, name="dropout")(layers.Dense(20, activation="relu", name="hidden")(flat))
        return layers.Dense(10, name="scene_logits")(hidden)

    return as_parts(inputs, layers.Flatten(name="flat")(x), head)
