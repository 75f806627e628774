"""The quantization-aware twin: folding, ranges, fine-tuning, and that it can be saved."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.core import ConversionError
from keras_mtl.tflite.qat import FakeQuant, build_qat, calibrate, ranges
from keras_mtl.tflite.qat.fake_quant import as_kernels_round, levels_of_8_bit_kernels
from keras_mtl.tflite.qat.scheme import scale_and_zero_point
from keras_mtl.tflite.quantize import Quantized, SelfDistillation


def _embeddings(model: keras.Model, clips: np.ndarray) -> np.ndarray:
    return np.asarray(keras.Model(model.input, model.get_layer("embeddings").output)(clips[..., None]))


def test_16_bit_twin_is_near_the_float_network(network, quantized, clips):
    goal = np.asarray(network.get_layer("encoder")(clips.golden[..., None]))
    wanted = np.asarray(network.get_layer("scene_head")(goal))
    embeddings = _embeddings(quantized["int16x8"].model, clips.golden)
    error = np.mean((embeddings - goal) ** 2) / np.mean(goal**2)
    assert 0 < error < 2e-3  # 8-bit weights; a mistake in folding makes it larger than 0.1
    logits = np.asarray(quantized["int16x8"].model(clips.golden[..., None]))
    assert np.abs(logits - wanted).max() < 0.1 * np.ptp(wanted)


def test_folding_is_exact_where_nothing_is_rounded(network, clips):
    """With 16 bits and a dense layer's worth of ranges, only weights round: with weights on their grid nothing does."""
    twin = build_qat(network, "int16x8")
    conv = network.get_layer("encoder").get_layer("conv_1")
    normalisation = network.get_layer("encoder").get_layer("bn_1")
    x = clips.golden[:2, ..., None]
    goal = np.maximum(np.asarray(normalisation(conv(x), training=False)), 0)
    folded = keras.layers.Conv2D(8, 3, padding="same", activation="relu")
    folded.build(x.shape)
    folded.set_weights(twin.get_layer("conv_1").get_weights())
    np.testing.assert_allclose(np.asarray(folded(x)), goal, atol=1e-5)


@pytest.mark.parametrize("scheme", ["int8", "int16x8"])
def test_activations_lie_on_the_levels_of_their_range(quantized, clips, scheme):
    model = quantized[scheme].model
    assert len(ranges(model)) > 5
    for layer in ranges(model):
        values, step = keras.Model(model.input, layer.output)(clips.golden[:4, ..., None])
        scale, zero_point = layer.scale_and_zero_point()
        assert float(step) == pytest.approx(scale, rel=1e-6)
        levels = np.asarray(values, np.float64) / scale + zero_point
        assert np.abs(levels - np.rint(levels)).max() < 0.02
        limit = 2 ** (layer.bits - 1)
        assert levels.min() > -limit - 0.02
        assert levels.max() < limit - 0.98
        assert len(np.unique(np.rint(levels))) > 5


def test_ranges_of_the_schemes(quantized):
    by_name = {scheme: {layer.name: layer for layer in ranges(quantized[scheme].model)} for scheme in quantized}
    assert by_name["int8"]["attention_tanh_range"].scale_and_zero_point() == (1 / 128, 0)
    assert by_name["int8"]["attention_range"].scale_and_zero_point() == (1 / 256, -128)
    assert "attention_tanh_range" not in by_name["int16x8"]
    assert by_name["int8"]["conv_1_range"].scale_and_zero_point()[1] == -128  # nothing is negative after a ReLU
    assert all(layer.scale_and_zero_point()[1] == 0 for layer in by_name["int16x8"].values())


def test_scale_and_zero_point_of_known_ranges():
    assert scale_and_zero_point(-1.0, 127 / 128, 8, False) == (2**-7, 0)
    assert scale_and_zero_point(0.0, 255.0, 8, False) == (1.0, -128)
    assert scale_and_zero_point(-32767.0, 32767.0, 16, True) == (1.0, 0)


def test_saved_model_gives_the_same_outputs(quantized, clips, tmp_path: Path):
    for scheme, made in quantized.items():
        made.model.save(tmp_path / f"{scheme}.keras")
        loaded = keras.saving.load_model(tmp_path / f"{scheme}.keras")
        x = clips.golden[..., None]
        np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(made.model(x)))


@pytest.mark.slow
def test_fine_tuning_brings_the_twin_nearer_and_leaves_the_network(network, clips):
    before = [weight.copy() for weight in network.get_weights()]
    student = build_qat(network, "int8")
    calibrate(student, {"scenes": clips.calibration})
    trainer = SelfDistillation(student, network)
    ends = [float(layer.high.numpy()) for layer in ranges(student)]
    kernel, bias = student.get_layer("conv_6").get_weights()
    student.get_layer("conv_6").set_weights([kernel, bias + 0.2])  # something to mend
    trainer.compile(optimizer=keras.optimizers.Adam(1e-3), jit_compile=False)
    x = {"scenes": clips.calibration[..., None]}
    before_fit = trainer.distance(x)
    history = trainer.fit(x, batch_size=16, epochs=6, verbose=0).history
    after_fit = trainer.distance(x)
    assert {"loss", "scenes_divergence", "scenes_embedding_error"} <= set(history)
    assert after_fit["scenes_embedding_error"] < 0.7 * before_fit["scenes_embedding_error"]
    assert after_fit["scenes_divergence"] < before_fit["scenes_divergence"]
    assert [float(layer.high.numpy()) for layer in ranges(student)] != ends  # ranges learn
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(layer.trainable for layer in network.layers)


