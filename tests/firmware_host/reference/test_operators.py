"""Each operator of the reference against TensorFlow Lite Micro: no integer differs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
from file_builder import Builder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tflm_process import TflmProcess

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.reference import CONTRACTS, OPERATORS, ReferenceInterpreter, variables
from keras_mtl.firmware_host.reference.activations import sigmoid_table

FAMILIES = [
    cases.convolution, cases.depthwise, cases.transposed, cases.dense, cases.matrices, cases.pool, cases.elementwise,
    cases.unary, cases.leaky, cases.shares, cases.roots, cases.reduced, cases.cells,
    cases.joined, cases.parted, cases.cut, cases.sliced, cases.filled, cases.shaped, cases.converted, cases.from_real,
]  # fmt: skip
EACH = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
NO_DEADLINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
Made = tuple[bytes, list[list[np.ndarray]]]


def compare(case: Made, tflm: TflmProcess) -> None:
    """That both give the same outputs for all inputs of a case."""
    content, runs = case
    reference = ReferenceInterpreter(content)
    for inputs, theirs in zip(runs, tflm.run(content, runs), strict=True):
        for ours, output in zip(reference.run(inputs), theirs, strict=True):
            assert (ours.dtype, ours.shape) == (output.dtype, output.shape)
            np.testing.assert_array_equal(ours, output)


@EACH
@settings(NO_DEADLINE, max_examples=20, derandomize=True)
@given(data=st.data())
def test_operators_give_what_tflm_gives(family: Callable[[Any], Made], tflm: TflmProcess, data: st.DataObject) -> None:
    compare(family(data.draw), tflm)


@pytest.mark.slow
@EACH
@settings(NO_DEADLINE, max_examples=540)
@given(data=st.data())
def test_ten_thousand_files_of_one_operator(
    family: Callable[[Any], Made], tflm: TflmProcess, data: st.DataObject
) -> None:
    compare(family(data.draw), tflm)


def test_every_operator_has_a_family() -> None:
    described = " ".join(f"{family.__doc__}" for family in FAMILIES).replace(",", " ").replace(".", " ").split()
    assert set(OPERATORS) - set(described) == set()


def test_every_operator_is_in_the_contracts() -> None:
    written = (Path(__file__).parents[3] / "docs" / "runtime.md").read_text()
    assert [op for op in (*OPERATORS, *variables.OPERATORS) if not re.search(rf"\b{op}\b", written)] == []
    assert all(contract in written for contract in CONTRACTS.values())


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("power", [-9, -3, -1, 0, 2])
def test_halves_are_rounded_as_by_tflm(tflm: TflmProcess, dtype: str, power: int) -> None:
    """All values of a type times a power of two: every half there is, of both signs."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = np.arange(low, high + 1).astype(dtype)[None]
    made = Builder()
    source = made.tensor("x", values.shape, dtype, None, 1.0)
    out = made.tensor("out", values.shape, dtype, None, 2.0**-power)
    made.op("QUANTIZE", 1, [source], [out], cases.options("QuantizeOptions"))
    made.ends[0] = ([source], [out])
    compare((made.bytes(), [[values]]), tflm)
    found = ReferenceInterpreter(made.bytes()).run([values])[0]
    np.testing.assert_array_equal(found, np.clip(_rounded_twice(values, power), low, high))


def _rounded_twice(values: np.ndarray, power: int) -> np.ndarray:
    """Values times a power of two: of one below 1 a half comes first, rounded up, and the rest away from zero."""
    if power >= 0:
        return values * 2.0**power
    rest = np.floor(values / 2 + 0.5) * 2.0 ** (power + 1)
    return np.trunc(rest + np.copysign(0.5, rest))


@pytest.mark.parametrize("power", [-9, -1, 0, 3])
@pytest.mark.parametrize("bias", ["int64", "int32"])
def test_halves_of_sums_are_rounded_as_by_tflm(tflm: TflmProcess, power: int, bias: str) -> None:
    """A dense layer that hands its input on: of sums of 64 bits all halves go up, those of 32 are rounded twice."""
    values = np.arange(-(1 << 15), 1 << 15).astype(np.int16)[:, None]
    made = Builder()
    source = made.tensor("x", values.shape, "int16", None, 1.0)
    weights = made.tensor("weights", (1, 1), "int8", [[1]], 1.0)
    offset = made.tensor("bias", (1,), bias, [0], 1.0)
    out = made.tensor("out", values.shape, "int16", None, 2.0**-power)
    made.op("FULLY_CONNECTED", 9, [source, weights, offset], [out], cases.options("FullyConnectedOptions"))
    made.ends[0] = ([source], [out])
    compare((made.bytes(), [[values]]), tflm)
    goal = np.floor(values * 2.0**power + 0.5) if bias == "int64" else _rounded_twice(values, power)
    found = ReferenceInterpreter(made.bytes()).run([values])[0]
    np.testing.assert_array_equal(found, np.clip(goal, -(1 << 15), (1 << 15) - 1))


