"""`keras_mtl tune` and `evaluate --ambient` on a run: only held-out clips are read; what is written is read back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from keras_mtl.cli import group
from keras_mtl.core import DataError, KerasMtlError, RunError, files
from keras_mtl.datasets import Corpus
from keras_mtl.datasets.prepare import Clips
from keras_mtl.decoding import DecodeSettings
from keras_mtl.features import event_set
from keras_mtl.predictors import Tunable
from keras_mtl.recipes import load_recipe, to_toml
from keras_mtl.runs import Run
from keras_mtl.training import load_training_data

BOUND = ("--by", "false-alarms", "--max-false-alarms-per-hour", 200)


class Unread:
    """Clips of an evaluation split, of which nothing may be read."""

    def __getattr__(self, name: str) -> None:
        raise AssertionError(f"the evaluation split was asked for its {name}")


def call(*words: object) -> dict:
    done = CliRunner().invoke(group, [*map(str, words), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def halved(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as if its training had held out half of the clips, with a threshold at which it detects something."""
    folder = tmp_path_factory.mktemp("halved") / "run"
    shutil.copytree(run.path, folder)
    recipe = run.recipe
    recipe = replace(recipe, train=replace(recipe.train, validation_fraction=0.5), decode=DecodeSettings(0.05))
    (folder / "recipe.toml").write_text(to_toml(recipe))
    return folder


@pytest.fixture
def mine(halved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(halved, tmp_path / "mine"))


