"""The clips that sensitivities are measured on, and those that ranges are calibrated on, for each part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_mtl.core import ConversionError, DataError, RunError
from keras_mtl.features import event_set, normalise, scene_set
from keras_mtl.runs import Run
from keras_mtl.tflite.quantize import event_calibration
from keras_mtl.training import load_training_data

if TYPE_CHECKING:
    from keras_mtl.datasets import Corpus

PARTS = ("scenes", "events")
#: Clips that are heard where nothing else is said: 500 and 400 seconds.
CLIPS = {"scenes": 500, "events": 40}


@dataclass(frozen=True)
class EvaluationClips:
    """Clips of the evaluation split, and training clips.

    Attributes:
        clips: normalised log-mel, float32 [n, frames, mel_bands], evenly spaced over the split.
        scenes: their scenes, int [n]; None for events.
        of_split: how many clips the split has.
        calibration: normalised log-mel of training clips.
    """

    clips: np.ndarray
    scenes: np.ndarray | None
    of_split: int
    calibration: np.ndarray


def evaluation_clips(run: Run, corpus: Corpus, cache: Path, part: str, most: int) -> EvaluationClips:
    """Takes the clips of a part.

    Args:
        run: the float run.
        corpus: has the clips.
        cache: where log-mel features are kept.
        part: "scenes" or "events".
        most: of the evaluation split; 0 for all.

    Raises:
        RunError: the run is a quantized one.
        ConversionError: it was not trained on that task.
        DataError: the corpus has no evaluation clips of that task.
    """
    _require(run, corpus, part)
    if part == "scenes":
        scenes = scene_set(corpus, "test", run.settings, cache)
        some = scenes.take(_evenly(len(scenes), most))
        clips = normalise(some.levels[: len(some)], run.settings)
        return EvaluationClips(clips, some.scenes, len(scenes), run.samples().calibration)
    events = event_set(corpus, "validation", run.settings, cache)
    clips = normalise(events.levels[_evenly(len(events), most)], run.settings)
    training = load_training_data(replace(run.recipe, features=run.settings), corpus, {"events"}, cache)
    calibration = event_calibration(training.events["strong"], run.settings)
    return EvaluationClips(clips, None, len(events), calibration)


def _evenly(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(most or count, count)).astype(int))


def _require(run: Run, corpus: Corpus, part: str) -> None:
    if run.info["stage"] != "float":
        raise RunError(f"{run.path} is quantized already", hint="name the float run that it was made of")
    if part not in run.info["tasks"]:
        raise ConversionError(
            f"{run.path} was not trained on {part}, so that part can't be measured",
            hint=f"it was trained on {' and '.join(run.info['tasks'])}",
        )
    if ("test" not in corpus.scenes) if part == "scenes" else ("validation" not in corpus.events):
        raise DataError(f"{corpus.name}: no evaluation split for {part}", hint="see docs/data.md")
