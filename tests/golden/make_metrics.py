"""Makes the golden files of the metrics: predictions with every awkward case, and what independent tools say of them.

    python tests/golden/make_metrics.py [FOLDER]

The tools are scikit-learn, sed_eval, psds_eval and, for PSDS with exact thresholds, sed_scores_eval. Nothing of this
project is used but its class lists: decoding is written out here a second time. The same versions give the same bytes.
"""

from __future__ import annotations

import itertools
import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

from keras_mtl.core import DCASE

FOLDER = Path(__file__).parent / "metrics"
SCENE_SCALE, SCORE_SCALE = 16, 64  # what the stored integers are divided by
CLIPS, EMBEDDINGS, DURATION_S = 24, 250, 10.0
NEVER = "Blender"  # a class without events, but with false alarms
EDGES_S = np.clip(np.append(np.arange(EMBEDDINGS) * 0.04 - 0.005, DURATION_S), 0.0, DURATION_S)
MEDIAN_FRAMES = 11


def scene_data() -> tuple[np.ndarray, dict]:
    """Logits int8 [clips, scenes] and labels. The last scene never occurs, but is said; some logits tie."""
    random = np.random.default_rng(20)
    recordings = np.repeat(np.arange(36), 5)
    scenes = random.integers(0, len(DCASE.scenes) - 1, 36)[recordings]
    devices = np.asarray(["a", "b", "s1", "s4"])[random.integers(0, 4, 36)][recordings]
    logits = random.normal(size=(180, len(DCASE.scenes))) + 1.5 * np.eye(len(DCASE.scenes))[scenes]
    logits = np.rint(logits * SCENE_SCALE).astype(np.int8)
    logits[::20, :2] = logits[::20].max(axis=1, keepdims=True)
    labels = {"scenes": scenes, "devices": devices, "recordings": [f"r{i:02d}" for i in recordings]}
    return logits, {key: np.asarray(value).tolist() for key, value in labels.items()}


def event_data() -> tuple[np.ndarray, np.ndarray, list[list[tuple[float, float, str]]]]:
    """Frame scores uint8 [clips, embeddings, classes], clip scores uint8 [clips, classes], true events."""
    random = np.random.default_rng(21)
    truth, scores = [], []
    for clip in range(CLIPS):
        events, heard = [], []
        for label in random.choice([e for e in DCASE.events if e != NEVER], 0 if clip % 8 == 0 else 3, replace=False):
            onset = round(random.uniform(0, 8), 3)
            events.append((onset, round(min(onset + random.uniform(0.4, 4), DURATION_S), 3), str(label)))
        if clip == 1:
            events += [(0.0, 1.5, "Dog"), (8.25, DURATION_S, "Speech"), (0.0, DURATION_S, "Frying")]
        if clip == 2:  # overlapping, touching and nested events of one class
            events = [(1.0, 3.0, "Dog"), (2.0, 4.5, "Dog"), (6.0, 7.0, "Dog"), (7.0, 8.0, "Dog"), (6.2, 6.6, "Dog")]
            events += [(2.0, 9.0, "Speech"), (3.0, 4.0, "Speech")]
        if clip == 3:  # whole seconds, where segments end
            events = [(2.0, 3.0, "Cat"), (5.0, 7.0, "Dishes"), (6.995, 7.035, "Cat")]
        for onset, offset, label in events:
            if random.random() < 0.75:
                moved = np.clip([onset + random.normal(0, 0.08), offset + random.normal(0, 0.12)], 0.0, DURATION_S)
                heard.append((*moved, label))
        frames = np.cumsum(random.normal(0, 0.05, (EMBEDDINGS, len(DCASE.events))), axis=0) - 1.5
        for onset, offset, label in heard:
            frames[int(onset / 0.04) : int(offset / 0.04) + 1, DCASE.events.index(label)] += 2.6
        frames = np.rint(SCORE_SCALE / (1 + np.exp(-2 * frames)))
        if clip == 4:  # exactly the threshold: not above it
            frames[50:100, DCASE.events.index("Cat")] = SCORE_SCALE // 2
            frames[100:150, DCASE.events.index("Dog")] = SCORE_SCALE // 2 + 1
        if clip in (5, 8):  # false alarms: of the class without events, and in a clip without events
            frames[30:90, DCASE.events.index(NEVER)] = SCORE_SCALE - 4
        truth.append(sorted(events))
        scores.append(np.clip(frames, 0, SCORE_SCALE - 1).astype(np.uint8))
    strong = np.stack(scores)
    weak = strong.max(axis=1)
    weak[6, DCASE.events.index("Speech")] = SCORE_SCALE // 2
    return strong, weak, truth


