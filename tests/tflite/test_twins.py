"""Twins of single layers without conversion: what is fused, what is refused, rounding, and training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import scene_networks as networks

from keras_mtl.core import ConversionError
from keras_mtl.tflite.qat import AveragePool, build_qat, calibrate, flatten, ranges
from keras_mtl.tflite.quantize import SelfDistillation

layers = keras.layers


def _parts(head: Any, shape: tuple[int, int] = (8, 6)) -> networks.Parts:
    inputs = keras.Input((*shape, 1))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    return networks.as_parts(inputs, layers.ReLU(name="relu")(x), head)


def test_models_are_flattened_by_who_reads_what():
    inner_input = keras.Input((8, 6, 4))
    inner = keras.Model(inner_input, layers.Dropout(0.5)(layers.ReLU(name="r")(inner_input)), name="inner")
    inputs = keras.Input((8, 6, 4))
    x = inner(layers.SpatialDropout2D(0.5)(inputs))
    first = keras.Model(inputs, layers.Add(name="a")([layers.Conv2D(4, 1, name="c")(x), x]))
    second = keras.Sequential([keras.Input((8, 6, 4)), layers.Flatten(name="f"), layers.Dense(3, name="d")])
    graph = flatten([first, second])
    by_name = {node.layer.name: node for node in graph.nodes}
    assert list(by_name) == ["r", "c", "a", "f", "d"]
    assert by_name["r"].inputs == (0,)
    assert by_name["a"].inputs == (by_name["c"].output, by_name["r"].output)
    assert graph.next_alone(by_name["r"].output) is None  # two read it
    assert graph.next_alone(by_name["c"].output) is by_name["a"]
    assert graph.next_alone(by_name["a"].output) is None  # what a model gives is not fused
    assert graph.ends == [by_name["a"].output, by_name["d"].output]


def test_what_a_second_layer_reads_is_not_fused():
    def head(maps: Any) -> Any:
        conv = layers.Conv2D(4, 1, name="shared")(maps)
        return layers.Flatten(name="flat")(layers.Add(name="sum")([layers.ReLU(name="late")(conv), conv]))

    with pytest.raises(ConversionError, match=r"late \(ReLU\) has no quantization-aware twin"):
        build_qat(_parts(head), "int8", frames=8)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (layers.LayerNormalization(name="norm"), r"norm \(LayerNormalization\)"),
        (layers.BatchNormalization(name="late_bn"), r"late_bn \(BatchNormalization\)"),
        (layers.Conv2D(4, 1, groups=2, name="grouped"), r"grouped \(Conv2D\)"),
        (layers.Conv2D(4, 1, activation="gelu", name="curved"), r"curved \(Conv2D\)"),
        (layers.Activation("sigmoid", name="gate"), r"gate \(Activation\)"),
        (layers.Softmax(axis=1, name="odd"), r"odd \(Softmax\)"),
        (lambda maps: keras.ops.abs(maps), r"absolute\w* \(Absolute\)|abs\w* \(Abs\w*\)"),
        (lambda maps: layers.Add(name="three")([maps] * 3), r"three \(Add\)"),
    ],
)
def test_layers_without_a_twin_are_refused_by_name(layer, named):
    with pytest.raises(ConversionError, match=rf"layer ({named}) has no quantization-aware twin"):
        build_qat(_parts(lambda maps: layers.Flatten(name="flat")(layer(maps))), "int8", frames=8)


def test_models_that_can_not_be_walked_are_refused():
    class Odd(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(ConversionError, match="model odd is not functional"):
        flatten([Odd(name="odd")])
    one, other = keras.Input((2,)), keras.Input((2,))
    two = keras.Model([one, other], layers.Add()([one, other]), name="two")
    with pytest.raises(ConversionError, match="model two has several inputs"):
        flatten([two])


@pytest.mark.parametrize(("zero_point", "low", "high"), [(-128, 0, 255), (0, -32767, 32767)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_average_pool_rounds_as_the_kernel_does(zero_point, low, high, padding):
    integers = np.random.default_rng(0).integers(low, high + 1, (2, 7, 8, 3))
    step = np.float32(0.0123)
    pool = AveragePool(zero_point, pool_size=3, strides=(2, 1), padding=padding)
    found = np.asarray(pool((integers * step).astype(np.float32), input_step=step)) / step + zero_point
    raw, goal = integers + zero_point, np.zeros(found.shape)
    top, left = (1, 1) if padding == "same" else (0, 0)
    for row, column in np.ndindex(found.shape[1:3]):
        rows = slice(max(0, 2 * row - top), 2 * row - top + 3)  # no zeros around
        window = raw[:, rows, max(0, column - left) : column - left + 3]
        total, count = window.sum(axis=(1, 2)), window.shape[1] * window.shape[2]
        goal[:, row, column] = np.trunc((total + np.where(total > 0, count // 2, -(count // 2))) / count)
    np.testing.assert_array_equal(np.rint(found), goal)


@pytest.mark.slow
def test_twin_of_cp_mobile_learns_all_that_it_should():
    network = networks.cp_mobile(17, 32, grn=True)
    twin = build_qat(network, "int8", frames=17)
    values = networks.clips(8, 17, 32)
    calibrate(twin, {"scenes": values})
    trainer = SelfDistillation(twin, network)
    before = {weight.path: np.array(weight) for weight in twin.trainable_weights}
    trainer.compile(optimizer=keras.optimizers.Adam(1e-3), jit_compile=False)
    history = trainer.fit({"scenes": values[..., None]}, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    after = {weight.path: np.array(weight) for weight in twin.trainable_weights}
    assert all(np.isfinite(weight).all() for weight in after.values())
    still = {path for path in before if np.array_equal(before[path], after[path])}
    assert {path for path in still if path.endswith(("kernel", "bias"))} == set()


def test_embeddings_name_is_the_encoder_s_end_only(tmp_path):
    inputs = keras.Input((8, 6, 1))
    x = layers.Reshape((4, 12, 1), name="embeddings")(inputs)
    x = layers.Conv2D(3, 3, name="log_mel")(x)
    head = lambda maps: layers.Dense(3, name="log_mel")(layers.Flatten(name="conv")(maps))  # noqa: E731
    network = networks.as_parts(inputs, x, head)
    twin = build_qat(network, "int16x8", frames=8)
    calibrate(twin, {"scenes": networks.clips(4, 8, 6)})
    assert twin.get_layer("embeddings").output.shape == (None, 2, 10, 3)
    assert len({layer.name for layer in twin.layers}) == len(twin.layers)
    values = networks.clips(2, 8, 6)[..., None]
    twin.save(tmp_path / "twin.keras")
    np.testing.assert_array_equal(np.asarray(keras.saving.load_model(tmp_path / "twin.keras")(values)), twin(values))
    assert all(layer.headroom == 8.0 for layer in ranges(twin)[-1:])
