"""Runs side by side: rows, order, seeds, other data, differences, text and pictures; on run folders made up here."""

import json
import statistics
from dataclasses import asdict, replace

import numpy as np
import pytest
from click.testing import CliRunner

from keras_mtl import cli
from keras_mtl.core import DCASE, RunError, read
from keras_mtl.decoding import DecodeSettings
from keras_mtl.experiments import (
    SORTS,
    Comparison,
    EveryDraw,
    compare,
    comparison_lines,
    comparison_markdown,
    draws_of,
    plot_comparison,
    with_differences,
)
from keras_mtl.experiments.comparison import in_order
from keras_mtl.metrics.scenes import scene_metrics
from keras_mtl.recipes import load_recipe, to_toml
from keras_mtl.training.conflict import write_conflict


def scenes(accuracy, clips=20, **more):
    return {"scenes": {"accuracy": accuracy, "macro_accuracy": accuracy, "clips": clips, **more}}


def events(f1, clips=8, tool="sed_scores_eval 0.0.4"):
    figures = {"event_f1_macro": f1, "psds1": 0.3, "psds2": 0.4, "weak_f1_macro": 0.5}
    intervals = {key: [value - 0.1, value + 0.2] for key, value in figures.items()} | {"psds2": None}
    return {"events": {**figures, "intervals": intervals, "clips": clips, "tool": tool}}


@pytest.fixture
def made(tmp_path):
    """Makes a run folder with these figures, as a training of this recipe would leave it."""

    def make(name, metrics, *overrides, fingerprint="a" * 64, **more):
        recipe = load_recipe("mt", overrides)
        folder = tmp_path / name
        folder.mkdir(parents=True)
        # The normalisation comes from the training clips, and so from the seed.
        features = recipe.features.normalised(-20.0 - recipe.train.seed, 12.0)
        (folder / "recipe.toml").write_text(to_toml(replace(recipe, features=features)))
        info = {
            "schema": "keras_mtl.run/1",
            "stage": "float",
            "system": recipe.model.system,
            "recipe": recipe.name,
            "seed": recipe.train.seed,
            "features": features.to_dict(),
            "data": {"name": "made up", "fingerprint": fingerprint},
            "tasks": sorted(metrics),
            "training_seconds": 90.0,
            "metrics": metrics,
            **more,
        }
        (folder / "run.json").write_text(json.dumps(info))
        return folder

    return make


def test_a_row_says_what_a_run_is_and_costs_and_reached(made):
    run = made("soft", scenes(0.5) | events(0.25), "algorithm=soft", "train.epochs=3", "seed=7")
    (row,) = compare([run, run]).rows
    assert (row.name, row.system, row.algorithm, row.seed, row.epochs) == ("soft", "mt", "soft", 7, {"both": 3})
    assert (row.params, round(row.macs_per_second)) == (633_519, 43_157_040)
    assert (row.training_minutes, row.clips) == (1.5, {"scenes": 20, "events": 8})
    assert row.figures["event_f1_macro"].low == pytest.approx(0.15)
    assert row.figures["accuracy"].low is None, "it has none"
    assert row.figures["psds2"].low is None, "no draw defined it"


def test_how_far_the_tasks_gradients_agreed(made, tmp_path):
    hard = made("hard", scenes(0.5) | events(0.25), "algorithm=hard")
    soft = made("soft", scenes(0.5) | events(0.25), "algorithm=soft")
    write_conflict(hard / "both.conflict.csv", [(0, 0, 0.5), (2, 0, -0.25), (4, 1, 0.35)])
    of_hard, of_soft = compare([hard, soft]).rows
    assert (of_hard.conflict.mean, of_hard.conflict.measurements) == (pytest.approx(0.2), 3)
    assert of_hard.conflict.share == pytest.approx(1 / 3)
    assert of_soft.conflict is None
    done = CliRunner().invoke(cli.group, ["compare", str(hard), str(soft), "--conflict", str(tmp_path / "c.svg")])
    assert done.exit_code == 0, done.output
    assert "+0.20, 33% below 0" in done.output
    assert "hard, phase both: mean +0.20" in (tmp_path / "c.svg").read_text()
    refused = CliRunner().invoke(cli.group, ["compare", str(soft), "--conflict", str(tmp_path / "d.svg")])
    assert "conflict_every" in str(refused.exception)
    assert not (tmp_path / "d.svg").exists()


