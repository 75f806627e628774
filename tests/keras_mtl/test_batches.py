"""Streams of batches: their own size and length, their order, and taking up in the middle."""

import numpy as np
import pytest

from keras_mtl.core import DCASE, LogMelSettings
from keras_mtl.decoding import Event
from keras_mtl.features import EventSet, SceneSet
from keras_mtl.training import EventStream, SceneStream, as_dataset
from keras_mtl.training.batches import BalancedSampler, Sampler
from keras_mtl.training.held_out import hold_out_recordings

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


UNEVEN = np.repeat([0, 3, 4], [14, 5, 1])


def test_every_class_comes_equally_often():
    """Within one in each pass of as many clips as there are, and all clips of a class before one comes again."""
    sampler = BalancedSampler(UNEVEN, 4, (1, 2))
    assert sampler.steps == 5
    drawn = np.concatenate([sampler(step) for step in range(60)]).reshape(-1, 20)
    for of_pass in drawn:
        counts = np.bincount(UNEVEN[of_pass], minlength=5)
        assert counts.sum() == 20
        assert set(counts[[0, 3, 4]]) == {6, 7}
    assert [np.bincount(UNEVEN[drawn.ravel()])[each] for each in (0, 3, 4)] == [80, 80, 80]
    times = np.bincount(drawn.ravel(), minlength=20)
    assert set(times[:14]) == {5, 6}
    assert set(times[14:19]) == {16}
    first = [clip for clip in drawn.ravel() if clip < 14][:14]
    assert sorted(np.unique(drawn[:2])[:14]) == sorted(first) == list(range(14))
    assert list(UNEVEN[drawn[0]]) != list(UNEVEN[drawn[1]]), "the classes are shuffled, too"


def test_balanced_draws_are_a_function_of_seed_and_step():
    first = BalancedSampler(UNEVEN, 8, (3, 1))
    _ = [first(step) for step in range(4)]
    np.testing.assert_array_equal(first(9), BalancedSampler(UNEVEN, 8, (3, 1))(9))
    np.testing.assert_array_equal(first(2), BalancedSampler(UNEVEN, 8, (3, 1))(2))
    assert list(first(0)) != list(BalancedSampler(UNEVEN, 8, (4, 1))(0))


def test_a_balanced_stream_and_one_that_is_not():
    uneven = scenes(20)
    uneven = SceneSet(uneven.log_mel, UNEVEN, uneven.filenames, uneven.recordings, uneven.devices)
    for balanced, most in ((True, 7), (False, 14)):
        stream = SceneStream(uneven, 20, SETTINGS, seed=1, balanced=balanced)
        batch = stream(0)
        assert np.bincount(batch["scene"]).max() == most
        names = [int(name) for name in stream.filenames(0)]
        np.testing.assert_array_equal(batch["scene"], UNEVEN[names])
        np.testing.assert_allclose(batch["log_mel"][:, 0, 0, 0] * 20 - 40, names, atol=1e-4)


def test_recordings_are_held_out_of_all_or_of_every_scene():
    """Whole ones; of three scenes with 12, 6 and 3 recordings a sixth each, which is 2, 1 and 0 (of a half)."""
    clips = scenes(42)
    recordings = np.repeat(np.arange(21), 2)
    of = SceneSet(clips.log_mel, np.repeat([0, 3, 4], [24, 12, 6]), clips.devices, recordings, clips.filenames)
    for by_scene in (True, False):
        held = [hold_out_recordings(of, 1 / 6, seed, by_scene) for seed in range(8)]
        for kept, out in held:
            assert sorted([*kept, *out]) == list(range(42))
            assert not set(recordings[kept]) & set(recordings[out])
        counts = {tuple(np.bincount(of.scenes[out], minlength=5)[[0, 3, 4]]) for _, out in held}
        assert (counts == {(4, 2, 0)}) == by_scene
        assert len({tuple(out) for _, out in held}) > 1


def test_the_shorter_stream_is_repeated():
    streams = {
        "scenes": SceneStream(scenes(5), 4, SETTINGS, seed=0),
        "events": EventStream({"strong": events(12, 1)}, {"strong": 2}, SETTINGS, DCASE.events, 4, seed=0),
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
    batch = EventStream(kinds, {"strong": 2, "weak": 1, "unlabelled": 3}, SETTINGS, DCASE.events, 4, seed=0)(0)
    np.testing.assert_array_equal(batch["has_strong"], [1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(batch["has_weak"], [0, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(batch["log_mel"][:, 0, 0, 0] * 20 - 40, [1, 1, 2, 3, 3, 3], atol=1e-4)
    assert batch["strong"].shape == (6, 50, 10)
    assert (batch["strong"].sum(axis=(1, 2)) > 0).tolist() == [True, True, False, False, False, False]
    assert (batch["weak"].sum(axis=1) > 0).tolist() == [False, False, True, False, False, False]


def test_kinds_that_are_not_there_are_left_out():
    stream = EventStream(
        {"strong": events(5, 1)}, {"strong": 2, "weak": 3, "unlabelled": 3}, SETTINGS, DCASE.events, 4, seed=0
    )
    assert stream(0)["log_mel"].shape[0] == 2
    assert stream.steps == pytest.approx(3)


def test_classes_of_strong_clips_stand_in_for_weak_labels():
    streams = [
        EventStream(
            {"strong": events(5, 1)}, {"strong": 2, "weak": 3}, SETTINGS, DCASE.events, 4, seed=0, tagged=tagged
        )
        for tagged in (False, True)
    ]
    plain, tagged = streams[0](0), streams[1](0)
    assert not plain["has_weak"].any()
    assert not plain["weak"].any()
    np.testing.assert_array_equal(tagged["has_weak"], tagged["has_strong"])
    np.testing.assert_array_equal(tagged["weak"], np.tile(np.eye(10)[4], (2, 1)))  # all of them are of dogs
    assert tagged["weak"].dtype == np.float32
