"""Intervals: they hold the truth as often as they say, draw recordings, and belong to the seed."""

import numpy as np
import pytest

from keras_mtl.core import DCASE, LogMelSettings
from keras_mtl.decoding import DecodeSettings, Event, Grid
from keras_mtl.metrics import Bootstrap
from keras_mtl.metrics.bootstrap import by_recording, mean_of_known, ratio
from keras_mtl.metrics.events import event_metrics
from keras_mtl.metrics.scenes import scene_metrics

GRID = Grid.over(LogMelSettings(), 400, 4)
OF_SCENES = (DCASE.scenes, ("a", "s1"))  # labels, and devices that count as seen
FIGURES = ("event_f1", "segment_f1", "weak_f1")


def scenes(random, recordings=30, clips=4):
    """Clips of a recording are mostly right or wrong together; each recording is of one scene and device."""
    of = np.repeat(np.arange(recordings), clips)
    scene = random.integers(0, 10, recordings)[of]
    device = np.asarray(["a", "s1", "s5"])[random.integers(0, 3, recordings)][of]
    logits = random.normal(size=(recordings, 10))[of] + random.normal(0, 0.3, (len(of), 10)) + np.eye(10)[scene]
    return logits, scene, device, np.asarray([f"r{i:02d}" for i in of])


def events(random, clips=12):
    truth, strong = [], []
    for _ in range(clips):
        labels = random.choice(4, random.integers(0, 3), replace=False)
        onsets = random.uniform(0, 2, len(labels))
        true = [
            Event(float(on), float(on + 1.5), DCASE.events[label]) for on, label in zip(onsets, labels, strict=True)
        ]
        truth.append(true)
        strong.append(np.clip(0.6 * GRID.targets(true, DCASE.events) + 0.6 * random.random((100, 10)) ** 2, 0, 1))
    return np.stack(strong), truth


def test_draws_are_of_as_many_recordings_and_seeded():
    draws = Bootstrap(resamples=500, seed=3).draws(20)
    assert draws.shape == (500, 20)
    assert set(draws.sum(axis=1)) == {20.0}
    assert draws.mean() == pytest.approx(1.0)
    assert draws.var() == pytest.approx(1 - 1 / 20, abs=0.05)
    np.testing.assert_array_equal(draws, Bootstrap(resamples=500, seed=3).draws(20))
    assert (draws != Bootstrap(resamples=500, seed=4).draws(20)).any()


def test_intervals_are_percentiles_of_what_is_known():
    values = np.arange(1001.0)
    assert Bootstrap().interval(values) == pytest.approx([25.0, 975.0])
    assert Bootstrap(level=0.8).interval(values) == pytest.approx([100.0, 900.0])
    assert Bootstrap().interval(np.asarray([np.nan, 1.0, np.nan])) == [1.0, 1.0]
    assert Bootstrap().interval(np.asarray([np.nan])) is None


def test_sums_and_ratios():
    np.testing.assert_array_equal(by_recording(np.asarray([1.0, 2.0, 4.0]), np.asarray([1, 0, 1])), [2.0, 5.0])
    np.testing.assert_array_equal(ratio(np.asarray([1.0, 0.0]), np.asarray([2.0, 0.0])), [0.5, np.nan])
    np.testing.assert_array_equal(mean_of_known(np.asarray([[1.0, np.nan, 3.0], [np.nan] * 3])), [2.0, np.nan])


def test_intervals_hold_the_truth_as_often_as_they_say():
    """A system that is right on a recording with a chance of 0.6, on all its ten clips or none."""
    random = np.random.default_rng(8)
    recordings = np.repeat([f"r{i:02d}" for i in range(60)], 10)
    held = {"recordings": 0, "clips": 0}
    for trial in range(200):
        right = np.repeat(random.random(60) < 0.6, 10)
        logits = np.eye(10)[np.where(right, 2, 3)]
        for unit, names in (("recordings", recordings), ("clips", None)):
            bootstrap = Bootstrap(resamples=200, seed=trial)
            figures = scene_metrics(logits, np.full(600, 2), np.full(600, "a"), *OF_SCENES, names, bootstrap=bootstrap)
            low, high = figures["intervals"]["accuracy"]
            held[unit] += low <= 0.6 <= high
    assert 0.90 <= held["recordings"] / 200 <= 0.98
    assert held["clips"] / 200 < 0.6, "drawing clips would say far too much"


