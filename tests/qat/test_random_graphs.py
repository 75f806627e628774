"""Random small functional graphs: the file on TensorFlow Lite Micro is the twin within two steps.

One example of Hypothesis is several graphs side by side in one file, since TensorFlow's start and that of an
interpreter cost more than a graph.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import qat_graphs as graphs

layers = keras.layers
#: Graphs of one example; the quick test draws 6 examples for each scheme, the slow one 60: 300 and 3,000 graphs.
GRAPHS = 25
SCHEMES = ("int8", "int16x8")
PADDING = st.sampled_from(["same", "valid"])
WIDTH, KERNEL, STRIDE = st.integers(1, 5), st.integers(1, 3), st.integers(1, 2)
ACTIVATION = st.sampled_from([None, "relu", "relu6", "tanh", "sigmoid", "leaky_relu", "hard_silu", "silu", "elu"])

Step = Callable[[Any], Any]


def _convolution(draw: Any) -> Step:
    width, rows, columns = draw(WIDTH), draw(KERNEL), draw(KERNEL)
    stride, padding, activation = draw(STRIDE), draw(PADDING), draw(ACTIVATION)
    return lambda x: layers.Conv2D(width, (rows, columns), stride, padding, activation=activation)(x)


def _normalised(draw: Any) -> Step:
    width, bias = draw(WIDTH), draw(st.booleans())
    relu = draw(st.sampled_from([layers.ReLU, lambda: layers.ReLU(6), lambda: layers.LeakyReLU(0.1)]))

    def step(x: Any) -> Any:
        return relu()(layers.BatchNormalization()(layers.Conv2D(width, 1, use_bias=bias)(x)))

    return step


def _depthwise(draw: Any) -> Step:
    size, stride, padding, times = draw(KERNEL), draw(STRIDE), draw(PADDING), draw(st.integers(1, 2))
    return lambda x: layers.DepthwiseConv2D(size, stride, padding, depth_multiplier=times)(x)


def _pooled(draw: Any) -> Step:
    kind = draw(st.sampled_from([layers.MaxPooling2D, layers.AveragePooling2D]))
    size, stride, padding = (draw(KERNEL), draw(KERNEL)), (draw(STRIDE), draw(STRIDE)), draw(PADDING)
    return lambda x: kind(size, stride, padding)(x)


def _joined(draw: Any) -> Step:
    kind = draw(st.sampled_from([layers.Add, layers.Subtract, layers.Multiply, layers.Concatenate]))
    relu = draw(st.booleans())

    def step(x: Any) -> Any:
        joined = kind()([x, layers.Dense(x.shape[-1])(x)])
        return layers.ReLU()(joined) if relu else joined

    return step


def _moved(draw: Any) -> Step:
    kind, sizes = draw(st.sampled_from(["pad", "up", "permute"])), [draw(st.integers(0, 2)) for _ in range(4)]
    made = {
        "pad": lambda x: layers.ZeroPadding2D((tuple(sizes[:2]), tuple(sizes[2:])))(x),
        "up": lambda x: layers.UpSampling2D((1 + sizes[0] % 2, 1 + sizes[1] % 2))(x),
        "permute": lambda x: layers.Permute((2, 1, 3))(x),
    }
    return made[kind]


def _activated(draw: Any) -> Step:
    name = draw(ACTIVATION.filter(bool))
    return lambda x: layers.Activation(name)(x)


MAP_STEPS = (_convolution, _normalised, _depthwise, _pooled, _joined, _moved, _activated)


@st.composite
def graph(draw: Any) -> tuple[tuple[int, ...], Callable[[], list[Step]]]:
    """A shape, and steps of a map that end as classes or as a map."""
    steps = [draw(st.sampled_from(MAP_STEPS))(draw) for _ in range(draw(st.integers(1, 4)))]
    head, units = draw(st.sampled_from(["map", "mean", "flat"])), draw(st.integers(1, 4))

    def fitting(step: Step) -> Step:
        # A map may have become too small for a window: then the step is left out.
        def taken(x: Any) -> Any:
            try:
                return step(x)
            except ValueError:
                return x

        return taken

    def made() -> list[Step]:
        chosen = [fitting(step) for step in steps]
        if head != "map":
            chosen.append(layers.GlobalAveragePooling2D() if head == "mean" else layers.Flatten())
            chosen.append(layers.Dense(units, activation="softmax" if units > 1 else "sigmoid"))
        return chosen

    return (5, 6, 3), made


def _hold(drawn: list[Any], scheme: str) -> None:
    named = {f"graph_{number}": one for number, one in enumerate(drawn)}
    _, artifact = graphs.converted(graphs.side_by_side(named), scheme, rows=3)
    assert max(graphs.steps_apart(artifact, "tflm").values()) <= 2


BATCH = st.lists(graph(), min_size=GRAPHS, max_size=GRAPHS)
HELD = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=6, **HELD)
@given(drawn=BATCH)
def test_random_graphs(scheme, drawn):
    _hold(drawn, scheme)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=60, **HELD)
@given(drawn=BATCH)
def test_three_thousand_random_graphs(scheme, drawn):
    _hold(drawn, scheme)
