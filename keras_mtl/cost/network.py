"""What a Keras network costs: parameters and multiply-accumulates (MACs), layer by layer.

Works for any functional model of the layer kinds that `layer_work` knows; another kind is refused by name.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras

from keras_mtl.core import DCASE, Labels, LogMelSettings
from keras_mtl.cost.layer_work import CONVENTIONS, Work, work_of
from keras_mtl.models import build, build_event_part, build_scene_part
from keras_mtl.recipes import SYSTEMS, System, system_of
from keras_mtl.runs import Run


@dataclass(frozen=True)
class LayerCost:
    """One layer's row.

    Attributes:
        name, kind: the layer's name and class.
        output_shape: with None for the batch.
        params: trainable values; batch normalisation has 2 a channel, its moving statistics are not counted.
        folded_params: values as a converted file holds them. Batch normalisation goes into the convolution before it:
            its 2 C values vanish, and the convolution has C biases whether it had any before or not.
        macs: MACs of one call on the model's fixed input.
    """

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    params: int
    folded_params: int
    macs: int


@dataclass(frozen=True)
class Cost:
    """The cost of a network.

    Attributes:
        rows: layer by layer, in the order of the graph.
        params: trainable parameters.
        folded_params: parameters that a converted file holds, with batch normalisation folded.
        macs: MACs of one call.
        macs_per_second: MACs for each second of audio.
        convention: how MACs were counted.
    """

    rows: tuple[LayerCost, ...]
    params: int
    folded_params: int
    macs: int
    macs_per_second: float
    convention: str


def cost(model: keras.Model, audio_seconds: float, convention: str = "default") -> Cost:
    """Counts a functional model.

    Args:
        model: with a fixed input shape (but for the batch).
        audio_seconds: seconds of audio that the input covers.
        convention: a name of `layer_work.CONVENTIONS`.

    Raises:
        ValueError: a layer of an unknown kind, an input of open length, or no such convention.

    Example:
        >>> cost(build_cnn(100, scenes=10), 1.0).macs
        28897840
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"no convention {convention!r}; there are {', '.join(CONVENTIONS)}")
    rows = tuple(_rows(model, CONVENTIONS[convention]))
    macs = sum(row.macs for row in rows)
    params, folded = sum(row.params for row in rows), sum(row.folded_params for row in rows)
    return Cost(rows, params, folded, macs, macs / audio_seconds, convention)


def _rows(model: keras.Model, count: Callable[[Work], int]) -> Iterator[LayerCost]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _rows(layer, count)
            continue
        macs = count(work_of(layer))
        # A layer with several inputs or outputs has a list of tensors; those here have one output.
        shape = tuple(getattr(layer.output, "shape", ()))
        params = sum(math.prod(weight.shape) for weight in layer.trainable_weights)
        yield LayerCost(layer.name, type(layer).__name__, shape, params, _folded(layer, params), macs)


def _folded(layer: keras.layers.Layer, params: int) -> int:
    if not isinstance(layer, keras.layers.BatchNormalization):
        return params
    before = layer.input._keras_history.operation
    if isinstance(before, _FOLDED_INTO):
        return 0 if before.use_bias else layer.input.shape[-1]
    return params


_FOLDED_INTO = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)


@dataclass(frozen=True)
class SystemRow:
    """One system, counted.

    Attributes:
        system: what its sources say.
        costs: of the built network, by convention; "default" is the table's.
    """

    system: System
    costs: dict[str, Cost]

    @property
    def params(self) -> int:
        """Trainable parameters; batch normalisation has 2 a channel."""
        return self.costs["default"].params

    @property
    def macs_per_second(self) -> float:
        """MACs for a second of audio in the default convention."""
        return self.costs["default"].macs_per_second

    @property
    def parameter_bytes_16bit(self) -> int:
        """Bytes of the parameters in a 16-bit format, the finest that fits 64 k parameters into 128 kB."""
        return 2 * self.params


def count_systems() -> list[SystemRow]:
    """Builds every system on its own features and counts it. Takes some seconds."""
    return [_count(system) for system in SYSTEMS.values()]


def _count(system: System) -> SystemRow:
    network = build(system.id, DCASE, frames=system.frames)
    return SystemRow(system, {name: cost(network, system.audio_seconds, name) for name in CONVENTIONS})


def run_cost(run: Run) -> Cost:
    """Counts a run's network over the seconds that its system is counted over, in the default convention.

    One of a fixed length is counted over a clip of the run.
    The network is built from the run's recipe with an input of fixed length, as counting needs one; no weights are
    read. A run of one task, such as one of algorithm `single` or a quantized one, needs encoder and that task's head;
    the other head, which it never trained, is not counted.

    Raises:
        RecipeError: the recipe or its system are unknown to this version.
    """
    system, recipe = system_of(run.info["system"]), run.recipe
    tasks = run.info.get("tasks", system.tasks)
    # Seeds differ in their normalisation, which costs nothing: counted once.
    settings = run.settings.normalised(0.0, 1.0)
    labels = recipe.labels.or_else(run.labels)
    seconds = recipe.data.scene_clip_s if system.fixed_length else system.audio_seconds
    return _counted(system.id, settings, labels, json.dumps(recipe.model.options), frozenset(tasks), seconds)


@functools.lru_cache(maxsize=64)
def _counted(
    name: str, settings: LogMelSettings, labels: Labels, options: str, tasks: frozenset[str], seconds: float
) -> Cost:
    frames = settings.frames(round(seconds * settings.sample_rate_hz))
    network = build(name, labels, settings, json.loads(options), frames)
    if tasks == {"scenes"}:
        network = build_scene_part(network, frames)
    elif tasks == {"events"}:
        network = build_event_part(network, frames)
    return cost(network, seconds)
