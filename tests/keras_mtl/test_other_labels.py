"""Labels in another order than the data's own, from the recipe to what the commands print of a `.tflite` file."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from little_training import LITTLE as LITTLE_TRAINING

from keras_mtl import cli
from keras_mtl.core import DCASE, ArtifactError, DataError, Labels, RecipeError, RunError
from keras_mtl.datasets import open_corpus
from keras_mtl.features import event_set, scene_set
from keras_mtl.inference import run_predictor
from keras_mtl.metrics import evaluate
from keras_mtl.predictors import open_predictor
from keras_mtl.recipes import load_recipe, to_toml
from keras_mtl.runs import Run
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.quantize import quantize
from keras_mtl.training import train

TURNED = Labels(DCASE.scenes[::-1], DCASE.events[::-1])
LITTLE = (*LITTLE_TRAINING, "unlabelled_batch=2")
SETS = (
    *LITTLE,
    f"labels.scenes={json.dumps(list(TURNED.scenes))}",
    f"labels.events={json.dumps(list(TURNED.events))}",
)


@pytest.fixture(scope="module")
def turned_corpus(cache):
    return open_corpus("soundscapes:tiny", cache / "tfds", progress=False, labels=TURNED)


@pytest.fixture(scope="module")
def turned(turned_corpus, cache, tmp_path_factory):
    return train(load_recipe("mt", SETS), turned_corpus, tmp_path_factory.mktemp("turned") / "run", cache)


@pytest.fixture(scope="module")
def clip(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.wav"
    soundfile.write(path, next(iter(corpus.events["validation"]))["audio"], 16_000)
    return path


@pytest.fixture(scope="module")
def files(turned, turned_corpus, cache, tmp_path_factory):
    """The run's parts as `.tflite` files, by their formats."""
    folder = tmp_path_factory.mktemp("files")
    quantized = quantize(turned, "int8", turned_corpus, folder / "int8", cache, epochs=0)
    assert quantized.labels == TURNED.of(["scenes"])
    return {
        "int8": convert(quantized, "scenes", "int8").save(folder / "scenes.int8.tflite"),
        "float32": convert(turned, "events", "float32").save(folder / "events.float32.tflite"),
    }