def test_same_seed_same_interval():
    random = np.random.default_rng(1)
    clips, (strong, truth) = scenes(random), events(random)
    for score in (
        lambda seed: scene_metrics(*clips[:3], *OF_SCENES, clips[3], Bootstrap(100, seed=seed)),
        lambda seed: event_metrics(
            strong, strong.max(axis=1), truth, GRID, DecodeSettings(), DCASE.events, bootstrap=Bootstrap(100, seed=seed)
        ),
    ):
        assert score(0) == score(0)
        assert score(0)["intervals"] != score(1)["intervals"]
        assert score(0)["interval_method"]["unit"] == "recording"


@pytest.mark.parametrize("seed", range(4))
def test_a_draw_of_scene_recordings_gives_the_figures_of_its_clips(seed):
    """With one draw an interval is a point: the figure of the drawn clips, each as often as its recording was drawn."""
    logits, scene, device, names = scenes(np.random.default_rng(seed))
    bootstrap = Bootstrap(resamples=1, seed=seed)
    intervals = scene_metrics(logits, scene, device, *OF_SCENES, names, bootstrap)["intervals"]
    drawn = np.repeat(
        np.arange(len(names)), bootstrap.draws(30)[0].astype(int)[np.unique(names, return_inverse=True)[1]]
    )
    assert len(drawn) == 120
    expected = scene_metrics(logits[drawn], scene[drawn], device[drawn], *OF_SCENES, names[drawn], Bootstrap(0))
    assert "intervals" not in expected
    for key in ("accuracy", "macro_accuracy", "log_loss"):
        assert intervals[key] == pytest.approx([expected[key]] * 2)
        for group in ("seen_devices", "unseen_devices"):
            assert intervals[group][key] == pytest.approx([expected[group][key]] * 2)
    for group in ("per_device", "per_class", "per_device_macro_accuracy", "per_device_log_loss", "per_class_log_loss"):
        known = {name: interval[0] for name, interval in intervals[group].items() if interval}
        assert known == pytest.approx(expected[group])


@pytest.mark.parametrize("seed", range(4))
def test_a_draw_of_event_recordings_gives_the_figures_of_its_clips(seed):
    """PSDS too: what is computed from the changes is what the tool's own figure of the drawn clips is made of."""
    strong, truth = events(np.random.default_rng(seed))
    names = np.asarray([f"r{i // 2}" for i in range(12)])
    bootstrap = Bootstrap(resamples=1, seed=seed)
    weak = strong.max(axis=1) - 0.1
    intervals = event_metrics(strong, weak, truth, GRID, DecodeSettings(), DCASE.events, names, bootstrap)["intervals"]
    drawn = np.repeat(np.arange(12), bootstrap.draws(6)[0].astype(int)[np.arange(12) // 2])
    expected = event_metrics(
        strong[drawn],
        weak[drawn],
        [truth[i] for i in drawn],
        GRID,
        DecodeSettings(),
        DCASE.events,
        bootstrap=Bootstrap(0),
    )
    for key in ("psds1", "psds2", *(f"{figure}_macro" for figure in FIGURES)):
        assert intervals[key] == pytest.approx([expected[key]] * 2), key
    for figure in FIGURES:
        known = {name: i[0] for name, i in intervals[f"{figure}_per_class"].items() if i}
        assert known == pytest.approx(expected[f"{figure}_per_class"])
    assert expected["psds2"] > 0


def test_more_recordings_make_narrower_intervals():
    random = np.random.default_rng(2)
    widths = []
    for recordings in (20, 320):
        *clips, names = scenes(random, recordings)
        low, high = scene_metrics(*clips, *OF_SCENES, names)["intervals"]["accuracy"]
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