def test_only_what_the_tasks_need_is_counted(made):
    one = made("scenes", scenes(0.5), "algorithm=single", "task=scenes")
    other = made("events", events(0.2), "algorithm=single", "task=events")
    fewer = made("narrow", scenes(0.5), "system=cnn", "algorithm=single", "task=scenes", "model.options.channels=[8,8]")
    rows = compare([one, other, fewer]).rows
    assert [row.params for row in rows][:2] == [60_059, 54_192 + 573_460]
    assert rows[2].params is None
    assert rows[2].remark.startswith("not counted: system cnn can't be built so")
    assert any(rows[2].remark in line for line in comparison_lines(compare([one, fewer])))


def test_a_quantized_run_shows_its_scheme_and_is_no_seed_of_its_float_run(made):
    single = ("algorithm=single", "task=scenes", "train.epochs=4")
    before = made("float", scenes(0.5), *single)
    quantization = {"epochs": 2, "seed": 0, "data": {"name": "others", "fingerprint": "b" * 64}}
    after = made("int8", scenes(0.48), *single, stage="qat", scheme="int8", quantization=quantization)
    compared = compare([before, after])
    assert compared.rows[1].epochs == {"scenes": 4, "quantize": 2}
    assert (compared.rows[1].stage, compared.rows[1].scheme) == ("qat", "int8")
    assert compared.rows[1].fingerprint == "b" * 64, "it was scored on those"
    assert compared.summaries == ()
    text = "\n".join(comparison_lines(compared))
    assert "stage" in text
    assert "int8" in text
    assert "4+2" in text
    options = {"stage": "qat", "scheme": "int8", "quantization": quantization}
    native = made("native", scenes(0.5), *single, engine="native", **options)
    second = made("tfmot", scenes(0.5), *single, "seed=1", engine="tfmot", **options)
    (summary,) = compare([after, native, second]).summaries
    assert summary.runs == ("int8", "native"), "what another engine made is no seed of it"


def test_seeds_of_a_configuration_are_summarised(made):
    runs = [made(f"s{i}", scenes(a), "algorithm=soft", f"seed={i}") for i, a in enumerate((0.4, 0.5, 0.7))]
    other = made("other", scenes(0.9), "algorithm=soft", "train.epochs=99")
    (summary,) = compare([*runs, other]).summaries
    assert (summary.name, summary.seeds, summary.runs) == ("mt soft", (0, 1, 2), ("s0", "s1", "s2"))
    spread = summary.figures["accuracy"]
    assert spread.n == 3
    assert spread.mean == pytest.approx(statistics.fmean((0.4, 0.5, 0.7)))
    assert spread.std == pytest.approx(np.std([0.4, 0.5, 0.7], ddof=1))
    assert "0.533 ± 0.153" in "\n".join(comparison_lines(compare([*runs, other])))


def test_seeds_are_summarised_by_the_decoding_that_was_asked_for(made):
    """ "auto" finds other numbers for each split, and so for each seed."""

    def one(name, seed, median_s, asked):
        decoding = asdict(DecodeSettings(median_s=asked))
        found = ("algorithm=soft", f"seed={seed}", f"decode.classes.Dog.median_s={median_s}")
        return made(name, scenes(0.5), *found, decode=decoding)

    runs = [one("s0", 0, 0.21, "auto"), one("s1", 1, 0.24, "auto"), one("other", 2, 0.21, 0.45)]
    (summary,) = compare(runs).summaries
    assert summary.runs == ("s0", "s1")
    same = [made(f"old{i}", scenes(0.5), "algorithm=soft", f"seed={i}") for i in range(2)]
    plain = made("new", scenes(0.5), "algorithm=soft", "seed=2", decode=asdict(DecodeSettings()))
    assert compare([*same, plain]).summaries[0].runs == ("old0", "old1", "new"), "and runs from before it was kept"


def test_other_data_other_clips_and_another_tool_are_told_apart(made, tmp_path):
    a = made("a", scenes(0.4) | events(0.2), "algorithm=soft")
    b = made("b", scenes(0.5) | events(0.2), "algorithm=soft", "seed=1", fingerprint="b" * 64)
    c = made("c", scenes(0.5, clips=19) | events(0.3, tool="another 1.0"), "algorithm=soft", "seed=2")
    assert compare([a, made("d", scenes(0.4), "seed=3")]).mismatches == ()
    compared = compare([a, b, c])
    assert [(m.task, [s["runs"] for s in m.sets]) for m in compared.mismatches] == [
        ("scenes", [["a"], ["b"], ["c"]]),
        ("events", [["a"], ["b"], ["c"]]),
    ]
    assert compared.summaries == (), "seeds on other data are no seeds of one configuration"
    lines = comparison_lines(compared)
    assert any(line.startswith("note: scenes: scored on different data, must not be compared: a: 20") for line in lines)
    assert lines[0].split()[:2] == ["run", "data"]
    assert [line.split()[1] for line in lines[1:4]] == ["A", "B", "A"]
    assert "**Note:** events: scored on different data" in comparison_markdown(compared)
    done = CliRunner().invoke(cli.group, ["compare", str(a), str(b), "--json"], catch_exceptions=False)
    document = json.loads(done.stdout)
    assert document["schema"] == "keras_mtl.comparison/1"
    assert document["mismatches"][0]["sets"][1]["fingerprint"] == "b" * 64
    with pytest.raises(RunError, match="no run has a task in common with a that was scored on the same data"):
        with_differences(compare([a, b]), compare([a]).rows)


