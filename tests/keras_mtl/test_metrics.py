"""The figures against independent references: scikit-learn, sed_eval, psds_eval."""

import numpy as np
import pandas as pd
import psds_eval
import pytest
import sed_eval
from dcase_util.containers import MetaDataContainer
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

from keras_mtl.core import DCASE, LogMelSettings
from keras_mtl.decoding import DecodeSettings, Event, Grid, decode, median_filter, median_steps
from keras_mtl.metrics.events import event_metrics, f1_of_counts, weak_counts
from keras_mtl.metrics.scenes import scene_metrics

GRID = Grid.over(LogMelSettings(), 1000, 4)


def test_scene_figures_are_scikit_learns():
    random = np.random.default_rng(0)
    scenes = random.integers(0, 10, 300)
    logits = random.normal(size=(300, 10)) + 1.5 * np.eye(10)[scenes]
    devices = np.asarray(["a", "b", "s1"])[random.integers(0, 3, 300)]
    figures = scene_metrics(logits, scenes, devices, DCASE.scenes, ("a", "b"))
    said = logits.argmax(axis=1)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert figures["accuracy"] == pytest.approx(accuracy_score(scenes, said))
    assert figures["macro_accuracy"] == pytest.approx(balanced_accuracy_score(scenes, said))
    assert figures["log_loss"] == pytest.approx(log_loss(scenes, probabilities, labels=range(10)))
    of_b = devices == "b"
    assert figures["per_device"]["b"] == pytest.approx(accuracy_score(scenes[of_b], said[of_b]))
    assert set(figures["per_class"]) == set(DCASE.scenes)


def test_hysteresis_reaches_the_figures():
    """An event whose probability sinks below the threshold in between, where true ones last through it."""
    truth = [Event(1.0, 5.0, DCASE.events[2])]
    strong = GRID.targets(truth, DCASE.events)[None] * np.float32(0.8)
    strong[0, 60:90] *= 0.5
    scores = [
        event_metrics(strong, strong.max(axis=1), [truth], GRID, DecodeSettings(hysteresis=hysteresis), DCASE.events)
        for hysteresis in (0.0, 0.2)
    ]
    assert [figures["event_f1_macro"] for figures in scores] == [0.0, 1.0]
    assert scores[0]["psds1"] == scores[1]["psds1"]  # over all thresholds, without hysteresis


def test_classes_are_scored_by_their_own_settings():
    """Two classes with the same probabilities: 0.4, with a pause of a second, in an event that lasts through it."""
    strong = np.zeros((1, GRID.count, len(DCASE.events)), np.float32)
    dog, cat = DCASE.events.index("Dog"), DCASE.events.index("Cat")
    strong[0, 50:100, [dog, cat]] = strong[0, 125:150, [dog, cat]] = 0.4
    edges = GRID.boundaries_s()
    truth = [[Event(edges[50], edges[150], label) for label in ("Dog", "Cat")]]

    def scores(**dog):
        settings = DecodeSettings(classes={"Dog": dog})
        return event_metrics(strong, strong.max(axis=1), truth, GRID, settings, DCASE.events)

    found = scores(threshold=0.3, gap_s=1.0)
    assert found["event_f1_per_class"] == found["weak_f1_per_class"] == {"Dog": 1.0, "Cat": 0.0}
    assert scores(threshold=0.3, gap_s=0.9)["event_f1_per_class"] == {"Dog": 0.0, "Cat": 0.0}
    assert scores(threshold=0.3, gap_s=1.0, shortest_s=4.1)["event_f1_per_class"] == {"Dog": 0.0, "Cat": 0.0}
    # PSDS has the median filter of each class, and no threshold and no gap.
    plain, filtered = scores()["psds1"], scores(median_s=8.0)["psds1"]
    assert plain == found["psds1"] > filtered


@pytest.fixture(scope="module")
def noisy_clips():
    """Forty clips with their true events and what a poor network says of them."""
    random = np.random.default_rng(5)
    truth, strong = [], []
    for _ in range(40):
        events = []
        for label in random.choice(len(DCASE.events), random.integers(1, 4), replace=False):
            onset = random.uniform(0, 8)
            events.append(
                Event(round(onset, 3), round(min(onset + random.uniform(0.3, 4), 10.0), 3), DCASE.events[label])
            )
        moved = [
            Event(e.onset_s + random.normal(0, 0.15), min(e.offset_s + random.normal(0, 0.2), 10.0), e.label)
            for e in events
        ]
        kept = [e for e in moved if random.random() < 0.8 and e.offset_s > e.onset_s]
        probabilities = GRID.targets([e for e in kept if e.onset_s >= 0], DCASE.events) * 0.7 + 0.25 * random.random(
            (250, 10)
        )
        truth.append(sorted(events))
        strong.append(probabilities)
    strong = np.stack(strong)
    return truth, strong, event_metrics(strong, strong.max(axis=1), truth, GRID, DecodeSettings(), DCASE.events)


