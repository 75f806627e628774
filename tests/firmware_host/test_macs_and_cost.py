"""Costs counted from the file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.compute import activation_bytes_per_second, op_rows, uncounted
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.flatbuffer import macs

CONV, DENSE = 8 * 6 * 3 * 3 * 4, 48 * 5


@pytest.mark.parametrize("fmt", ["float32", "float16", "int8", "int16x8"])
def test_macs_are_the_same_in_every_format(models, fmt):
    assert macs(flatbuffer.read_model(models[fmt])) == CONV + DENSE


def test_rows_say_what_each_operator_costs(models):
    conv, pool, dense = op_rows(flatbuffer.read_model(models["int16x8"]))
    assert (conv.op, conv.version, conv.name) == ("CONV_2D", 3, "maps")
    assert conv.input_dtypes == ("int16", "int8", "int64")
    assert conv.input_shapes == ((1, 8, 6, 1), (4, 3, 3, 1), (4,))
    assert (conv.output_dtype, conv.output_shape) == ("int16", (1, 8, 6, 4))
    assert (conv.output_dtypes, conv.output_shapes) == (("int16",), ((1, 8, 6, 4),))
    assert (conv.macs, conv.weight_bytes, conv.activation_bytes) == (CONV, 36 + 4 * 8, 8 * 6 * 4 * 2)
    assert (pool.op, pool.macs, pool.weight_bytes, pool.activation_bytes) == ("MAX_POOL_2D", 0, 0, 4 * 3 * 4 * 2)
    assert (dense.macs, dense.weight_bytes, dense.activation_bytes) == (DENSE, 240 + 5 * 8, 5 * 2)


def test_rows_of_weights_add_up_to_the_parameters(models):
    for content in models.values():
        rows = op_rows(flatbuffer.read_model(content))
        assert sum(row.weight_bytes for row in rows) == flatbuffer.parameter_bytes(flatbuffer.read_model(content))


def test_activations_of_a_second(models):
    rows = op_rows(flatbuffer.read_model(models["int8"]))
    written = 8 * 6 * 4 + 4 * 3 * 4 + 5
    assert activation_bytes_per_second(rows, [2.0] * 3) == 2 * written
    assert activation_bytes_per_second([*rows[:2], replace(rows[2], repeats=10)], [1.0] * 3) == written + 9 * 5
    assert activation_bytes_per_second([replace(rows[0], repeats=None)], [1.0]) is None


def test_depthwise_and_batch_matmul(odd_models):
    assert macs(flatbuffer.read_model(odd_models["depthwise"])) == 6 * 4 * 3 * 3 * 2
    assert macs(flatbuffer.read_model(odd_models["batch_matmul"])) == 2 * 3 * 5 * 4
    assert macs(flatbuffer.read_model(odd_models["batch_matmul_adjoint"])) == 2 * 3 * 5 * 4


@pytest.mark.parametrize(("name", "op"), [("endless_loop", "WHILE"), ("no_kernel_anywhere", "CUSTOM")])
def test_operators_that_may_hide_macs_are_refused_by_name(odd_models, name, op):
    with pytest.raises(ArtifactError, match=f"operator {op}.* can't be counted"):
        macs(flatbuffer.read_model(odd_models[name]))
    assert op in uncounted(flatbuffer.read_model(odd_models[name]))
    assert op_rows(flatbuffer.read_model(odd_models[name]))[0].macs is None


def test_operator_with_missing_tensors_is_one_clear_error(odd_models):
    with pytest.raises(ArtifactError, match="operator 0 of subgraph 0 uses tensors that are not there"):
        op_rows(flatbuffer.read_model(odd_models["wild_output"]))
    with pytest.raises(ArtifactError, match="CONV_2D has missing or malformed tensors"):
        macs(flatbuffer.read_model(odd_models["conv_without_weights"]))