def test_clips_of_other_lengths_are_told_apart(made):
    """The same data and as many clips; which devices count as seen changes none of the table's figures."""

    def of(name, **settings):
        data = {"name": "made up", "fingerprint": "a" * 64, **({"settings": settings} if settings else {})}
        return made(name, scenes(0.4) | events(0.2), data=data)

    usual, longer, seen = of("usual"), of("longer", scene_clip_s=2.0), of("seen", seen_devices=["a"])
    assert compare([usual, seen]).mismatches == ()
    (mismatch,) = compare([usual, longer]).mismatches
    assert (mismatch.task, [each["runs"] for each in mismatch.sets]) == ("scenes", [["usual"], ["longer"]])
    assert any(
        "longer: 20 clips of made up aaaaaaaa scene_clip_s 2" in line
        for line in comparison_lines(compare([usual, longer]))
    )
    found = with_differences(compare([longer]), compare([usual]).rows).differences
    assert {each.task for each in found} == {"events"}


def test_order_is_stable_and_what_is_missing_comes_last(made):
    runs = [
        made("z", scenes(0.4) | events(0.2), "algorithm=soft"),
        made("y", scenes(0.6), "algorithm=single", "task=scenes"),
        made("x", scenes(0.6) | events(0.3), "algorithm=soft"),
        made("w", events(0.3), "algorithm=single", "task=events"),
    ]

    def names(sort):
        return "".join(row.name for row in compare(runs, sort).rows)

    assert names("given") == "zyxw"
    assert names("name") == "wxyz"
    assert names("accuracy") == "yxzw"
    assert names("event_f1") == "xwzy"
    assert names("params") == "ywzx"
    assert names("macs")[0] == "y"
    rows = compare(runs).rows
    for sort in SORTS:
        assert in_order(in_order(rows, sort), sort) == in_order(rows, sort)
        assert sorted(row.name for row in in_order(rows, sort)) == list("wxyz")


def test_names_are_as_short_as_they_can_be(made):
    runs = [made(name, scenes(0.4)) for name in ("one/best", "two/best", "two/other")]
    assert [row.name for row in compare(runs).rows] == ["one/best", "two/best", "other"]


def test_differences_by_task_to_the_run_of_each_task(made, tmp_path):
    both = made("both", scenes(0.4) | events(0.35), "algorithm=soft")
    one = made("one", scenes(0.5), "algorithm=single", "task=scenes")
    two = made("two", events(0.25), "algorithm=single", "task=events")
    arguments = ["compare", both, "--against", one, "--against", two, "--markdown", tmp_path / "t.md"]
    done = CliRunner().invoke(cli.group, [*map(str, arguments), "--json"], catch_exceptions=False)
    document = json.loads(done.stdout)
    found = {(d["run"], d["against"], d["figure"]): d["value"] for d in document["differences"]}
    assert set(found) == {("both", "one", k) for k in ("accuracy", "macro_accuracy")} | {
        ("both", "two", k) for k in ("event_f1_macro", "psds1", "psds2", "weak_f1_macro")
    }
    assert found["both", "one", "accuracy"] == pytest.approx(-0.1)
    assert found["both", "two", "event_f1_macro"] == pytest.approx(0.1)
    assert {d["low"] for d in document["differences"]} == {None}
    assert "--data DIR scores the runs again" in document["difference_method"]
    text = (tmp_path / "t.md").read_text()
    assert text.startswith(f"Made by `keras_mtl compare {both} --against {one} --against {two}`.\n")
    assert "| both | one | -0.100 |" in text
    refused = CliRunner().invoke(cli.group, ["compare", str(both), "--data", "x"])
    assert refused.exit_code == 2


