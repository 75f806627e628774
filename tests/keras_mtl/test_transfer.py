"""A training that starts from another run's weights: what it takes, what it refuses, and how it is resumed."""

import csv
import hashlib
import json
import shutil
from dataclasses import replace

import keras
import pytest
from little_training import LITTLE, LITTLE_NETWORK

from keras_mtl.core import FeatureMismatch, Labels, RecipeError, RunError
from keras_mtl.models import build
from keras_mtl.recipes import load_recipe
from keras_mtl.runs import Run
from keras_mtl.training import stage, train
from keras_mtl.training.checkpoints import Checkpoints, SaveCheckpoints
from keras_mtl.training.transfer import Initial

RECURRENT = ["event_head/bigru_1", "event_head/bigru_2"]
FRAME_CLASSIFIERS = ["event_head/strong", "event_head/event_attention"]
ATTENTION = ["scene_head/attention_hidden", "scene_head/attention_score"]


def bits(part):
    return [weight.numpy().tobytes() for weight in part.weights]


@pytest.fixture(scope="module")
def corpus(corpus):
    """Training clips alone: what the runs score is of no interest here."""
    events = {name: clips for name, clips in corpus.events.items() if name != "validation"}
    return replace(corpus, scenes={"train": corpus.scenes["train"]}, events=events)


@pytest.fixture(scope="module")
def base(corpus, cache, tmp_path_factory):
    """The run that others start from: trained a little, so that statistics and weights are its own."""
    return train(load_recipe("mt", LITTLE), corpus, tmp_path_factory.mktemp("base") / "run", cache)


@pytest.fixture
def run_of(base, corpus, tmp_path):
    """Makes the folder that a training of another recipe would leave, with weights as they are drawn."""

    def make(labels=corpus.labels, recipe=None, **info):
        recipe = recipe or load_recipe("mt", LITTLE)
        keras.utils.set_random_seed(99)
        network = build(recipe.model.system, labels, recipe.features, recipe.model.options)
        folder = tmp_path / f"run_{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        network.save(folder / "network.keras")
        features = recipe.features.normalised(-35.0, 17.0).to_dict()
        told = {"system": recipe.model.system, "features": features, "labels": labels.to_dict(), **info}
        (folder / "run.json").write_text(json.dumps({**base.info, **told}))
        return Run.load(folder)

    return make


def started(run, recipe, corpus, folder):
    """What a training finds in the other run, and the network that it would begin with."""
    recipe = replace(recipe, labels=corpus.labels, train=replace(recipe.train, init=str(run.path)))
    network = build(recipe.model.system, recipe.labels, recipe.features, recipe.model.options)
    return Initial(recipe, network, folder), network


def test_a_training_takes_all_of_a_run_of_the_same_labels(base, corpus, cache, tmp_path, capsys):
    recipe = load_recipe("mt", [*LITTLE, f"train.init={base.path}", "train.epochs=0", "train.seed=5"])
    run = train(recipe, corpus, tmp_path / "run", cache)
    assert bits(run.network()) == bits(base.network())
    assert run.settings == run.recipe.features == base.settings
    digest = hashlib.sha256((base.path / "network.keras").read_bytes()).hexdigest()
    taken = ["encoder", "scene_head", "event_head"]
    assert run.info["init"] == {"run": str(base.path), "sha256": digest, "taken": taken, "fresh": []}
    assert f"initialised from {base.path}: {', '.join(taken)}; fresh: nothing\n" in capsys.readouterr().err
    assert "init" not in base.info


def test_the_normalisation_is_the_other_runs_or_the_recipes(run_of, corpus, tmp_path):
    initial, _ = started(run_of(), load_recipe("mt", LITTLE), corpus, tmp_path)
    features = load_recipe("mt").features
    assert initial.normalised(features) == features.normalised(-35.0, 17.0)
    assert initial.normalised(features.normalised(-20.0, 9.0)) == features.normalised(-20.0, 9.0)


def renamed(names):
    return tuple(f"my {name}" for name in names)


