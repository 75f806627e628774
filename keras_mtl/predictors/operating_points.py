"""Operating points of what a user names, a run folder or an artifact: its held-out clips, and where the choice goes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_mtl.core import ArtifactError, DataError, RunError, files, read
from keras_mtl.datasets import STRONG, Corpus
from keras_mtl.decoding import DecodeSettings, Grid
from keras_mtl.inference import Predictor
from keras_mtl.predictors.opening import artifact_predictor, open_for_scoring, open_predictor
from keras_mtl.recipes import to_toml
from keras_mtl.runs import Run
from keras_mtl.tflite.artifact import Artifact, is_folder
from keras_mtl.training import hold_out_events
from keras_mtl.tuning import Tracks

_CLIPS_AT_A_TIME = 64
_RECIPE, _INFO = "recipe.toml", "run.json"
#: What a tuned copy of a run has no use for: they are of the training, which ended with other settings.
_NOT_COPIED = ("checkpoints", "tensorboard")


@dataclass(frozen=True)
class Tunable:
    """A run or an artifact whose operating points can be chosen.

    Attributes:
        path: what was named.
        model: the run or the artifact.
        engine: the interpreter of an artifact.
    """

    path: Path
    model: Run | Artifact
    engine: str = "litert"

    @classmethod
    def open(cls, path: Path, engine: str = "litert") -> Tunable:
        """Opens a run folder, the `.keras` file of one, or an artifact.

        Raises:
            RunError, ArtifactError: it is neither, can't be read, or has no events.
        """
        if path.suffix == ".tflite" or is_folder(path):
            artifact = Artifact.load(path)
            if not artifact.facts.labels.events or artifact.facts.part not in ("events", "joint"):
                raise ArtifactError(f"{path} has no events, so there is nothing to tune", hint="name one with events")
            return cls(path, artifact, engine)
        path = path.parent if path.suffix == ".keras" else path
        run = Run.load(path)
        if not run.labels.events:
            raise RunError(f"{path} has no events, so there is nothing to tune", hint="name a run with events")
        return cls(path, run, engine)

    @cached_property
    def predictor(self) -> Predictor:
        """Its predictor."""
        if isinstance(self.model, Artifact):
            return artifact_predictor(self.model, self.engine, str(self.path))
        return open_predictor(self.path)

    @property
    def streaming(self) -> Predictor | Artifact:
        """What takes recordings: a streaming artifact itself, else the predictor."""
        return self.model if isinstance(self.model, Artifact) and self.model.streams else self.predictor

    @property
    def decoding(self) -> DecodeSettings:
        """How it decodes now."""
        return self.model.facts.decoding if isinstance(self.model, Artifact) else self.model.recipe.decode

    @property
    def untuned(self) -> DecodeSettings:
        """How it decoded before it was ever tuned: where every search starts, so that a second one finds the same."""
        before = self._tuning.get("decode_before")
        if before is None:
            return self.decoding
        error = ArtifactError if isinstance(self.model, Artifact) else RunError
        return read(DecodeSettings, before, f"{self.path}: tuning.decode_before", error)

    @property
    def longest_median_s(self) -> float:
        """The longest median filter that it can have, in seconds: of a stream what its ring holds."""
        longest_s = self.predictor.data.event_clip_s
        if isinstance(self.model, Artifact) and self.model.streams and self.model.wiring.event_ring:
            longest_s = min(longest_s, self.model.wiring.event_ring * self.model.step_s)
        return longest_s

    def held_out(self, data: str, cache: Path) -> Tracks:
        """Frame probabilities of the clips that the training held out; no clip of an evaluation split is read.

        Args:
            data: the data that it was trained on, as of `open_corpus`.
            cache: the folder that `--cache` of the commands names.

        Raises:
            DataError: other data, the training held out nothing, or the data have no strong clips.
        """
        return self.held_out_of(open_for_scoring(self.predictor, data, cache), cache)

    def held_out_of(self, corpus: Corpus, cache: Path) -> Tracks:
        """The same of data that are open already."""
        fraction, seed, fingerprint = self._split()
        if fingerprint != corpus.fingerprint:
            raise DataError(
                f"{corpus.name} ({corpus.fingerprint[:12]}) is not what {self.path} was trained on "
                f"({str(fingerprint)[:12]}), so what its training held out is not known",
                hint="give the --data of the training",
            )
        if corpus.events.keys().isdisjoint(STRONG):
            raise DataError(f"{corpus.name} has no strongly labelled event clips to tune by", hint="see docs/data.md")
        predictor = self.predictor
        _, clips = hold_out_events(corpus, predictor.settings, cache, fraction, seed)
        if clips is None:
            raise DataError(
                f"the training of {self.path} held out no event clips (train.validation_fraction = {fraction:g})",
                hint="train with --set validation_fraction=0.1 or more; an evaluation split is no place to tune",
            )
        assert predictor.event_probabilities is not None
        found = []
        with tqdm(total=len(clips), desc="held out", unit="clip", file=sys.stderr, disable=None) as bar:
            for first in range(0, len(clips), _CLIPS_AT_A_TIME):
                strong, _ = predictor.event_probabilities(clips.log_mel[first : first + _CLIPS_AT_A_TIME])
                found.append(strong)
                bar.update(len(strong))
        strong = np.concatenate(found)
        grid = Grid.over(predictor.settings, clips.log_mel.shape[1], predictor.frames_per_embedding, strong.shape[1])
        return Tracks(list(strong), [grid] * len(strong), predictor.labels.events, clips.events)

    def write(self, decoding: DecodeSettings, how: Mapping[str, Any], out: Path | None = None) -> Path:
        """Writes settings into a copy, or in place.

        Figures of events in a run's `run.json` and an artifact's manifest are of the settings before: they go to
        `tuning.metrics_before`, and `keras_mtl evaluate` gives new ones.

        Args:
            decoding: the settings.
            how: what `tuning` says of them.
            out: the folder (of an artifact of one file the file) to write; None writes in place.

        Returns:
            What was written.

        Raises:
            RunError, ArtifactError: `out` is in use, or can't be written to.
        """
        metrics, before = self._metrics()
        record = {"tuning": {**how, "decode_before": asdict(self.untuned), "metrics_before": before}}
        if isinstance(self.model, Artifact):
            made = self.model.with_facts({"decoding": asdict(decoding), "metrics": metrics, **record})
            return made.save(out) if out is not None else made.save_facts(self.path)
        info = {**self.model.info, "metrics": metrics or {}, **record}
        recipe = to_toml(replace(self.model.recipe, decode=decoding))
        if out is None:
            # In this order, a second attempt after an interrupt still knows how it was before.
            files.write_json(self.path / _INFO, info)
            files.write_text(self.path / _RECIPE, recipe)
            return self.path
        try:
            with files.new_folder(out) as folder:
                ignored = shutil.ignore_patterns(*_NOT_COPIED)
                shutil.copytree(self.path, folder, ignore=ignored, dirs_exist_ok=True)
                files.write_text(folder / _RECIPE, recipe)
                files.write_json(folder / _INFO, info)
        except FileExistsError:
            raise RunError(f"{out} holds something already", hint="name another folder") from None
        return out

    @property
    def _tuning(self) -> dict[str, Any]:
        found = self.model.facts.get("tuning") if isinstance(self.model, Artifact) else self.model.info.get("tuning")
        return found if isinstance(found, dict) else {}

    def _split(self) -> tuple[float, int, Any]:
        """The fraction that the training held out, the seed of its draw, and the fingerprint of its data."""
        if isinstance(self.model, Run):
            train = self.model.recipe.train
            return train.validation_fraction, train.seed, self.model.info["data"].get("fingerprint")
        facts = self.model.facts
        fraction, seed = (facts.get("recipe") or {}).get("validation_fraction"), facts.get("seed")
        if not isinstance(fraction, int | float) or not isinstance(seed, int):
            raise ArtifactError(
                f"the manifest of {self.path} does not say what its training held out",
                hint="convert the run again, or tune the run and convert it then",
            )
        return float(fraction), seed, (facts.get("data") or {}).get("fingerprint")

    def _metrics(self) -> tuple[dict[str, Any] | None, Any]:
        """The figures without those of events, and those: of the settings before the first tuning."""
        facts = self.model.facts.values if isinstance(self.model, Artifact) else self.model.info
        metrics, before = facts.get("metrics"), self._tuning.get("metrics_before")
        if not isinstance(metrics, dict):
            return None, before
        return {key: value for key, value in metrics.items() if key != "events"}, metrics.get("events", before)
