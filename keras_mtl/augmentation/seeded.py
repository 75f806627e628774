"""What all random steps share: a seed whose state is saved, so that a resumed training goes on with the same draws."""

from __future__ import annotations

import keras
from keras import ops


class Seeded(keras.layers.Layer):
    """A layer without weights that draws random numbers.

    Args:
        seed: seed of the draws.
    """

    def __init__(self, seed: int = 0, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(**kwargs)
        self.seed = seed
        self._seeds = keras.random.SeedGenerator(seed)
        self.built = True

    def permutation(self, clips, kinds=None):  # type: ignore[no-untyped-def]
        """A random order of the clips, int32 [clips].

        Args:
            clips: how many.
            kinds: number of each clip's kind, float [clips]; then clips change places only with others of their kind.
        """
        place = keras.random.uniform((clips,), seed=self._seeds)
        if kinds is None:
            return ops.cast(ops.argsort(place), "int32")
        # Both orders list the kinds one after the other: what stands at one place in both is of one kind.
        within = ops.cast(ops.arange(clips), "float32") / ops.cast(clips, "float32")
        to, by = ops.argsort(kinds + within), ops.argsort(kinds + place)
        return ops.cast(ops.take(by, ops.argsort(to)), "int32")

    def beta(self, clips, alpha: float):  # type: ignore[no-untyped-def]
        """A share for each clip, float32 [clips], by Beta(alpha, alpha)."""
        return keras.random.beta((clips,), alpha, alpha, seed=self._seeds)

    def save_own_variables(self, store):  # type: ignore[no-untyped-def]
        """Keras saves no seed generator, and a resumed training has to go on with the same draws."""
        super().save_own_variables(store)
        store["seed_state"] = ops.convert_to_numpy(self._seeds.state)

    def load_own_variables(self, store):  # type: ignore[no-untyped-def]
        """The counterpart of `save_own_variables`."""
        self._seeds.state.assign(store["seed_state"])

    def get_config(self):  # type: ignore[no-untyped-def]
        """Every constructor argument."""
        return {**super().get_config(), "seed": self.seed}


def each_clip(values, like):  # type: ignore[no-untyped-def]
    """Numbers [clips] in a shape that multiplies `like` [clips, ...] clip by clip."""
    return ops.reshape(values, (-1,) + (1,) * (len(like.shape) - 1))
