"""Every figure against independent tools, on golden files with every awkward case."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from keras_mtl.core import DCASE, LogMelSettings
from keras_mtl.decoding import DecodeSettings, Event, Grid
from keras_mtl.metrics import Bootstrap
from keras_mtl.metrics.events import event_metrics
from keras_mtl.metrics.psds import merge
from keras_mtl.metrics.scenes import scene_metrics

GOLDEN = Path(__file__).parents[1] / "golden"
DATA = GOLDEN / "metrics"
LABELS = json.loads((DATA / "labels.json").read_text())
REFERENCE = json.loads((DATA / "reference.json").read_text())
NO_INTERVALS = Bootstrap(resamples=0)


def near(value):
    return pytest.approx(value, abs=1e-8)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_metrics", GOLDEN / "make_metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scene_figures():
    logits = np.load(DATA / "scene_logits.npy") / 16.0
    scenes, devices, recordings = (np.asarray(LABELS[key]) for key in ("scenes", "devices", "recordings"))
    return scene_metrics(logits, scenes, devices, DCASE.scenes, ("a", "b", "s1"), recordings)


@pytest.fixture(scope="module")
def event_figures():
    strong, weak = (np.load(DATA / f"event_{kind}.npy") / 64.0 for kind in ("strong", "weak"))
    truth = [[Event(*event) for event in events] for events in LABELS["events"]]
    return event_metrics(strong, weak, truth, Grid.over(LogMelSettings(), 1000, 4), DecodeSettings(), DCASE.events)


@pytest.mark.slow
def test_making_the_files_again_gives_the_same_bytes(script, tmp_path):
    script.make(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in DATA.iterdir())
    for path in DATA.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_awkward_cases_are_there(script):
    strong, weak = np.load(DATA / "event_strong.npy"), np.load(DATA / "event_weak.npy")
    events = [[tuple(event) for event in clip] for clip in LABELS["events"]]
    column = script.DCASE.events.index(script.NEVER)
    assert not [e for clip in events for e in clip if e[2] == script.NEVER], "a class without events"
    assert (strong[..., column] > 32).any(), "and false alarms of it"
    assert [] in events, "a clip without events"
    assert any(a[2] == b[2] and a[0] < b[0] < a[1] for clip in events for a in clip for b in clip), "overlaps"
    assert {0.0, 10.0} <= {time for clip in events for event in clip for time in event[:2]}, "at the borders"
    assert (strong == 32).any(), "frames at the threshold"
    assert (weak == 32).any(), "clips at the threshold"
    logits = np.sort(np.load(DATA / "scene_logits.npy"), axis=1)
    assert (logits[:, -1] == logits[:, -2]).any(), "scenes of one score"


def test_scene_figures_are_scikit_learns(scene_figures):
    reference = REFERENCE["scenes"]
    for key in ("accuracy", "macro_accuracy", "log_loss", "clips"):
        assert scene_figures[key] == near(reference["all"][key])
        assert scene_figures["seen_devices"][key] == near(reference["seen"][key])
        assert scene_figures["unseen_devices"][key] == near(reference["unseen"][key])
    groups = {
        "per_device": ("device", "accuracy"),
        "per_device_macro_accuracy": ("device", "macro_accuracy"),
        "per_device_log_loss": ("device", "log_loss"),
        "per_class": ("scene", "accuracy"),
        "per_class_log_loss": ("scene", "log_loss"),
    }
    for group, (kind, key) in groups.items():
        expected = {n.split(" ")[1]: v[key] for n, v in reference.items() if n.startswith(f"{kind} ")}
        assert scene_figures[group] == near(expected)


def test_f1_is_sed_evals_and_scikit_learns(event_figures):
    for name in ("event_f1", "segment_f1", "weak_f1"):
        assert event_figures[f"{name}_per_class"] == near(REFERENCE["events"][f"{name}_per_class"])
        assert event_figures[f"{name}_macro"] == near(REFERENCE["events"][f"{name}_macro"])


@pytest.mark.parametrize("name", ["psds1", "psds2"])
def test_psds_is_the_tools(event_figures, name):
    reference = REFERENCE["events"][name]
    assert event_figures[name] == near(reference["sed_scores_eval"])
    assert event_figures[name] == near(reference["psds_eval"]), "with every threshold that matters"
    assert event_figures[name] == pytest.approx(reference["psds_eval_50"], abs=0.02)


def test_every_figure_has_an_interval(scene_figures, event_figures):
    for figures in (scene_figures, event_figures):
        assert figures["interval_method"] | {"recordings": 0} == Bootstrap().method(0)
        for key, value in figures.items():
            if key not in ("clips", "tool", "intervals", "interval_method"):
                _require_intervals(value, figures["intervals"][key])
    assert scene_figures["interval_method"]["recordings"] == 36
    assert event_figures["interval_method"]["recordings"] == 24


def _require_intervals(value, interval):
    if isinstance(value, dict):
        for key in set(value) - {"clips"}:
            _require_intervals(value[key], interval[key])
    else:
        assert interval[0] <= interval[1]
        assert interval[0] - 0.05 <= value <= interval[1] + 0.05


def test_merging_joins_what_overlaps_or_touches():
    events = [Event(2, 3, "Dog"), Event(1, 2, "Dog"), Event(1.5, 1.7, "Dog"), Event(2, 4, "Cat"), Event(5, 5, "Cat")]
    assert merge(events) == [Event(1, 3, "Dog"), Event(2, 4, "Cat")]


def test_one_class_alone_has_both_scores():
    """No class to be confused with: the cross-triggers of PSDS2 cost nothing."""
    grid = Grid.over(LogMelSettings(), 1000, 4)
    truth = [[Event(1.0, 3.0, "Dog")], [], [Event(4.0, 8.0, "Dog")]]
    strong = np.stack(
        [grid.targets(events, ["Alarm_bell_ringing", "Blender", "Cat", "Dishes", "Dog"]) for events in truth]
    )
    strong = np.pad(strong, ((0, 0), (0, 0), (0, 5)))
    strong[1, 40:50, 4] = 0.9
    figures = event_metrics(strong, strong.max(axis=1), truth, grid, DecodeSettings(), DCASE.events)
    assert figures["event_f1_per_class"] == {"Dog": pytest.approx(0.8)}
    assert figures["psds1"] == figures["psds2"] == pytest.approx(1.0)
