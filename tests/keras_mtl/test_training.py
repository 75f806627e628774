"""The training stage: the run folder it leaves, taking up after an interrupt, and what it refuses."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from keras_mtl.core import DataError, FeatureMismatch, RecipeError, RunError
from keras_mtl.experiments import plot_conflict
from keras_mtl.inference import predict, run_predictor
from keras_mtl.recipes import load_recipe
from keras_mtl.runs import Run
from keras_mtl.training import load_training_data, read_conflict, train
from keras_mtl.training.checkpoints import SaveCheckpoints
from keras_mtl.training.conflict import COSINE
from keras_mtl.training.stage import RunTeacher

LITTLE = {"channels": [2, 4], "pools": [[2, 8], [2, 8]], "recurrent_units": 4}


def weights(run):
    return [weight.numpy().tobytes() for weight in run.network().weights]


def test_run_folder_says_what_was_done(run, recipe):
    info = json.loads((run.path / "run.json").read_text())
    assert info["schema"] == "keras_mtl.run/1"
    assert (info["stage"], info["system"], info["seed"], info["tasks"]) == ("float", "mt", 0, ["events", "scenes"])
    assert {"keras", "tensorflow", "numpy", "keras_mtl", "python"} <= set(info["versions"])
    assert len(info["data"]["fingerprint"]) == 64
    assert "git_revision" in info
    assert 0.0 <= info["metrics"]["scenes"]["accuracy"] <= 1.0
    assert info["metrics"]["events"]["tool"].startswith("sed_scores_eval")
    assert run.recipe.train == recipe.train
    assert run.recipe.features == run.settings
    assert run.settings.std_db > 1.0, "the normalisation was measured"


@pytest.mark.slow
def test_features_of_another_time_axis(corpus, cache, tmp_path):
    """62.5 frames a second, the last one kept: targets, masks, metrics and prediction all lie on 156 embeddings."""
    small = ["algorithm=single", "train.epochs=1", "strong_batch=4", "weak_batch=2", "unlabelled_batch=2"]
    recipe = load_recipe("mt", [*small, "features.hop=256", "keep_last_frame=true"])
    run = train(recipe, corpus, tmp_path / "run", cache)
    assert run.settings.frame_rate == 62.5
    assert run.info["tasks"] == ["events"]
    assert 0.0 <= run.info["metrics"]["events"]["psds1"] <= 1.0
    assert run.samples().golden.shape == (0, 63, 128)
    example = next(iter(corpus.events["validation"]))
    soundfile.write(tmp_path / "clip.wav", example["audio"], 16_000)
    prediction = predict(run_predictor(run), tmp_path / "clip.wav")
    assert prediction.probabilities.shape == (156, 10)
    assert prediction.grid.boundaries_s()[-1] == 10.0


def test_a_corpus_of_another_rate_is_refused_before_anything_is_written(corpus, cache, tmp_path):
    recipe = load_recipe("mt", ["sample_rate_hz=32000", "algorithm=single", "train.task=scenes"])
    with pytest.raises(DataError, match="opened at 16000 Hz, the features want 32000 Hz"):
        train(recipe, corpus, tmp_path / "run", cache)
    assert not (tmp_path / "run").exists()


def test_logs_are_kerass(run):
    for phase, epochs, column in (("events", 1, "strong_bce"), ("scenes", 2, "scene_accuracy")):
        rows = list(csv.DictReader((run.path / f"{phase}.csv").read_text().splitlines()))
        assert len(rows) == epochs
        assert {column, "loss", "val_loss"} <= set(rows[0])
        assert list((run.path / "tensorboard" / phase).rglob("events.out.tfevents.*"))
        assert len(list((run.path / "checkpoints").glob(f"{phase}.best-*.weights.h5"))) == 1


def test_samples_are_normalised_clips_of_both_tasks(run):
    samples = run.samples()
    assert samples.golden_events.shape == (4, 1000, 128)
    assert samples.golden_events.dtype == np.float32
    assert abs(samples.golden_events.mean()) < 1.0
    assert len(np.unique(samples.golden_events[:, 0, 0])) == 4
    assert samples.calibration.shape[1:] == (100, 128)
    assert len(samples.golden) == 20, "all there are in the smallest test split"
    assert samples.calibration.dtype == np.float32
    assert abs(samples.calibration.mean()) < 1.0


def test_the_second_phase_leaves_the_first_ones_parts_alone(run, recipe):
    """The final network's encoder and event decoder are the first phase's, bit for bit."""
    from keras_mtl.models import build_mt

    after_events = build_mt(scenes=10, events=10)
    after_events.load_weights(run.path / "checkpoints" / "events.done.weights.h5")
    final = run.network()
    for part in ("encoder", "event_head"):
        for a, b in zip(after_events.get_layer(part).weights, final.get_layer(part).weights, strict=True):
            np.testing.assert_array_equal(a, b)
    heads = [network.get_layer("scene_head").weights for network in (after_events, final)]
    assert all((a.numpy() != b.numpy()).any() for a, b in zip(*heads, strict=True))


@pytest.mark.slow
def test_an_interrupted_training_ends_as_an_uninterrupted_one(recipe, corpus, cache, tmp_path, monkeypatch):
    """Weights, teacher, optimiser, schedule, masks and order of the data: the same bytes at the end.

    See `test_resuming` for kills, and for both tasks at once.
    """
    recipe = replace(
        recipe, train=replace(recipe.train, algorithm="single", epochs=2), model=replace(recipe.model, options=LITTLE)
    )
    whole = train(recipe, corpus, tmp_path / "whole", cache)
    kept = {"golden": len(whole.samples().golden), "events": len(whole.samples().golden_events)}
    assert kept == {"golden": 0, "events": 4}
    save = SaveCheckpoints.on_epoch_end

    def interrupted(self, epoch, logs=None):
        save(self, epoch, logs)
        raise KeyboardInterrupt

    monkeypatch.setattr(SaveCheckpoints, "on_epoch_end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, corpus, tmp_path / "parts", cache)
    monkeypatch.setattr(SaveCheckpoints, "on_epoch_end", save)
    with pytest.raises(RunError, match="not a finished run"):
        Run.load(tmp_path / "parts")
    with pytest.raises(RunError, match="holds something already"):
        train(recipe, corpus, tmp_path / "parts", cache)
    resumed = train(recipe, corpus, tmp_path / "parts", cache, resume=True)
    assert weights(resumed) == weights(whole)
    assert resumed.info["metrics"] == whole.info["metrics"]


@pytest.fixture(scope="module")
def hard_run(corpus, cache, recipe, run, tmp_path_factory):
    """Tasks in turns, with the run of another algorithm as a teacher, its gradients watched."""
    changes = {"algorithm": "hard", "epochs": 1, "teacher": str(run.path), "conflict_every": 2}
    recipe = replace(recipe, train=replace(recipe.train, **changes), model=replace(recipe.model, options=LITTLE))
    return train(recipe, corpus, tmp_path_factory.mktemp("hard") / "run", cache)


@pytest.mark.slow
def test_turns_a_teacher_and_the_gradients_cosine_in_one_run(hard_run):
    (row,) = csv.DictReader((hard_run.path / "both.csv").read_text().splitlines())
    assert {"scene_loss", "strong_bce", "scenes_distillation", "events_distillation", COSINE, "val_loss"} <= set(row)
    assert -1.0 <= float(row[COSINE]) <= 1.0
    measured = read_conflict(hard_run.path / "both.conflict.csv")
    assert [step for step, *_ in measured] == list(range(0, 2 * len(measured), 2)), "once a pair of turns"
    assert hard_run.info["tasks"] == ["events", "scenes"]
    assert plot_conflict({"hard": hard_run.path}, hard_run.path / "conflict.svg").is_file()


def test_teachers_that_do_not_fit_are_refused_before_any_work(run, recipe, corpus, cache, tmp_path):
    def student(features=recipe.features, system="mt", teacher=run.path):
        changed = replace(recipe.train, teacher=str(teacher))
        return replace(recipe, train=changed, features=features, model=replace(recipe.model, system=system))

    other = replace(recipe.features, hop=200)
    with pytest.raises(FeatureMismatch, match=r"teacher .*system mt.* student .*system mt.*hop 160 against 200"):
        train(student(features=other), corpus, tmp_path / "run", cache)
    with pytest.raises(RunError, match="no run folder"):
        train(student(teacher=tmp_path / "none"), corpus, tmp_path / "run", cache)
    assert not (tmp_path / "run").exists()


def test_a_teacher_with_another_normalisation_hears_the_same_levels(run, recipe):
    student = replace(recipe.train, teacher=str(run.path), distillation_weight=0.3)
    recipe = replace(recipe, labels=run.labels, train=student)
    ours = run.settings.normalised(run.settings.mean_db + 6.0, run.settings.std_db * 2)
    distiller = RunTeacher(recipe.train.teacher, recipe, ("scenes", "events")).distiller(ours)
    assert (distiller.tasks, distiller.weight) == (("events", "scenes"), 0.3)
    levels = np.asarray([-60.0, -20.0])
    expected = (levels - run.settings.mean_db) / run.settings.std_db
    student = (levels - ours.mean_db) / ours.std_db
    np.testing.assert_allclose(student * distiller.scale + distiller.shift, expected, rtol=1e-6)


def test_resuming_another_recipe_is_refused(recipe, corpus, cache, tmp_path):
    (tmp_path / "recipe.toml").write_text("[train]\nepochs = 99\n")
    with pytest.raises(RecipeError, match="another recipe"):
        train(recipe, corpus, tmp_path, cache, resume=True)


def test_median_filters_by_the_training_clips_and_their_resume(corpus, cache, tmp_path, monkeypatch):
    """A third of the median event of each class; the numbers are in the run, and a resumed training has the same."""
    given = ("algorithm=single", "task=events", "validation_fraction=0.25", "decode.median_s=auto")
    recipe = load_recipe("mt", [*given, "decode.classes.Dog.median_s=0.2", "decode.classes.Cat.gap_s=0.1"])
    data = load_training_data(recipe, corpus, {"events"}, cache)
    held = set(data.held_out_events.filenames)
    durations = {label: [] for label in corpus.labels.events}
    for clip in corpus.events["strong_synthetic"]:
        if clip["filename"] not in held:
            for label, onset_s, offset_s in zip(
                *(clip["events"][k] for k in ("label", "onset_s", "offset_s")), strict=True
            ):
                durations[corpus.labels.events[label]].append(offset_s - onset_s)
    expected = {label: np.median(each) / 3 if each else 0.45 for label, each in durations.items()}
    assert 0 < len(held) < 8
    assert len(set(expected.values())) > 3

    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_mtl.training.stage.train_phase", stopped)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            train(recipe, corpus, tmp_path / "run", cache, resume=resume)
        found = load_recipe(tmp_path / "run" / "recipe.toml").decode
        assert {label: found.median_of(label) for label in expected} == pytest.approx(expected | {"Dog": 0.2}, abs=1e-3)
        assert found.classes["Cat"]["gap_s"] == 0.1
    with pytest.raises(KeyboardInterrupt):  # the recipe that the run holds is the same
        train(load_recipe(tmp_path / "run" / "recipe.toml"), corpus, tmp_path / "run", cache, resume=True)
    for changed in ("decode.classes.Dog.median_s=0.3", "decode.gap_s=0.1", "decode.classes.Cat.median_s=0.1"):
        other = load_recipe("mt", [*given, "decode.classes.Cat.gap_s=0.1", "decode.classes.Dog.median_s=0.2", changed])
        with pytest.raises(RecipeError, match="another recipe"):
            train(other, corpus, tmp_path / "run", cache, resume=True)


def test_settings_of_a_class_that_the_data_lack_are_refused_before_any_work(corpus, cache, tmp_path):
    recipe = load_recipe("mt", ["decode.classes.Dogs.threshold=0.4"])
    with pytest.raises(RecipeError, match=r"decode\.classes: 'Dogs' is no class of the events \(did you mean Dog\?\)"):
        train(recipe, corpus, tmp_path / "run", cache)
    assert not (tmp_path / "run").exists()


def test_only_a_training_is_resumed(recipe, corpus, cache, run, tmp_path):
    """Not a folder of somebody, nor a run that another stage wrote: its files have a run's names."""
    (tmp_path / "network.keras").write_text("mine")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / ".notes").write_text("mine")
    quantized = tmp_path / "quantized"
    shutil.copytree(run.path, quantized)
    (quantized / "run.json").write_text(json.dumps({**run.info, "stage": "qat"}))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for out, message in ((tmp_path, "no training wrote"), (quantized, "is a quantized run")):
        with pytest.raises(RunError, match=message):
            train(recipe, corpus, out, cache, resume=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_unknown_names_are_refused_before_anything_is_written(recipe, corpus, cache, tmp_path):
    with pytest.raises(RecipeError, match="no algorithm 'sofft'"):
        train(load_recipe("mt", ["algorithm=sofft"]), corpus, tmp_path / "run", cache)
    with pytest.raises(RecipeError, match="no system 'mtx'"):
        train(load_recipe("mt", ["system=mtx"]), corpus, tmp_path / "run", cache)
    with pytest.raises(RecipeError, match="system cnn has scenes, but algorithm soft trains events and scenes"):
        train(load_recipe("mt", ["system=cnn", "algorithm=soft"]), corpus, tmp_path / "run", cache)
    with pytest.raises(DataError, match="no strongly labelled"):
        train(recipe, replace(corpus, events={}), tmp_path / "run", cache)
    assert not (tmp_path / "run").exists()


def test_damaged_runs_are_named(run, tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        Run.load(tmp_path / "none")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    with pytest.raises(RunError, match="not JSON"):
        Run.load(broken)
    (broken / "run.json").write_text('{"schema": "keras_mtl.run/0"}')
    with pytest.raises(RunError, match=r"keras_mtl\.run/0"):
        Run.load(broken)
    (broken / "run.json").write_text((run.path / "run.json").read_text())
    (broken / "network.keras").write_bytes(b"")
    with pytest.raises(RunError, match="can't be read"):
        Run.load(broken).network()
    with pytest.raises(RunError, match="missing or damaged"):
        Run.load(broken).samples()
