"""Recipes: everything that a training needs to know, as frozen settings read from TOML."""

from keras_mtl.recipes.loading import load_recipe, names, to_toml
from keras_mtl.recipes.settings import (
    AugmentSettings,
    DataSettings,
    DecodeSettings,
    ModelSettings,
    QuantizeSettings,
    Recipe,
    TrainSettings,
)

__all__ = [
    "AugmentSettings",
    "DataSettings",
    "DecodeSettings",
    "ModelSettings",
    "QuantizeSettings",
    "Recipe",
    "TrainSettings",
    "load_recipe",
    "names",
    "to_toml",
]