@pytest.mark.parametrize(
    ("change", "taken", "fresh"),
    [
        (lambda labels: Labels(renamed(labels.scenes), labels.events), ATTENTION, ["scene_head/scene_logits"]),
        (lambda labels: Labels(labels.scenes[::-1], labels.events), ATTENTION, ["scene_head/scene_logits"]),
        (lambda labels: Labels(labels.scenes[:2], labels.events), ATTENTION, ["scene_head/scene_logits"]),
        (lambda labels: Labels(labels.scenes, labels.events[:1]), RECURRENT, FRAME_CLASSIFIERS),
        (lambda labels: Labels(labels.scenes, renamed(labels.events)), RECURRENT, FRAME_CLASSIFIERS),
    ],
    ids=["other scenes", "another order", "two scenes", "one event", "other events"],
)
def test_of_other_labels_all_but_the_classifiers_is_taken(run_of, corpus, tmp_path, change, taken, fresh):
    """Also where as many classes have other names: what the classifier learned is of no use then."""
    other = run_of(change(corpus.labels))
    initial, network = started(other, load_recipe("mt", LITTLE), corpus, tmp_path)
    drawn = keras.models.clone_model(network)
    drawn.set_weights(network.get_weights())
    initial.assign(network, Checkpoints(tmp_path / "checkpoints"))
    whole = "event_head" if fresh[0].startswith("scene") else "scene_head"
    assert set(initial.record["taken"]) == {"encoder", whole, *taken}
    assert initial.record["fresh"] == fresh
    theirs = other.network()
    for name in ["encoder", whole, *taken, *fresh]:
        assert bits(layer(network, name)) == bits(layer(drawn if name in fresh else theirs, name)), name


def layer(network, name):
    part, _, of_it = name.partition("/")
    return network.get_layer(part).get_layer(of_it) if of_it else network.get_layer(part)


def test_a_decoder_without_training_or_of_another_make_starts_fresh(run_of, corpus, tmp_path):
    little = load_recipe("mt", LITTLE)
    causal = load_recipe("mt", [*LITTLE, "model.options.bidirectional=false"])
    wide = load_recipe("mt", [*LITTLE, "model.options.recurrent_units=8"])
    cnn = load_recipe("mt", [*LITTLE, "model.system=cnn", "model.options={channels=[2,4], pools=[[2,8],[2,8]]}"])
    labels = corpus.labels
    cases = [
        (run_of(tasks=["scenes"]), little, ["event_head"]),
        (run_of(labels.of(["scenes"]), cnn, tasks=["scenes"]), little, ["event_head"]),
        (run_of(), causal, ["event_head"]),
        (run_of(), wide, ["event_head"]),
        (run_of(Labels(labels.scenes, labels.events[:3])), causal, ["event_head"]),
        (run_of(), cnn, []),
    ]
    for other, recipe, fresh in cases:
        record = started(other, recipe, corpus, tmp_path)[0].record
        assert (record["taken"], record["fresh"]) == (["encoder", "scene_head"], fresh)


@pytest.mark.parametrize(
    ("system", "taken"),
    [
        ("cp_mobile", []),
        ("baseline_asc", None),
        ("baseline_sed", RECURRENT),
        ("fdy_lka", RECURRENT),
    ],
)
def test_encoders_of_other_systems_are_known_again(run_of, corpus, tmp_path, system, taken):
    """After a network was saved and read; the scene decoder of cp_mobile is a classifier and nothing else."""
    recipe = load_recipe(system)
    (task,) = recipe_tasks = [task for task in ("scenes", "events") if system_has(system, task)]
    labels = Labels(corpus.labels.scenes[:4], corpus.labels.events[:4]).of(recipe_tasks)
    record = started(run_of(labels, recipe, tasks=recipe_tasks), recipe, corpus, tmp_path)[0].record
    assert record["taken"][0] == "encoder"
    if taken is not None:
        assert record["taken"][1:] == taken
        assert record["fresh"] == (FRAME_CLASSIFIERS if taken else [f"{task.removesuffix('s')}_head"])


def system_has(system, task):
    from keras_mtl.recipes import SYSTEMS

    return task in SYSTEMS[system].tasks


def test_runs_that_do_not_fit_are_refused_before_any_work(base, run_of, corpus, cache, tmp_path):
    def refused(error, words, init=base.path, sets=()):
        recipe = load_recipe("mt", [*LITTLE, *sets, f"train.init={init}"])
        with pytest.raises(error, match=words) as caught:
            train(recipe, corpus, tmp_path / "run", cache)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()

    refused(RunError, "no run folder", tmp_path / "none")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    refused(RunError, "not a finished run", unfinished)
    refused(RunError, r"train.init: .* is a quantized run \(name the float run", run_of(stage="qat").path)
    refused(
        FeatureMismatch, r"train.init: .*system mt.* this training .*hop 160 against 200", sets=["features.hop=200"]
    )
    words = r"train.init: .*\(system mt\) has another encoder than this training \(system mt\): "
    refused(RecipeError, words + "layer conv_2 differs", sets=["model.options.channels=[2,8]"])
    refused(RecipeError, words + "layer pool_1 differs", sets=["model.options.pools=[[2,4],[2,16]]"])
    refused(
        RecipeError,
        words + r"\d+ layers against \d+",
        sets=["model.options.channels=[2]", "model.options.pools=[[4,64]]"],
    )
    refused(
        RecipeError,
        r"another encoder than this training \(system cnn\)",
        sets=["algorithm=single", "task=scenes", "system=cnn", "model.options={}"],
    )


