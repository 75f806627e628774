"""The network `mt`: figures of the paper, its parts, saving and loading."""

import keras
import numpy as np
import pytest

from keras_mtl.cost import cost
from keras_mtl.errors import RecipeError
from keras_mtl.models import build, build_encoder, build_mt, build_scene_part


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(5)
    return build_mt()


def test_parameters_and_macs_are_the_papers():
    whole = cost(build_mt(100), 1.0)
    assert whole.params == 633_519
    assert whole.macs_per_second == 43_157_040
    scene = cost(build_scene_part(build_mt(100)), 1.0)
    assert scene.params == 60_059
    assert scene.macs_per_second == 28_897_840
    assert cost(build_encoder(100), 1.0).macs_per_second == 28_800_000


def test_parts_have_their_figures(network):
    params = {part: network.get_layer(part) for part in ("encoder", "scene_head", "event_head")}
    counted = {name: sum(int(np.prod(w.shape)) for w in part.trainable_weights) for name, part in params.items()}
    assert counted == {"encoder": 54_192, "scene_head": 5_867, "event_head": 271_872 + 296_448 + 5_140}


def test_a_layer_of_an_unknown_kind_is_refused_by_name():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.EinsumDense("ab,bc->ac", 3, name="odd")(inputs))
    with pytest.raises(ValueError, match="odd is of kind EinsumDense"):
        cost(model, 1.0)
    with pytest.raises(ValueError, match="open length"):
        cost(build_mt(), 1.0)


def test_outputs_have_the_shapes_of_their_tasks(network):
    second = network(np.zeros((2, 100, 128, 1), np.float32))
    assert second["scenes"].shape == (2, 10)
    clip = network(np.zeros((1, 1000, 128, 1), np.float32))
    assert clip["strong"].shape == (1, 250, 10)
    assert clip["weak"].shape == (1, 10)


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


def test_saves_and_loads_to_the_same_outputs(network, tmp_path):
    features = np.random.default_rng(3).normal(size=(1, 200, 128, 1)).astype(np.float32)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    for name, value in network(features).items():
        np.testing.assert_array_equal(loaded(features)[name], value)


def test_widths_are_arguments():
    small = build_mt(
        100, channels=(4, 8), pools=((2, 4), (2, 4)), attention_units=4, recurrent_units=8, scenes=3, events=2
    )
    shapes = {name: output.shape for name, output in small.output.items()}
    assert shapes == {"scenes": (None, 3), "strong": (None, 25, 2), "weak": (None, 2)}
    with pytest.raises(ValueError, match="2 channel counts but 1 pools"):
        build_mt(channels=(4, 8), pools=((2, 2),))
    with pytest.raises(ValueError, match="leave nothing"):
        build_mt(mel_bands=8)


def test_unknown_system_is_refused():
    with pytest.raises(RecipeError, match="no system 'mtt'"):
        build("mtt")
