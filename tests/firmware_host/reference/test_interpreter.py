"""Whole files on the reference: variables, every tensor, and the artifacts of this project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import small_artifacts
from ai_edge_litert import schema_py_generated as schema
from file_builder import Builder
from run_rows import run_rows
from tflm_process import TflmProcess

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.engines import run
from keras_mtl.firmware_host.reference import ReferenceInterpreter
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.tflite import flatbuffer

SETS = Path(__file__).parents[2] / "golden" / "sets"
FILES = sorted(SETS.glob("*/*.tflite"))


def variable_file(zero: int = -5, once: bool = True) -> bytes:
    """The last two inputs in a variable that `CALL_ONCE` fills: concatenated with the input, cut, kept."""
    made = Builder()
    names = schema.VarHandleOptionsT()
    names.container, names.sharedName = "", "kept"
    if once:
        graph = made.graph()
        first = made.tensor("handle", (), "resource", graph=graph)
        values = made.tensor("first", (1, 2, 3), "int8", np.arange(6).reshape(1, 2, 3), 0.5, zero, graph=graph)
        made.op("VAR_HANDLE", 1, [], [first], names, graph)
        made.op("ASSIGN_VARIABLE", 1, [first, values], [], cases.options("AssignVariableOptions"), graph)
        made.op("CALL_ONCE", 1, [], [], cases.options("CallOnceOptions", initSubgraphIndex=graph))
    handle = made.tensor("variable", (), "resource")
    source, kept, all_, out = (
        made.tensor(name, (1, rows, 3), "int8", None, 0.5, zero)
        for name, rows in (("x", 1), ("kept", 2), ("all", 3), ("out", 2))
    )
    made.op("VAR_HANDLE", 1, [], [handle], names)
    made.op("READ_VARIABLE", 1, [handle], [kept], cases.options("ReadVariableOptions"))
    made.op("CONCATENATION", 1, [kept, source], [all_], cases.options("ConcatenationOptions", axis=1))
    ends = [made.tensor(f"end_{n}", (3,), "int32", values) for n, values in enumerate(([0, 1, 0], [1, 3, 3], [1] * 3))]
    made.op("STRIDED_SLICE", 1, [all_, *ends], [out], cases.options("StridedSliceOptions"))
    made.op("ASSIGN_VARIABLE", 1, [handle, out], [], cases.options("AssignVariableOptions"))
    made.ends[0] = ([source], [out])
    return made.bytes()


@pytest.mark.parametrize("once", [True, False])
def test_variables_last_from_one_inference_to_the_next(tflm: TflmProcess, once: bool) -> None:
    content, inputs = variable_file(once=once), [np.full((1, 1, 3), n, np.int8) for n in (7, 8, 9)]
    reference, theirs = ReferenceInterpreter(content), tflm.run(content, [[each] for each in inputs])
    found = [reference.run([each])[0] for each in inputs]
    np.testing.assert_array_equal(found, [outputs[0] for outputs in theirs])
    assert found[0][0, 0].tolist() == ([3, 4, 5] if once else [-5, -5, -5])
    assert found[2][0, :, 0].tolist() == [8, 9]
    reference.reset()
    np.testing.assert_array_equal(reference.run([inputs[0]])[0], found[0])


def test_a_variable_that_nothing_is_assigned_to_is_refused() -> None:
    made = Builder()
    handle, out = made.tensor("variable", (), "resource"), made.tensor("out", (1, 2), "int8", None, 1.0)
    made.op("VAR_HANDLE", 1, [], [handle], cases.options("VarHandleOptions", container="", sharedName="x"))
    made.op("READ_VARIABLE", 1, [handle], [out], cases.options("ReadVariableOptions"))
    made.ends[0] = ([], [out])
    with pytest.raises(EngineRefused, match=r"READ_VARIABLE \(layer out\): nothing is ever assigned to its variable"):
        ReferenceInterpreter(made.bytes()).run([])


def test_a_subgraph_that_calls_itself_is_refused() -> None:
    made = Builder()
    inner = made.graph()
    for graph in (0, inner):
        made.op("CALL_ONCE", 1, [], [], cases.options("CallOnceOptions", initSubgraphIndex=inner), graph)
    with pytest.raises(EngineRefused, match="subgraph 1 calls itself"):
        ReferenceInterpreter(made.bytes())


def test_a_damaged_file_is_refused() -> None:
    model = flatbuffer.read_model(FILES[0].read_bytes())
    model.subgraphs[0].tensors[1].buffer = 1000
    with pytest.raises(EngineRefused, match="tensor 1 has no buffer in the file"):
        ReferenceInterpreter(model)
    model = flatbuffer.read_model(FILES[0].read_bytes())
    model.subgraphs[0].operators.reverse()
    with pytest.raises(EngineRefused, match="is computed by no operator before it"):
        reference = ReferenceInterpreter(model)
        reference.run([np.zeros(tensor.shape, tensor.dtype) for tensor in reference.inputs])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_tensor_of_the_projects_files_is_tflms(tflm: TflmProcess, path: Path) -> None:
    content, generator = path.read_bytes(), np.random.default_rng(3)
    reference = ReferenceInterpreter(content)

    def drawn(tensor: Any) -> np.ndarray:
        ends = np.iinfo(tensor.dtype)
        return generator.integers(ends.min, ends.max + 1, tensor.shape).astype(tensor.dtype)

    runs = [[drawn(tensor) for tensor in reference.inputs] for _ in range(5)]
    computed = [tensor for step in reference.graphs[0].steps for tensor in step.node.outputs]
    found = tflm.run(content, runs, [tensor.index for tensor in computed])
    for inputs, theirs in zip(runs, found, strict=True):
        ours = reference.run(inputs)
        for values, goal in zip(ours, theirs[: len(ours)], strict=True):
            np.testing.assert_array_equal(values, goal)
        for tensor, goal in zip(computed, theirs[len(ours) :], strict=True):
            np.testing.assert_array_equal(reference.value(tensor.index), goal)
            np.testing.assert_array_equal(reference.value(tensor.name), goal)


def test_inputs_that_do_not_fit_and_tensors_that_are_not_there() -> None:
    reference = ReferenceInterpreter(FILES[0].read_bytes())
    (tensor,) = reference.inputs
    with pytest.raises(EngineRefused, match="0 inputs, not 1"):
        reference.run([])
    with pytest.raises(EngineRefused, match=rf"input {tensor.name} of \[2\] int16, not \[.*\] int16"):
        reference.run([np.zeros(2, np.int16)])
    with pytest.raises(EngineRefused, match="no values of a tensor nothing"):
        reference.value("nothing")


@pytest.mark.parametrize("fmt", ["int8", "int16x8"])
def test_the_engine_gives_what_tflm_gives(make_artifact: Any, fmt: str) -> None:
    artifact = make_artifact(fmt)
    found, theirs = (run(engine, artifact, artifact.golden.inputs) for engine in ("numpy", "tflm"))
    np.testing.assert_array_equal(found.outputs["output_0"], theirs.outputs["output_0"])
    assert np.ptp(found.outputs["output_0"]) > 20
    assert found.arena_bytes == {"network": None}


def test_float_files_are_refused_with_the_layer(models: Any) -> None:
    with pytest.raises(
        EngineRefused, match=r"numpy refused the model: operator 0, CONV_2D \(layer .*no kernel for flo"
    ):
        run_rows("numpy", models["float32"], np.zeros((1, 8, 6, 1), np.float32))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_a_streaming_artifact_on_the_engine(dtype: str) -> None:
    artifact = small_artifacts.make_streaming(Builder, dtype)
    recording = {"recording": artifact.golden.inputs["recording"]}
    found, theirs = (run(engine, artifact, recording) for engine in ("numpy", "tflm"))
    assert found.outputs.keys() == theirs.outputs.keys()
    for name, values in theirs.outputs.items():
        np.testing.assert_array_equal(found.outputs[name], values)


def test_emulate_runs_it_where_it_is_asked_for(make_artifact: Any) -> None:
    artifact = make_artifact("int8")
    report = emulate(artifact, load_target("dcase-asc"), ["numpy"])
    assert [(engine.engine, engine.ran) for engine in report.engines] == [("numpy", True)]
    assert report.passed
