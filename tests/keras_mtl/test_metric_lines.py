"""The figures as lines for people: with intervals, without, and of runs that have fewer figures."""

import numpy as np

from keras_mtl.cli.options import metric_lines
from keras_mtl.metrics import Bootstrap
from keras_mtl.metrics.scenes import scene_metrics

SCENES = {"accuracy": 0.366, "macro_accuracy": 0.35, "log_loss": 1.8, "per_device": {"a": 0.4}, "clips": 880}
EVENTS = {"event_f1_macro": 0.19, "psds1": 0.09, "psds2": 0.2, "weak_f1_macro": 0.5, "clips": 200, "tool": "some tool"}


def test_figures_with_intervals():
    intervals = {"accuracy": [0.331, 0.402], "macro_accuracy": [0.3, 0.4], "log_loss": None}
    unseen = {"accuracy": 0.3, "macro_accuracy": 0.3, "log_loss": 2.0, "clips": 5}
    lines = metric_lines({"scenes": {**SCENES, "intervals": intervals, "unseen_devices": unseen}})
    assert lines[0].startswith(
        "scenes   accuracy 0.366 [0.33, 0.40]   macro 0.350 [0.30, 0.40]   log loss 1.800   (880"
    )
    assert lines[1:] == ["  devices    unseen 0.300", "  by device  a 0.400"]


def test_recordings_of_no_known_device_have_no_figures_by_device():
    """As of a folder of own sounds: no line, and neither seen nor unseen."""
    scenes, logits = np.asarray([0, 1, 1]), np.asarray([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    lines = {}
    for devices in (["", "", ""], ["", "mine", "yours"]):
        found = scene_metrics(logits, scenes, np.asarray(devices), ("bus", "park"), ("mine",), bootstrap=Bootstrap(9))
        lines[devices[1]] = metric_lines({"scenes": found})
        known = {each for each in devices if each}
        for figures in (found, found["intervals"]):
            assert {*figures["per_device"]} == {*figures["per_device_log_loss"]} == known
            assert ("seen_devices" in figures, "unseen_devices" in figures) == (bool(known), bool(known))
    assert len(lines[""]) == 1
    assert lines["mine"][1:] == ["  devices    seen 1.000  unseen 0.000", "  by device  mine 1.000  yours 0.000"]
    assert lines[""] == lines["mine"][:1]


def test_figures_without_intervals_as_older_runs_have_them():
    lines = metric_lines({"scenes": SCENES, "events": EVENTS})
    assert lines == [
        "scenes   accuracy 0.366   macro 0.350   log loss 1.800   (880 clips)",
        "  by device  a 0.400",
        "events   event F1 0.190   PSDS1 0.090   PSDS2 0.200   (200 clips, some tool)",
        "         weak F1 0.500",
    ]
