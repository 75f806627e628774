"""A cache for prepared data and a short real training on the smallest embedded data, shared by the tests."""

import sys
from pathlib import Path

import pytest

from keras_mtl.datasets import open_corpus
from keras_mtl.recipes import load_recipe
from keras_mtl.training import train

sys.path.insert(0, str(Path(__file__).parent))  # for `little_training`: pytest imports tests without their folder

SMALL = (
    "algorithm=freeze_sed_asc",
    "train.epochs=1",
    "train.second_epochs=2",
    "scene_batch=16",
    "strong_batch=4",
    "weak_batch=2",
    "unlabelled_batch=2",
)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def corpus(cache):
    return open_corpus("soundscapes:tiny", cache / "tfds", progress=False)


@pytest.fixture(scope="session")
def recipe():
    return load_recipe("mt", SMALL)


@pytest.fixture(scope="session")
def run(recipe, corpus, cache, tmp_path_factory):
    """A run of `freeze_sed_asc` over very few clips: real, and no good."""
    return train(recipe, corpus, tmp_path_factory.mktemp("runs") / "freeze", cache)
