"""Recipes: what is refused, and with which words."""

import re
from dataclasses import replace
from importlib import resources

import pytest

from keras_mtl.core import RecipeError
from keras_mtl.decoding import DecodeSettings
from keras_mtl.recipes import SYSTEMS, Recipe, TrainSettings, load_recipe, names, to_toml


@pytest.mark.parametrize("name", names())
def test_shipped_recipes_load_and_survive_being_written(name, tmp_path):
    recipe = load_recipe(name)
    (tmp_path / f"{name}.toml").write_text(to_toml(recipe))
    assert load_recipe(tmp_path / f"{name}.toml") == recipe


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_has_a_recipe_with_its_header(system):
    recipe = load_recipe(system)
    assert recipe.model.system == system
    assert replace(recipe.features, mean_db=0.0, std_db=1.0) == SYSTEMS[system].features
    text = (resources.files("keras_mtl.recipes") / f"{system}.toml").read_text()
    assert f"# command:  keras_mtl train --recipe {system} " in text
    assert re.search(r"^# minutes:  \d", text, re.M)
    assert "@" not in text
    assert re.search(r"^# score:    .*\d\.\d", text, re.M)


def test_a_system_brings_its_features_and_given_ones_win():
    assert load_recipe("real", ["model.system=cp_mobile"]).features == SYSTEMS["cp_mobile"].features
    changed = load_recipe("real", ["model.system=cp_mobile", "features.sample_rate_hz=16000"]).features
    assert (changed.sample_rate_hz, changed.high_hz, changed.mel_bands) == (16_000, 8000.0, 256)
    assert load_recipe("real", ["features.window=1024"]).features.fft == 1024


def test_options_of_a_system_survive_being_written(tmp_path):
    given = ["model.system=cnn", "model.options.channels=[4, 8]", "model.options.pools=[[2, 2], [2, 4]]"]
    recipe = load_recipe("real", given)
    assert recipe.model.options == {"channels": [4, 8], "pools": [[2, 2], [2, 4]]}
    (tmp_path / "real.toml").write_text(to_toml(recipe))
    assert load_recipe(tmp_path / "real.toml") == recipe


def test_keys_of_tables_are_set_one_by_one_and_names_are_quoted_as_in_toml():
    given = [
        "model.options.a={b = 1}",
        "model.options.a.c=[2]",
        """model.options."d.e".'f=g'="h=i\"""",
        "model.options.ü.k=l",
    ]
    assert load_recipe("real", given).model.options == {"a": {"b": 1, "c": [2]}, "d.e": {"f=g": "h=i"}, "ü": {"k": "l"}}


def test_settings_of_a_class_are_set_and_survive_being_written(tmp_path):
    given = ['decode.classes."door knock".threshold=0.35', "decode.median_s=auto", "decode.gap_s=1"]
    recipe = load_recipe(
        "real", [*given, "decode.classes.'door knock'.shortest_s=0.2", "decode.classes.Dog.median_s=1"]
    )
    classes = {"door knock": {"threshold": 0.35, "shortest_s": 0.2}, "Dog": {"median_s": 1}}
    assert recipe.decode == DecodeSettings(median_s="auto", gap_s=1.0, hysteresis=0.2, classes=classes)
    (tmp_path / "real.toml").write_text(to_toml(recipe))
    assert load_recipe(tmp_path / "real.toml") == recipe


def test_any_text_survives_being_written(tmp_path):
    """Quotes and backslashes, too, which made a file that no reader took."""
    recipe = replace(load_recipe("real"), train=TrainSettings(teacher='runs\\a "large" one'))
    (tmp_path / "real.toml").write_text(to_toml(recipe))
    assert load_recipe(tmp_path / "real.toml") == recipe


def test_a_recipe_of_an_older_version_is_read(tmp_path):
    """Its tables stood in one line."""
    path = tmp_path / "recipe.toml"
    path.write_text('name = "x"\n\n[model]\nsystem = "cnn"\noptions = { "channels" = [4, 8] }\n\n[train]\nepochs = 3\n')
    assert load_recipe(path).model.options == {"channels": [4, 8]}


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
        ("train.epochs=three", "it must be a whole number"),
        ("train.epochs=-1", "train.epochs = -1 (it must be a whole number >= 0)"),
        ("train.task=sounds", "train.task = 'sounds' (it must be one of scenes, events)"),
        ("decode.classes.Dog.threshold=2", "decode.classes.'Dog'.threshold = 2 is out of range (0 to 1)"),
        ("decode.classes.Dog=2", "decode.classes = {'Dog': 2} (it must be a table)"),
        ("train.epochs", "no '=' in it"),
        ('model.options."a=b"', "no '=' in it"),
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
