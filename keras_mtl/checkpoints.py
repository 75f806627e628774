"""Checkpoints of a training: the best and the last weights of each phase, and where to go on after an interrupt.

checkpoints/state.json               which phase and epoch are done, and the best loss so far
checkpoints/PHASE.last.weights.h5    everything needed to go on: network, teacher, optimiser, seeds
checkpoints/PHASE.best.weights.h5    the network at its lowest held-out loss
checkpoints/PHASE.done.weights.h5    the network as the phase handed it on
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras

from keras_mtl import files


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, phase: str, kind: str) -> Path:
        """The file of a phase: `kind` is "last", "best" or "done"."""
        return self.folder / f"{phase}.{kind}.weights.h5"

    def save(self, model: keras.Model, phase: str, kind: str) -> None:
        """Saves a model's weights, whole or not at all."""
        temporary = self.folder / f".{phase}.{kind}.part.weights.h5"
        model.save_weights(temporary, overwrite=True)
        temporary.replace(self.path(phase, kind))

    def state(self) -> dict[str, Any]:
        """What is done: {"phase", "epochs", "best_loss"}; empty at the start."""
        try:
            return json.loads((self.folder / "state.json").read_text())
        except FileNotFoundError:
            return {}

    def write_state(self, phase: str, epochs: int, best_loss: float) -> None:
        """Records that `epochs` epochs of `phase` are done."""
        files.write_json(self.folder / "state.json", {"phase": phase, "epochs": epochs, "best_loss": best_loss})


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves the last and the best weights at the end of every epoch.

    Args:
        checkpoints: where to.
        phase: the phase's name.
        best_loss: the lowest held-out loss of the epochs before.
    """

    def __init__(self, checkpoints: Checkpoints, phase: str, best_loss: float = float("inf")) -> None:
        super().__init__()
        self._checkpoints, self._phase, self._best_loss = checkpoints, phase, best_loss

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Judges by `val_loss`, or by `loss` where nothing is held out."""
        logs = logs or {}
        loss = float(logs.get("val_loss", logs["loss"]))
        if loss < self._best_loss:
            self._best_loss = loss
            self._checkpoints.save(self.model.network, self._phase, "best")
        self._checkpoints.save(self.model, self._phase, "last")
        self._checkpoints.write_state(self._phase, epoch + 1, self._best_loss)
