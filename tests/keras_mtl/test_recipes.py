"""Recipes: what is refused, and with which words."""

import pytest

from keras_mtl.errors import RecipeError
from keras_mtl.recipes import Recipe, load_recipe, names, to_toml


@pytest.mark.parametrize("name", names())
def test_shipped_recipes_load_and_survive_being_written(name, tmp_path):
    recipe = load_recipe(name)
    (tmp_path / f"{name}.toml").write_text(to_toml(recipe))
    assert load_recipe(tmp_path / f"{name}.toml") == recipe


def test_overrides():
    recipe = load_recipe("real", ["train.epochs=3", "algorithm=soft", "learning_rate=1"][:2])
    assert (recipe.train.epochs, recipe.train.algorithm) == (3, "soft")
    assert load_recipe("real", ["train.learning_rate=1"]).train.learning_rate == 1.0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epoch=3", "no key train.epoch (did you mean epochs?)"),
        ("tran.epochs=3", "no group 'tran' (did you mean train?)"),
        ("epochs=3", "say train.epochs or quantize.epochs"),
        ("algoritm=soft", "did you mean train.algorithm?"),
        ("train.epochs=three", "is not of type int"),
        ("train.epochs=-1", "is negative"),
        ("train.task=sounds", "one of ('scenes', 'events')"),
        ("train.epochs", "no '=' in it"),
    ],
)
def test_bad_overrides_are_named(override, words):
    with pytest.raises(RecipeError) as caught:
        load_recipe("real", [override])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_recipes_and_broken_files(tmp_path):
    with pytest.raises(RecipeError, match="did you mean real"):
        load_recipe("rael")
    with pytest.raises(RecipeError, match="no recipe file"):
        load_recipe(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[train\n")
    with pytest.raises(RecipeError, match="is not TOML"):
        load_recipe(broken)
    broken.write_text("[train]\nepoch = 3\n")
    with pytest.raises(RecipeError, match="did you mean epochs"):
        load_recipe(broken)


def test_defaults_are_the_papers():
    train = Recipe().train
    assert (train.scene_batch, train.strong_batch + train.weak_batch + train.unlabelled_batch) == (256, 48)
    assert (train.learning_rate, train.warmup_fraction, train.mask_fraction, train.alpha) == (1e-3, 0.1, 0.15, 0.5)


def test_features_are_taken_together(tmp_path):
    """In any order of the keys, and what is not said follows from what is."""
    path = tmp_path / "own.toml"
    path.write_text("[features]\nwindow = 3072\nsample_rate_hz = 32000\nfft = 4096\n")
    features = load_recipe(path, ["features.hop=500", "keep_last_frame=true"]).features
    assert (features.window, features.fft, features.hop, features.high_hz) == (3072, 4096, 500, 16_000.0)
    assert load_recipe("real").features.fft == 2048
    with pytest.raises(RecipeError, match="fft 1024 is shorter than the window of 3072"):
        load_recipe(path, ["fft=1024"])
    with pytest.raises(RecipeError, match="over half the sample rate"):
        load_recipe(path, ["high_hz=20000"])
