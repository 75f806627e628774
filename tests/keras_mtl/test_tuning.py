"""Operating points: what may be chance is not chosen, and a bound of false alarms holds on audio not heard before."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from keras_mtl.core import DataError, LogMelSettings
from keras_mtl.datasets.soundscapes import events as event_sounds
from keras_mtl.datasets.soundscapes import scenes as scene_sounds
from keras_mtl.decoding import DecodeSettings, Event, Grid, decode
from keras_mtl.features import shared_log_mel
from keras_mtl.metrics import poisson_interval
from keras_mtl.recipes import override_decoding
from keras_mtl.tuning import Tracks, curves, page_html, tune
from keras_mtl.tuning.objectives import EventF1

GRID = Grid(0.04, -0.005, 250, 10.0)
STEP_S = GRID.step_s
LABELS = ("low", "good", "silent", "never")
BANDS = 4


def made_tracks(clips: int = 60, seed: int = 0, labels: tuple[str, ...] = LABELS) -> Tracks:
    """Clips with an event of each class but the last; "low" is found with probabilities up to 0.3 only."""
    random = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(clips):
        values, events = random.uniform(0.0, 0.15, (GRID.count, len(labels))), []
        for place, label in enumerate(labels[:-1]):
            first, last = sorted(random.choice(np.arange(10, 240, 15), 2, replace=False).tolist())
            events.append(Event(float(GRID.boundaries_s()[first]), float(GRID.boundaries_s()[last]), label))
            if label in ("low", "good"):
                values[first:last, place] += {"low": 0.2, "good": 0.8}[label]
        values[:, 2] = 0.0
        found.append(np.clip(values, 0.0, 1.0).astype(np.float32))
        truth.append(events)
    return Tracks(found, [GRID] * clips, labels, truth)


def test_tracks_are_decoded_as_clips_are() -> None:
    random = np.random.default_rng(4)
    clips = [np.repeat(random.uniform(0, 1, (50, 2)), 5, axis=0).astype(np.float32)[: 230 + n] for n in range(12)]
    grids = [Grid(STEP_S, -0.005, len(each), len(each) * STEP_S) for each in clips]
    tracks = Tracks(clips, grids, ["a", "b"])
    for _ in range(10):
        threshold = float(random.choice([0.0, 0.3, 0.5, 0.9]))
        settings = DecodeSettings(
            threshold,
            float(random.choice([0.0, 0.2, 1.0, 3.0])),
            threshold * float(random.choice([0.0, 0.5, 1.0])),
            gap_s=float(random.choice([0.0, 0.3, 2.0])),
            shortest_s=float(random.choice([0.0, 0.3])),
        )
        goal = [
            [event for event, _ in decode(clip, grid, ["a", "b"], settings) if event.label == "b"]
            for clip, grid in zip(clips, grids, strict=True)
        ]
        assert tracks.decode("b", settings) == goal


@pytest.mark.parametrize(
    ("count", "hours", "low", "high"), [(0, 1.0, 0.0, 3.6889), (10, 1.0, 4.7954, 18.3904), (3, 6.0, 0.1031, 1.4612)]
)
def test_intervals_are_the_exact_ones(count: int, hours: float, low: float, high: float) -> None:
    assert poisson_interval(count, hours) == pytest.approx((low, high), abs=1e-4)


def test_what_is_better_beyond_chance_is_chosen_and_nothing_else() -> None:
    start = DecodeSettings(classes={"good": {"gap_s": 0.1}})
    found = tune(made_tracks(), start)
    points = {point.label: point for point in found.points}
    assert [label for label, point in points.items() if point.changed] == ["low"]
    low = points["low"]
    assert 0.1 <= low.after.threshold <= 0.3
    assert low.gain.low > 0
    assert low.misses == (1.0, pytest.approx(0.0, abs=0.05))
    assert points["never"].why == "no held-out events"
    assert points["silent"].misses == (1.0, 1.0)
    assert found.decoding.classes["good"] == {"gap_s": 0.1}
    assert found.decoding.of("low") == low.after
    again = tune(made_tracks(), start)
    assert json.dumps(again.to_dict()) == json.dumps(found.to_dict()), "same seed, same bytes"


def hard_tracks(clips: int, seed: int, labels: tuple[str, ...]) -> Tracks:
    """Events that the probabilities hardly show."""
    random, tracks = np.random.default_rng(seed), made_tracks(clips, seed, labels)
    for values, events in zip(tracks.probabilities, tracks.truth, strict=True):
        values[:] = np.repeat(random.uniform(0.0, 0.9, (25, len(labels))), 10, axis=0)
        for onset_s, offset_s, label in events:
            values[round(onset_s / STEP_S) : round(offset_s / STEP_S), labels.index(label)] += 0.15
    return tracks


def test_what_is_chosen_on_few_clips_is_better_on_others() -> None:
    """Thirty clips of classes that are hard to tell: most keep their settings, and those that change gain by it."""
    labels = (*(f"hard {number}" for number in range(5)), "never")
    found = tune(hard_tracks(30, 1, labels), DecodeSettings(median_s=0.12))
    others, gains = hard_tracks(200, 2, labels), []
    for point in found.points[:-1]:
        objective = EventF1(others, point.label, 10.0)
        before, after = (objective.score([each], [np.ones((1, 200))])[0] for each in (point.before, point.after))
        gains.append(after - before)
        assert (after == before) or point.changed
    assert np.mean(gains) >= 0
    assert min(gains) > -0.02


def test_few_events_are_nothing_to_choose_by() -> None:
    found = tune(made_tracks(9), DecodeSettings())
    assert not found.decoding.classes
    assert found.points[0].why == "9 held-out events are too few to search by"


def test_by_psds_the_median_filter_alone_is_chosen() -> None:
    tracks, random = made_tracks(40, 1), np.random.default_rng(9)
    for values in tracks.probabilities:  # what a short filter leaves in
        spikes = random.choice(GRID.count // 4, 20, replace=False) * 4
        values[spikes, 1] = values[spikes + 1, 1] = random.choice([0.0, 1.0], 20)
    found = tune(tracks, DecodeSettings(median_s=0.24), by="psds")
    (point,) = [point for point in found.points if point.label == "good"]
    assert point.after == replace(point.before, median_s=0.48)
    assert all(set(table) <= {"median_s"} for table in found.decoding.classes.values())


def test_medians_are_no_longer_than_they_can_be() -> None:
    found = tune(made_tracks(20), DecodeSettings(), longest_s=0.45)
    assert all(point.after.median_s <= 0.45 for point in found.points)


@pytest.mark.parametrize("given", [{}, {"ambient": made_tracks(2)}, {"most_per_hour": 1.0}])
def test_false_alarms_need_audio_and_a_bound(given: dict) -> None:
    with pytest.raises(DataError, match="need ambient audio and a bound"):
        tune(made_tracks(2), DecodeSettings(), by="false-alarms", **given)


class Activity:
    """A network of no training: how far groups of mel bands are above their median over a clip, as probabilities."""

    def __init__(self) -> None:
        self.settings = LogMelSettings()
        self._log_mel = shared_log_mel(self.settings)

    def tracks(self, audio: list[np.ndarray], truth: list[list[Event]] | None = None) -> Tracks:
        """Of clips of ten seconds, float [160000]; each group of bands is a class, of which some sound is the event."""
        found = []
        for clip in audio:
            log_mel = self._log_mel(clip[None].astype(np.float32))[0].astype(np.float64)
            bands = log_mel.reshape(250, 4, BANDS, -1).mean(axis=(1, 3))
            found.append((1.0 / (1.0 + np.exp(-(bands - np.median(bands, axis=0)) / 4.0 + 2.0))).astype(np.float32))
        labels = tuple(f"group {number}" for number in range(BANDS))
        return Tracks(found, [GRID] * len(found), labels, truth or [[] for _ in found])


def ambient_clips(seed: int, clips: int) -> list[np.ndarray]:
    """Ten seconds each of the embedded scenes, each second of another place: alarms come alone, as a Poisson's do."""
    found = []
    for number in range(clips):
        random = np.random.default_rng((seed, number))
        places = [scene_sounds.Place.draw(random, int(random.integers(10))) for _ in range(10)]
        found.append(np.concatenate([scene_sounds.scene_clip(random, place) for place in places]))
    return found


