"""Streams of batches: their own size and length, their order, and taking up in the middle."""

import numpy as np
import pytest

from keras_mtl.core import LogMelSettings
from keras_mtl.decoding import Event
from keras_mtl.features import EventSet, SceneSet
from keras_mtl.training import EventStream, SceneStream, as_dataset
from keras_mtl.training.batches import Sampler

SETTINGS = LogMelSettings(mean_db=-40.0, std_db=20.0)


def scenes(clips):
    text = np.asarray([str(i) for i in range(clips)])
    levels = np.zeros((clips, 100, 128), np.float16) + np.arange(clips, dtype=np.float16)[:, None, None]
    return SceneSet(levels, np.arange(clips) % 10, text, text, text)


def events(clips, mark):
    levels = np.full((clips, 200, 128), mark, np.float16)
    known = [[Event(0.4, 0.8, "Dog")]] * clips
    weak = np.zeros((clips, 10), np.float32)
    weak[:, 4] = 1.0
    return EventSet(levels, known, weak, np.asarray([str(i) for i in range(clips)]))


def test_every_clip_comes_once_a_pass_in_a_new_order():
    sampler = Sampler(10, 4, (1, 2))
    places = np.concatenate([sampler(step) for step in range(5)])
    assert sorted(places[:10]) == list(range(10))
    assert sorted(places[10:]) == list(range(10))
    assert list(places[:10]) != list(places[10:])
    assert sampler.steps == 3


def test_order_is_a_function_of_seed_and_step():
    first, second = Sampler(50, 8, (3, 1)), Sampler(50, 8, (3, 1))
    _ = [first(step) for step in range(4)]
    np.testing.assert_array_equal(first(9), second(9))
    assert list(first(0)) != list(Sampler(50, 8, (4, 1))(0))


def test_the_shorter_stream_is_repeated():
    streams = {
        "scenes": SceneStream(scenes(5), 4, SETTINGS, seed=0),
        "events": EventStream({"strong": events(12, 1)}, {"strong": 2}, SETTINGS, 4, seed=0),
    }
    batches = list(as_dataset(streams, 0, streams["events"].steps).as_numpy_iterator())
    assert len(batches) == 6
    assert {batch["scenes"]["log_mel"].shape for batch in batches} == {(4, 100, 128, 1)}
    assert {batch["events"]["log_mel"].shape for batch in batches} == {(2, 200, 128, 1)}
    seen = np.concatenate([batch["scenes"]["log_mel"][:, 0, 0, 0] for batch in batches])
    assert np.unique(np.round(seen * 20 - 40).astype(int), return_counts=True)[1].min() >= 4, "24 draws from 5 clips"


def test_taking_up_gives_what_would_have_come():
    streams = {"scenes": SceneStream(scenes(20), 4, SETTINGS, seed=1)}
    whole = list(as_dataset(streams, 0, 8).as_numpy_iterator())
    rest = list(as_dataset(streams, 5, 3).as_numpy_iterator())
    for a, b in zip(whole[5:], rest, strict=True):
        np.testing.assert_array_equal(a["scenes"]["log_mel"], b["scenes"]["log_mel"])
        np.testing.assert_array_equal(a["scenes"]["scene"], b["scenes"]["scene"])


def test_event_batches_hold_their_kinds_in_order():
    kinds = {"strong": events(5, 1), "weak": events(4, 2), "unlabelled": events(9, 3)}
    batch = EventStream(kinds, {"strong": 2, "weak": 1, "unlabelled": 3}, SETTINGS, 4, seed=0)(0)
    np.testing.assert_array_equal(batch["has_strong"], [1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(batch["has_weak"], [0, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(batch["log_mel"][:, 0, 0, 0] * 20 - 40, [1, 1, 2, 3, 3, 3], atol=1e-4)
    assert batch["strong"].shape == (6, 50, 10)
    assert (batch["strong"].sum(axis=(1, 2)) > 0).tolist() == [True, True, False, False, False, False]
    assert (batch["weak"].sum(axis=1) > 0).tolist() == [False, False, True, False, False, False]


def test_kinds_that_are_not_there_are_left_out():
    stream = EventStream({"strong": events(5, 1)}, {"strong": 2, "weak": 3, "unlabelled": 3}, SETTINGS, 4, seed=0)
    assert stream(0)["log_mel"].shape[0] == 2
    assert stream.steps == pytest.approx(3)