def document(*arguments):
    done = CliRunner().invoke(cli.group, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_run_keeps_the_labels_of_its_recipe(turned):
    assert json.loads((turned.path / "run.json").read_text())["labels"] == TURNED.to_dict()
    assert Run.load(turned.path).labels == turned.recipe.labels == TURNED


def test_a_run_without_labels_of_its_own_has_the_data_s(run, corpus):
    assert corpus.labels == DCASE
    assert run.info["labels"] == DCASE.to_dict()
    assert run.recipe.labels == DCASE


def test_figures_by_name_are_those_of_the_names(turned, corpus, cache):
    """Against truth by name, from the same data opened in their usual order."""
    scenes = scene_set(corpus, "test", turned.settings, cache)
    predictor = run_predictor(turned)
    said = predictor.scene_logits(scenes.log_mel).argmax(axis=1)
    right = np.asarray([TURNED.scenes[a] == DCASE.scenes[b] for a, b in zip(said, scenes.scenes, strict=True)])
    figures = turned.info["metrics"]["scenes"]
    assert figures["accuracy"] == pytest.approx(right.mean())
    for name, accuracy in figures["per_class"].items():
        assert accuracy == pytest.approx(right[scenes.scenes == DCASE.scenes.index(name)].mean())
    events = event_set(corpus, "validation", turned.settings, cache)
    _, weak = predictor.event_probabilities(events.log_mel)
    found = turned.info["metrics"]["events"]["weak_f1_per_class"]
    assert set(found) == {event.label for clip in events.events for event in clip}
    for name, f1 in found.items():
        there = np.asarray([name in {event.label for event in clip} for clip in events.events])
        heard = weak[:, TURNED.events.index(name)] > turned.recipe.decode.threshold
        assert f1 == pytest.approx(2 * (there & heard).sum() / max(there.sum() + heard.sum(), 1))


def test_a_network_is_scored_on_its_own_labels_alone(turned, corpus, cache):
    with pytest.raises(DataError, match="network and soundscapes have other scenes: the same names in another order"):
        evaluate(run_predictor(turned), corpus, cache)


def test_predict_prints_the_names_of_the_run_and_of_the_file(turned, files, clip):
    logits = {}
    for model in (turned.path, files["int8"]):
        (found,) = document("predict", clip, "--model", model)["files"]
        assert tuple(found["scene_scores"]) == TURNED.scenes
        logits[model] = np.asarray([*found["scene_scores"].values()])
    # The file computes the run's network, so that one order of the names for both is the right one for both.
    np.testing.assert_allclose(*logits.values(), atol=0.05)
    for model in (turned.path, files["float32"]):
        assert open_predictor(model).labels.events == TURNED.events


def test_a_file_that_does_not_name_its_classes_is_refused(files, clip, tmp_path):
    made = Artifact.load(files["int8"])
    facts = {key: value for key, value in made.facts.values.items() if key != "labels"}
    nameless = Artifact.build(made.network.content, facts).save(tmp_path / "nameless.tflite")
    with pytest.raises(ArtifactError, match=r"nameless\.tflite does not name its scenes"):
        document("predict", clip, "--model", nameless)


def test_evaluate_scores_the_run_and_the_files_by_name(turned, files, cache):
    data = ("--data", "soundscapes:tiny", "--cache", cache, "--resamples", 0)
    whole = document("evaluate", turned.path, *data)
    assert whole["scenes"]["per_class"] == turned.info["metrics"]["scenes"]["per_class"]
    events = document("evaluate", files["float32"], *data)["events"]
    assert events["weak_f1_per_class"] == pytest.approx(whole["events"]["weak_f1_per_class"])
    assert events["psds2"] == pytest.approx(whole["events"]["psds2"], abs=1e-3)
    scenes = document("evaluate", files["int8"], *data)["scenes"]
    assert set(scenes["per_class"]) == set(whole["scenes"]["per_class"])
    assert scenes["log_loss"] == pytest.approx(whole["scenes"]["log_loss"], rel=0.02)


def test_resuming_with_other_labels_is_refused_by_name(turned, corpus, cache, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    for name in ("recipe.toml", "data.json"):
        (out / name).write_text((turned.path / name).read_text())
    with pytest.raises(RecipeError) as refused:
        train(load_recipe("mt", LITTLE), corpus, out, tmp_path / "features", resume=True)
    assert not (tmp_path / "features").exists(), "refused before any features were made"
    assert refused.value.message == (
        f"{out} as it was begun and this recipe have other scenes: the same names in another order"
    )
    command = ["train", "--recipe", "mt", "--data", "soundscapes:tiny", "--out", str(out), "--cache", str(cache)]
    sets = (*SETS[:-1], f"labels.events={json.dumps(list(DCASE.events))}")
    done = CliRunner().invoke(cli.group, [*command, "--resume", *(word for item in sets for word in ("--set", item))])
    assert str(done.exception).startswith(f"{out} as it was begun and this recipe have other events: the same names")
    assert sorted(path.name for path in out.iterdir()) == ["data.json", "recipe.toml"]


@pytest.mark.parametrize("task", ["scenes", "events"])
def test_a_run_with_another_count_of_labels_than_of_outputs_is_refused(turned, tmp_path, task):
    labels = {**turned.info["labels"], task: turned.info["labels"][task][1:]}
    (tmp_path / "network.keras").write_bytes((turned.path / "network.keras").read_bytes())
    (tmp_path / "run.json").write_text(json.dumps({**turned.info, "labels": labels}))
    with pytest.raises(RunError, match=f"run.json names 9 {task}, network.keras has 10 outputs"):
        Run.load(tmp_path).network()


def test_a_training_of_before_labels_were_kept_goes_on_with_dcase_s(corpus, cache, tmp_path):
    """Its recipe has no group labels."""
    little = load_recipe("mt", [*LITTLE, "algorithm=single", "train.task=scenes", "std_db=12"])  # no measured features
    text = to_toml(little)
    empty = "[labels]\nscenes = []\nevents = []\n"
    assert empty in text
    (tmp_path / "recipe.toml").write_text(text.replace(empty, ""))
    assert train(little, corpus, tmp_path, cache, resume=True).recipe.labels == DCASE


def test_a_teacher_with_other_labels_is_refused(turned, recipe, corpus, cache, tmp_path):
    student = replace(recipe, train=replace(recipe.train, teacher=str(turned.path)))
    with pytest.raises(RecipeError, match=f"teacher {turned.path} and the student have other scenes: the same names"):
        train(student, corpus, tmp_path / "run", cache)
    assert not (tmp_path / "run").exists()


def test_a_corpus_of_other_labels_than_the_recipe_s_is_refused(corpus, cache, tmp_path):
    with pytest.raises(DataError, match="the recipe and soundscapes have other scenes: the same names in another ord"):
        train(load_recipe("mt", SETS), corpus, tmp_path / "run", cache)
    assert not (tmp_path / "run").exists()


def test_labels_that_the_embedded_data_lack_are_refused_before_anything_is_prepared(tmp_path):
    for labels in (Labels(("park", "quay")), Labels((), ("Dog",))):
        with pytest.raises(DataError, match=r"labels\.\w+ are not those of the embedded data"):
            open_corpus("soundscapes:tiny", tmp_path, progress=False, labels=labels)
    assert not list(tmp_path.iterdir())