@pytest.fixture(scope="module")
def activity() -> Activity:
    return Activity()


@pytest.fixture(scope="module")
def heard(activity: Activity) -> Tracks:
    """Embedded event clips as held-out ones; all classes of a clip are events of each group of bands."""
    made = [event_sounds.event_clip(np.random.default_rng((7, number))) for number in range(20)]
    labels = [f"group {number}" for number in range(BANDS)]
    truth = [[Event(on, off, label) for on, off, _ in events for label in labels] for _, events in made]
    return activity.tracks([clip for clip, _ in made], truth)


def test_a_bound_of_false_alarms_holds_on_audio_not_heard_before(activity: Activity, heard: Tracks) -> None:
    bound, start = 360.0, DecodeSettings()
    ambient, *others = (activity.tracks(ambient_clips(seed, 40)) for seed in (1, 2))
    found = tune(heard, start, by="false-alarms", ambient=ambient, most_per_hour=bound)
    assert any(point.alarms[0]["per_hour"] > bound for point in found.points), "the default is beyond it"
    assert any(point.misses[1] < 0.9 for point in found.points), "no mere silence"
    for point in found.points:
        assert point.alarms[1]["per_hour"] <= bound
        for unseen in others:
            count = sum(map(len, unseen.decode(point.label, point.after)))
            assert poisson_interval(count, unseen.hours)[0] <= bound


