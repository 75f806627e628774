"""Reasons that are true of files that others made, and inputs that their operators take."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

sys.path.insert(0, str(Path(__file__).parent))
import network_files as made

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.compute import compatibility, op_rows, uncounted
from keras_mtl.firmware_host.emulate import emulate, random_inputs
from keras_mtl.firmware_host.engines import run
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact

BOARD = load_target("stm32h743")
FLOAT = "float32"


def transposed(data: str = "int8", computed_shape: bool = False) -> bytes:
    """A transposed convolution, whose data are its third input."""
    options = schema.TransposeConvOptionsT()
    options.strideH = options.strideW = 2
    shape = ((4,), "int32") if computed_shape else ((4,), "int32", [1, 8, 8, 2])
    weights = ((2, 3, 3, 4), "int8", np.ones((2, 3, 3, 4)), [0.1] * 2)
    step = None if data == FLOAT else 0.1
    return made.one_operator(
        "TRANSPOSE_CONV", [shape, weights, ((1, 4, 4, 4), data, None, step)], ((1, 8, 8, 2), data), options, 2, step
    )


def hybrid(op: str) -> bytes:
    """Data in floating point, weights in int8."""
    if op == "TRANSPOSE_CONV":
        return transposed(FLOAT)
    if op == "SVDF":
        options = schema.SVDFOptionsT()
        options.rank = 1
        weights = [((3, 4), "int8", np.ones((3, 4)), 0.1), ((3, 2), "int8", np.ones((3, 2)), 0.1)]
        return made.one_operator(op, [((1, 4), FLOAT), *weights, None, ((1, 6), FLOAT)], ((1, 3), FLOAT), options, 3)
    options = {"FULLY_CONNECTED": schema.FullyConnectedOptionsT, "CONV_2D": schema.Conv2DOptionsT}[op]()
    shape, weights = ((1, 4), (3, 4)) if op == "FULLY_CONNECTED" else ((1, 4, 4, 2), (3, 1, 1, 2))
    out = (1, 3) if op == "FULLY_CONNECTED" else (1, 4, 4, 3)
    return made.one_operator(
        op, [(shape, FLOAT), (weights, "int8", np.ones(weights), 0.1), None], (out, FLOAT), options, 4
    )


def gathered(indices: str = "int32") -> bytes:
    """Rows of a table by indices that are an input."""
    table = ((10, 4), FLOAT, np.arange(40).reshape(10, 4))
    return made.one_operator("GATHER", [table, ((1, 3), indices)], ((1, 3, 4), FLOAT), schema.GatherOptionsT())


@pytest.mark.parametrize("op", ["FULLY_CONNECTED", "CONV_2D", "TRANSPOSE_CONV", "SVDF"])
def test_hybrid_layers_block(op):
    found = compatibility({"": flatbuffer.read_model(hybrid(op))}, BOARD)
    (blocks,) = [each for each in found if each.where == "tflm"]
    assert blocks.severity == "blocks"
    assert blocks.why == f"TFLM refuses hybrid layers: {op} has float32 data and integer weights"
    assert "full-integer quantization" in blocks.remedy
    assert not [each for each in found if each.where == "cmsis-nn"]


def test_float_layers_are_not_hybrid():
    weights = ((3, 4), FLOAT, np.ones((3, 4)))
    content = made.one_operator(
        "FULLY_CONNECTED", [((1, 4), FLOAT), weights, None], ((1, 3), FLOAT), schema.FullyConnectedOptionsT()
    )
    assert not [each for each in compatibility({"": flatbuffer.read_model(content)}, BOARD) if each.where == "tflm"]


def test_types_are_read_from_the_input_that_holds_the_data():
    (row,) = op_rows(flatbuffer.read_model(transposed()))
    assert (row.data_dtype, row.data_elements, row.macs) == ("int8", 64, 16 * 2 * 3 * 3 * 4)
    found = compatibility({"": flatbuffer.read_model(transposed())}, BOARD)
    assert not [each for each in found if each.where == "cmsis-nn"]
    (wide,) = [e for e in compatibility({"": flatbuffer.read_model(transposed("int16"))}, BOARD) if e.where != "litert"]
    assert wide.why == "CMSIS-NN has no int16 kernel for TRANSPOSE_CONV: TFLM's reference kernel runs it"


def test_what_runs_other_operators_needs_no_kernel_of_a_vendor():
    found = compatibility({"": flatbuffer.read_model(made.remembering())}, BOARD)
    assert {each.op for each in found if each.where == "cmsis-nn"} == {"ADD"}


def test_a_count_in_32_bits_is_no_slow_layer():
    content = made.one_operator("ADD", [((4,), "int32"), ((4,), "int32")], ((4,), "int32"), schema.AddOptionsT())
    (found,) = compatibility({"": flatbuffer.read_model(content)}, BOARD)
    assert (found.severity, found.remedy) == ("note", "nothing, where its tensors are small")
    assert found.why == "CMSIS-NN has no int32 kernel for ADD: TFLM's reference kernel runs it"


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_indices_are_within_their_table_and_zeros_come_first(kind):
    inputs = random_inputs(Artifact.of(gathered(kind)).network)["input_0"]
    assert inputs.dtype == kind
    assert not inputs[0].any()
    assert 5 < inputs.max() <= 9
    assert inputs.min() == 0
    assert not random_inputs(Artifact.of(gathered(kind)).network, zeros=True)["input_0"].any()


@pytest.mark.parametrize("content", [gathered(), transposed(computed_shape=True)], ids=["indices", "shape"])
def test_a_file_that_takes_indices_or_a_shape_runs(content):
    artifact = Artifact.of(content)
    report = emulate(artifact, BOARD, ("tflm",))
    assert report.passed, report.failures()
    assert report.check("ops_supported").ok
    # The file that looks a row of real values up by an integer is no integer file.
    assert (report.check("integer_only") is None) is (content == gathered())


def test_truth_values_and_wide_integers_are_made():
    for kind in ("bool", "int64", "uint8"):
        content = made.one_operator("CAST", [((1, 8), kind)], ((1, 8), FLOAT), schema.CastOptionsT())
        artifact = Artifact.of(content)
        inputs = random_inputs(artifact.network)
        assert inputs["input_0"].dtype == kind
        assert inputs["input_0"].any()
    (out,) = run(
        "tflm",
        Artifact.of(made.one_operator("CAST", [((1, 8), "bool")], ((1, 8), FLOAT), schema.CastOptionsT())),
        {"input_0": np.eye(1, 8, dtype=bool)},
    ).outputs.values()
    assert out[0].tolist() == [1.0, *[0.0] * 7]


@pytest.mark.parametrize(
    ("op", "shapes", "output", "wanted"),
    [
        ("RESHAPE", [(6,), None], (2, 3), [2, 3]),
        ("SLICE", [(4, 5), [0, 0], None], (2, 3), [2, 3]),
        ("PAD", [(2, 3), None], (4, 3), [[0, 2], [0, 0]]),
        ("TRANSPOSE", [(2, 3), None], (2, 3), [0, 1]),
        ("TILE", [(2, 3), None], (4, 3), [2, 1]),
        ("RESIZE_BILINEAR", [(1, 2, 2, 3), None], (1, 4, 6, 3), [4, 6]),
        ("REDUCE_MAX", [(2, 3), None], (3,), [0]),
    ],
)  # fmt: skip
def test_inputs_that_say_a_shape_are_those_of_the_output(op, shapes, output, wanted):
    kinds = {
        type(None): lambda each: (np.shape(wanted), "int32"),
        list: lambda each: ((len(each),), "int32", each),
        tuple: lambda each: (each, FLOAT),
    }
    inputs = [kinds[type(each)](each) for each in shapes]
    network = Artifact.of(made.one_operator(op, inputs, (output, FLOAT))).network
    found = random_inputs(network)
    number = next(f"input_{i}" for i, port in enumerate(network.inputs) if port.dtype == "int32")
    np.testing.assert_array_equal(found[number].reshape(8, *np.shape(wanted)), [wanted] * 8)


def test_a_file_that_only_takes_zeros_is_run_on_them(monkeypatch):
    """TensorFlow Lite Micro may read beyond a table where another interpreter refuses to."""

    def picky(engine, artifact, inputs, *rest, **named):
        if inputs["input_0"].any() and engine != "tflm":
            raise made.EngineRefused("index out of bounds")
        return made.engines({"tflm": 0, "litert-reference": 0})(engine, artifact, inputs)

    monkeypatch.setattr("keras_mtl.firmware_host.emulate.emulator.run", picky)
    content = made.one_operator("CAST", [((1, 8), "int32")], ((1, 8), FLOAT), schema.CastOptionsT())
    report = emulate(Artifact.of(content), BOARD)
    assert report.passed, report.failures()
    assert [engine.ran for engine in report.engines] == [True, False, True, False]


@pytest.mark.parametrize("engine", ["tflm", "litert-reference"])
def test_a_scalar_stays_one(engine):
    content = made.one_operator("ADD", [((), FLOAT), ((1, 4), FLOAT)], ((1, 4), FLOAT), schema.AddOptionsT())
    inputs = {"input_0": np.array([2.0], np.float32), "input_1": np.arange(4, dtype=np.float32)[None]}
    (found,) = run(engine, Artifact.of(content), inputs).outputs.values()
    assert found[0].tolist() == [2.0, 3.0, 4.0, 5.0]


def lstm(inputs: int = 24) -> bytes:
    """8 inputs, 5 units, 10 steps: seven matrices of weights, of which the input gate's are left out."""
    weights = [None, *[((5, 8), FLOAT)] * 3, None, *[((5, 5), FLOAT)] * 3]
    rest = [None] * 3 + [((5,), FLOAT)] * 4 + [None] * 2 + [((1, 5), FLOAT)] * 2 + [None] * 4
    return made.one_operator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", [((1, 10, 8), FLOAT), *weights, *rest][:inputs], ((1, 10, 5), FLOAT)
    )


