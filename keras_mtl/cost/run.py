"""What the network of a run costs: that part of it which the run's tasks need."""

from __future__ import annotations

import functools
import json

from keras_mtl.core import LogMelSettings
from keras_mtl.cost.network import Cost, cost
from keras_mtl.models import build, build_event_part, build_scene_part
from keras_mtl.recipes import system_of
from keras_mtl.runs import Run


def run_cost(run: Run) -> Cost:
    """Counts a run's network over the seconds that its system is counted over, in the default convention.

    The network is built from the run's recipe with an input of fixed length, as counting needs one; no weights are
    read. A run of one task, such as one of algorithm `single` or a quantized one, needs encoder and that task's head;
    the other head, which it never trained, is not counted.

    Raises:
        RecipeError: the recipe or its system are unknown to this version.
    """
    tasks = run.info.get("tasks", system_of(run.info["system"]).tasks)
    # Seeds differ in their normalisation, which costs nothing: counted once.
    settings = run.settings.normalised(0.0, 1.0)
    return _counted(run.info["system"], settings, json.dumps(run.recipe.model.options), frozenset(tasks))


@functools.lru_cache(maxsize=64)
def _counted(name: str, settings: LogMelSettings, options: str, tasks: frozenset[str]) -> Cost:
    system = system_of(name)
    frames = settings.frames(system.audio_seconds * settings.sample_rate_hz)
    network = build(name, settings, json.loads(options), frames)
    if tasks == {"scenes"}:
        network = build_scene_part(network, frames)
    elif tasks == {"events"}:
        network = build_event_part(network, frames)
    return cost(network, system.audio_seconds)