@pytest.fixture(scope="module")
def ambient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of noise that comes and goes, one of another rate and in a folder within."""
    folder, random = tmp_path_factory.mktemp("ambient"), np.random.default_rng(5)
    (folder / "within").mkdir()
    for name, rate_hz, seconds in (("a.wav", 16_000, 23), ("within/b.flac", 44_100, 12)):
        loud = np.repeat(10.0 ** random.uniform(-3, -0.5, seconds), rate_hz)
        soundfile.write(folder / name, loud * random.uniform(-1, 1, len(loud)), rate_hz)
    (folder / "notes.txt").write_text("no recording")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_clips_that_the_training_held_out_are_read(halved: Path, corpus: Corpus, cache: Path) -> None:
    run = Run.load(halved)
    wanted = load_training_data(run.recipe, corpus, {"events"}, cache).held_out_events
    blind = {name: clips if name.startswith("strong") else Unread() for name, clips in corpus.events.items()}
    assert isinstance(corpus.events["validation"], Clips)
    found = Tunable.open(halved).held_out_of(replace(corpus, events=blind, scenes={"test": Unread()}), cache)
    assert len(found) == len(wanted) == 4
    assert found.truth == wanted.events
    predictor = Tunable.open(halved).predictor
    goal, _ = predictor.event_probabilities(wanted.log_mel)
    np.testing.assert_allclose(found.probabilities, goal, atol=1e-6)
    assert set(wanted.filenames) < set(event_set(corpus, "strong_synthetic", run.settings, cache).filenames)


def test_what_was_not_held_out_or_is_not_known_is_one_clear_line(
    run: Run, halved: Path, mine: Path, corpus: Corpus, cache: Path
) -> None:
    train = replace(run.recipe.train, validation_fraction=0.0)
    (mine / "recipe.toml").write_text(to_toml(replace(run.recipe, train=train)))
    with pytest.raises(DataError, match=r"held out no event clips \(train.validation_fraction = 0\)"):
        Tunable.open(mine).held_out_of(corpus, cache)
    with pytest.raises(DataError, match=r"is not what .* was trained on"):
        Tunable.open(halved).held_out_of(replace(corpus, fingerprint="0" * 64), cache)
    with pytest.raises(DataError, match="no strongly labelled event clips"):
        Tunable.open(halved).held_out_of(replace(corpus, events={}), cache)


def test_sounds_that_a_split_holds_out_are_taken(halved: Path, corpus: Corpus, cache: Path) -> None:
    held_out = {**corpus.events, "held_out": corpus.events["weak"]}
    found = Tunable.open(halved).held_out_of(replace(corpus, events=held_out), cache)
    assert len(found) == corpus.events["weak"].count


def test_a_bound_is_chosen_by_and_written_in_place_again_and_again(mine: Path, ambient: Path, cache: Path) -> None:
    where = ("--data", "soundscapes:tiny", "--cache", cache, "--ambient", ambient, *BOUND)
    before, page = contents(mine), mine.parent / "points.html"
    copy = mine.parent / "copy"
    document = call("tune", mine, *where, "--out", copy, "--page", page)
    assert page.read_text(encoding="utf-8").count("<section>") == 10
    assert contents(mine) == before
    assert document["written"] == str(copy)
    changed = {label: each for label, each in document["classes"].items() if each["changed"]}
    assert changed
    for label, each in document["classes"].items():
        if not each["held_out_events"]:
            assert label not in changed
        elif each["after"]["ambient"]:
            assert each["after"]["ambient"]["per_hour"] <= 200 or label not in changed
    tuned = Run.load(copy)
    assert tuned.recipe.decode.classes == document["decode"]["classes"]
    assert "events" not in tuned.info["metrics"]
    assert tuned.info["tuning"]["metrics_before"] == Run.load(mine).info["metrics"]["events"]
    assert tuned.info["tuning"]["decode_before"]["threshold"] == 0.05
    call("tune", mine, *where, "--write")
    once = contents(mine)
    assert once == contents(copy) | {
        name: content for name, content in before.items() if name.partition("/")[0] in ("checkpoints", "tensorboard")
    }
    assert {name for name in once if once[name] != before[name]} == {"recipe.toml", "run.json"}
    done = CliRunner().invoke(group, [*map(str, ("tune", copy, *where, "--write"))], catch_exceptions=False)
    assert f"written  {copy}" in done.stdout
    assert "of ambient audio: even 0 alarms in it allow up to 379 per hour (95 %)" in done.stdout
    assert contents(copy).items() <= once.items(), "a second time finds the same"
    scored = call("evaluate", mine, "--ambient", ambient)
    assert "data" not in scored
    assert scored["ambient"]["recordings"] == 2
    assert scored["ambient"]["hours"] == pytest.approx(35 / 3600)
    figures = {label: each["after"]["ambient"] for label, each in document["classes"].items()}
    assert scored["ambient"]["classes"] == figures, "counted block by block as by all probabilities at once"


def test_settings_picked_by_hand_are_written_and_scored(mine: Path, cache: Path) -> None:
    option = "decode.classes.Dog.threshold=0.25"
    before = contents(mine)
    done = CliRunner().invoke(group, ["tune", str(mine), "--set", option], catch_exceptions=False)
    assert "nothing is written without --out or --write; these give the settings:\n--set decode.cl" in done.stdout
    assert contents(mine) == before
    document = call("tune", mine, "--set", option, "--write")
    assert document["decode"]["classes"] == {"Dog": {"threshold": 0.25}}
    run = Run.load(mine)
    assert run.recipe.decode == DecodeSettings(0.05, classes={"Dog": {"threshold": 0.25}})
    assert run.recipe == replace(load_recipe(mine / "recipe.toml"), decode=run.recipe.decode)
    scored = call("evaluate", mine, "--data", "soundscapes:tiny", "--cache", cache, "--resamples", 0)
    assert "event_f1_macro" in scored["events"]


def test_an_interrupt_between_both_files_leaves_a_run_that_is_tuned_once_more(mine: Path, monkeypatch) -> None:
    before, write_text = (mine / "recipe.toml").read_bytes(), files.write_text

    def interrupted(path, content):
        if Path(path).name == "recipe.toml":
            raise KeyboardInterrupt
        return write_text(path, content)

    opened = Tunable.open(mine)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(files, "write_text", interrupted)
        opened.write(DecodeSettings(0.3), {})
    assert (mine / "recipe.toml").read_bytes() == before
    again = Tunable.open(mine)
    assert again.untuned == again.decoding == DecodeSettings(0.05)
    again.write(DecodeSettings(0.3), {})
    assert Tunable.open(mine).decoding == DecodeSettings(0.3)
    assert Tunable.open(mine).untuned == DecodeSettings(0.05)
    with pytest.raises(RunError, match="holds something already"):
        again.write(DecodeSettings(0.3), {}, mine)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--data DIR is what held-out recordings are taken from"),
        (("--set", "decode.threshold=0.3", "--by", "f1"), "without --data nothing is searched"),
        (("--data", "x", "--by", "false-alarms"), "false alarms need --ambient DIR"),
        (("--data", "x", "--max-false-alarms-per-hour", "1"), "false alarms need --ambient DIR"),
        (("--data", "x", "--by", "f1", "--max-false-alarms-per-hour", "1"), "is not what --by f1 chooses by"),
        (("--set", "decode.threshold=0.3", "--write", "--out", "there"), "give one of them"),
    ],
)
def test_options_that_do_not_go_together(options: tuple[str, ...], says: str) -> None:
    done = CliRunner().invoke(group, ["tune", "run", *options])
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())


def test_useless_ambient_folders_and_settings(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words, says in (
        (("evaluate", mine, "--ambient", tmp_path / "empty"), "holds no recordings"),
        (("evaluate", mine, "--ambient", tmp_path / "nowhere"), "no folder of ambient audio"),
        (("tune", mine, "--set", "decode.classes.Dgo.threshold=0.3", "--write"), "is no class of the events"),
        (("tune", mine, "--set", "train.epochs=3", "--write"), "only decode can be set here"),
    ):
        with pytest.raises(KerasMtlError, match=says):
            call(*words)
