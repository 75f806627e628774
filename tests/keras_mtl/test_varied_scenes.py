"""Scene clips varied as waveforms: what they are depends on seed, number and the clips that are trained on alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keras_mtl.datasets.prepare import Clips
from keras_mtl.features import NO_SCENE, recordings_in, scene_set, varied_scenes
from keras_mtl.recipes import AugmentSettings

ALL = AugmentSettings(waveform_copies=2, waveform_mixes=2, waveform_cuts=1)


@pytest.fixture(scope="module")
def rows(corpus):
    return np.arange(0, corpus.scenes["train"].count, 2)


@pytest.fixture(scope="module")
def splits(corpus, rows) -> tuple[list[Clips], list[Clips]]:
    events = {"strong_synthetic": np.arange(3), "weak": np.arange(1)}
    return varied_scenes(corpus, rows, events, ALL, seed=4)


@pytest.fixture(scope="module")
def examples(splits):
    (copies,), (mixes, cuts) = splits
    return {"copies": list(copies), "mixes": list(mixes), "cuts": list(cuts)}


def test_there_are_as_many_as_asked_for(examples, rows):
    assert {name: len(clips) for name, clips in examples.items()} == {
        "copies": 2 * len(rows), "mixes": 2 * len(rows), "cuts": len(rows)
    }  # fmt: skip
    names = [clip["filename"] for clips in examples.values() for clip in clips]
    assert len(set(names)) == len(names)
    for clips in examples.values():
        for clip in clips:
            assert clip["audio"].shape == (16_000,) and clip["audio"].dtype == np.float32
            assert np.isfinite(clip["audio"]).all() and np.abs(clip["audio"]).max() <= 1.0


def test_only_clips_that_are_trained_on_are_heard(corpus, examples, rows):
    plain = [clip for number, clip in enumerate(corpus.scenes["train"]) if number in set(rows.tolist())]
    known = {clip["recording"] for clip in plain}
    for clips in examples.values():
        assert {name for clip in clips for name in recordings_in(clip["recording"])} <= known
    for copy, source in zip(examples["copies"], plain * 2, strict=True):
        assert (copy["scene"], copy["recording"], copy["device"]) == tuple(
            source[key] for key in ("scene", "recording", "device")
        )
        assert copy["filename"].startswith(source["filename"])


def test_what_has_no_scene_says_so(examples):
    assert {clip["scene"] for name in ("mixes", "cuts") for clip in examples[name]} == {NO_SCENE}
    assert {len(recordings_in(clip["recording"])) for clip in examples["mixes"]} <= {1, 2}
    over = [len(recordings_in(clip["recording"])) for clip in examples["cuts"]]
    assert 0 < sum(over) < len(over)


def test_copies_differ_from_their_source_and_keep_near_to_it(corpus, examples, rows):
    plain = [clip["audio"] / 32768.0 for number, clip in enumerate(corpus.scenes["train"]) if number in set(rows)]
    first, second = examples["copies"][: len(rows)], examples["copies"][len(rows) :]
    changed = [not np.allclose(copy["audio"], source) for copy, source in zip(first, plain, strict=True)]
    assert all(changed)
    assert not any(np.array_equal(a["audio"], b["audio"]) for a, b in zip(first, second, strict=True))
    db = [20 * np.log10(np.std(c["audio"]) / np.std(s)) for c, s in zip(first + second, plain * 2, strict=True)]
    assert 1.0 < np.std(db) < 8.0


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_any_part_is_that_of_the_whole(splits, examples, kind):
    """A shard is computed alone, by any process."""
    clips = [*splits[0], *splits[1]][kind]
    whole = [*examples.values()][kind]
    for first, last in ((0, 2), (len(whole) - 3, len(whole)), (len(whole) // 2 - 1, len(whole) // 2 + 2)):
        for part, clip in zip(clips.between(first, last), whole[first:last], strict=True):
            np.testing.assert_array_equal(part["audio"], clip["audio"])
            assert part["filename"] == clip["filename"]


def test_another_seed_or_other_clips_are_other_splits(corpus, rows, splits):
    names = {clips.name for part in splits for clips in part}
    other_seed = varied_scenes(corpus, rows, {}, replace(ALL, waveform_cuts=0), seed=5)
    other_rows = varied_scenes(corpus, rows[1:], {}, replace(ALL, waveform_cuts=0), seed=4)
    for others in (other_seed, other_rows):
        assert not names & {clips.name for part in others for clips in part}


def test_nothing_asked_for_is_nothing(corpus, rows, cache, recipe):
    assert varied_scenes(corpus, rows, {}, AugmentSettings(), seed=0) == ([], [])
    assert len(scene_set(corpus, "train", recipe.features, cache)) == corpus.scenes["train"].count