def basic_lstm() -> bytes:
    """8 inputs and 5 units: all weights in one matrix."""
    weights = [((20, 13), FLOAT), ((20,), FLOAT)]
    return made.one_operator("LSTM", [((1, 8), FLOAT), ((1, 5), FLOAT), *weights, ((1, 5), FLOAT)], ((1, 5), FLOAT))


@pytest.mark.parametrize(
    ("content", "macs"),
    [
        (transposed(), 16 * 2 * 3 * 3 * 4),
        (lstm(), 10 * 3 * (5 * 8 + 5 * 5)),
        (made.one_operator("SVDF", [((1, 4), FLOAT), ((8, 4), FLOAT), ((8, 2), FLOAT), None], ((1, 8), FLOAT)), 48),
        (basic_lstm(), 20 * 13),
        (made.branched(), 4 * 5),
        (made.branched(7, 2), 4 * 7),
        (made.remembering(), 0),
        (gathered(), 0),
    ],
    ids=["transposed", "lstm", "svdf", "basic lstm", "else", "then", "variable", "gather"],
)  # fmt: skip
def test_macs_of_operators_of_others(content, macs):
    model = flatbuffer.read_model(content)
    assert flatbuffer.macs(model) == macs
    assert sum(row.macs for row in op_rows(model)) == macs
    assert uncounted(model) == ""


def test_the_dearer_side_of_a_branch_is_listed():
    rows = op_rows(flatbuffer.read_model(made.branched()))
    assert [(row.op, row.macs, row.output_shape) for row in rows] == [
        ("IF", 0, (1, 3)),
        ("FULLY_CONNECTED", 20, (1, 5)),
    ]


def test_a_file_that_computes_nothing_says_so():
    with pytest.raises(ArtifactError, match="the TFLite file computes nothing: it holds no operators"):
        Artifact.of(nothing(2))
    with pytest.raises(
        ArtifactError, match=r"its first subgraph holds no operators.*choose one of its signatures: same"
    ):
        Artifact.of(nothing(1))
    model = flatbuffer.read_model(made.two_signatures())
    model.subgraphs = []
    with pytest.raises(ArtifactError, match="the TFLite file holds no subgraph"):
        Artifact.of(flatbuffer.write_model(model))


def nothing(empty: int) -> bytes:
    """Two subgraphs, the first so many of them without an operator."""
    model = flatbuffer.read_model(made.two_signatures())
    for graph in model.subgraphs[:empty]:
        graph.operators, graph.outputs = [], graph.inputs
    model.signatureDefs[0].signatureKey = "same"
    return flatbuffer.write_model(model)
