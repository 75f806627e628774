"""The causal event decoder: what it hears of a clip, how late it answers, what it costs, and what is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_mtl.core import DCASE, RecipeError
from keras_mtl.cost import cost
from keras_mtl.models import build, build_event_head, build_event_part, build_mt
from keras_mtl.recipes import load_recipe

SMALL = {"channels": (4, 6), "pools": ((2, 8), (2, 4)), "recurrent_units": 6, "attention_units": 3, "mel_bands": 64}
SMALL |= {"scenes": 10, "events": 10}
AHEAD, STEPS, STRIDE = 3, 20, 4


def heads(*look_aheads: int) -> list[keras.Model]:
    """Causal event heads of the same weights."""
    keras.utils.set_random_seed(2)
    made = [build_event_head(5, 10, recurrent_units=4, bidirectional=False, look_ahead=ahead) for ahead in look_aheads]
    for head in made[1:]:
        head.set_weights(made[0].get_weights())
    return made


def embeddings(steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2, steps, 5)).astype(np.float32)


@pytest.mark.parametrize("ahead", [0, AHEAD])
def test_later_embeddings_change_no_answer_before_the_look_ahead(ahead):
    (head,) = heads(ahead)
    heard, changed = embeddings(STEPS), embeddings(STEPS)
    changed[:, 12:] += 1.0
    before, after = (np.asarray(head(given)["strong"]) for given in (heard, changed))
    np.testing.assert_array_equal(before[:, : 12 - ahead], after[:, : 12 - ahead])
    # What lies within the look-ahead is heard.
    assert np.abs(before[:, 12 - ahead] - after[:, 12 - ahead]).max() > 1e-4


def test_later_audio_changes_no_answer_before_the_look_ahead():
    keras.utils.set_random_seed(4)
    network = build_mt(bidirectional=False, look_ahead=AHEAD, **SMALL)
    heard = np.random.default_rng(1).normal(size=(1, STEPS * STRIDE, 64, 1)).astype(np.float32)
    changed = heard.copy()
    changed[:, 12 * STRIDE :] += 1.0
    before, after = (np.asarray(network(given)["strong"])[0] for given in (heard, changed))
    first = 12 - 1 - AHEAD  # one embedding of this encoder sees what comes after it
    np.testing.assert_array_equal(before[:first], after[:first])
    assert np.abs(before[first] - after[first]).max() > 1e-6
    # The bidirectional decoder answers otherwise from the first step on.
    both = build_mt(**SMALL)
    assert np.any(np.asarray(both(heard)["strong"])[0, 0] != np.asarray(both(changed)["strong"])[0, 0])


@pytest.mark.parametrize("steps", [STEPS, AHEAD, 2, 1])
def test_answers_are_those_of_a_later_step_and_the_last_ones_of_the_end(steps):
    at_once, later = heads(0, AHEAD)
    given = embeddings(steps, 7)
    goal, found = at_once(given), later(given)
    read = np.minimum(np.arange(steps) + AHEAD, steps - 1)
    np.testing.assert_allclose(found["strong"], np.asarray(goal["strong"])[:, read], atol=1e-6)
    assert found["weak"].shape == (2, 10)
    fixed = build_event_head(5, 10, steps, recurrent_units=4, bidirectional=False, look_ahead=AHEAD)
    fixed.set_weights(later.get_weights())
    assert fixed.output["strong"].shape == (None, steps, 10)
    np.testing.assert_allclose(fixed(given)["strong"], found["strong"], atol=1e-6)


def test_saves_and_loads_to_the_same_outputs(tmp_path):
    network = build_mt(bidirectional=False, look_ahead=AHEAD, **SMALL)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    given = np.random.default_rng(3).normal(size=(2, 48, 64, 1)).astype(np.float32)
    for name, values in network(given).items():
        np.testing.assert_array_equal(loaded(given)[name], values)


@pytest.mark.parametrize(
    ("system", "figures"), [("mt", (297_647, 297_279, 34_798_640)), ("crnn", (291_780, 291_412, 34_700_800))]
)
def test_parameters_and_macs_to_the_digit(system, figures):
    counted = [
        cost(build(system, DCASE, options={"bidirectional": False, "look_ahead": ahead}, frames=100), 1.0)
        for ahead in (0, 5)
    ]
    # A look-ahead is a delay: it has no weights, and no step more.
    assert [(each.params, each.folded_params, each.macs) for each in counted] == 2 * [figures]


def test_decoders_are_bidirectional_unless_a_recipe_says_otherwise():
    layers = {layer.name for layer in build("mt", DCASE).get_layer("event_head").layers}
    assert {"bigru_1", "bigru_2"} <= layers
    for recipe in (load_recipe("mt_causal"), load_recipe("real_causal")):
        network = build(recipe.model.system, DCASE, options=recipe.model.options)
        layers = {layer.name for layer in network.get_layer("event_head").layers}
        assert {"gru_1", "gru_2", "look_ahead"} <= layers
        assert build_event_part(network, 1000).output["strong"].shape == (None, 250, 10)
    plain = {name: load_recipe(name) for name in ("mt", "real", "mt_causal", "real_causal")}
    for name in ("mt", "real"):
        assert plain[name].train == plain[f"{name}_causal"].train


@pytest.mark.parametrize("options", [{"look_ahead": 3}, {"bidirectional": False, "look_ahead": -1}])
def test_look_aheads_that_make_no_sense_are_refused(options):
    with pytest.raises(RecipeError, match=r"look_ahead = -?[13] is for bidirectional = false"):
        build("mt", DCASE, options=options)
