"""The teaching stage: a teacher's outputs for all clips, probes fitted on them, their figures, and a targets folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import DataError, RecipeError, files
from keras_mtl.datasets import STRONG
from keras_mtl.decoding import DecodeSettings, auto_medians
from keras_mtl.metrics import Bootstrap, event_metrics, scene_metrics
from keras_mtl.teachers.folder import TARGETS
from keras_mtl.teachers.opening import FileTeacher, by_recording, events_of, groups_of
from keras_mtl.teachers.scene_probe import mean_of_windows

SCHEMA = "keras_mtl.teach/1"
_TRAINING = {"scenes": ("train",), "events": (*STRONG, "weak", "unlabelled")}
_EVENT_FIGURES = ("event_f1_macro", "psds1", "psds2")


def teach(teacher: FileTeacher, decoding: DecodeSettings, out: Path | None = None) -> dict[str, Any]:
    """Runs a teacher on the training and evaluation clips of its corpus, and fits and scores probes.

    Args:
        teacher: the teacher, with its corpus.
        decoding: how the events of the probe are decoded for its figures.
        out: a folder to write: `targets.npz` of the training clips, and `teach.json`, the returned document.

    Returns:
        The document `keras_mtl.teach/1`.

    Raises:
        RecipeError: `out` holds something.
        DataError: the corpus has no training clips, or too few; or two clips of one name.
        EngineError: the model can't be used, or its process died.
    """
    if out is not None and not files.is_free(out):
        raise RecipeError(f"{out} holds something", hint="name a new folder")
    corpus, settings = teacher.corpus, teacher.settings
    figures: dict[str, Any] = {}
    if teacher.scene_probe is not None:
        figures["scenes"] = _scene_figures(teacher)
    if teacher.event_probe is not None:
        figures["events"] = _event_figures(teacher, decoding)
    if not figures:
        raise DataError(f"{corpus.name}: no clips to train on", hint="see docs/data.md")
    splits = corpus.scenes | corpus.events
    training = [splits[name] for names in _TRAINING.values() for name in names if name in splits]
    heard = {clips.name: len(teacher.hear(clips)) for clips in training}
    described = {key: value for key, value in settings.to_dict().items() if key != "model"}
    document = {
        "schema": SCHEMA,
        "teacher": {"model": settings.name, "digest": settings.digest, **described},
        "data": corpus.stamp,
        "labels": corpus.labels.to_dict(),
        "seed": teacher.seed,
        "clips": heard,
        "figures": figures,
    }
    if out is not None:
        with files.new_folder(out) as folder:
            with files.new_file(folder / TARGETS) as file:
                np.savez(file, **_arrays(teacher))
            files.write_json(folder / "teach.json", document)
    return document


def _scene_figures(teacher: FileTeacher) -> dict[str, Any]:
    probe, corpus = teacher.scene_probe, teacher.corpus
    assert probe is not None
    heard = teacher.hear(corpus.scenes["train"])
    truth = np.asarray([row["scene"] for row in heard.labels])
    logits = probe.logits(heard.embeddings, [(row["recording"],) for row in heard.labels])
    figures: dict[str, Any] = {
        "folds_by": "recording",
        "clips": len(heard),
        "cross_fitted_accuracy": float((logits.argmax(axis=1) == truth).mean()),
        "accuracy": None,
        "evaluation_clips": 0,
    }
    if "test" in corpus.scenes:
        held = teacher.hear(corpus.scenes["test"])
        scenes, devices, recordings = (
            np.asarray([row[key] for row in held.labels]) for key in ("scene", "device", "recording")
        )
        logits = probe.of_all(held.embeddings)
        scored = scene_metrics(logits, scenes, devices, corpus.labels.scenes, (), recordings, Bootstrap(0))
        figures |= {"accuracy": scored["accuracy"], "log_loss": scored["log_loss"], "evaluation_clips": len(held)}
    return figures


def _event_figures(teacher: FileTeacher, decoding: DecodeSettings) -> dict[str, Any]:
    probe, corpus, names = teacher.event_probe, teacher.corpus, teacher.corpus.labels.events
    assert probe is not None
    heard = teacher.strong
    decoding.require_classes(names)
    decoding = decoding.resolved(auto_medians(events_of(heard.labels, names), names))
    folds_by = "recording" if by_recording(heard.labels) else "clip"
    figures: dict[str, Any] = {"folds_by": folds_by, "clips": len(heard), "evaluation_clips": 0}

    def scored(strong: np.ndarray, rows: list[dict[str, Any]]) -> dict[str, Any]:
        grid, truth = teacher.grid(strong.shape[1]), events_of(rows, names)
        found = event_metrics(strong, strong.max(axis=1), truth, grid, decoding, names, bootstrap=Bootstrap(0))
        return {name: found[name] for name in _EVENT_FIGURES}

    cross_fitted = probe.probabilities(heard.embeddings, groups_of(heard.labels))
    figures |= {f"cross_fitted_{name}": value for name, value in scored(cross_fitted, heard.labels).items()}
    if "validation" in corpus.events:
        held = teacher.hear(corpus.events["validation"])
        figures |= scored(probe.of_all(held.embeddings), held.labels) | {"evaluation_clips": len(held)}
    return figures


def _arrays(teacher: FileTeacher) -> dict[str, np.ndarray]:
    """What `targets.npz` holds: of all training clips; of a clip that lies in several splits, the first one's."""
    corpus = teacher.corpus
    columns: dict[str, list[np.ndarray]] = {}
    seen: dict[str, bytes] = {}
    for task, names in _TRAINING.items():
        of_task = corpus.scenes if task == "scenes" else corpus.events
        for name in (name for name in names if name in of_task):
            heard, found = teacher.hear(of_task[name]), teacher.targets(of_task[name])
            means = mean_of_windows(heard.embeddings).astype(np.float16)
            fresh = []
            for place, clip in enumerate(found.filenames.tolist()):
                content = means[place].tobytes()
                if clip not in seen:
                    seen[clip] = content
                    fresh.append(place)
                elif seen[clip] != content:
                    raise DataError(f"{corpus.name}: {clip} names two clips", hint="rename one of them")
            _append(columns, "filename", found.filenames[fresh])
            _append(columns, "embedding", means[fresh])
            for key, kind in (("tags", np.float16), ("scenes", np.float32)):
                array = getattr(found, key)
                if array is not None:
                    _append(columns, key, array[fresh].astype(kind))
            if found.events is not None:
                _append(columns, "events_filename", found.filenames[fresh])
                _append(columns, "events", found.events[fresh].astype(np.float16))
    arrays = {key: np.concatenate(parts) for key, parts in columns.items()}
    hop_s = teacher.settings.hop / teacher.settings.sample_rate_hz
    return arrays | ({"hop_s": np.asarray(hop_s)} if "events" in arrays else {})


def _append(columns: dict[str, list[np.ndarray]], key: str, rows: np.ndarray) -> None:
    columns.setdefault(key, []).append(rows)
