"""The networks: their parts, equations, saving and loading, widths as arguments."""

import keras
import numpy as np
import pytest

from keras_mtl.core import DCASE, Labels, LogMelSettings, RecipeError
from keras_mtl.cost import cost
from keras_mtl.models import BUILDERS, build, build_encoder, build_mt, build_scene_part
from keras_mtl.models.baseline_sed import gated_linear_unit
from keras_mtl.models.batch_norm import conv_bn_relu
from keras_mtl.models.cp_mobile import Block, cp_mobile_blocks, divisible
from keras_mtl.models.fdy_lka import context_gating, large_kernel_attention
from keras_mtl.models.frequency_dynamic_conv import frequency_dynamic_conv
from keras_mtl.recipes import SYSTEMS

SHORT_FRAMES = {"baseline_asc": 51, "cp_mobile": 65}


def numbered(scenes, events):
    """Labels of so many classes."""
    return Labels(tuple(f"scene {i}" for i in range(scenes)), tuple(f"event {i}" for i in range(events)))


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(5)
    return build_mt(scenes=10, events=10)


def _features(system, clips=1, seed=3):
    frames = SHORT_FRAMES.get(system, 64)
    shape = (clips, frames, SYSTEMS[system].features.mel_bands, 1)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_every_system_has_a_builder():
    assert set(BUILDERS) == set(SYSTEMS)


@pytest.mark.parametrize("system", SYSTEMS)
def test_outputs_are_those_of_the_tasks(system):
    known = SYSTEMS[system]
    outputs = build(system, DCASE)(_features(system, clips=2))
    assert set(outputs) == {
        name for task in known.tasks for name in {"scenes": ("scenes",), "events": ("strong", "weak")}[task]
    }
    if "scenes" in outputs:
        assert outputs["scenes"].shape == (2, 10)
    if "strong" in outputs:
        stride = 16 if system == "cp_mobile_rnn" else 4
        assert outputs["strong"].shape == (2, 64 // stride, 10)
        assert outputs["weak"].shape == (2, 10)
        assert float(np.min(outputs["strong"])) > 0 and float(np.max(outputs["strong"])) < 1


@pytest.mark.parametrize("system", SYSTEMS)
def test_saves_and_loads_to_the_same_outputs(system, tmp_path):
    keras.utils.set_random_seed(2)
    features, network = _features(system), build(system, DCASE)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    for name, value in network(features).items():
        np.testing.assert_array_equal(loaded(features)[name], value)


def test_heads_follow_their_equations(network):
    embeddings = np.random.default_rng(1).normal(size=(2, 25, 224)).astype(np.float32)
    head = network.get_layer("scene_head")
    w, b, v, c, u, d = (weight.numpy() for weight in head.weights)
    score = np.tanh(embeddings @ w + b) @ v + c
    attention = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    expected = (attention * embeddings).sum(axis=1) @ u + d
    np.testing.assert_allclose(head(embeddings), expected, atol=1e-4)


def test_the_scene_part_shares_the_networks_weights(network):
    features = np.random.default_rng(2).normal(size=(2, 100, 128, 1)).astype(np.float32)
    part = build_scene_part(network)
    np.testing.assert_allclose(part(features), network(features)["scenes"], atol=1e-6)
    assert part.get_layer("encoder") is network.get_layer("encoder")


def _block_of(function, *shape):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, function(inputs))
    x = np.random.default_rng(4).normal(size=(2, *shape)).astype(np.float32)
    return model, x, np.asarray(model(x))


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_gates_follow_their_equations():
    model, x, found = _block_of(lambda x: gated_linear_unit(x, "glu"), 5, 6, 3)
    w, b = model.get_layer("glu_linear").get_weights()
    np.testing.assert_allclose(found, (x @ w + b) * _sigmoid(x), atol=1e-5)
    model, x, found = _block_of(lambda x: context_gating(x, "cg"), 5, 6, 3)
    w, b = model.get_layer("cg_gate").get_weights()
    np.testing.assert_allclose(found, x * _sigmoid(x @ w + b), atol=1e-5)


