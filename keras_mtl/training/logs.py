"""The logs of a phase, in step with its checkpoints: a resumed training repeats no row and no point, and lacks none.

PHASE.csv and tensorboard/PHASE are written by Keras's own callbacks, before an epoch's checkpoint. After an interrupt
they may hold more than the checkpoint counts as done; `trim_logs` takes that away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_mtl.core import files


class Boards(keras.callbacks.TensorBoard):
    """Keras's TensorBoard, on the disk as each epoch ends."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras leaves the points in memory for minutes, where a kill loses them."""
        super().on_epoch_end(epoch, logs)
        for writer in self._writers.values():
            writer.flush()


def trim_logs(out: Path, phase: str, epochs: int, steps: int, done: int) -> None:
    """Removes from a phase's logs what follows a checkpoint of `epochs` epochs of `steps` steps, and `done` steps."""
    table = out / f"{phase}.csv"
    if table.is_file():
        header_and_rows = table.read_text(encoding="utf-8").splitlines(keepends=True)
        files.write_text(table, "".join(header_and_rows[: 1 + epochs]) if epochs else "")
    for path in sorted((out / "tensorboard" / phase).rglob("events.out.tfevents.*")):
        _trim_events(path, epochs, steps, done)


def _trim_events(path: Path, epochs: int, steps: int, done: int) -> None:
    kept, points = [], 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            if event.HasField("summary"):
                if not _is_done(event, epochs, steps, done):
                    continue
                points += 1
            kept.append(record)
    except tf.errors.DataLossError:  # the last record was half-written
        pass
    path_of_new = path.with_name(f".{path.name}")
    with tf.io.TFRecordWriter(str(path_of_new)) as writer:
        for record in kept:
            writer.write(record)
    path_of_new.replace(path)
    if not points:
        path.unlink()


def _is_done(event: Any, epochs: int, steps: int, done: int) -> bool:
    tags = [value.tag for value in event.summary.value]
    if any(tag.startswith("epoch_") for tag in tags):
        return event.step < epochs
    if any(tag.endswith("_vs_iterations") for tag in tags):  # an epoch's end, by the steps done until then
        return event.step <= epochs * steps
    return event.step < done
