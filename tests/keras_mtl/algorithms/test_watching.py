"""A loss that is no number stops the training with the names of its clips."""

import numpy as np
import pytest

from keras_mtl.algorithms import HardMTL, SoftMTL
from keras_mtl.batches import as_dataset, take_turns
from keras_mtl.errors import TrainingError
from keras_mtl.finite_losses import StopOnNonFinite


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
