"""Reading, changing and writing files by the schema; the audit and the patch on files made wrong on purpose."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import ArtifactError, ConversionError
from keras_mtl.firmware_host.engines import run
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Member
from keras_mtl.tflite.flatbuffer import float_islands, require_integer_only
from keras_mtl.tflite.flatbuffer.audit import per_channel_dense
from keras_mtl.tflite.patch import patch_int16x8


def _operator(model: Any, name: str) -> tuple[Any, Any]:
    return next(pair for pair in flatbuffer.operators(model) if flatbuffer.op_name(model, pair[1]) == name)


def _append(model: Any, name: str, source: int, dtype: str, quantization: Any = None) -> int:
    """Adds an operator with one input at the graph's end; its output becomes the graph's."""
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = 1
    model.operatorCodes.append(code)
    tensor = copy(graph.tensors[source])
    tensor.name, tensor.type, tensor.buffer = f"after_{name}", getattr(schema.TensorType, dtype), 0
    tensor.quantization = quantization
    graph.tensors.append(tensor)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [source], [len(graph.tensors) - 1]
    graph.operators.append(operator)
    graph.outputs = operator.outputs
    return operator.outputs[0]


def _outputs(engine: str, content: bytes, rows: np.ndarray) -> np.ndarray:
    """What an engine gives for a file, whatever the manifest in it says."""
    artifact = Artifact.of_member(Member("network", content, flatbuffer.read_model(content)))
    return run(engine, artifact, {"input_0": rows}).outputs["output_0"].astype(int)


def test_packing_is_stable_and_the_file_still_runs(artifacts):
    content, rows = artifacts["int8"].network.content, artifacts["int8"].golden.inputs["input_0"][:2]
    once = flatbuffer.write_model(flatbuffer.read_model(content))
    assert flatbuffer.write_model(flatbuffer.read_model(once)) == once == content
    np.testing.assert_array_equal(_outputs("tflm", once, rows), _outputs("litert-reference", content, rows))


def test_constant_data_are_aligned_to_16_bytes(artifacts):
    content = artifacts["int16x8"].network.content
    model = flatbuffer.read_model(content)
    constants = [buffer.data for buffer in model.buffers if buffer.data is not None and len(buffer.data)]
    places = [data.__array_interface__["data"][0] for data in constants]
    start = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    assert len(places) > 20
    assert {(place - start) % 16 for place in places} == {0}


def test_constants_metadata_and_names(artifacts):
    model = flatbuffer.read_model(artifacts["int8"].network.content)
    subgraph, conv = _operator(model, "CONV_2D")
    values, weights, _ = flatbuffer.op_inputs(subgraph, conv)
    assert flatbuffer.constant(model, values) is None
    assert flatbuffer.constant(model, weights).shape == flatbuffer.tensor_shape(weights) == (8, 3, 3, 1)
    flatbuffer.set_constant(model, weights, np.zeros((8, 3, 3, 1), np.int8))
    flatbuffer.set_metadata(model, "note", b"first")
    flatbuffer.set_metadata(model, "note", b"second")
    again = flatbuffer.read_model(flatbuffer.write_model(model))
    subgraph, conv = _operator(again, "CONV_2D")
    assert not flatbuffer.constant(again, flatbuffer.op_inputs(subgraph, conv)[1]).any()
    assert flatbuffer.read_metadata(again, "note") == b"second"
    assert flatbuffer.read_metadata(again, "other") is None
    weights.shape = [7, 3, 3, 1]
    with pytest.raises(ArtifactError, match="can't be read: 72 bytes"):
        flatbuffer.constant(model, weights)


def test_a_new_constant_leaves_tensors_that_shared_the_old_one(artifacts):
    model = flatbuffer.read_model(artifacts["int8"].network.content)
    subgraph, conv = _operator(model, "CONV_2D")
    weights = flatbuffer.op_inputs(subgraph, conv)[1]
    twin = copy(weights)
    subgraph.tensors.append(twin)
    old = flatbuffer.constant(model, weights).copy()
    flatbuffer.set_constant(model, weights, np.ones_like(old))
    np.testing.assert_array_equal(flatbuffer.constant(model, twin), old)
    assert (flatbuffer.constant(model, weights) == 1).all()


def test_a_float_island_is_found_and_refused(artifacts):
    model = flatbuffer.read_model(artifacts["int8"].network.content)
    assert float_islands(model) == ()
    end = model.subgraphs[0].outputs[0]
    scale = model.subgraphs[0].tensors[end].quantization
    real = _append(model, "DEQUANTIZE", end, "FLOAT32")
    squashed = _append(model, "TANH", real, "FLOAT32")
    _append(model, "QUANTIZE", squashed, "INT8", scale)
    model = flatbuffer.read_model(flatbuffer.write_model(model))
    assert [(i.op, i.tensors) for i in float_islands(model)] == [
        ("DEQUANTIZE", ("after_DEQUANTIZE",)),
        ("TANH", ("after_DEQUANTIZE", "after_TANH")),
        ("QUANTIZE", ("after_TANH",)),
    ]
    with pytest.raises(ConversionError, match=r"not integer-only: DEQUANTIZE \(after_DEQUANTIZE\), TANH"):
        require_integer_only(model)


def test_float_formats_are_islands_altogether(artifacts):
    for kind in ("float32", "float16"):
        with pytest.raises(ConversionError, match=r"not integer-only: .* and [0-9]+ more"):
            require_integer_only(artifacts[kind].network.model)


def test_per_channel_dense_weights_are_refused(artifacts):
    model = flatbuffer.read_model(artifacts["int16x8"].network.content)
    subgraph, dense = _operator(model, "FULLY_CONNECTED")
    weights = flatbuffer.op_inputs(subgraph, dense)[1]
    weights.quantization.scale = np.full(16, 0.01, np.float32)
    weights.quantization.zeroPoint = np.zeros(16, np.int64)
    assert per_channel_dense(model) == (flatbuffer.tensor_name(weights),)
    with pytest.raises(ConversionError, match="FULLY_CONNECTED with per-channel weights"):
        require_integer_only(model)


def _as_converted(content: bytes) -> Any:
    """Undoes the patch: 32-bit biases, and the versions that go with them."""
    model = flatbuffer.read_model(content)
    for subgraph, operator in flatbuffer.operators(model):
        name = flatbuffer.op_name(model, operator)
        if name in ("CONV_2D", "FULLY_CONNECTED"):
            bias = flatbuffer.op_inputs(subgraph, operator)[2]
            flatbuffer.set_constant(model, bias, flatbuffer.constant(model, bias).astype(np.int32))
            bias.type = schema.TensorType.INT32
            model.operatorCodes[operator.opcodeIndex].version = {"CONV_2D": 8, "FULLY_CONNECTED": 11}[name]
    return model


def test_patch_mends_biases_and_versions(artifacts):
    artifact = artifacts["int16x8"]
    model = _as_converted(artifact.network.content)
    rows, goal = artifact.golden.inputs["input_0"][:4], artifact.golden.outputs["output_0"][:4]
    wrong = _outputs("litert-reference", flatbuffer.write_model(model), rows)
    assert np.abs(wrong - goal).max() > 100  # what the patch is for
    patch_int16x8(model)
    mended = flatbuffer.write_model(model)
    right = _outputs("litert-reference", mended, rows)
    assert np.abs(right - goal).max() <= 2
    model = flatbuffer.read_model(mended)
    versions = {
        flatbuffer.op_name(model, op): flatbuffer.op_version(model, op) for _, op in flatbuffer.operators(model)
    }
    assert (versions["CONV_2D"], versions["FULLY_CONNECTED"]) == (3, 4)
    assert {operator.opcodeIndex for _, operator in flatbuffer.operators(model)} == set(range(len(model.operatorCodes)))
    patch_int16x8(model)
    assert flatbuffer.write_model(model) == mended


def test_patch_refuses_a_bias_that_was_cut(artifacts):
    model = _as_converted(artifacts["int16x8"].network.content)
    subgraph, conv = _operator(model, "CONV_2D")
    bias = flatbuffer.op_inputs(subgraph, conv)[2]
    values = flatbuffer.constant(model, bias).copy()
    values[3] = np.iinfo(np.int32).max
    flatbuffer.set_constant(model, bias, values)
    with pytest.raises(ConversionError, match="overflows 32 bits"):
        patch_int16x8(model)


def test_patch_gives_logistic_the_scale_its_kernel_takes(artifacts):
    model = flatbuffer.read_model(artifacts["int16x8"].network.content)
    wrong = schema.QuantizationParametersT()
    wrong.scale, wrong.zeroPoint = np.array([1 / 65536], np.float32), np.array([-32768], np.int64)
    _append(model, "LOGISTIC", model.subgraphs[0].outputs[0], "INT16", wrong)
    patch_int16x8(model)
    mended = flatbuffer.read_model(flatbuffer.write_model(model))
    found = flatbuffer.quantization(flatbuffer.graph_outputs(mended)[0])
    assert (found.scale, found.zero_point) == ((1 / 32768,), (0,))
