"""Labels: what they refuse and carry, what sets two lists apart, and their way through a recipe."""

import unicodedata
from dataclasses import replace

import pytest

from keras_mtl.core import DCASE, DataError, Labels, RecipeError, normal, read_labels, refusal, without_score
from keras_mtl.recipes import load_recipe, to_toml

AWKWARD = ("Straße", "кашель", "glass, breaking", 'say "hi"', "a\\b ??/", "雨", "x" * 100)


def test_names_of_any_script_are_carried(tmp_path):
    labels = Labels(AWKWARD, AWKWARD)
    assert Labels.from_dict(labels.to_dict()) == labels
    recipe = replace(load_recipe("mt"), labels=labels)
    (tmp_path / "mt.toml").write_text(to_toml(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "mt.toml") == recipe


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty"),
        (" dog", "begins or ends with a space"),
        ("dog ", "begins or ends with a space"),
        ("a\tb", "no table can hold"),
        ("a\nb", "no table can hold"),
        ("a\x00b", "no table can hold"),
        ("a\u2028b", "no table can hold"),
        ("a\ud800b", "no table can hold"),
        ("é" * 51, "longer than 100 bytes"),
        (unicodedata.normalize("NFD", "Café"), "composed form"),
        ("scene: park", "in a label track"),
        ("dog (0.50)", "in a label track"),
    ],
)
def test_names_that_something_could_not_carry_are_refused(name, why):
    for task in ("scenes", "events"):
        with pytest.raises(RecipeError, match=f"labels.{task}: .* {why}") as refused:
            Labels(**{task: ("fine", name)})
        assert len(str(refused.value).splitlines()) == 1
    assert why in refusal(name)


def test_composed_names_are_one_however_a_file_system_writes_them():
    decomposed = unicodedata.normalize("NFD", "Straßenlärm")
    assert decomposed != "Straßenlärm"
    assert normal(decomposed) == "Straßenlärm"
    assert not refusal(normal(decomposed))


def test_scores_of_label_tracks_are_no_part_of_names():
    assert without_score("dog (0.50)") == "dog"
    assert without_score("dog (big)") == "dog (big)"
    assert not refusal("dog (big)")


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"events": ("Dog", "cat", "dog")}, "labels.events: 'Dog' and 'dog' are one name"),
        ({"scenes": ("Straße", "STRASSE")}, "'Straße' and 'STRASSE' are one name"),
        ({"scenes": ("park", "park")}, "'park' and 'park' are one name"),
        ({"scenes": ("park",)}, "labels.scenes: 'park' alone"),
        ({"events": tuple(f"class {i}" for i in range(101))}, "labels.events: 101 classes, and 100 are the most"),
    ],
)
def test_lists_that_are_none_are_refused(labels, why):
    with pytest.raises(RecipeError, match=why):
        Labels(**labels)


def test_least_and_most_classes():
    assert len(Labels(("a", "b"), ("c",)).events) == 1
    most = tuple(f"class {i}" for i in range(100))
    assert Labels(most, most).scenes == most


def test_digest_is_of_names_order_and_task():
    names = ("a", "b")
    different = [Labels(names), Labels(names[::-1]), Labels((), names), Labels(names, names), Labels(), DCASE]
    assert len({labels.digest for labels in different}) == len(different)
    assert Labels(names).digest == Labels(("a", "b"), ()).digest
    # Part of the keys of prepared data: a change would make everyone prepare theirs anew.
    assert DCASE.digest.startswith("637a7d4d2efb")


def test_labels_of_tasks_and_of_the_data():
    ours = Labels((), ("x",))
    assert ours.or_else(DCASE) == Labels(DCASE.scenes, ("x",))
    assert DCASE.of(["events"]) == Labels((), DCASE.events)
    assert DCASE.of(["scenes"]).to_dict() == {"scenes": list(DCASE.scenes)}
    assert [*DCASE.to_dict()] == ["events", "scenes"]
    assert Labels().to_dict() == {}


def test_runs_from_before_labels_were_kept_are_dcases():
    assert read_labels(None) == read_labels({}) == DCASE
    assert read_labels({"events": ["x"]}) == Labels((), ("x",))


def test_other_lists_are_refused_in_one_line():
    def refused(mine, other, *tasks):
        with pytest.raises(DataError) as caught:
            mine.require_same(other, tasks, "run A", "run B", DataError, "what to try")
        assert caught.value.hint == "what to try"
        return caught.value.message

    mine = Labels(("a", "b"), ("c", "d", "e"))
    mine.require_same(mine, ("scenes", "events"), "run A", "run B", DataError)
    mine.require_same(replace(mine, scenes=("b", "a")), ("events",), "run A", "run B", DataError)
    swapped = replace(mine, scenes=("b", "a"))
    assert refused(mine, swapped, "scenes") == "run A and run B have other scenes: the same names in another order"
    others = Labels(mine.scenes, ("c", "f", "g", "h", "i"))
    assert refused(mine, others, "scenes", "events") == (
        "run A and run B have other events: only the first has d, e, only the second has f, g, h and 1 more"
    )
    assert refused(mine, DCASE.of(["events"]), "scenes").endswith("other scenes: only the first has a, b")


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("labels.scenes=['park']", "labels.scenes: 'park' alone"),
        ("labels.events=['a', 'A']", "'a' and 'A' are one name"),
        ("labels.events=['a', 3]", "labels.events"),
        ("labels.event=['a']", "no key labels.event (did you mean events?)"),
    ],
)
def test_recipes_are_held_to_the_same(override, why):
    with pytest.raises(RecipeError) as refused:
        load_recipe("mt", [override])
    assert why in str(refused.value)


def test_a_recipe_names_classes_of_one_task_or_of_both():
    assert load_recipe("mt").labels == Labels()
    assert load_recipe("mt", ["labels.events=['b', 'a']"]).labels == Labels((), ("b", "a"))
    both = load_recipe("mt", ["scenes=['x', 'y']", "labels.events=['b']"])
    assert both.labels == Labels(("x", "y"), ("b",))