def test_an_untrained_encoder_is_not_frozen_and_a_frozen_one_not_watched(base, corpus, cache, tmp_path):
    for sets, words in (
        (["train.encoder_rate=0"], "train.encoder_rate = 0 without train.init"),
        (["train.encoder_rate=0", f"train.init={base.path}", "conflict_every=2"], "a frozen encoder has no gradients"),
    ):
        with pytest.raises(RecipeError, match=words):
            train(load_recipe("mt", [*LITTLE, *sets]), corpus, tmp_path / "run", cache)


@pytest.mark.slow
def test_a_frozen_encoder_keeps_every_bit_and_the_teacher_starts_from_the_run(base, corpus, cache, tmp_path):
    """Of the events, nothing moves: without masking, dropout and a learning rate the student stays what it was.

    So any difference from the mean teacher is one between the weights that the two began with.
    """
    sets = ["algorithm=freeze_sed_asc", "train.learning_rate=0", "train.second_epochs=1", "second_learning_rate=0.01"]
    sets += [f"train.init={base.path}", "train.encoder_rate=0", "train.mask_fraction=0"]
    run = train(load_recipe("mt", [*LITTLE, *sets]), corpus, tmp_path / "run", cache)
    before, after = base.network(), run.network()
    for part in ("encoder", "event_head"):
        assert bits(after.get_layer(part)) == bits(before.get_layer(part))
    assert not set(bits(after.get_layer("scene_head"))) & set(bits(before.get_layer("scene_head")))
    (row,) = csv.DictReader((run.path / "events.csv").read_text().splitlines())
    assert float(row["consistency"]) < 1e-12 < float(row["strong_bce"])


@pytest.mark.slow
def test_a_resumed_training_does_not_start_from_the_run_again(base, corpus, cache, tmp_path, monkeypatch):
    """Interrupted before its first step and after an epoch, with the other run gone: as one left alone."""
    init = tmp_path / "init"
    shutil.copytree(base.path, init)
    sets = ["algorithm=single", "task=scenes", "train.epochs=2", "train.encoder_rate=0.1", "balance_scenes=true"]
    recipe = load_recipe("mt", [*LITTLE, *sets, f"train.init={init}", "train.seed=3"])
    whole = train(recipe, corpus, tmp_path / "whole", cache)

    def interrupted(*_):
        raise KeyboardInterrupt

    out = tmp_path / "parts"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(stage, "train_phase", interrupted)
        train(recipe, corpus, out, cache)
    shutil.rmtree(init)
    end = SaveCheckpoints.on_epoch_end

    def interrupted_after_it(self, epoch, logs=None):
        end(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(SaveCheckpoints, "on_epoch_end", interrupted_after_it)
        train(recipe, corpus, out, cache, resume=True)
    resumed = train(recipe, corpus, out, cache, resume=True)
    assert bits(resumed.network()) == bits(whole.network())
    for key in ("init", "features"):
        assert resumed.info[key] == whole.info[key]
    with pytest.raises(RunError, match="no run folder"):
        train(recipe, corpus, tmp_path / "anew", cache)


@pytest.mark.slow
def test_the_shipped_recipe_for_own_sounds_trains_one_task_alone(corpus, cache, tmp_path):
    """On a corpus without the other one; its augmentation has to find all that it needs in the batches."""
    sets = (LITTLE_NETWORK, "algorithm=single", "train.epochs=1", "validation_fraction=0.34")
    for task, alone in (("events", {"scenes": {}}), ("scenes", {"events": {}})):
        few = replace(corpus, **alone, labels=corpus.labels.of([task]))
        run = train(load_recipe("own", [*sets, f"task={task}"]), few, tmp_path / task, cache)
        assert run.info["tasks"] == [task]
        (row,) = csv.DictReader((run.path / f"{task}.csv").read_text().splitlines())
        assert 0 < float(row["val_loss"]) < 100