def test_intervals_of_differences_are_paired(made):
    """Two listeners that err on almost the same recordings differ by far less than either moves."""
    chance = np.random.default_rng(0)
    truth, place = np.arange(400) % 10, np.repeat(np.arange(100), 4).astype(str)
    right = chance.random(400) < np.repeat(chance.random(100), 4)
    worse = right & (chance.random(400) < 0.97)

    def metrics(hits, bootstrap=None):
        logits, devices = np.eye(10)[np.where(hits, truth, (truth + 1) % 10)], np.full(400, "a")
        return {"scenes": scene_metrics(logits, truth, devices, DCASE.scenes, ("a",), place, bootstrap)}

    single = ("algorithm=single", "task=scenes")
    runs = {"a": right, "b": worse}
    compared = compare([made(name, metrics(hits), *single, f"seed={name == 'b':d}") for name, hits in runs.items()])
    a, b = compared.rows
    paired = with_differences(compared, [a], lambda row: draws_of(metrics(runs[row.name], EveryDraw()), row))
    found = next(d for d in paired.differences if d.figure == "accuracy")
    assert (found.run, found.against, found.value) == (
        "b",
        "a",
        b.figures["accuracy"].value - a.figures["accuracy"].value,
    )
    assert found.low < found.value < found.high < 0.0
    assert found.high - found.low < 0.4 * (a.figures["accuracy"].high - a.figures["accuracy"].low)
    assert "paired percentile bootstrap, 1000 draws" in paired.difference_method
    assert "paired" in "\n".join(comparison_lines(paired))
    with pytest.raises(RunError, match="scored again, accuracy is"):
        draws_of(metrics(~right, EveryDraw()), a)


def test_a_saved_comparison_holds_all_of_it(made, tmp_path):
    runs = [made(f"s{i}", scenes(0.4) | events(0.1 * i), "algorithm=soft", f"seed={i}") for i in range(2)]
    write_conflict(runs[0] / "both.conflict.csv", [(0, 0, 0.5)])
    runs.append(made("c", scenes(0.5, clips=19), "algorithm=single", "task=scenes"))
    compared = with_differences(compare(runs, "accuracy", "keras_mtl compare"), compare(runs).rows[:1])
    document = json.loads(compared.save(tmp_path / "c.json").read_text())
    assert document.pop("schema") == "keras_mtl.comparison/1"
    assert read(Comparison, document, "a comparison", RunError, complete=True) == compared


def test_pictures_of_both_tasks_and_of_one(made, tmp_path):
    intervals = {"accuracy": [0.3, 0.45]}
    both = made("both", scenes(0.4, intervals=intervals) | events(0.2), "algorithm=soft")
    one = made("one", scenes(0.5, intervals=intervals), "algorithm=single", "task=scenes")
    two = made("two", events(0.25), "algorithm=single", "task=events")
    pictures = {
        name: plot_comparison(compare(runs), tmp_path / f"{name}.svg").read_text()
        for name, runs in {"points": [both, one, two], "bars": [one, two], "one": [two]}.items()
    }
    assert all("svg" in text for text in pictures.values())
    assert pictures["points"].count("scored on different") == 0
    done = CliRunner().invoke(cli.group, ["compare", str(both), str(one), "--plot", str(tmp_path / "p.png")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_runs_of_other_labels_are_not_compared(made):
    old = made("old", scenes(0.4) | events(0.2))
    assert len(compare([old, made("same", scenes(0.4) | events(0.2), labels=DCASE.to_dict())]).rows) == 2
    turned = made("turned", scenes(0.5), "task=scenes", labels={"scenes": list(DCASE.scenes[::-1])})
    with pytest.raises(RunError, match=f"{old} and {turned} have other scenes: the same names in another order"):
        compare([old, turned])
    fewer = made(
        "fewer", scenes(0.5) | events(0.2), labels={"scenes": list(DCASE.scenes), "events": ["Dog", "Whistle"]}
    )
    refused = CliRunner().invoke(cli.group, ["compare", str(fewer), "--against", str(old)])
    assert str(refused.exception).startswith(f"{fewer} and {old} have other events: only the first has Whistle, only ")
    # Of what is of one task alone, the other task's labels are no matter.
    own = made("own", events(0.2), labels={"events": ["Dog", "Whistle"]})
    assert [row.name for row in compare([turned, own]).rows] == ["turned", "own"]


def test_what_is_no_run_is_named(made, tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        compare([tmp_path / "none"])
    folder = made("x", scenes(0.4))
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({k: v for k, v in info.items() if k != "data"}))
    with pytest.raises(RunError, match="has no 'data'"):
        compare([folder])
    (folder / "recipe.toml").unlink()
    with pytest.raises(RunError, match=r"recipe\.toml can't be read"):
        compare([folder])
