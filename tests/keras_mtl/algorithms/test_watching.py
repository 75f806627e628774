"""What watches a training: losses that are no numbers, and the cosine between the tasks' gradients."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.algorithms import CrossHardMTL, HardMTL, PCGradMTL, SoftMTL
from keras_mtl.core import RunError, TrainingError
from keras_mtl.experiments import plot_conflict
from keras_mtl.training import as_dataset, read_conflict
from keras_mtl.training.batches import take_turns
from keras_mtl.training.conflict import COSINE, ConflictLog, encoder_cosine
from keras_mtl.training.phases import StopOnNonFinite


class Kept:
    """A stream of ready batches, with names."""

    def __init__(self, name, batches):
        self.name, self.batches, self.steps = name, batches, len(batches)

    def __call__(self, step):
        return self.batches[step % len(self.batches)]

    def filenames(self, step):
        place = step % len(self.batches)
        return [f"{self.name}-{place}-{i}.wav" for i in range(len(self.batches[place]["log_mel"]))]


def streams_of(little, random):
    scenes = [little.scene_batch(random, clips=2) for _ in range(4)]
    events = [little.event_batch(random, 1, 1, 1) for _ in range(3)]
    return {"scenes": Kept("scene", scenes), "events": Kept("event", events)}


def fit(model, streams, callbacks, epochs=1, done=0):
    steps = max(stream.steps for stream in streams.values())
    model.fit(
        as_dataset(streams, done * steps, (epochs - done) * steps),
        epochs=epochs,
        initial_epoch=done,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    return steps


def test_a_loss_that_is_no_number_names_the_batch(little, random):
    """An infinite feature in the third batch of one task: its clip alone is named."""
    streams = streams_of(little, random)
    streams["events"].batches[2]["log_mel"][1] = np.inf
    model = little.compiled(SoftMTL(little.network()))
    with pytest.raises(TrainingError) as caught:
        fit(model, streams, [StopOnNonFinite(streams, "both", 4)], epochs=2)
    message = str(caught.value)
    assert "step 2 of phase both" in message and "strong_bce" in message and "event-2-1.wav" in message
    assert "event-2-0.wav" not in message and "scene-" not in message and "\n" not in message
    assert caught.value.exit_code == 2


def test_where_the_features_are_fine_the_whole_batch_is_named(little, random):
    """In the second epoch, and with tasks that take turns: a target that is no number."""
    by_task = streams_of(little, random)
    by_task["events"].batches[1]["weak"][:] = np.nan
    streams = take_turns(by_task)
    model = little.compiled(HardMTL(little.network()))
    for stream in by_task.values():
        stream.batches = [dict(batch) for batch in stream.batches]
    good, bad = by_task["events"].batches[0]["weak"], by_task["events"].batches[1]["weak"]
    by_task["events"].batches[1]["weak"] = good
    fit(model, streams, [StopOnNonFinite(streams, "both", 8)])
    by_task["events"].batches[1]["weak"] = bad
    with pytest.raises(TrainingError) as caught:
        fit(model, streams, [StopOnNonFinite(streams, "both", 8)], epochs=2, done=1)
    message = str(caught.value)
    # Step 9 is the events' batch number 4, which is the second of their second pass.
    assert "step 9 of phase both: loss, weak_bce not finite on the batch of event-1-0.wav, event-1-1.wav" in message
    assert "scene-" not in message


def test_cosine_is_that_of_the_steps_own_gradients(little, random):
    model = little.compiled(SoftMTL(little.network(), mask_fraction=0.0))
    batch = little.both(random)
    variables = [v.value for v in model.encoder.trainable_variables]
    flat = []
    for task in ("scenes", "events"):
        for state in model.seeds.states:
            state.assign(tf.ones_like(state.value))
        with tf.GradientTape() as tape:
            loss = model.losses_of(task, batch, training=True)[0][task]
        flat.append(np.concatenate([np.ravel(g) for g in tape.gradient(loss, variables)]))
    for state in model.seeds.states:
        state.assign(tf.ones_like(state.value))
    expected = flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    assert float(encoder_cosine(model, batch)) == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert -1.0 <= expected <= 1.0


OTHERS = [pytest.param(other, marks=pytest.mark.slow) for other in (HardMTL, CrossHardMTL, PCGradMTL)]


@pytest.mark.parametrize("algorithm", [SoftMTL, *OTHERS])
def test_measuring_changes_no_bit_and_lands_in_the_logs(little, random, tmp_path, algorithm):
    by_task = streams_of(little, random)
    turns = 2 if issubclass(algorithm, HardMTL) else 1
    streams = take_turns(by_task) if turns == 2 else by_task
    steps = 4 * turns
    ends = []
    for watched in (False, True):
        keras.utils.set_random_seed(5)
        model = little.compiled(algorithm(little.network(), seed=5))
        log = keras.callbacks.CSVLogger(tmp_path / f"{watched}.csv")
        conflict = [ConflictLog(by_task, 2, tmp_path, "both", steps, turns)] if watched else []
        board = keras.callbacks.TensorBoard(tmp_path / "tensorboard", write_graph=False)
        fit(model, streams, [*conflict, log, board], epochs=2)
        ends.append(little.bits(model))
    assert ends[0] == ends[1]
    rows = read_conflict(tmp_path / "both.conflict.csv")
    assert [row[0] for row in rows] == list(range(0, 2 * steps, 2))
    assert all(-1.0 <= row[2] <= 1.0 for row in rows)
    epochs = list(csv.DictReader((tmp_path / "True.csv").read_text().splitlines()))
    for epoch, logged in enumerate(epochs):
        mean = np.mean([row[2] for row in rows if row[1] == epoch])
        assert float(logged[COSINE]) == pytest.approx(mean, rel=1e-6)
    assert list((tmp_path / "tensorboard" / "both" / "conflict").glob("events.out.tfevents.*"))
    picture = plot_conflict({"tiny": tmp_path}, tmp_path / "conflict.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_resumed_training_goes_on_with_its_log(little, random, tmp_path):
    streams = streams_of(little, random)
    model = little.compiled(SoftMTL(little.network()))
    fit(model, streams, [ConflictLog(streams, 3, tmp_path, "both", 4)], epochs=2)
    before = read_conflict(tmp_path / "both.conflict.csv")
    assert [row[0] for row in before] == [0, 3, 6]
    fit(model, streams, [ConflictLog(streams, 3, tmp_path, "both", 4, done=4)], epochs=3, done=1)
    after = read_conflict(tmp_path / "both.conflict.csv")
    assert [row[0] for row in after] == [0, 3, 6, 9]
    assert after[:2] == before[:2], "rows of the epochs that are kept"


def test_a_run_without_the_log_has_no_picture(tmp_path):
    with pytest.raises(RunError, match="conflict_every"):
        plot_conflict({"tiny": tmp_path}, tmp_path / "conflict.png")
