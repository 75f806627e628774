"""Recipes: everything that a training needs to know, as frozen settings read from TOML."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.recipes.loading import load_recipe, names, override_decoding, to_toml
    from keras_mtl.recipes.settings import AugmentSettings, Recipe, TrainSettings
    from keras_mtl.recipes.systems import SYSTEMS, System, system_of
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "SYSTEMS", "AugmentSettings", "Recipe", "System", "TrainSettings", "load_recipe",
    "names", "override_decoding", "system_of", "to_toml",
]  # fmt: skip
