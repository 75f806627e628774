"""The stage from a float run folder to what each of its layers costs when it is quantized."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_mtl.runs import Run
from keras_mtl.tflite.qat import build_qat, calibrate
from keras_mtl.tflite.sensitivity.measure import Cost, Sensitivity, costs, decibels, sensitivity
from keras_mtl.tflite.sensitivity.mixed_precision import Proposal, live_tensors, propose
from keras_mtl.tflite.sensitivity.partial_quantization import Part
from keras_mtl.tflite.sensitivity.probes import EventProbe, Probe, SceneProbe

if TYPE_CHECKING:
    from keras_mtl.datasets import Corpus
from typing import TYPE_CHECKING

from keras_mtl.core import ConversionError, DataError, RunError
from keras_mtl.features import event_set, normalise, scene_set
from keras_mtl.tflite.quantize import event_calibration
from keras_mtl.training import load_training_data

SCHEMA = "keras_mtl.sensitivity/1"
Report = Callable[[str, int, int], None]
PARTS = ("scenes", "events")
#: Clips that are measured by default: 500 and, of clips of ten seconds, 400 seconds.
CLIPS = {"scenes": 500, "events": 40}


@dataclass(frozen=True)
class Measured:
    """What was measured on a run, and what is proposed.

    Attributes:
        run: the folder.
        data: the data's name and fingerprint.
        part: "scenes" or "events".
        of_split: how many clips the evaluation split has.
        costs: of each part.
        target: name of the target; None without one.
        proposal: None without a target.
        checked: noise at the output measured on the int8 twin: as it is, with the proposal's 16-bit activations
            unrounded, and with those of its split. None where there is no such thing.
    """

    run: str
    data: dict[str, str]
    part: str
    of_split: int
    costs: Sensitivity
    target: str | None = None
    proposal: Proposal | None = None
    checked: tuple[float | None, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As `keras_mtl.sensitivity/1`."""
        found = self.costs
        return {
            "schema": SCHEMA,
            "run": self.run,
            "data": self.data,
            "part": self.part,
            "scheme": found.scheme,
            "clips": found.clips,
            "evaluation_clips": self.of_split,
            "float_accuracy": found.accuracy,
            "all_layers": _of_cost(found.everything, found.accuracy),
            "layers": [
                {
                    "name": row.part.name,
                    "kind": row.part.kind,
                    "activations_output_snr_db": decibels(row.activations_noise),
                    **_of_cost(row.cost, found.accuracy),
                }
                for row in found.parts
            ],
            "proposal": self.proposal and _of_proposal(self.target, self.proposal, self.checked),
        }


def measure_run(
    run: Run,
    scheme: str,
    corpus: Corpus,
    cache: Path,
    part: str = "scenes",
    most_clips: int = 0,
    target: tuple[str, int] | None = None,
    report: Report = lambda scheme, done, of: None,
) -> Measured:
    """Measures what each layer of a part of a run's network costs when it alone is quantized.

    Args:
        run: the float run. The scene part's ranges are calibrated on its samples, the event part's on training clips.
        scheme: "int8" or "int16x8"; of the event part's encoder. Its cells are those of int16x8, as by default.
        corpus: has the evaluation clips.
        cache: where log-mel features are kept.
        part: "scenes" or "events".
        most_clips: of the evaluation split, evenly spaced; 0 for all.
        target: for scenes, a target's name and the bytes it has for the arena, to propose a mix of int8 and int16 for.
            Its parts' noise is that of int8, which is measured too where the scheme is another.
        report: called with the scheme, how many clips are done, and of how many.

    Raises:
        RunError: the run is a quantized one.
        ConversionError: it was not trained on that task, or has a layer that can't be quantized.
        DataError: the corpus has no clips of that task.
    """
    chosen, network = evaluation_clips(run, corpus, cache, part, most_clips), run.network()

    def measured(scheme: str) -> tuple[Probe, Sensitivity]:
        probe = _probe(network, part, scheme, chosen.calibration)
        found = sensitivity(probe, scheme, chosen.clips, chosen.scenes, lambda done, of: report(scheme, done, of))
        return probe, found

    probe, found = measured(scheme)
    result = Measured(str(run.path), corpus.stamp, part, chosen.of_split, found)
    if target is None:
        return result
    eight, basis = (probe, found) if scheme == "int8" else measured("int8")
    assert isinstance(eight, SceneProbe), "a mix is proposed for the scene part only"
    name, limit_bytes = target
    proposal = propose(basis, live_tensors(eight.twin), limit_bytes)
    split_wide = None if proposal.split is None else proposal.split.wide
    mixes = [proposal.wide if proposal.fits else None, split_wide]
    choices = [_rounding(eight.parts, wide) for wide in mixes if wide is not None]
    rest = iter(costs(eight, choices, chosen.clips, chosen.scenes)[1:])
    checked = [None if wide is None else next(rest).output_noise for wide in mixes]
    return replace(result, target=name, proposal=proposal, checked=(basis.everything.output_noise, *checked))


