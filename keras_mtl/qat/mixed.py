"""What each operator costs, and which layers to hold in 16 bits so that a board's arena holds them.

A single layer in 16 bits between two of 8 gains little: its output is rounded to 8 bits for the next one. So a mix is a
run of layers in the order of computation, and every choice is built, planned, calibrated and measured, not estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_mtl.core import ConversionError
from keras_mtl.firmware_host.arena import arena_of
from keras_mtl.firmware_host.emulate import arena_limit_bytes
from keras_mtl.firmware_host.targets import Target
from keras_mtl.qat.batches import input_names, nodes_of
from keras_mtl.qat.calibration import calibrate
from keras_mtl.qat.conversion import write
from keras_mtl.qat.nearness import nearness, outputs_of
from keras_mtl.qat.network import quantize_model
from keras_mtl.qat.schemes import SchemeByLayer
from keras_mtl.tflite.kinds import Operator
from keras_mtl.tflite.qat import graph_of

#: Examples that costs and mixes are measured on.
MOST_EXAMPLES = 256
Report = Callable[[str], None]


@dataclass(frozen=True)
class OperatorCost:
    """What an operator of the twin costs when it alone rounds.

    Attributes:
        name: of the operator, which is its layer's or begins with it.
        kind: its class.
        signal_to_noise_db: of the output that suffers most.
    """

    name: str
    kind: str
    signal_to_noise_db: float


@dataclass(frozen=True)
class Mix:
    """A scheme by layer that fits a board.

    Attributes:
        schemes: the scheme and the layers that differ.
        first: the first of the 16-bit layers, in the order of computation; None without any.
        last: the last of them.
        arena_bytes: of the device, with what the interpreter takes.
        signal_to_noise_db: of the output that suffers most, calibrated and not trained.
    """

    schemes: SchemeByLayer
    first: str | None
    last: str | None
    arena_bytes: int
    signal_to_noise_db: float


def operator_costs(model: keras.Model, scheme: str, examples: Sequence[np.ndarray]) -> list[OperatorCost]:
    """What each operator of a model's twin costs when it alone rounds what it reads, its weights and what it gives.

    Args:
        model: a functional model.
        scheme: "int8" or "int16x8".
        examples: real inputs [n, ...], an array for each input.

    Returns:
        A row for each operator in the order of computation, and "all together" at the end.
    """
    some = [each[:MOST_EXAMPLES] for each in examples]
    twin, goals = _calibrated(model, SchemeByLayer(scheme), some), outputs_of(model, some)
    layers = dict.fromkeys(node.operation for node in nodes_of(twin) if isinstance(node.operation, Operator))
    rows = []
    for chosen in layers:
        for layer in layers:
            for operator in layer.operators():
                operator.rounds = layer is chosen
        rows.append(OperatorCost(chosen.name, type(chosen).__name__, _worst(twin, goals, some)))
    for layer in layers:
        for operator in layer.operators():
            operator.rounds = True
    return [*rows, OperatorCost("all together", "", _worst(twin, goals, some))]


def mixes_for(
    model: keras.Model, target: Target, examples: Sequence[np.ndarray], report: Report = lambda text: None
) -> list[Mix]:
    """Runs of layers in 16 bits that fit a board's arena, the rest in 8; the best first.

    From each layer on the longest run that fits is taken, as the file of that mix is planned; those that are not
    within another one are calibrated and measured. All in 8 bits is one of the choices, and all in 16, if that fits.

    Args:
        model: a functional model.
        target: a board.
        examples: real inputs [n, ...], an array for each input.
        report: called with a line on each mix that is measured.

    Raises:
        ConversionError: the target has no arena, or all in 8 bits does not fit.
    """
    limit = arena_limit_bytes(target)
    if limit is None:
        raise ConversionError(f"target {target.name} has no limit for an arena", hint="name a board, as stm32h743")
    some, names = [each[:MOST_EXAMPLES] for each in examples], _names(model)
    goals = outputs_of(model, some)

    def schemes(start: int, end: int) -> SchemeByLayer:
        if (start, end) == (0, len(names)):
            return SchemeByLayer("int16x8")
        return SchemeByLayer("int8", dict.fromkeys(names[start:end], "int16x8"))

    planned: dict[tuple[int, int], int] = {}

    def fits(start: int, end: int) -> bool:
        if (start, end) not in planned:
            planned[start, end] = _arena_bytes(_twin(model, schemes(start, end)), target)
        return planned[start, end] <= limit

    if not fits(0, 0):
        words = f"{planned[0, 0]:,} bytes of arena with all layers in 8 bits, {target.name} has {limit:,}"
        raise ConversionError(words, hint="a narrower network, or a larger board")
    runs, end = [(0, 0)], 0
    for start in range(len(names)):
        end = max(end, start)
        while end > start and not fits(start, end):
            end -= 1
        while end < len(names) and fits(start, end + 1):
            end += 1
        if end > start and end > runs[-1][1]:
            runs.append((start, end))
    found = []
    for start, end in runs:
        made = schemes(start, end)
        twin = _calibrated(model, made, some)
        first, last = (names[start], names[end - 1]) if end > start else (None, None)
        mix = Mix(made, first, last, planned[start, end], _worst(twin, goals, some))
        where = f"{first} to {last}" if first else "none"
        report(f"16 bits {where}: {mix.arena_bytes:,} bytes, {mix.signal_to_noise_db:.1f} dB")
        found.append(mix)
    return sorted(found, key=lambda mix: (-mix.signal_to_noise_db, mix.arena_bytes))


def _names(model: keras.Model) -> list[str]:
    """Layers with operators of their own, in the order of computation."""
    made = [layer.name for layer in quantize_model(model)._flatten_layers() if isinstance(layer, Operator)]
    names = dict.fromkeys(node.layer.name for node in graph_of(model).nodes)
    return [name for name in names if any(each == name or each.startswith(f"{name}_") for each in made)]


def _twin(model: keras.Model, schemes: SchemeByLayer) -> keras.Model:
    return quantize_model(model, schemes.scheme, schemes.layers)


def _calibrated(model: keras.Model, schemes: SchemeByLayer, examples: list[np.ndarray]) -> keras.Model:
    twin = _twin(model, schemes)
    calibrate(twin, dict(zip(input_names(twin), examples, strict=True)))
    return twin


def _arena_bytes(twin: keras.Model, target: Target) -> int:
    device: dict[str, Any] = arena_of(write(twin), None, target)["device"]
    return int(device["arena_bytes"]) + int(device["interpreter_bytes"])


def _worst(twin: keras.Model, goals: list[np.ndarray], examples: list[np.ndarray]) -> float:
    return min(nearness(twin, goals, outputs_of(twin, examples)).outputs.values())