def test_frequency_dynamic_convolution_weighs_its_kernels_by_mel_band():
    model, x, found = _block_of(lambda x: frequency_dynamic_conv(x, 5, "fdy", kernels=3, temperature=2.0), 4, 6, 8)
    logits = np.asarray(keras.Model(model.input, model.get_layer("fdy_attention_2").output)(x)) / 2.0
    weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    kernel = model.get_layer("fdy_kernels").kernel.numpy()
    expected = sum(
        np.asarray(keras.ops.conv(x, kernel[..., 5 * k : 5 * k + 5], padding="same")) * weights[:, None, :, k, None]
        for k in range(3)
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_large_kernel_attention_sees_23_places_and_keeps_its_input():
    model, x, found = _block_of(lambda x: large_kernel_attention(x, "lka"), 31, 31, 2)
    assert found.shape == x.shape
    for layer in model.layers:
        if layer.name in ("lka_near", "lka_far"):
            layer.set_weights([np.ones_like(weight) for weight in layer.get_weights()])
    moved = x.copy()
    moved[:, 15, 15] += 1.0
    changed = np.any(np.asarray(model(moved)) != np.asarray(model(x)), axis=(0, 3))
    rows = np.flatnonzero(changed.any(axis=1))
    assert (rows.min(), rows.max()) == (15 - 11, 15 + 11)


def test_cp_mobile_has_the_channels_of_its_source():
    blocks = cp_mobile_blocks()
    assert [(b.expanded, b.channels, b.strides) for b in blocks] == [
        (64, 32, (1, 1)),
        (64, 32, (1, 1)),
        (64, 32, (2, 1)),
        (64, 56, (1, 2)),
        (120, 56, (1, 1)),
        (120, 104, (1, 1)),
    ]
    assert [divisible(v) for v in (3, 67.2, 57.6, 117.6, 103.68, 218.4)] == [8, 64, 56, 120, 104, 216]


def test_cp_mobile_has_three_kinds_of_blocks():
    encoder = build("cp_mobile", DCASE).get_layer("encoder")
    names = {layer.name for layer in encoder.layers}
    assert {"b1_add", "b2_add", "b3_add", "b5_add"} <= names  # standard, and downsampling with its pool
    assert "b3_shortcut" in names and "b1_shortcut" not in names
    assert not {"b4_add", "b6_add"} & names  # transition: the channels change
    assert not any("grn" in name for name in names)


def test_grn_is_an_option_of_cp_mobile():
    network = build("cp_mobile", DCASE, options={"grn": True})
    grn = [layer for layer in network.get_layer("encoder").layers if type(layer).__name__ == "GRN"]
    assert len(grn) == 6
    assert cost(build("cp_mobile", DCASE, options={"grn": True}, frames=65), 1.0).params == 61_148 + 2 * (
        3 * 32 + 2 * 56 + 104
    )


@pytest.mark.parametrize(
    ("system", "options", "frames", "mel", "shapes"),
    [
        (
            "mt",
            {
                "channels": [4, 8],
                "pools": [[2, 4], [2, 4]],
                "attention_units": 4,
                "recurrent_units": 8,
            },
            100,
            128,
            {"scenes": (None, 3), "strong": (None, 25, 2), "weak": (None, 2)},
        ),
        ("cnn", {"channels": [4], "pools": [[2, 2]], "attention_units": 2}, 20, 16, {"scenes": (None, 4)}),
        (
            "crnn",
            {"channels": [4], "pools": [[2, 2]], "recurrent_units": 3, "recurrent_layers": 1},
            20,
            16,
            {"strong": (None, 10, 4), "weak": (None, 4)},
        ),
        (
            "baseline_asc",
            {"channels": [2, 3, 4], "kernel_size": 3, "pools": [[2, 2], [5, 4]]},
            20,
            16,
            {"scenes": (None, 4)},
        ),
        (
            "cp_mobile",
            {"base_channels": 16, "depths": [2, 1], "strides": {"2": [2, 2]}},
            32,
            32,
            {"scenes": (None, 4)},
        ),
        (
            "cp_mobile_rnn",
            {"last_blocks": [[64, 16, [2, 2]]], "recurrent_units": 4},
            64,
            32,
            {"strong": (None, 4, 10), "weak": (None, 10)},
        ),
        (
            "baseline_sed",
            {"channels": [4, 8], "pools": [[2, 2], [1, 2]], "recurrent_units": 4},
            20,
            16,
            {"strong": (None, 10, 10), "weak": (None, 10)},
        ),
        (
            "fdy_lka",
            {"channels": [4, 8], "pools": [[2, 2], [1, 2]], "dynamic_layers": 1, "kernels": 2, "recurrent_units": 4},
            20,
            16,
            {"strong": (None, 10, 10), "weak": (None, 10)},
        ),
    ],
)
def test_widths_are_arguments(system, options, frames, mel, shapes):
    labels = numbered(*(shapes.get(name, (0,))[-1] for name in ("scenes", "weak")))
    small = build(system, labels, LogMelSettings(mel_bands=mel), options, frames)
    assert {name: output.shape for name, output in small.output.items()} == shapes


@pytest.mark.parametrize("count", [(2, 1), (100, 100)])
@pytest.mark.parametrize("system", SYSTEMS)
def test_outputs_are_as_many_as_the_classes(system, count):
    scenes, events = count
    tasks = {"scenes": {"scenes": scenes}, "events": {"strong": events, "weak": events}}
    outputs = build(system, numbered(scenes, events)).output
    found = {name: output.shape[-1] for name, output in outputs.items()}
    assert found == {name: size for task in SYSTEMS[system].tasks for name, size in tasks[task].items()}


def test_a_task_without_classes_has_no_decoder():
    heads = {"scene_head", "event_head"}
    for labels, there in ((numbered(2, 0), {"scene_head"}), (numbered(0, 1), {"event_head"})):
        assert heads & {layer.name for layer in build("mt", labels).layers} == there
    for system, labels in (("cnn", numbered(0, 3)), ("crnn", numbered(3, 0)), ("mt", numbered(0, 0))):
        with pytest.raises(RecipeError, match=f"system {system} is for .*, of which there are no classes"):
            build(system, labels)


def test_settings_that_make_no_network_are_refused():
    with pytest.raises(ValueError, match="neither scenes nor events"):
        build_mt(scenes=0, events=0)
    for option in ("scenes", "events"):  # how many classes there are is the labels' alone
        with pytest.raises(RecipeError, match=f"no option '{option}'"):
            build("mt", DCASE, options={option: 3})
    with pytest.raises(ValueError, match="2 channel counts but 1 pools"):
        build_mt(channels=(4, 8), pools=((2, 2),), scenes=10, events=10)
    with pytest.raises(ValueError, match="leave nothing"):
        build_encoder(mel_bands=8)
    with pytest.raises(RecipeError, match="leave nothing of 8 frames"):
        build("baseline_asc", DCASE, frames=8)
    with pytest.raises(RecipeError, match="no system 'mtt'"):
        build("mtt", DCASE)
    with pytest.raises(RecipeError, match="no option 'attention_unit'") as refusal:
        build("cnn", DCASE, options={"attention_unit": 3})
    assert "attention_units" in str(refusal.value)


def test_a_layer_of_an_unknown_kind_is_refused_by_name():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.EinsumDense("ab,bc->ac", 3, name="odd")(inputs))
    with pytest.raises(ValueError, match="odd is of kind EinsumDense"):
        cost(model, 1.0)
    with pytest.raises(ValueError, match="open length"):
        cost(build_mt(scenes=10, events=10), 1.0)
    with pytest.raises(ValueError, match="no convention 'flops'"):
        cost(build_mt(100, scenes=10, events=10), 1.0, "flops")
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, keras.layers.Bidirectional(keras.layers.LSTM(3), name="other")(inputs))
    with pytest.raises(ValueError, match="other holds a LSTM"):
        cost(model, 1.0)


def test_a_block_is_its_values():
    inputs = keras.Input((8, 8, 1))
    assert conv_bn_relu(inputs, 4, strides=2, name="x").shape == (None, 4, 4, 4)
    assert Block(8, 4).strides == (1, 1)
