"""Which log-mel frames an embedding stands for, read off the network's own encoder by shape inference."""

from __future__ import annotations

import keras

from keras_mtl.core import RecipeError

#: A length that is a multiple of all strides in use (2^11 x 3 x 5 x 7), and long enough to show any other one.
_PROBE_FRAMES = 215_040


def frames_per_embedding(network: keras.Model) -> int:
    """Log-mel frames from one embedding of the encoder to the next: embedding k covers s k .. s k + s - 1.

    Args:
        network: functional network with the layer "encoder": [batch, frames, mel_bands, 1] to [batch, embeddings, D].

    Raises:
        RecipeError: the network has no encoder, or its encoder gives no sequence of embeddings (as of a network for
            scenes alone, which needs no stride), or none that goes evenly over its fixed length.
    """
    encoder = _encoder(network)
    fixed = encoder.input_shape[1]
    frames = fixed or _PROBE_FRAMES
    embeddings = embeddings_of(network, frames)
    stride = round(frames / embeddings)
    if embeddings < 2 or embeddings not in (frames // stride, -(-frames // stride)):
        raise RecipeError(
            f"{network.name}: {embeddings} embeddings over {frames} frames are no even sequence",
            hint="events can't be placed in time by this network",
        )
    return stride


def embeddings_of(network: keras.Model, frames: int) -> int:
    """Embeddings that the encoder gives for a clip of `frames` log-mel frames.

    Pools drop what does not fill them, strided "same" convolutions do not: 626 frames give 156 embeddings by pools of
    4 in all, 1000 frames give 63 by strides of 16.

    Raises:
        RecipeError: as of `frames_per_embedding`, or the encoder has a fixed length and it is another one.
    """
    encoder = _encoder(network)
    fixed = encoder.input_shape[1]
    if fixed is not None and fixed != frames:
        raise RecipeError(f"{network.name} is built for {fixed} frames, not for {frames}")
    # What was built for one length can't be asked for any: its reshaping layers name it.
    shape = encoder.output_shape if fixed else encoder.compute_output_shape((1, frames, *encoder.input_shape[2:]))
    if not isinstance(shape, tuple) or len(shape) != 3 or not shape[1]:
        raise RecipeError(
            f"{network.name}: its encoder gives {shape} for {frames} frames, no sequence of embeddings",
            hint="events can't be placed in time by this network",
        )
    return int(shape[1])


def _encoder(network: keras.Model) -> keras.Model:
    if "encoder" not in {layer.name for layer in network.layers}:
        raise RecipeError(f"{network.name} has no layer named encoder")
    return network.get_layer("encoder")
