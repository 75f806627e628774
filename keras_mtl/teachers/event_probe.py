"""Events from a teacher's embeddings of windows: a small recurrent network, cross-fitted by recording or by clip."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_mtl.core import DataError
from keras_mtl.features import AnyLogMel
from keras_mtl.teachers.folds import Arrays, deal, kept

if TYPE_CHECKING:
    import keras

#: Clips that a network is fitted on at most, drawn by the seed.
MOST_CLIPS = 2000
_UNITS, _BATCH, _RATE, _DROPOUT = 64, 32, 2e-3, 0.3
_PREDICTED, _SAMPLE = 64, 200  # clips predicted at a time, and that the standardisation is measured on


@dataclass(frozen=True)
class EventProbe:
    """Dense 64, bidirectional GRU 64 and sigmoids, one for each fold left out; fitted when asked for.

    Attributes:
        embeddings: [n, windows, D], what they are fitted on.
        targets: float32 [n, windows, events].
        fold: of each clip, int [n].
        folds: the fold of each group.
        seed: of the draws.
        epochs: passes over the clips.
        home: folder that fitted weights are kept in, or None. Its path must stand for all of the above.
    """

    embeddings: AnyLogMel = field(repr=False)
    targets: np.ndarray = field(repr=False)
    fold: np.ndarray = field(repr=False)
    folds: dict[str, int] = field(repr=False)
    seed: int
    epochs: int
    home: Path | None
    _fits: dict[tuple[int, ...], Arrays] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def fit(
        cls,
        embeddings: AnyLogMel,
        targets: np.ndarray,
        groups: Sequence[str],
        seed: int,
        epochs: int = 25,
        folds: int = 4,
        home: Path | None = None,
    ) -> EventProbe:
        """A probe of the strongly labelled training clips.

        Args:
            embeddings: float [n, windows, D].
            targets: float32 [n, windows, events], 1 where the event is.
            groups: str [n]: clips of one group are left out together: the recordings, or the names of the clips.
            seed: of the folds, weights and batches.
            epochs: passes over the clips.
            folds: how many.
            home: a folder to keep fitted weights in; its path must stand for all other arguments.

        Raises:
            DataError: there are fewer groups than folds.
        """
        fold_of = deal(groups, [0] * len(groups), folds, seed)
        if len(fold_of) < folds:
            hint = f"{folds} are needed; set [probe] folds in the teacher's TOML"
            raise DataError(f"a probe for events can't be cross-fitted on {len(fold_of)} clips", hint=hint)
        return cls(embeddings, targets, np.asarray([fold_of[name] for name in groups]), fold_of, seed, epochs, home)

    def probabilities(self, embeddings: AnyLogMel, groups: Sequence[str]) -> np.ndarray:
        """Frame probabilities by networks that saw none of a clip's group.

        Args:
            embeddings: float [n, windows, D].
            groups: as of `fit`. Of a clip of no known group it is the mean over the networks of all folds.

        Returns:
            float32 [n, windows, events].
        """
        out = np.zeros((len(embeddings), embeddings.shape[1], self.targets.shape[-1]), np.float32)
        fold = np.asarray([self.folds.get(name, -1) for name in groups], int)
        count = int(self.fold.max()) + 1
        for each in range(count):
            mine = np.flatnonzero(fold == each)
            out[mine] = self._apply(embeddings, mine, (each,))
            unknown = np.flatnonzero(fold == -1)
            out[unknown] += self._apply(embeddings, unknown, (each,)) / count
        return out

    def of_all(self, embeddings: AnyLogMel) -> np.ndarray:
        """Frame probabilities of clips that are none of the training's, by the network fitted on all folds."""
        return self._apply(embeddings, np.arange(len(embeddings)), ())

    def _apply(self, embeddings: AnyLogMel, places: np.ndarray, without: tuple[int, ...]) -> np.ndarray:
        if not len(places):
            return np.zeros((0, embeddings.shape[1], self.targets.shape[-1]), np.float32)
        if without not in self._fits:
            name = "-".join(map(str, without)) or "none"
            path = self.home / f"events-without-{name}.npz" if self.home is not None else None
            self._fits[without] = kept(path, lambda: self._fitted(without))
        arrays, network = self._fits[without], self._network
        network.set_weights([arrays[name] for name in sorted(arrays) if name.startswith("weights")])
        parts = np.array_split(places, -(-len(places) // _PREDICTED))
        rows = ((_rows(embeddings, part) - arrays["mean"]) * arrays["scale"] for part in parts)
        return np.concatenate([network.predict_on_batch(each) for each in rows])

    @functools.cached_property
    def _network(self) -> keras.Model:
        """One for all folds, with the weights of one after the other: what TensorFlow makes of it is made once."""
        import keras

        network = _network(self.embeddings.shape[-1], self.targets.shape[-1], self.seed)
        network.compile(keras.optimizers.AdamW(_RATE), "binary_crossentropy", jit_compile=False)
        network.optimizer.build(network.trainable_variables)
        return network

    @functools.cached_property
    def _beginning(self) -> list[tuple[Any, np.ndarray]]:
        """All variables, those of dropout and optimiser, too, as they were made."""
        return [(each, np.array(each)) for each in (*self._network.variables, *self._network.optimizer.variables)]

    def _fitted(self, without: tuple[int, ...]) -> Arrays:
        network = self._network
        for variable, value in self._beginning:
            variable.assign(value)
        random = np.random.default_rng((self.seed, 13))
        chosen = np.flatnonzero(~np.isin(self.fold, without))
        if len(chosen) > MOST_CLIPS:
            chosen = np.sort(random.choice(chosen, MOST_CLIPS, replace=False))
        sample = _rows(self.embeddings, chosen[:: max(1, len(chosen) // _SAMPLE)])
        mean, scale = sample.mean(axis=(0, 1)), 1.0 / (sample.std(axis=(0, 1)) + 1e-3)
        steps, step = self.epochs * -(-len(chosen) // _BATCH), 0
        for _ in range(self.epochs):
            order = random.permutation(chosen)
            for first in range(0, len(order), _BATCH):
                batch = order[first : first + _BATCH]
                network.optimizer.learning_rate.assign(_RATE * 0.5 * (1.0 + np.cos(np.pi * step / steps)))
                network.train_on_batch((_rows(self.embeddings, batch) - mean) * scale, self.targets[batch])
                step += 1
        weights = {f"weights_{place:02d}": each for place, each in enumerate(network.get_weights())}
        return {"mean": mean, "scale": scale, **weights}


def _rows(embeddings: AnyLogMel, places: np.ndarray) -> np.ndarray:
    return np.asarray(embeddings[places], np.float32)


def _network(values: int, events: int, seed: int) -> keras.Model:
    """[windows, values] to [windows, events]; every weight and every dropout by the seed."""
    import keras
    from keras import initializers, layers

    def glorot(place: int) -> keras.initializers.Initializer:
        return initializers.GlorotUniform(seed=seed * 10 + place)

    inputs = keras.Input((None, values))
    x = layers.Dense(_UNITS, "relu", kernel_initializer=glorot(0))(inputs)
    x = layers.Dropout(_DROPOUT, seed=seed)(x)
    forward, backward = (
        layers.GRU(
            _UNITS,
            return_sequences=True,
            go_backwards=place == 2,
            kernel_initializer=glorot(place),
            recurrent_initializer=initializers.Orthogonal(seed=seed * 10 + 4 + place),
        )
        for place in (1, 2)
    )
    x = layers.Bidirectional(forward, backward_layer=backward)(x)
    outputs = layers.Dense(events, "sigmoid", kernel_initializer=glorot(3))(x)
    return keras.Model(inputs, outputs)