@pytest.mark.parametrize("op", ["LOGISTIC", "TANH", "SOFTMAX"])
@pytest.mark.parametrize("step", [2.0**-12, 2.0**-11, 2.3e-4, 1.9e-3, 1e-6])
def test_functions_of_all_values_of_16_bits(tflm: TflmProcess, op: str, step: float) -> None:
    values = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
    # Of a softmax pairs, one of which is always 0, so that every difference is looked up.
    values = values[None] if op != "SOFTMAX" else np.stack([values, np.zeros_like(values)], axis=1)
    made = Builder()
    source = made.tensor("x", values.shape, "int16", None, step)
    out = made.tensor("out", values.shape, "int16", None, 2.0**-15)
    made.op(op, 1, [source], [out], cases.options("SoftmaxOptions", beta=1.0) if op == "SOFTMAX" else None)
    made.ends[0] = ([source], [out])
    compare((made.bytes(), [[values]]), tflm)


def test_the_table_of_the_sigmoid_is_within_two_of_it() -> None:
    exact = 2.0**16 / (1 + np.exp(-np.arange(256) / 24))
    assert np.abs(sigmoid_table() - exact).max() < 2
    assert (np.diff(sigmoid_table().astype(int)) >= 0).all()


def refused(op: str, dtypes: tuple[str, str], steps: tuple[Any, Any], given: Any = None, zeros: Any = (0, 0)) -> str:
    """What is said of an operator of one input."""
    made = Builder()
    source = made.tensor("x", (1, 4, 4, 1), dtypes[0], None, steps[0], zeros[0])
    out = made.tensor("layer;of a graph", (1, 4, 4, 1), dtypes[1], None, steps[1], zeros[1])
    made.op(op, 1, [source], [out], given)
    made.ends[0] = ([source], [out])
    with pytest.raises(EngineRefused) as error:
        ReferenceInterpreter(made.bytes())
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_the_contracts_have_not_is_refused_by_name() -> None:
    both = ("int8", "int8")
    assert refused("ELU", both, (1, 1)) == (
        "operator 0, ELU (layer layer): the reference has no such operator (run it on tflm)"
    )
    assert "no kernel for float32, float32" in refused("RELU", ("float32", "float32"), (None, None))
    assert "no kernel for int8, int16" in refused("RELU", ("int8", "int16"), (1, 1))
    assert "x is not quantized" in refused("RELU", both, (None, 1))
    assert "x is int16 with a zero point other than 0" in refused("RELU", ("int16",) * 2, (1, 1), zeros=(3, 0))
    assert "is int8 with a zero point of 200" in refused("RELU", both, (1, 1), zeros=(0, 200))
    assert "a factor of 2^30 or more" in refused("RELU", both, (1, 1e-12))
    assert "the zero point of its output is not -128" in refused("LOGISTIC", both, (1, 1))
    assert "the step of its output is not 2^-15" in refused("TANH", ("int16",) * 2, (1, 1))
    pool = {"filterHeight": 2, "filterWidth": 2, "strideH": 1, "strideW": 1, "padding": 0}
    tanh = cases.options("Pool2DOptions", **pool, fusedActivationFunction=4)
    assert "a fused TANH, which TFLM leaves out without a word" in refused("MAX_POOL_2D", both, (1, 1), tanh)
    other = cases.options("Pool2DOptions", **{**pool, "padding": 1})
    assert "of shape [1, 4, 4, 1], not [1, 3, 3, 1]" in refused("MAX_POOL_2D", both, (1, 1), other)
    assert "a kernel size, stride or dilation below 1" in refused(
        "MAX_POOL_2D", both, (1, 1), cases.options("Pool2DOptions", **{**pool, "strideH": 0})
    )
    assert "its options or tensors are not those of such an operator" in refused("MAX_POOL_2D", both, (1, 1))