def test_the_nearer_weights_are_kept(quantized):
    made: Quantized = quantized["int8"]
    loss = {stage: near["scenes_divergence"] + near["scenes_embedding_error"] for stage, near in made.nearness.items()}
    assert set(loss) == {"calibrated", "fine_tuned"}
    assert made.kept == min(loss, key=lambda stage: loss[stage])
    assert quantized["int16x8"].kept == "calibrated"


def _requantized_as_in_the_kernel(accumulators: np.ndarray, multiplier: float, bits: int) -> list[int]:
    """`MultiplyByQuantizedMultiplier` of TensorFlow Lite in integers: doubling high product, then rounding shift."""
    mantissa, exponent = np.frexp(multiplier)
    fixed, found = round(float(mantissa) * 2**31), []
    for x in accumulators.tolist():
        if bits == 16:
            shift = 15 - int(exponent)
            found.append((x * ((fixed + (1 << 15)) >> 16) + (1 << (shift - 1))) >> shift)
            continue
        product = x * fixed
        high = int((product + ((1 << 30) if product >= 0 else 1 - (1 << 30))) / (1 << 31))  # toward 0, as in C
        shift = -int(exponent)
        mask = (1 << shift) - 1
        threshold = (mask >> 1) + (1 if high < 0 else 0)
        found.append((high >> shift) + int((high & mask) > threshold))
    return found


@pytest.mark.parametrize(("bits", "multiplier"), [(8, 0.0027), (8, 0.013), (16, 0.0041), (16, 0.00098)])
def test_rounding_imitates_the_integer_kernels(bits, multiplier):
    limit = 2 ** (bits - 1) - 1
    most = int(limit / multiplier)
    accumulators = np.random.default_rng(0).integers(-most, most, 20_000)
    goal = _requantized_as_in_the_kernel(accumulators, multiplier, bits)
    exact = accumulators * multiplier
    moved = np.asarray(as_kernels_round(tf.constant(exact, tf.float32), tf.constant(multiplier, tf.float32), bits))
    plain = np.mean(np.floor(exact + 0.5) != goal)
    imitated = np.mean(np.floor(moved.astype(np.float64) + 0.5) != goal)
    assert plain > 1e-3  # what there is to imitate
    assert imitated < 0.2 * plain


@pytest.mark.parametrize("multiplier", [0.0003, 0.0027, 0.013, 0.49, 0.97])
def test_8_bit_levels_are_the_kernels_own(multiplier):
    """From accumulators that float32 does not hold exactly, as a convolution of real values gives them."""
    output = np.float32(0.0021)
    steps = np.asarray([0.037, multiplier * float(output) / 0.037], np.float32)
    exact = float(steps[0]) * float(steps[1])
    accumulators = np.random.default_rng(0).integers(-400_000, 400_000, 20_000)
    real = tf.constant(accumulators * exact * (1.0 + np.random.default_rng(1).normal(0, 1e-7, 20_000)), tf.float32)
    found = np.asarray(levels_of_8_bit_kernels(real, tf.constant(steps), tf.constant(output)))
    np.testing.assert_array_equal(found, _requantized_as_in_the_kernel(accumulators, exact / float(output), 8))


def test_range_keeps_zero_and_its_kind():
    either = FakeQuant(8)
    either.set_range(2.0, 5.0)
    assert either.scale_and_zero_point()[1] == -128  # 0 is in the range
    capped = FakeQuant(16, symmetric=True, most=3.0)
    capped.set_range(-9.0, 4.0)
    assert float(capped.high.numpy()) == 3.0


def test_refusals(network, clips):
    with pytest.raises(ConversionError, match="unknown scheme 'int4'"):
        build_qat(network, "int4")
    twin = build_qat(network, "int8")
    with pytest.raises(ConversionError, match="finite"):
        calibrate(twin, {"scenes": clips.calibration[:0]})
    with pytest.raises(ConversionError, match="finite"):
        calibrate(twin, {"scenes": np.full_like(clips.calibration[:1], np.nan)})
    inputs = keras.Input((100, 128, 1))
    odd = keras.Model(inputs, keras.layers.GroupNormalization(1, name="norm")(inputs))
    with pytest.raises(ConversionError, match=r"norm \(GroupNormalization\) has no quantization-aware twin"):
        build_qat(_Named({"encoder": odd, "scene_head": network.get_layer("scene_head")}), "int8")


class _Named:
    """Gives layers by name, as a network does."""

    def __init__(self, layers: dict[str, keras.Model]) -> None:
        self.get_layer = layers.__getitem__
