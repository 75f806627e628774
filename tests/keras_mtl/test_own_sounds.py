"""Own sounds, from a folder to a firmware: their names everywhere, and mixtures that are new in each pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from keras_mtl.cli import group
from keras_mtl.core import LogMelSettings
from keras_mtl.datasets import DataSettings, open_corpus
from keras_mtl.features import FreshMixtures, event_set
from keras_mtl.recipes import load_recipe
from keras_mtl.runs import Run
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.training import EventStream, load_training_data

SMALL = (
    "data.mixed_clips=8",
    "train.epochs=1",
    "train.second_epochs=1",
    "scene_batch=8",
    "strong_batch=2",
    "weak_batch=1",
    "unlabelled_batch=1",
    "model.options.recurrent_units=8",
    "model.options.recurrent_layers=1",
)
SCENES, EVENTS = ["Straße", "in the bus"], ["door, knock", "кашель"]


def call(*words: object) -> Result:
    done = CliRunner().invoke(group, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def settings_of(*changes: str) -> list[str]:
    return [word for change in (*SMALL, *changes) for word in ("--set", change)]


def test_from_a_folder_to_a_firmware(own_sounds: Path, cache: Path, tmp_path: Path) -> None:
    run, out, clip = tmp_path / "run", tmp_path / "mine", own_sounds / "recordings" / "kitchen 0.wav"
    where = ("--data", own_sounds, "--cache", cache)
    own = ["decode.median_s=auto", 'decode.classes."door, knock".threshold=0.35', "decode.classes.кашель.gap_s=0.1"]
    call("train", "--recipe", "mt", *where, "--out", run, *settings_of(*own))
    assert Run.load(run).info["labels"] == {"scenes": SCENES, "events": EVENTS}
    call("deploy", run, *where, "--target", "stm32h743", "--epochs", 0, "--out", out)
    artifact = Artifact.load(out / "artifact")
    assert artifact.facts.labels.to_dict() == {"scenes": SCENES, "events": EVENTS}
    assert artifact.facts.decoding == Run.load(run).recipe.decode
    assert [artifact.facts.decoding.of(name).threshold for name in EVENTS] == [0.35, 0.5]
    assert artifact.facts.decoding.median_s == 0.45, "a number for every class, and for none"
    assert all(artifact.facts.decoding.classes[name]["median_s"] > 0 for name in EVENTS)
    header = next((out / "firmware").rglob("listener.h")).read_text(encoding="utf-8")
    assert '"Stra\\303\\237e"' in header
    assert '"door, knock"' in header
    figures = json.loads(call("evaluate", out / "artifact", *where, "--json").stdout)
    assert set(figures["scenes"]["per_class"]) == set(SCENES)
    assert set(figures["events"]["event_f1_per_class"]) == set(EVENTS)
    for model in (run, out / "artifact"):
        (found,) = json.loads(call("predict", clip, "--model", model, "--json").stdout)["files"]
        assert set(found["scene_scores"]) == set(SCENES)
    picture = tmp_path / "clip.png"
    call("predict", clip, "--model", run, "--plot", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    heard = [
        json.loads(line) for line in call("listen", clip, "--model", out / "artifact", "--json").stdout.splitlines()
    ]
    assert {each["label"] for each in heard if each.get("kind") == "scene"} <= set(SCENES)
    assert "кашель" in call("data", "listen", clip).stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gone", "task"), [(("events", "recordings"), "scenes"), (("scenes", "recordings", "unlabelled"), "events")]
)
def test_one_task_alone(own_sounds: Path, cache: Path, tmp_path: Path, gone: tuple[str, ...], task: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for entry in own_sounds.iterdir():
        if entry.name not in gone:
            (folder / entry.name).symlink_to(entry, target_is_directory=True)
    alone = settings_of("algorithm=single", f"task={task}")
    call("train", "--recipe", "mt", "--data", folder, "--cache", cache, "--out", tmp_path / "run", *alone)
    run = Run.load(tmp_path / "run")
    assert set(run.info["labels"]) == set(run.info["metrics"]) == {task}
    lacking = "scene_head" if task == "events" else "event_head"
    assert lacking not in {layer.name for layer in run.network().layers}


@pytest.mark.slow
@pytest.mark.parametrize(("scenes", "events"), [(2, 37), (0, 1), (2, 0)])
def test_any_count_of_classes_reaches_a_board(
    tmp_path: Path, cache: Path, write_tone: Callable[..., Path], scenes: int, events: int
) -> None:
    """Tones of a class each: what the artifact names is what the folders are called."""
    data, tasks = tmp_path / "data", {"scenes"} if not events else {"events"} if not scenes else {"scenes", "events"}
    for kind, count, seconds in (("scenes", scenes, 2.0), ("events", events, 0.4)):
        for number in range(count):
            for recording in range(4):
                write_tone(data / kind / f"{kind} {number:02}" / f"{recording}.wav", 200.0 + 90 * number, seconds)
    alone = () if len(tasks) == 2 else ("algorithm=single", f"task={next(iter(tasks))}")
    where = ("--data", data, "--cache", cache)
    call("train", "--recipe", "mt", *where, "--out", tmp_path / "run", *settings_of(*alone))
    call("deploy", tmp_path / "run", *where, "--target", "stm32h743", "--epochs", 0, "--out", tmp_path / "mine")
    labels = Artifact.load(tmp_path / "mine" / "artifact").facts.labels
    assert labels.scenes == tuple(f"scenes {number:02}" for number in range(scenes))
    assert labels.events == tuple(f"events {number:02}" for number in range(events))
    figures = json.loads(call("evaluate", tmp_path / "mine" / "artifact", *where, "--json").stdout)
    assert {task for task in ("scenes", "events") if figures.get(task)} == tasks


def test_each_pass_has_other_mixtures_and_the_first_the_prepared_ones(own_sounds: Path, cache: Path) -> None:
    chosen = DataSettings(mixed_clips=8, fresh_mixtures=True)
    corpus = open_corpus(own_sounds, cache / "tfds", progress=False, settings=chosen)
    recipe = replace(load_recipe("mt", SMALL), data=chosen, labels=corpus.labels)
    data = load_training_data(recipe, corpus, {"events"}, cache)
    strong = data.events["strong"]
    assert isinstance(strong, FreshMixtures)
    kept = event_set(corpus, "strong_synthetic", LogMelSettings(), cache)
    place = next(i for i, name in enumerate(strong.filenames) if name == kept.filenames[0])
    (first, events), (second, others) = strong.clip(place, 0), strong.clip(place, 1)
    np.testing.assert_array_equal(first, kept.log_mel[0])
    assert list(events) == list(kept.events[0])
    assert not np.array_equal(first, second)
    again, same = strong.clip(place, 1)
    np.testing.assert_array_equal(second, again)
    assert same == others
    stream = EventStream(data.events, {"strong": 3}, data.settings, corpus.labels.events, 4, 0, 250)
    np.testing.assert_array_equal(stream(7)["strong"], stream(7)["strong"])  # of another pass, by its number alone
    cut = next(i for i, name in enumerate(strong.filenames) if name.startswith("recordings/"))
    np.testing.assert_array_equal(strong.clip(cut, 0)[0], strong.clip(cut, 5)[0])


def test_mixing_anew_of_what_was_mixed_before_is_what_was_prepared(own_sounds: Path, cache: Path) -> None:
    corpus = open_corpus(own_sounds, cache / "tfds", progress=False, settings=DataSettings(mixed_clips=8))
    assert corpus.mixer is not None
    for clip in corpus.events["strong_synthetic"]:
        audio, events = corpus.mixer.clip(int(clip["filename"].rpartition("-")[2]))
        np.testing.assert_array_equal(audio, clip["audio"])
        assert [event.onset_s for event in events] == pytest.approx(clip["events"]["onset_s"].tolist())
