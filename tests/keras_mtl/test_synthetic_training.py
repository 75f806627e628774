"""Trainings on soundscapes as `keras_mtl data synthesize` writes them: event clips alone, often without some kinds."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from little_training import LITTLE_NETWORK

from keras_mtl import cli
from keras_mtl.core import DCASE, DataError
from keras_mtl.datasets import open_corpus
from keras_mtl.models import build
from keras_mtl.recipes import load_recipe
from keras_mtl.training import load_training_data

STRONG = ("filename", "onset", "offset", "event_label")
SYNTHETIC = "dcase_synth/{}/train/synthetic21_train/soundscapes"
SMALL = (
    "algorithm=single",
    "task=events",
    "train.epochs=1",
    "strong_batch=2",
    "weak_batch=2",
    "unlabelled_batch=2",
    LITTLE_NETWORK,
)


def clips(root, folder, names):
    (root / folder).mkdir(parents=True)
    noise = np.random.default_rng(len(names))
    for name in names:
        soundfile.write(root / folder / name, noise.normal(0, 0.1, 160_000), 16_000)


def table(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in (header, *rows)))


def synthesised(root, strong=4, unlabelled=0, validation=0):
    """The layout of `synthesise`, with noise in it; each strong clip has an event of its own class."""
    names = [f"strong_synthetic-{i:05d}.wav" for i in range(strong)]
    clips(root, SYNTHETIC.format("audio"), names)
    rows = [(name, 1.0, 3.0, DCASE.events[i % 10]) for i, name in enumerate(names)]
    table(root / f"{SYNTHETIC.format('metadata')}.tsv", STRONG, rows)
    if unlabelled:
        clips(root, "audio/train/unlabel_in_domain", [f"unlabelled-{i:05d}.wav" for i in range(unlabelled)])
    if validation:
        names = [f"validation-{i:05d}.wav" for i in range(validation)]
        clips(root, "audio/validation/validation", names)
        table(root / "metadata/validation/validation.tsv", STRONG, [(name, 2.0, 4.0, "Dog") for name in names])
    return root


def call(*arguments, code=0):
    done = CliRunner().invoke(cli.group, [*map(str, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def training(data, tmp_path, *more):
    sets = [word for item in SMALL for word in ("--set", item)]
    return (
        "train",
        "--recipe",
        "mt",
        "--data",
        data,
        "--out",
        tmp_path / "run",
        "--cache",
        tmp_path / "cache",
        *sets,
        *more,
    )


def test_strong_clips_alone_train_both_outputs(tmp_path, caplog):
    data = synthesised(tmp_path / "made")
    said = call(*training(data, tmp_path)).stdout
    assert "no figures: the data have no evaluation split" in said
    assert "no weak clips" in caplog.text
    assert "no unlabelled clips" in caplog.text
    assert "no evaluation clips" in caplog.text
    info = json.loads((tmp_path / "run/run.json").read_text())
    assert (info["metrics"], info["tasks"]) == ({}, ["events"])
    (row,) = [line.split(",") for line in next((tmp_path / "run").glob("*.csv")).read_text().splitlines()[1:]]
    head = next((tmp_path / "run").glob("*.csv")).read_text().splitlines()[0].split(",")
    assert float(dict(zip(head, row, strict=True))["weak_bce"]) > 0.1, "clip-level output is taught"
    # The run is one that everything else takes.
    compared = json.loads(call("compare", tmp_path / "run", "--json").stdout)
    assert compared["rows"][0]["figures"] == {}
    soundfile.write(tmp_path / "a.wav", np.zeros(32_000), 16_000)
    call("predict", tmp_path / "a.wav", "--model", tmp_path / "run")
    scored = CliRunner().invoke(
        cli.group, ["evaluate", str(tmp_path / "run"), "--data", str(data), "--cache", str(tmp_path / "cache")]
    )
    assert isinstance(scored.exception, DataError)
    assert "no evaluation split for events" in str(scored.exception)


def test_the_classes_of_strong_clips_stand_in_for_weak_ones(tmp_path):
    corpus = open_corpus(synthesised(tmp_path / "made", unlabelled=2), tmp_path / "cache", progress=False)
    recipe = load_recipe("mt", [*SMALL, "validation_fraction=0"])
    data = load_training_data(recipe, corpus, {"events"}, tmp_path / "cache")
    assert {kind: len(clips) for kind, clips in data.events.items()} == {"strong": 4, "unlabelled": 2}
    network = build("mt", corpus.labels)
    for weak_batch, strong in ((1, 4), (0, 4)):
        changed = replace(recipe, train=replace(recipe.train, strong_batch=strong, weak_batch=weak_batch))
        batch = data.streams(("events",), changed, network)["events"](0)
        known = batch["has_weak"] > 0
        assert known.sum() == (strong if weak_batch else 0)
        assert sorted(batch["weak"][known].argmax(axis=1)) == ([0, 1, 2, 3] if weak_batch else [])
        assert batch["weak"].sum() == known.sum()


@pytest.mark.slow
def test_figures_come_from_validation_clips(tmp_path, caplog):
    data = synthesised(tmp_path / "made", unlabelled=2, validation=3)
    done = json.loads(call(*training(data, tmp_path, "--json")).stdout)
    assert done["metrics"]["events"]["clips"] == 3
    assert "no unlabelled" not in caplog.text
    assert "no evaluation" not in caplog.text


def test_what_an_algorithm_needs_and_the_folder_lacks_is_named_at_once(tmp_path):
    data = synthesised(tmp_path / "made")
    for sets, says in (
        (
            ("--set", "algorithm=soft"),
            "made: no scene (TAU) clips to train on (--set algorithm=single --set task=events",
        ),
        (("--set", "task=scenes"), "made: no scene (TAU) clips to train on"),
    ):
        done = CliRunner().invoke(cli.group, [*map(str, training(data, tmp_path, *sets))])
        assert isinstance(done.exception, DataError)
        assert says in str(done.exception)
    only = tmp_path / "only"
    clips(only, "audio/train/unlabel_in_domain", ["unlabelled-00000.wav"])
    (only / "metadata").mkdir()
    done = CliRunner().invoke(cli.group, [*map(str, training(only, tmp_path))])
    assert "only: no strongly labelled event (DESED) clips (see docs/data.md" in str(done.exception)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache/log_mel").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("scaper") is None, reason="the optional Scaper is not installed (`make scaper`)"
)
def test_what_scaper_made_is_trained_on(tmp_path):
    time_s, bank = np.arange(16_000) / 16_000, tmp_path / "bank"
    for label, hz in (("Cat", 1000.0), ("Dog", 2000.0)):
        (bank / "foreground" / label).mkdir(parents=True)
        soundfile.write(bank / "foreground" / label / "0.wav", 0.2 * np.sin(2 * np.pi * hz * time_s), 16_000)
    clips(bank, "background/room", ["0.wav"])
    folders = ("--foreground", bank / "foreground", "--background", bank / "background")
    call("data", "synthesize", *folders, "--out", tmp_path / "made", "--clips", 4, "--validation", 2,
         "--validation-foreground", bank / "foreground")  # fmt: skip
    done = json.loads(call(*training(tmp_path / "made", tmp_path, "--json")).stdout)
    assert done["metrics"]["events"]["clips"] == 2
    assert set(done["metrics"]["events"]["event_f1_per_class"]) <= {"Cat", "Dog"}