def test_little_silent_audio_lowers_no_threshold(heard: Tracks) -> None:
    """36 seconds without any alarm say nothing of ten alarms per hour."""
    grid = Grid(STEP_S, -0.005, 900, 36.0)
    silent = Tracks([np.zeros((900, BANDS), np.float32)], [grid], heard.labels)
    found = tune(heard, DecodeSettings(0.6), by="false-alarms", ambient=silent, most_per_hour=10.0)
    assert {point.after.threshold >= 0.6 for point in found.points} == {True}
    assert found.points[0].alarms[1]["interval"][1] == pytest.approx(368.89, abs=0.01)
    longer = Tracks([np.zeros((9000, BANDS), np.float32)], [replace(grid, count=9000, duration_s=360.0)], heard.labels)
    found = tune(heard, DecodeSettings(0.6), by="false-alarms", ambient=longer, most_per_hour=10.0)
    assert any(point.after.threshold < 0.6 for point in found.points)


def test_a_class_that_no_threshold_helps_is_silent(heard: Tracks) -> None:
    grid = Grid(STEP_S, -0.005, 9000, 360.0)
    loud = np.zeros((9000, BANDS), np.float32)
    loud[::100] = loud[1::100] = loud[2::100] = 1.0
    start = DecodeSettings(median_s=0.04)
    found = tune(heard, start, by="false-alarms", ambient=Tracks([loud], [grid], heard.labels), most_per_hour=10.0)
    assert all(point.alarms[1]["false_alarms"] == 0 for point in found.points)


class _Page(HTMLParser):
    """The dots of a page, and what else it holds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.dots: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        found = dict(attrs)
        assert not {"src", "href", "onclick"} & set(found)
        if tag == "g":
            self.dots.append(found)


def test_a_page_shows_each_class_and_gives_the_command_for_each_point() -> None:
    labels = ('<b>"&amp;', "it's кашель", *LABELS[2:])
    tracks = made_tracks(20, 2, labels)
    start = DecodeSettings(hysteresis=0.1, classes={labels[0]: {"gap_s": 0.2}})
    found = tune(tracks, start, ambient=made_tracks(10, 3, labels))
    drawn = curves(found, tracks, made_tracks(10, 3, labels))
    page = page_html(found, drawn, "runs/it's & mine", ["<script>alert(1)</script>"])
    parsed = _Page(page)
    assert "b" not in parsed.tags
    assert page.count("<script>") == 2  # that which sorts tables, and its own
    assert "://" not in page
    for point, curve in zip(found.points, drawn, strict=True):
        assert sum(each.chosen for each in curve.points) == (1 if point.events else 0)
        wanted = {each.setting for each in curve.points}
        commands = [shlex.split(dot["data-command"]) for dot in parsed.dots]
        own = [words for words in commands if any(json.dumps(point.label, ensure_ascii=False) in w for w in words)]
        assert bool(own) == bool(point.events)
        for words in own:
            assert (words[:3], words[-1]) == (["keras_mtl", "tune", "runs/it's & mine"], "--write")
            for now in (start, found.decoding):
                assert override_decoding(now, words[4:-1:2]).of(point.label) in wanted
