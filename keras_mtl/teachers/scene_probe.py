"""Scenes from a teacher's embeddings: logistic regression, cross-fitted by recording.

A model that saw a recording is surer of its clips than it has any right to be, and a student of such logits learns the
recordings by heart. So the recordings are dealt into folds, and the logits of a clip come from a model fitted without
the folds of every recording that can be heard in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_mtl.core import DataError
from keras_mtl.features import AnyLogMel
from keras_mtl.teachers.folds import Arrays, deal, kept

#: Clips that a model is fitted on at most, drawn by the seed.
MOST_CLIPS = 8000
_STEPS = 300


@dataclass(frozen=True)
class SceneProbe:
    """Logistic regressions on standardised embeddings, one for each set of folds left out; fitted when asked for.

    Attributes:
        embeddings: float32 [n, D], what they are fitted on.
        scenes: int [n].
        fold: of each clip, int [n].
        folds: the fold of each recording.
        scene_count: number of scenes.
        seed: of the draws.
        c: inverse of the regularisation.
        home: folder that fitted models are kept in, or None. Its path must stand for all of the above.
    """

    embeddings: np.ndarray = field(repr=False)
    scenes: np.ndarray = field(repr=False)
    fold: np.ndarray = field(repr=False)
    folds: dict[str, int] = field(repr=False)
    scene_count: int
    seed: int
    c: float
    home: Path | None
    _models: dict[tuple[int, ...], Arrays] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def fit(
        cls,
        embeddings: AnyLogMel,
        scenes: np.ndarray,
        recordings: Sequence[str],
        scene_count: int,
        seed: int,
        c: float = 0.01,
        folds: int = 4,
        home: Path | None = None,
    ) -> SceneProbe:
        """A probe of the training clips.

        Args:
            embeddings: float [n, D], or [n, windows, D], whose mean over the windows is taken.
            scenes: int [n].
            recordings: that each clip was cut from, str [n].
            scene_count: number of scenes.
            seed: of the folds, and of the draw where there are more than `MOST_CLIPS`.
            c: inverse of the regularisation.
            folds: how many.
            home: a folder to keep fitted models in; its path must stand for all other arguments.

        Raises:
            DataError: there are fewer recordings than folds.
        """
        fold_of = deal(recordings, [int(scene) for scene in scenes], folds, seed)
        if len(fold_of) < folds:
            hint = f"{folds} are needed; set [probe] folds in the teacher's TOML"
            raise DataError(f"a probe for scenes can't be cross-fitted on {len(fold_of)} recordings", hint=hint)
        fold = np.asarray([fold_of[name] for name in recordings])
        return cls(mean_of_windows(embeddings), np.asarray(scenes), fold, fold_of, scene_count, seed, c, home)

    def logits(self, embeddings: AnyLogMel, recordings: Sequence[tuple[str, ...]]) -> np.ndarray:
        """Logits of clips by models that saw none of their recordings.

        Args:
            embeddings: as of `fit`.
            recordings: of each clip, those of the training clips that are heard in it: one of a training clip and its
                augmented copies, two of a mix. Of a clip with none it is the mean over the models of all folds.

        Returns:
            float32 [n, scenes].

        Raises:
            DataError: the recordings of a clip are in all folds.
        """
        rows = mean_of_windows(embeddings)
        out = np.empty((len(rows), self.scene_count), np.float32)
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, names in enumerate(recordings):
            groups.setdefault(tuple(sorted({self.folds[name] for name in names if name in self.folds})), []).append(
                place
            )
        count = int(self.fold.max()) + 1
        for without, places in groups.items():
            left_out = [without] if without else [(fold,) for fold in range(count)]
            out[places] = np.mean([self._apply(rows[places], each) for each in left_out], axis=0)
        return out

    def of_all(self, embeddings: AnyLogMel) -> np.ndarray:
        """Logits of clips that are none of the training's, by the model fitted on all folds: float32 [n, scenes]."""
        return self._apply(mean_of_windows(embeddings), ())

    def _apply(self, rows: np.ndarray, without: tuple[int, ...]) -> np.ndarray:
        if without not in self._models:
            name = "-".join(map(str, without)) or "none"
            path = self.home / f"scenes-without-{name}.npz" if self.home is not None else None
            self._models[without] = kept(path, lambda: self._fitted(without))
        model = self._models[without]
        return np.asarray(rows @ model["weights"] + model["bias"], np.float32)

    def _fitted(self, without: tuple[int, ...]) -> Arrays:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        chosen = np.flatnonzero(~np.isin(self.fold, without))
        if len(chosen) > MOST_CLIPS:
            random = np.random.default_rng((self.seed, 12))
            chosen = np.sort(random.choice(chosen, MOST_CLIPS, replace=False))
        there = np.unique(self.scenes[chosen])
        if len(there) < 2:
            hint = "more recordings, or more [probe] folds in the teacher's TOML"
            raise DataError("a probe for scenes would be fitted on less than two scenes", hint=hint)
        rows = self.embeddings[chosen]
        mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-6
        regression = LogisticRegression(C=self.c, max_iter=_STEPS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit((rows - mean) / deviation, self.scenes[chosen])
        weights, bias = regression.coef_.T, regression.intercept_
        if len(there) == 2:  # of two classes it keeps the difference alone
            weights, bias = weights * (-0.5, 0.5), bias * (-0.5, 0.5)
        # A scene whose recordings are all left out has the mean of the others: nothing is known of it.
        full_weights = np.tile(weights.mean(axis=1, keepdims=True), self.scene_count)
        full_bias = np.full(self.scene_count, bias.mean())
        full_weights[:, there], full_bias[there] = weights, bias
        full_weights /= deviation[:, None]
        full_bias -= mean @ full_weights
        return {"weights": full_weights.astype(np.float32), "bias": full_bias.astype(np.float32)}


def mean_of_windows(embeddings: AnyLogMel) -> np.ndarray:
    """float32 [n, D] of [n, D] or [n, windows, D], a row after the other."""
    if len(embeddings.shape) == 2:
        return np.asarray(embeddings, np.float32)
    means = [np.asarray(row, np.float32).mean(axis=0) for row in embeddings]
    return np.stack(means) if means else np.zeros((0, embeddings.shape[-1]), np.float32)
