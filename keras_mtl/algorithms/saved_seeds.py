"""Keeps a network's random states in checkpoints, so that a resumed training drops what it would have dropped."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class SavedSeeds(keras.layers.Layer):
    """The states of a network's seed generators (dropout's); Keras itself saves none of them."""

    def __init__(self, network: keras.Model) -> None:
        super().__init__(name="saved_seeds")
        weights = {id(weight) for weight in network.weights}
        # A tuple in __dict__: the variables are the network's, and not to be tracked a second time.
        self.__dict__["states"] = tuple(v for v in network.variables if id(v) not in weights)
        self.built = True

    def values(self) -> list[Any]:
        """The states as they are now."""
        return [ops.convert_to_numpy(state) for state in self.states]

    def assign(self, values: list[Any]) -> None:
        """Puts the states back to what `values` gave."""
        for state, value in zip(self.states, values, strict=True):
            state.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """The states, in the order of the network's layers."""
        for number, state in enumerate(self.states):
            store[str(number)] = ops.convert_to_numpy(state)

    def load_own_variables(self, store: Any) -> None:
        """The counterpart of `save_own_variables`."""
        for number, state in enumerate(self.states):
            state.assign(store[str(number)])
