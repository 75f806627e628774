"""Each operator of the reference against TensorFlow Lite Micro: no integer differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cases
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tflm_process import TflmProcess

from keras_mtl.firmware_host.reference import ReferenceInterpreter

FAMILIES = [
    cases.convolution, cases.depthwise, cases.dense, cases.pool, cases.elementwise, cases.unary,
    cases.joined, cases.parted, cases.sliced, cases.filled, cases.shaped, cases.converted, cases.from_real,
]  # fmt: skip


def compare(case: tuple[bytes, list[list[np.ndarray]]], tflm: TflmProcess) -> None:
    """That both give the same outputs for all inputs of a case."""
    content, runs = case
    reference = ReferenceInterpreter(content)
    for inputs, theirs in zip(runs, tflm.run(content, runs), strict=True):
        for ours, output in zip(reference.run(inputs), theirs, strict=True):
            assert (ours.dtype, ours.shape) == (output.dtype, output.shape)
            np.testing.assert_array_equal(ours, output)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(data=st.data())
def test_operators_give_what_tflm_gives(family: Callable[[Any], Any], tflm: TflmProcess, data: st.DataObject) -> None:
    compare(family(data.draw), tflm)