def filtered(scores: np.ndarray) -> np.ndarray:
    """Median over time, zeros beyond the ends: [embeddings, classes]."""
    from scipy.ndimage import median_filter

    return median_filter(scores, size=(MEDIAN_FRAMES, 1), mode="constant", cval=0)


def decoded(scores: np.ndarray, threshold: float) -> list[tuple[float, float, str]]:
    """Events where the filtered scores [embeddings, classes] are above the threshold."""
    found = []
    for column, label in enumerate(DCASE.events):
        place = 0
        for active, run in itertools.groupby(scores[:, column] > threshold):
            length = len(list(run))
            if active:
                found.append((float(EDGES_S[place]), float(EDGES_S[place + length]), label))
            place += length
    return found


def merged(events: list[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Events of one class that overlap or touch as one, on a grid of milliseconds."""
    out = []
    for label in sorted({event[2] for event in events}):
        covered = np.zeros(round(DURATION_S * 1000), bool)
        for onset, offset, name in events:
            if name == label:
                covered[round(onset * 1000) : round(offset * 1000)] = True
        ends = np.flatnonzero(np.diff(np.concatenate([[0], covered, [0]])))
        out += [(on / 1000, off / 1000, label) for on, off in ends.reshape(-1, 2).tolist()]
    return out


def scene_references(logits: np.ndarray, labels: dict) -> dict:
    """By scikit-learn, for all clips and for those of each device, of each scene, of seen and unseen devices."""
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

    scenes, devices = np.asarray(labels["scenes"]), np.asarray(labels["devices"])
    values = logits.astype(float) / SCENE_SCALE
    probabilities = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    groups = {"all": devices == devices, "seen": devices != "s4", "unseen": devices == "s4"}
    groups |= {f"device {d}": devices == d for d in np.unique(devices)}
    groups |= {f"scene {DCASE.scenes[s]}": scenes == s for s in np.unique(scenes)}
    said = np.asarray([row.tolist().index(max(row)) for row in logits])
    return {
        name: {
            "accuracy": accuracy_score(scenes[chosen], said[chosen]),
            "macro_accuracy": balanced_accuracy_score(scenes[chosen], said[chosen]),
            "log_loss": log_loss(scenes[chosen], probabilities[chosen], labels=range(len(DCASE.scenes))),
            "clips": int(chosen.sum()),
        }
        for name, chosen in groups.items()
    }


def event_references(strong: np.ndarray, weak: np.ndarray, truth: list) -> dict:
    """By sed_eval (F1 of events and segments), scikit-learn (F1 of clips), psds_eval and sed_scores_eval (PSDS)."""
    import sed_eval
    from dcase_util.containers import MetaDataContainer
    from sklearn.metrics import f1_score

    smooth = [filtered(scores) for scores in strong]
    tools = {
        "event_f1_per_class": sed_eval.sound_event.EventBasedMetrics(
            event_label_list=list(DCASE.events), t_collar=0.2, percentage_of_length=0.2, event_matching_type="optimal"
        ),
        "segment_f1_per_class": sed_eval.sound_event.SegmentBasedMetrics(list(DCASE.events), time_resolution=1.0),
    }
    for i, (events, scores) in enumerate(zip(truth, smooth, strict=True)):
        groups = [
            MetaDataContainer([{"filename": str(i), "onset": a, "offset": b, "event_label": c} for a, b, c in group])
            for group in (events, decoded(scores, SCORE_SCALE / 2))
        ]
        tools["event_f1_per_class"].evaluate(*groups)
        tools["segment_f1_per_class"].evaluate(*groups, evaluated_length_seconds=DURATION_S)
    occurring = [label for label in DCASE.events if label != NEVER]
    out: dict = {}
    for name, tool in tools.items():
        by_class = tool.results_class_wise_metrics()
        f1 = {label: float(by_class[label]["f_measure"]["f_measure"]) for label in occurring}
        out[name] = {label: 0.0 if np.isnan(value) else value for label, value in f1.items()}
    there = np.asarray([[label in {event[2] for event in events} for label in DCASE.events] for events in truth])
    f1 = f1_score(there, weak > SCORE_SCALE / 2, average=None, zero_division=0.0)
    out["weak_f1_per_class"] = {label: f1[DCASE.events.index(label)] for label in occurring}
    for name in list(out):
        out[name.replace("per_class", "macro")] = float(np.mean(list(out[name].values())))
    return out | psds_references(smooth, [merged(events) for events in truth], occurring)


def psds_references(smooth: list[np.ndarray], truth: list, labels: list[str]) -> dict:
    """PSDS by psds_eval at 50 thresholds and at every threshold that matters, and by sed_scores_eval."""
    import pandas as pd
    import psds_eval
    from sed_scores_eval import intersection_based

    columns = [DCASE.events.index(label) for label in labels]
    names = [f"{i:02d}" for i in range(len(truth))]
    table = ["filename", "onset", "offset", "event_label"]
    rows = [(name, *event) for name, events in zip(names, truth, strict=True) for event in events]
    metadata = pd.DataFrame({"filename": names, "duration": DURATION_S})
    settings = {
        "psds1": ({"dtc_threshold": 0.7, "gtc_threshold": 0.7}, {"alpha_ct": 0.0, "alpha_st": 1.0}),
        "psds2": ({"dtc_threshold": 0.1, "gtc_threshold": 0.1}, {"alpha_ct": 0.5, "alpha_st": 1.0}),
    }
    thresholds = {"psds_eval": np.arange(SCORE_SCALE) + 0.5, "psds_eval_50": np.linspace(0.01, 0.99, 50) * SCORE_SCALE}
    out: dict = {}
    for name, (tolerances, costs) in settings.items():
        out[name] = {}
        for which, at in thresholds.items():
            reference = psds_eval.PSDSEval(
                ground_truth=pd.DataFrame(rows, columns=table), metadata=metadata, cttc_threshold=0.3, **tolerances
            )
            for threshold in at:
                said = [
                    (clip, *event)
                    for clip, scores in zip(names, smooth, strict=True)
                    for event in decoded(scores, threshold)
                    if event[2] in labels
                ]
                reference.add_operating_point(pd.DataFrame(said, columns=table))
            out[name][which] = float(reference.psds(max_efpr=100, **costs).value)
        frames = [
            pd.DataFrame(
                np.column_stack((EDGES_S[:-1], EDGES_S[1:], scores[:, columns] / SCORE_SCALE)),
                columns=["onset", "offset", *labels],
            )
            for scores in smooth
        ]
        value, *_ = intersection_based.psds(
            dict(zip(names, frames, strict=True)),
            dict(zip(names, truth, strict=True)),
            dict.fromkeys(names, DURATION_S),
            cttc_threshold=0.3 if costs["alpha_ct"] else None,
            max_efpr=100.0,
            num_jobs=1,
            **tolerances,
            **costs,
        )
        out[name]["sed_scores_eval"] = float(value)
    return out


def rounded(value: object) -> object:
    """Numbers to nine decimals, so that a sum's last bit does not change a file."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return round(float(value), 9) if isinstance(value, float) else value


def make(folder: Path) -> None:
    """Writes all files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    logits, labels = scene_data()
    strong, weak, truth = event_data()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of older packages about newer ones, and of classes that never occur
        reference = {
            "tools": {name: version(name) for name in ("scikit-learn", "sed_eval", "psds_eval", "sed_scores_eval")},
            "scenes": scene_references(logits, labels),
            "events": event_references(strong, weak, truth),
        }
    np.save(folder / "scene_logits.npy", logits)
    np.save(folder / "event_strong.npy", strong)
    np.save(folder / "event_weak.npy", weak)
    for name, document in (("labels", labels | {"events": truth}), ("reference", rounded(reference))):
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
