"""The quantization-aware twin of a whole network: cells, decoders, the levels between them, and training on it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from event_networks import CLIP, SECOND, clips, small_network

from keras_mtl.algorithms import ALGORITHMS, PartialAdamW
from keras_mtl.core import ConversionError
from keras_mtl.models import build_crnn
from keras_mtl.recipes import TrainSettings
from keras_mtl.tflite.qat import INTERFACE, FakeQuant, FakeQuantGRU, build_qat, calibrate, embeddings_range
from keras_mtl.tflite.qat.scene_model import TASKS
from keras_mtl.tflite.quantize import SelfDistillation, quantize_network

SCHEMES = [("int8", "int16x8"), ("int16x8", "int16x8"), ("int8", "int8")]


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture(scope="module")
def one_layer():
    """Half as many recurrent layers: what is trained is traced in half the time."""
    return small_network(recurrent_layers=1)


@pytest.fixture(scope="module")
def calibration():
    return {"scenes": clips(12, SECOND), "events": clips(4, CLIP)}


@pytest.fixture(scope="module")
def twins(network, calibration):
    made = {pair: build_qat(network, pair[0], TASKS, pair[1]) for pair in SCHEMES}
    for twin in made.values():
        calibrate(twin, calibration)
    return made


@pytest.mark.parametrize("backwards", [False, True])
def test_recurrent_twin_gives_what_keras_gives(backwards):
    """With 16 bits only the weights' 8 bits show; a gate in the wrong place or a wrong direction shows tenfold."""
    keras.utils.set_random_seed(1)
    sequence = np.random.default_rng(1).uniform(0, 1, (3, 40, 12)).astype(np.float32)
    layer = keras.layers.GRU(7, return_sequences=True, go_backwards=backwards, bias_initializer="random_normal")
    goal = np.asarray(layer(sequence))
    goal = goal[:, ::-1] if backwards else goal
    twin = FakeQuantGRU(7, "int16x8", go_backwards=backwards)
    twin.build(sequence.shape)
    twin.cell.load(layer.cell)
    for range_of in (one for one in twin.cell._flatten_layers() if isinstance(one, FakeQuant) and not one.fixed):
        range_of.set_range(-6.0, 6.0)
    assert np.abs(np.asarray(twin(sequence, input_step=2.0**-15)) - goal).max() < 0.01
    assert np.abs(goal).max() > 0.3


@pytest.mark.parametrize(("pair", "most"), list(zip(SCHEMES, [0.02, 0.01, 0.12], strict=True)), ids=str)
def test_twin_is_near_the_network(twins, network, pair, most):
    """8-bit states are coarse: that is why 16 bits are the default for the cells."""
    second, clip = clips(8, SECOND, 5)[..., None], clips(4, CLIP, 5)[..., None]
    found, goal = twins[pair].predict_on_batch(clip), network.predict_on_batch(clip)
    assert np.abs(found["strong"] - goal["strong"]).max() < most
    assert np.abs(found["weak"] - goal["weak"]).max() < most
    assert np.ptp(goal["strong"]) > 0.2
    logits, right = (model.predict_on_batch(second)["scenes"] for model in (twins[pair], network))
    assert np.abs(logits - right).max() < 0.1 * np.ptp(right)


def test_embeddings_of_8_bits_reach_cells_of_16_unchanged(twins):
    twin = twins["int8", "int16x8"]
    embeddings = twin.get_layer("encoder").predict_on_batch(clips(2, SECOND, 6)[..., None])
    taken, step = twin.get_layer("event_head").get_layer(INTERFACE)(embeddings)
    np.testing.assert_allclose(np.asarray(taken), embeddings, rtol=1e-6, atol=1e-7)
    scale, zero_point = embeddings_range(twin.get_layer("encoder")).scale_and_zero_point()
    assert float(step) == pytest.approx(scale / 128, rel=1e-6)
    levels = np.rint(embeddings / scale).astype(int) + zero_point
    np.testing.assert_array_equal(np.rint(np.asarray(taken) / float(step)).astype(int), (levels - zero_point) << 7)


@pytest.mark.slow
def test_levels_of_the_embeddings_are_kept_and_the_seed_decides(one_layer, calibration):
    batch = {task: values[:4, ..., None] for task, values in calibration.items()}
    batches = tf.data.Dataset.from_tensors(batch).repeat()
    plain = quantize_network(one_layer, "int8", calibration)
    tuned, again = (
        quantize_network(one_layer, "int8", calibration, batches, epochs=1, steps_per_epoch=2, seed=4) for _ in range(2)
    )
    assert set(tuned.nearness) == {"calibrated", "fine_tuned"}
    assert tuned.nearness["calibrated"] == pytest.approx(plain.nearness["calibrated"], rel=1e-3)
    names = {f"{task}_{kind}" for task in calibration for kind in ("agreement", "divergence", "embedding_error")}
    assert set(tuned.nearness["fine_tuned"]) == names
    kept = [embeddings_range(each.model.get_layer("encoder")).scale_and_zero_point() for each in (tuned, plain)]
    assert kept[0] == kept[1]
    assert [w.tobytes() for w in again.model.get_weights()] == [w.tobytes() for w in tuned.model.get_weights()]


