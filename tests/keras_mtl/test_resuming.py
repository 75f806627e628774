"""A training that is killed and taken up again ends as one that was not; early stopping is part of that."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from little_training import LITTLE as LITTLE_TRAINING

from keras_mtl.recipes import load_recipe
from keras_mtl.training import train
from keras_mtl.training.checkpoints import Checkpoints, Progress, SaveCheckpoints
from keras_mtl.training.logs import trim_logs

LITTLE = (
    *LITTLE_TRAINING,
    "train.epochs=6",
    "strong_batch=2",
    "train.checkpoint_steps=2",
    "conflict_every=3",
)


def weights(run):
    return [weight.numpy().tobytes() for weight in run.network().weights]


def points(run):
    """How often each tag of TensorBoard has a point at each step."""
    found = Counter()
    for path in run.path.rglob("events.out.tfevents.*"):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            where = path.parent.relative_to(run.path)
            found.update((str(where), value.tag, event.step) for value in event.summary.value)
    return {key: count for key, count in found.items() if not key[1].startswith("keras")}


@pytest.fixture(scope="module")
def whole(corpus, cache, tmp_path_factory):
    return train(load_recipe("mt", LITTLE), corpus, tmp_path_factory.mktemp("whole") / "run", cache)


@pytest.mark.slow
def test_killed_twice_and_resumed_is_as_never_killed(whole, corpus, cache, tmp_path):
    """SIGKILL at any moment of an epoch, then SIGTERM in the resumed command, then to the end: every byte the same."""
    out = tmp_path / "run"
    command = [Path(sys.executable).with_name("keras_mtl"), "train", "--recipe", "mt", "--out", out]
    command += ["--data", "soundscapes:tiny", "--cache", cache]
    command += [word for each in LITTLE for word in ("--set", each)]
    for killer, step, code, more in ((signal.SIGKILL, 3, -9, []), (signal.SIGTERM, 11, 143, ["--resume"])):
        with subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            while process.poll() is None and at(out) < step:
                time.sleep(0.005)
            time.sleep(random.random() * 0.1)
            process.send_signal(killer)
            _, said = process.communicate()
        assert process.returncode == code, said
        assert not (out / "run.json").exists()
    assert "interrupted; the same command with --resume goes on" in said
    parts = json.loads((out / "checkpoints" / "state.json").read_text())
    resumed = train(load_recipe("mt", LITTLE), corpus, out, cache, resume=True)
    assert weights(resumed) == weights(whole)
    assert resumed.info["metrics"] == whole.info["metrics"]
    assert resumed.info["training_seconds"] > parts["seconds"] > 0.0
    for log in ("both.csv", "both.conflict.csv"):
        assert (out / log).read_text() == (whole.path / log).read_text()
    assert points(resumed) == points(whole)
    assert set(points(whole).values()) == {1}
    assert len(list((out / "checkpoints").iterdir())) == 4, "state, last, best, done"


def at(out):
    try:
        return json.loads((out / "checkpoints" / "state.json").read_text())["step"]
    except FileNotFoundError:
        return 0


@pytest.fixture
def counted():
    """A model whose only weight says at which step it is."""

    class Counted(keras.Model):
        def __init__(self):
            super().__init__()
            self.network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])

        @property
        def kept(self):
            return self.network

    model = Counted()
    model.build((1, 1))
    return model


def test_a_kill_anywhere_in_a_checkpoint_leaves_the_one_before_or_this_one(counted, tmp_path, monkeypatch):
    """Every call by which a checkpoint touches the disk fails once, as the last thing that its process does."""
    calls = Counter()
    fatal = None

    def dying(function):
        def call(*arguments, **options):
            calls["disk"] += 1
            if calls["disk"] == fatal:
                raise SystemExit
            return function(*arguments, **options)

        return call

    (kernel,) = counted.network.weights
    for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "fsync"), (keras.Model, "save_weights")):
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))
    for number in range(1, 40):
        fatal = None
        saved = Checkpoints(tmp_path / str(number))
        kernel.assign([[1.0]])
        first = saved.write(counted, Progress("both", epochs=1, step=1, best_loss=0.5), is_best=True)
        calls.clear()
        fatal = number
        kernel.assign([[2.0]])
        finished = True
        try:
            saved.write(counted, replace(first, epochs=2, step=2, best_loss=0.4), is_best=True)
        except SystemExit:
            finished = False
        fatal = None
        again = Checkpoints(tmp_path / str(number))
        progress = again.progress("both")
        for name, model in ((progress.last, counted), (progress.best, counted.network)):
            kernel.assign([[0.0]])
            model.load_weights(again.folder / name)
            assert float(kernel[0, 0]) == progress.step == progress.epochs
        if finished:
            assert progress.step == 2
            break
    assert finished
    assert number > 8


def test_only_what_a_kill_left_is_removed(tmp_path):
    for name in (".part.a.weights.h5", ".state.json.ab_c9d1e", ".notes", ".state.json.bak", "state.json.old"):
        (tmp_path / name).touch()
    Checkpoints(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes", ".state.json.bak", "state.json.old"]


@pytest.mark.slow
def test_early_stopping_and_its_resume(corpus, cache, tmp_path, monkeypatch):
    """It counts epochs without a lower held-out loss, across interrupts; the best network is the one kept."""
    few = ["algorithm=single", "train.task=scenes", "train.epochs=12", "train.learning_rate=0.2", "train.patience=2"]
    recipe = load_recipe("mt", [*LITTLE, *few, "keep=best"])
    whole = train(recipe, corpus, tmp_path / "whole", cache)
    rows = (whole.path / "scenes.csv").read_text().splitlines()
    losses = [float(row["val_loss"]) for row in csv.DictReader(rows)]
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 2 < 12, "two epochs after the best one"
    end = SaveCheckpoints.on_epoch_end

    def interrupted(self, epoch, logs=None):
        end(self, epoch, logs)
        if epoch >= best:
            raise KeyboardInterrupt

    monkeypatch.setattr(SaveCheckpoints, "on_epoch_end", interrupted)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            train(recipe, corpus, tmp_path / "parts", cache, resume=resume)
    monkeypatch.undo()
    resumed = train(recipe, corpus, tmp_path / "parts", cache, resume=True)
    assert (resumed.path / "scenes.csv").read_text() == (whole.path / "scenes.csv").read_text()
    assert weights(resumed) == weights(whole)
    (kept,) = (whole.path / "checkpoints").glob("scenes.best-*")
    network = whole.network()
    network.load_weights(kept)
    assert [weight.numpy().tobytes() for weight in network.weights] == weights(whole)


def test_what_a_checkpoint_does_not_count_is_taken_out_of_the_logs(tmp_path):
    (tmp_path / "both.csv").write_text("epoch,loss\n0,3.0\n1,2.0\n2,1.")
    board = tmp_path / "tensorboard" / "both" / "train"
    with tf.summary.create_file_writer(str(board)).as_default():
        for epoch in range(3):
            tf.summary.scalar("epoch_loss", 1.0, step=epoch)
            tf.summary.scalar("evaluation_loss_vs_iterations", 1.0, step=(epoch + 1) * 4)
        tf.summary.flush()
    (path,) = board.iterdir()
    path.write_bytes(path.read_bytes()[:-7])
    trim_logs(tmp_path, "both", epochs=2, steps=4, done=9)
    assert (tmp_path / "both.csv").read_text() == "epoch,loss\n0,3.0\n1,2.0\n"
    events = [tf.compat.v1.Event.FromString(r) for r in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
    assert sorted((v.tag, e.step) for e in events for v in e.summary.value) == [
        ("epoch_loss", 0),
        ("epoch_loss", 1),
        ("evaluation_loss_vs_iterations", 4),
        ("evaluation_loss_vs_iterations", 8),
    ]
    trim_logs(tmp_path, "both", epochs=0, steps=4, done=0)
    assert (tmp_path / "both.csv").read_text() == ""
    assert not list(board.iterdir())