def test_event_f1_is_sed_evals(noisy_clips):
    truth, strong, figures = noisy_clips
    reference = sed_eval.sound_event.EventBasedMetrics(
        event_label_list=list(DCASE.events), t_collar=0.2, percentage_of_length=0.2, event_matching_type="optimal"
    )
    for i, (events, probabilities) in enumerate(zip(truth, strong, strict=True)):
        estimated = [event for event, _ in decode(probabilities, GRID, DCASE.events)]
        rows = [
            MetaDataContainer(
                [{"filename": str(i), "onset": e.onset_s, "offset": e.offset_s, "event_label": e.label} for e in group]
            )
            for group in (events, estimated)
        ]
        reference.evaluate(*rows)
    by_class = reference.results_class_wise_metrics()
    for label, f1 in figures["event_f1_per_class"].items():
        assert f1 == pytest.approx(by_class[label]["f_measure"]["f_measure"], abs=1e-6)
    assert figures["event_f1_macro"] == pytest.approx(
        np.mean([by_class[label]["f_measure"]["f_measure"] for label in DCASE.events]), abs=1e-6
    )
    assert 0.2 < figures["event_f1_macro"] < 0.95


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of psds_eval, which was written for an older pandas and numpy
@pytest.mark.parametrize(
    ("name", "settings", "averages"),
    [
        ("psds1", {"dtc_threshold": 0.7, "gtc_threshold": 0.7, "cttc_threshold": 0.3}, {"alpha_ct": 0, "alpha_st": 1}),
        (
            "psds2",
            {"dtc_threshold": 0.1, "gtc_threshold": 0.1, "cttc_threshold": 0.3},
            {"alpha_ct": 0.5, "alpha_st": 1},
        ),
    ],
)
def test_psds_is_near_psds_evals(noisy_clips, name, settings, averages):
    """psds_eval samples 50 thresholds where sed_scores_eval takes all of them, and so reads a little lower."""
    truth, strong, figures = noisy_clips
    rows = [(str(i), *event) for i, events in enumerate(truth) for event in events]
    columns = ["filename", "onset", "offset", "event_label"]
    metadata = pd.DataFrame({"filename": [str(i) for i in range(len(truth))], "duration": 10.0})
    reference = psds_eval.PSDSEval(ground_truth=pd.DataFrame(rows, columns=columns), metadata=metadata, **settings)
    length = median_steps(0.45, GRID.step_s)
    for threshold in np.linspace(0.01, 0.99, 50):
        said = [
            (str(i), *event)
            for i, probabilities in enumerate(strong)
            for event, _ in decode(
                median_filter(probabilities, length), GRID, DCASE.events, DecodeSettings(threshold, median_s=0.04)
            )
        ]
        reference.add_operating_point(pd.DataFrame(said, columns=columns))
    expected = reference.psds(max_efpr=100, **averages).value
    assert 0.05 < expected < 1.0
    assert figures[name] == pytest.approx(expected, abs=0.02)


def test_classes_that_never_occur_are_left_out():
    truth = [[Event(1.0, 3.0, "Dog")], [Event(2.0, 4.0, "Speech")], []]
    strong = np.stack([GRID.targets(events, DCASE.events) for events in truth])
    strong[2, 50:100, DCASE.events.index("Frying")] = 1.0  # a false alarm of a class without any event
    figures = event_metrics(strong, strong.max(axis=1), truth, GRID, DecodeSettings(), DCASE.events)
    assert figures["event_f1_per_class"] == {"Dog": 1.0, "Speech": 1.0}
    assert figures["event_f1_macro"] == figures["weak_f1_macro"] == 1.0
    assert figures["psds1"] > 0.9
    silent = event_metrics(strong[2:], strong[2:].max(axis=1), [[]], GRID, DecodeSettings(), DCASE.events)
    assert (silent["event_f1_macro"], silent["psds1"], silent["psds2"], silent["event_f1_per_class"]) == (0, 0, 0, {})


def test_weak_f1_is_scikit_learns(noisy_clips):
    truth, _, _ = noisy_clips
    weak = np.random.default_rng(2).random((len(truth), 10))
    there = np.asarray([[label in {e.label for e in events} for label in DCASE.events] for events in truth])
    macro, _ = f1_of_counts(weak_counts(truth, weak, 0.5, DCASE.events).sum(axis=0))
    assert macro == pytest.approx(f1_score(there, weak > 0.5, average="macro"))