@pytest.mark.slow
def test_ranges_follow_what_they_see_as_a_moving_average(one_layer, calibration):
    twin = build_qat(one_layer, "int8", TASKS, learning="moving_average")
    calibrate(twin, {"scenes": calibration["scenes"]})
    range_of = twin.get_layer("encoder").get_layer("log_mel_range")
    loud = tf.constant(3.0 * calibration["scenes"][:4, ..., None])
    goal = [min(0.0, float(tf.reduce_min(loud))), float(tf.reduce_max(loud))]
    before = [float(range_of.low), float(range_of.high)]
    twin(loud, training=False)
    assert [float(range_of.low), float(range_of.high)] == before
    twin(loud, training=True)
    expected = [old + 0.01 * (new - old) for old, new in zip(before, goal, strict=True)]
    assert [float(range_of.low), float(range_of.high)] == pytest.approx(expected, rel=1e-5)
    kept = embeddings_range(twin.get_layer("encoder"))
    assert not range_of.trainable_variables
    limits = [float(kept.low), float(kept.high)]
    twin(loud, training=True)
    assert [float(kept.low), float(kept.high)] == limits
    with pytest.raises(ConversionError, match="unknown way for ranges to learn 'luck'"):
        build_qat(one_layer, "int8", TASKS, learning="luck")


@pytest.mark.slow
def test_fine_tuning_comes_nearer(one_layer, calibration):
    """From weights that were moved away: the float network pulls the twin back."""
    moved = keras.models.clone_model(one_layer)
    generator = np.random.default_rng(4)
    moved.set_weights([w * generator.uniform(0.7, 1.3, w.shape) for w in one_layer.get_weights()])
    twin = build_qat(moved, "int8", TASKS)
    calibrate(twin, calibration)
    trainer = SelfDistillation(twin, one_layer)
    trainer.compile(optimizer=keras.optimizers.Adam(3e-3), jit_compile=False)
    heard = {task: values[:4, ..., None] for task, values in calibration.items()}
    before = trainer.distance(heard)
    for _ in range(8):
        trainer.train_on_batch(heard)
    after = trainer.distance(heard)
    for name in ("events_divergence", "scenes_divergence", "events_embedding_error"):
        assert 0 < after[name] < before[name]


def test_twin_can_be_saved(twins, tmp_path):
    twin = twins["int8", "int16x8"]
    twin.save(tmp_path / "qat.keras")
    loaded = keras.saving.load_model(tmp_path / "qat.keras", compile=False)
    clip = clips(2, CLIP, 7)[..., None]
    assert [w.tobytes() for w in loaded.get_weights()] == [w.tobytes() for w in twin.get_weights()]
    again = loaded.predict_on_batch(clip)
    for name, values in twin.predict_on_batch(clip).items():
        np.testing.assert_allclose(again[name], values, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hard", "soft", "cross_soft", "cross_hard", "freeze_asc_sed", "freeze_sed_asc"])
def test_every_algorithm_trains_the_twin(one_layer, calibration, name):
    twin = build_qat(one_layer, "int8", TASKS)
    calibrate(twin, calibration)
    generator = np.random.default_rng(2)
    events = clips(4, CLIP, 8)[..., None]
    batch = {
        "scenes": {"log_mel": clips(4, SECOND, 8)[..., None], "scene": generator.integers(0, 10, 4).astype(np.int32)},
        "events": {
            "log_mel": events,
            "strong": (generator.random((4, CLIP // 4, 10)) < 0.1).astype(np.float32),
            "weak": (generator.random((4, 10)) < 0.3).astype(np.float32),
            "has_strong": np.asarray([1, 1, 0, 0], np.float32),
            "has_weak": np.asarray([0, 0, 1, 0], np.float32),
        },
    }
    for phase in ALGORITHMS[name](TrainSettings(algorithm=name)):
        given = {task: batch[task] for task in phase.tasks}
        model = phase.wrap(twin)
        model.compile(optimizer=PartialAdamW(1e-3), jit_compile=False)
        frozen = {
            layer.name: [w.numpy().tobytes() for w in layer.weights] for layer in twin.layers if not layer.trainable
        }
        before = [w.tobytes() for w in twin.get_weights()]
        logs = model.train_on_batch(given, return_dict=True)
        assert np.isfinite(logs["loss"])
        assert [w.tobytes() for w in twin.get_weights()] != before
        for layer, bits in frozen.items():
            assert [w.numpy().tobytes() for w in twin.get_layer(layer).weights] == bits


def test_what_has_no_twin_is_named(network):
    with pytest.raises(ConversionError, match="unknown scheme 'int4'"):
        build_qat(network, "int4", TASKS)
    with pytest.raises(ConversionError, match="unknown tasks"):
        build_qat(network, "int8", ())
    with pytest.raises(ConversionError, match="cells of int8 can't take embeddings of int16x8"):
        build_qat(network, "int16x8", TASKS, "int8")
    with pytest.raises(ConversionError, match="the scene part has no cells that could be int8"):
        quantize_network(network, "int8", {"scenes": clips(2, SECOND)}, cells="int8")
    head = network.get_layer("event_head")
    x = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True), name="lstm")(head.input)
    other = keras.Model(head.input, {"strong": keras.layers.Dense(10, "sigmoid", name="strong")(x)}, name="event_head")
    log_mel = keras.Input(network.input_shape[1:])
    whole = keras.Model(log_mel, other(network.get_layer("encoder")(log_mel)))
    with pytest.raises(ConversionError, match=r"lstm \(Bidirectional\) has no quantization-aware twin"):
        build_qat(whole, "int8", ["events"])
    with pytest.raises(ConversionError, match="finite log-mel clips"):
        calibrate(build_qat(network, "int8", TASKS), {"scenes": np.full((2, 100, 64), np.nan)})


@pytest.mark.slow
def test_network_of_events_alone():
    network = build_crnn(channels=(4, 6), pools=((2, 8), (2, 4)), recurrent_units=5, mel_bands=64, events=10)
    made = quantize_network(network, "int16x8", {"events": clips(3, CLIP)})
    assert set(made.model.output) == {"strong", "weak"}
    assert made.nearness["calibrated"]["events_agreement"] > 0.98