def _probe(network: keras.Model, part: str, scheme: str, calibration: np.ndarray) -> Probe:
    twin = build_qat(network, scheme, [part], frames=calibration.shape[1])
    calibrate(twin, {part: calibration})
    return SceneProbe(twin) if part == "scenes" else EventProbe(twin)


def _rounding(parts: Sequence[Part], wide: Collection[str]) -> list[str]:
    """The layers that round if the activations of some parts do not."""
    every = [(part, layer) for part in parts for layer in part.layers]
    return [layer for part, layer in every if part.name not in wide or layer not in part.ranges]


def _of_cost(cost: Cost, float_accuracy: float | None) -> dict[str, Any]:
    known = cost.accuracy is not None and float_accuracy is not None
    return {
        "output_snr_db": decibels(cost.output_noise),
        "embeddings_snr_db": decibels(cost.embeddings_noise),
        "accuracy": cost.accuracy,
        "accuracy_change": cost.accuracy - float_accuracy if known else None,  # type: ignore[operator]
        "agreement": cost.agreement,
    }


def _of_proposal(target: str | None, proposal: Proposal, checked: Sequence[float | None]) -> dict[str, Any]:
    split = proposal.split
    int8, mixed, as_split = (None if noise is None else decibels(noise) for noise in checked)

    def estimated(noise: float, unrounded_snr_db: float | None) -> dict[str, float | None]:
        now, before = decibels(noise), decibels(proposal.before_noise)
        gain = now - before if now is not None and before is not None else None
        return {"estimated_snr_db": now, "estimated_snr_gain_db": gain, "unrounded_snr_db": unrounded_snr_db}

    return {
        "target": target,
        "is_estimate": True,
        "fits": proposal.fits,
        "limit_bytes": proposal.limit_bytes,
        "interpreter_reserve_bytes": proposal.reserve_bytes,
        "int8_activation_bytes": proposal.int8_activation_bytes,
        "int16_activation_bytes": proposal.int16_activation_bytes,
        "activation_bytes": proposal.activation_bytes,
        "int16_layers": list(proposal.wide),
        "int8_layers": list(proposal.left),
        "int8_snr_db": int8,
        **estimated(proposal.noise, mixed),
        "split": split
        and {
            "after": split.after,
            "first": split.first,
            "second": split.second,
            "activation_bytes": split.activation_bytes,
            "int16_layers": list(split.wide),
            **estimated(split.noise, as_split),
        },
    }


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
        clips = normalise(some.log_mel[: len(some)], run.settings)
        return EvaluationClips(clips, some.scenes, len(scenes), run.samples().calibration)
    events = event_set(corpus, "validation", run.settings, cache)
    clips = normalise(events.log_mel[_evenly(len(events), most)], run.settings)
    training = load_training_data(replace(run.recipe, features=run.settings), corpus, {"events"}, cache)
    calibration = event_calibration(training.events["strong"], run.settings)
    return EvaluationClips(clips, None, len(events), calibration)


def _evenly(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(most or count, count)).astype(int))


def require_float(run: Run) -> None:
    """Refuses a run that is quantized (RunError)."""
    if run.info["stage"] != "float":
        raise RunError(f"{run.path} is quantized already", hint="name the float run that it was made of")


def _require(run: Run, corpus: Corpus, part: str) -> None:
    require_float(run)
    if part not in run.info["tasks"]:
        raise ConversionError(
            f"{run.path} was not trained on {part}, so that part can't be measured",
            hint=f"it was trained on {' and '.join(run.info['tasks'])}",
        )
    if ("test" not in corpus.scenes) if part == "scenes" else ("validation" not in corpus.events):
        raise DataError(f"{corpus.name}: no evaluation split for {part}", hint="see docs/data.md")
