"""What a manifest says of the run that a file was made of."""

from __future__ import annotations

import hashlib

from keras_mtl.recipes import Recipe, to_toml
from keras_mtl.runs import Run
from keras_mtl.tflite.convert.stage import origin


def test_origin_names_data_recipe_and_figures(tmp_path) -> None:
    text = to_toml(Recipe(name="small"))
    (tmp_path / "recipe.toml").write_text(text)
    data = {"name": "noise", "fingerprint": "f00"}
    info = {"recipe": "small", "seed": 3, "git_revision": None, "data": data, "metrics": {"scenes": {"accuracy": 0.5}}}
    assert origin(Run(tmp_path, info)) == {
        "seed": 3,
        "git_revision": None,
        "data": data,
        "recipe": {
            "name": "small",
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "validation_fraction": 0.05,
        },
        "metrics": {"scenes": {"accuracy": 0.5}},
    }


def test_run_without_its_recipe_says_so(tmp_path) -> None:
    info = {"seed": 3, "git_revision": None, "data": {}}
    assert origin(Run(tmp_path, info))["recipe"] == {"name": None, "sha256": None, "validation_fraction": None}
