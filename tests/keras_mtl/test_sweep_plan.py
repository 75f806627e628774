"""What a sweep is of: splitting of values, the product, names of folders, and what is refused; its state on disk."""

import itertools
import json
import random
import re

import pytest

from keras_mtl.core import RecipeError, RunError
from keras_mtl.experiments import Sweep, expand, plan_sweep, take_up
from keras_mtl.experiments.sweep_plan import Axis, names_of, split_values
from keras_mtl.recipes import load_recipe

_VALUES = (
    "soft",
    "1e-3",
    "[1,2]",
    '"a,b"',
    "'x,[y'",
    "{ a = 1, b = [2,3] }",
    "[[1,2],[3,4]]",
    '"it\'s, so"',
    "-4",
    "a b",
)


def test_values_come_back_as_they_were_joined() -> None:
    """Any values, also those with commas in brackets and quotes, in any order."""
    chance = random.Random(0)
    for _ in range(300):
        values = [chance.choice(_VALUES) for _ in range(chance.randint(1, 6))]
        blank = chance.choice(["", " "])
        assert split_values(f",{blank}".join(values)) == tuple(values)


@pytest.mark.parametrize("text", ["", "a,", ",a", "a,,b", "[1,2", '"a,b', "(1,2"])
def test_half_values_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"missing|empty"):
        split_values(text)


def test_the_product_has_every_combination_once() -> None:
    chance = random.Random(1)
    keys = ("train.algorithm", "scene_batch", "model.options.attention_units", "augment.roll_s", "seed")
    for _ in range(100):
        axes = [
            Axis(key, tuple(map(str, chance.sample(range(50), chance.randint(1, 4)))))
            for key in chance.sample(keys, chance.randint(0, 4))
        ]
        names = names_of(axes)
        combinations = list(itertools.product(*(axis.values for axis in axes)))
        assert len(names) == len(set(names)) == len(combinations)
        for name, values in zip(names, combinations, strict=True):
            assert re.fullmatch(r"[\w.,+=-]{1,130}", name)
            assert not name.startswith((".", "-"))
            assert all(f"={value}" in name for value in values)


def test_names_are_readable_and_stay_when_values_are_added() -> None:
    few = plan_sweep("mt", ["algorithm=soft,single", "train.epochs=1"], "soundscapes", "0")
    assert [run.name for run in few.runs] == ["algorithm=soft,seed=0", "algorithm=single,seed=0"]
    assert few.fixed == ("train.epochs=1",)
    assert few.runs[1].overrides == ("train.epochs=1", "algorithm=single", "train.seed=0")
    more = plan_sweep("mt", ["algorithm=soft,single", "train.epochs=1"], "soundscapes", "0,1")
    assert {run.name for run in few.runs} < {run.name for run in more.runs}
    assert [run.name for run in plan_sweep("mt", [], "soundscapes").runs] == ["run"]


def test_values_that_fit_no_folder_are_told_apart() -> None:
    names = names_of([Axis("augment.ir_folder", ('"a/b"', '"a:b"', '"' + "x" * 300 + '"', '"' + "x" * 301 + '"'))])
    assert len(set(names)) == 4
    assert all(len(name) < 140 and "/" not in name and '"' not in name for name in names)
    same_leaf = names_of([Axis("train.alpha", ("1",)), Axis("model.options.alpha", ("2",))])
    assert same_leaf == ["train.alpha=1,model.options.alpha=2"]


@pytest.mark.parametrize(
    ("sets", "seeds", "says"),
    [
        (["algorithm=soft", "train.algorithm=single"], None, "algorithm is set twice"),
        (["seed=1"], "0,1", "seed is set twice"),
        (["train.epochs=1,1"], None, "the same training"),
        (["algoritm=a,b"], None, "did you mean train.algorithm"),
        (["train.epochs=1,x"], None, "must be a whole number"),
        (["epochs"], None, "no key and '='"),
        ([], "0,one", "must be a whole number"),
        ([], "0,", "empty"),
    ],
)
def test_wrong_axes_are_refused_before_anything_runs(sets: list[str], seeds: str | None, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        plan_sweep("mt", sets, "soundscapes", seeds)


def test_each_combination_is_a_recipe_of_its_own() -> None:
    plan = plan_sweep("mt", ["train.learning_rate=1e-3,3e-3", "task=scenes"], "soundscapes", "0,1")
    recipes = [load_recipe(plan.recipe, run.overrides).train for run in plan.runs]
    assert [(r.learning_rate, r.seed) for r in recipes] == [(1e-3, 0), (1e-3, 1), (3e-3, 0), (3e-3, 1)]
    assert {r.task for r in recipes} == {"scenes"}


def _planned(*sets: str, seeds: str = "0,1", data: str = "soundscapes:tiny") -> Sweep:
    return plan_sweep("mt", sets, data, seeds)


def test_state_comes_back_as_it_was_saved(tmp_path) -> None:
    sweep = _planned("algorithm=soft,single")
    assert Sweep.load(sweep.save(tmp_path).parent) == sweep
    assert json.loads((tmp_path / "sweep.json").read_text())["schema"] == "keras_mtl.sweep/1"
    (tmp_path / "sweep.json").write_text('{"schema": "keras_mtl.sweep/1"}')
    with pytest.raises(RunError, match="can't be read as a sweep"):
        Sweep.load(tmp_path)
    (tmp_path / "sweep.json").write_text('{"schema": "keras_mtl.run/1"}')
    with pytest.raises(RunError, match="not of schema"):
        Sweep.load(tmp_path)


def test_taking_up_takes_finished_folders_and_added_values_and_no_other_sweep(tmp_path) -> None:
    _planned(seeds="0,1").save(tmp_path)
    (tmp_path / "seed=1").mkdir()
    (tmp_path / "seed=1" / "run.json").write_text("{}")
    with pytest.raises(RunError, match="--resume"):
        take_up(_planned(), tmp_path, resume=False)
    taken = take_up(_planned(seeds="0,1,2"), tmp_path, resume=True)
    assert [(run.name, run.state) for run in taken.runs] == [
        ("seed=0", "waiting"),
        ("seed=1", "done"),
        ("seed=2", "waiting"),
    ]
    for other in (_planned("train.epochs=2"), _planned(data="soundscapes"), _planned("algorithm=soft,single")):
        with pytest.raises(RunError, match="another sweep"):
            take_up(other, tmp_path, resume=True)
    with pytest.raises(RunError, match="another sweep: no seed=1"):
        take_up(_planned(seeds="0"), tmp_path, resume=True)
    assert expand([tmp_path, tmp_path / "x"]) == [tmp_path / "seed=1", tmp_path / "x"]
