"""Measures which part of a training step is spent waiting for its batch.

    python benchmarks/input_pipeline.py [--task events|scenes] [--steps N] [--json]

Batches come from shards on the disk as in a training: 48 event clips of ten seconds (12 strong, 12 weak, 24
unlabelled), or 256 scene clips of one second. The values are noise, which costs the same as sound.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from keras_mtl.cli.options import quiet_tensorflow


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=["events", "scenes"], default="events", help="default events")
    parser.add_argument("--steps", type=int, default=5, help="measured steps, after one that warms up (default 5)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    quiet_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        figures = _measure(options.task, options.steps, Path(folder))
    if options.json:
        print(json.dumps({"schema": "keras_mtl.input_pipeline_benchmark/1"} | figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:<30} {value}")
    return 0


def _measure(task: str, steps: int, folder: Path) -> dict[str, float | str]:
    import tensorflow as tf

    from keras_mtl.algorithms import ALGORITHMS
    from keras_mtl.core import DCASE
    from keras_mtl.decoding import Event
    from keras_mtl.features import EventSet, MappedLogMel, SceneSet
    from keras_mtl.models import build
    from keras_mtl.recipes import load_recipe
    from keras_mtl.training import TrainingData, as_dataset
    from keras_mtl.training.phases import _compiled

    sets = ("algorithm=single", f"task={task}", "scene_batch=256", "strong_batch=12", "weak_batch=12")
    recipe = load_recipe("mt", (*sets, "unlabelled_batch=24"))
    frames, clips = (1000, 96) if task == "events" else (100, 1024)

    def log_mel(name: str) -> MappedLogMel:
        values = np.random.default_rng(0).normal(-40, 15, (clips // 2, frames, 128)).astype(np.float16)
        for half in range(2):
            np.save(folder / f"{name}{half}.npy", values)
        return MappedLogMel([np.asarray(np.load(folder / f"{name}{half}.npy", mmap_mode="r")) for half in range(2)])

    names = np.asarray([str(number) for number in range(clips)])
    known, weak = (
        [[Event(1.0, 3.0, "Dog"), Event(2.0, 9.0, "Speech")]] * clips,
        np.zeros((clips, len(DCASE.events)), np.float32),
    )
    kinds = {kind: EventSet(log_mel(kind), known, weak, names) for kind in ("strong", "weak", "unlabelled")}
    scenes = SceneSet(log_mel("scenes"), np.arange(clips) % 10, names, names, names)
    data = TrainingData(recipe.features, scenes, None, kinds if task == "events" else {}, None, DCASE)
    network = build(recipe.model.system, DCASE, recipe.features, recipe.model.options)
    (phase,) = ALGORITHMS["single"](recipe.train)
    model = _compiled(phase, network, recipe, steps + 1, None)
    step = tf.function(model.train_step)
    streams = data.streams(phase.tasks, recipe, network)
    began = time.perf_counter()
    for number in range(steps):
        streams[task](number)
    assembling_s = (time.perf_counter() - began) / steps
    batches = iter(as_dataset(streams, 0, steps + 1))
    step(next(batches))
    waited = worked = 0.0
    for _ in range(steps):
        began = time.perf_counter()
        batch = next(batches)
        got = time.perf_counter()
        tf.nest.map_structure(lambda value: value.numpy(), step(batch))
        waited, worked = waited + got - began, worked + time.perf_counter() - got
    return {
        "task": task,
        "step_s": round((waited + worked) / steps, 4),
        "assembling_s": round(assembling_s, 4),
        "waited_percent": round(100 * waited / (waited + worked), 2),
    }


if __name__ == "__main__":
    raise SystemExit(main())
