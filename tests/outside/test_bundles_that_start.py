"""Firmware folders of files that others made: branches, variables, TensorFlow Lite Micro's custom operators, several.

A firmware starts where its resolver has all operators that the interpreter asks for, and its variables have a place.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

sys.path.insert(0, str(Path(__file__).parents[1] / "firmware_host"))  # for what stands in for TFLM's headers
from tflm_declarations import check_for_tflm

from keras_mtl.core import ArtifactError, EngineRefused, VerdictFailed
from keras_mtl.firmware_host.bundle import bundle_names, verify_bundle, write_bundle
from keras_mtl.firmware_host.bundle.text import resolver, tflm_build
from keras_mtl.firmware_host.compute import RESOLVER_METHODS
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact

#: `micro_mutable_op_resolver.h` of TFLM's commit 90b983c: the methods whose names are not simply the operators'.
ODD_METHODS = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "L2_POOL_2D": "AddL2Pool2D",
    "PADV2": "AddPadV2",
    "SELECT_V2": "AddSelectV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
    "CUSTOM:CIRCULAR_BUFFER": "AddCircularBuffer",
    "CUSTOM:SignalDelay": "AddDelay",
    "CUSTOM:SignalPCAN": "AddPCAN",
    "CUSTOM:TFLM_DECODE": "AddDecode",
    "CUSTOM:TFLite_Detection_PostProcess": "AddDetectionPostprocess",
    "CUSTOM:ethos-u": "AddEthosU",
}
_METHODS = 118
_SAMPLES = 16


class File:
    """A `.tflite` file by its subgraphs: tensors by their names, operators in their order."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version, self.model.operatorCodes, self.model.subgraphs = 3, [], []
        self.model.buffers = [schema.BufferT()]

    def graph(self) -> Graph:
        made = schema.SubGraphT()
        made.tensors, made.operators, made.inputs, made.outputs = [], [], [], []
        self.model.subgraphs.append(made)
        return Graph(self.model, made)

    def artifact(self) -> Artifact:
        return Artifact.of(flatbuffer.write_model(self.model))


class Graph:
    def __init__(self, model: Any, made: Any) -> None:
        self.model, self.made, self.places = model, made, {}

    def tensor(self, name: str, dtype: str, shape: tuple[int, ...], values: Any = None) -> str:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = getattr(schema.TensorType, dtype.upper())
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.asarray(values, dtype).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.places[name] = len(self.made.tensors)
        self.made.tensors.append(tensor)
        return name

    def op(
        self, name: str, inputs: str, outputs: str, options: Any = None, custom: dict[str, int] | None = None
    ) -> None:
        """An operator; `custom`: options of a custom one, which `name` is the name of."""
        code = schema.OperatorCodeT()
        number = schema.BuiltinOperator.CUSTOM if custom is not None else getattr(schema.BuiltinOperator, name)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
        code.customCode = name if custom is not None else None
        self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = ([self.places[each] for each in ends.split()] for ends in (inputs, outputs))
        if options is not None:
            made.builtinOptions = options
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        if custom is not None:
            made.customOptions = list(flexbuffers.Dumps(custom))
        self.made.operators.append(made)

    def ends(self, inputs: str, outputs: str) -> None:
        self.made.inputs, self.made.outputs = ([self.places[e] for e in ends.split()] for ends in (inputs, outputs))


def branches() -> Artifact:
    """x + 1 where x is positive, else 3 x: the sums and products stand in the branches of an IF alone."""
    file = File()
    main, then, other = file.graph(), file.graph(), file.graph()
    main.tensor("x", "float32", (1,)), main.tensor("zero", "float32", (1,), [0])
    main.tensor("positive", "bool", (1,)), main.tensor("y", "float32", (1,))
    options = schema.IfOptionsT()
    options.thenSubgraphIndex, options.elseSubgraphIndex = 1, 2
    main.op("GREATER", "x zero", "positive")
    main.op("IF", "positive x", "y", options)
    main.ends("x", "y")
    for graph, name, made, value in ((then, "ADD", schema.AddOptionsT(), 1), (other, "MUL", schema.MulOptionsT(), 3)):
        graph.tensor("in", "float32", (1,)), graph.tensor("c", "float32", (1,), [value])
        graph.tensor("out", "float32", (1,))
        graph.op(name, "in c", "out", made)
        graph.ends("in", "out")
    return file.artifact()


def variables() -> Artifact:
    """The sum of all x so far, kept in one variable, and the last x, in another one; both begin as 0."""
    file = File()
    main, first = file.graph(), file.graph()
    once = schema.CallOnceOptionsT()
    once.initSubgraphIndex = 1
    main.tensor("x", "float32", (1,))
    main.op("CALL_ONCE", "", "", once)
    first.tensor("nothing", "float32", (1,), [0])
    for name in ("sum", "last"):
        handle = schema.VarHandleOptionsT()
        handle.sharedName, handle.container = name, ""
        for graph in (main, first):
            graph.tensor(name, "resource", (1,))
            graph.op("VAR_HANDLE", "", name, handle)
        first.op("ASSIGN_VARIABLE", f"{name} nothing", "")
        main.tensor(f"{name}_before", "float32", (1,))
        main.op("READ_VARIABLE", name, f"{name}_before")
    main.tensor("y", "float32", (1,))
    main.op("ADD", "sum_before x", "y", schema.AddOptionsT())
    main.op("ASSIGN_VARIABLE", "sum y", "")
    main.op("ASSIGN_VARIABLE", "last x", "")
    main.ends("x", "y last_before")
    return file.artifact()


def signal() -> Artifact:
    """A window over int16 samples and its spectrum, by TFLM's signal library."""
    file = File()
    main = file.graph()
    main.tensor("x", "int16", (1, _SAMPLES)), main.tensor("w", "int16", (_SAMPLES,), np.full(_SAMPLES, 1 << 11))
    main.tensor("windowed", "int16", (1, _SAMPLES)), main.tensor("y", "int16", (1, _SAMPLES + 2))
    main.op("SignalWindow", "x w", "windowed", custom={"shift": 12})
    main.op("SignalRfft", "windowed", "y", custom={"T": schema.TensorType.INT16, "fft_length": _SAMPLES})
    main.ends("x", "windowed y")
    return file.artifact()


@pytest.fixture(scope="module")
def board():
    return load_target("stm32h743")


@pytest.fixture(scope="module")
def folders(board, tmp_path_factory) -> Path:
    """The bundles of all of them, for one firmware."""
    made = {"branches": branches(), "variables": variables(), "signal": signal()}
    checked = [(artifact, report_of(artifact, board, f"others/{name}.tflite")) for name, artifact in made.items()]
    return write_bundle(checked, tmp_path_factory.mktemp("bundles") / "firmware").path


def report_of(artifact: Artifact, board: Any, path: str) -> Report:
    """TFLM's report. Parity is left out: no other interpreter has the custom operators."""
    report = emulate(artifact, board, ("tflm",), path=path)
    assert report.engines[0].ran, report.engines[0].reason
    return replace(report, checks=tuple(check for check in report.checks if check.name != "parity_lsb"))


def golden(folder: Path, kind: str, dtype: str) -> np.ndarray:
    return np.frombuffer((folder / f"golden_{kind}.bin").read_bytes(), dtype)


def test_resolver_has_the_operators_of_branches_and_of_what_runs_once(folders):
    found = {name: _registered(folders / name) for name in ("branches", "variables")}
    assert found["branches"] == ["AddAdd()", "AddGreater()", "AddIf()", "AddMul()"]
    assert found["variables"] == [
        "AddAdd()",
        "AddAssignVariable()",
        "AddCallOnce()",
        "AddReadVariable()",
        "AddVarHandle()",
    ]
    x, y = (golden(folders / "branches", kind, "<f4") for kind in ("input", "output"))
    np.testing.assert_allclose(y, np.where(x > 0, x + 1, 3 * x), rtol=1e-6)
    assert (x > 0).any() and not (x > 0).all()


def test_variables_are_made_for_as_many_as_there_are_names(folders):
    text = (folders / "variables" / "model_resolver.h").read_text()
    assert "constexpr int kResourceVariables = 2;" in text
    assert "constexpr int kResourceVariables = 0;" in (folders / "branches" / "model_resolver.h").read_text()
    assert "variables::kResourceVariables>" in (folders / "variables" / "model_networks.cc").read_text()
    x = golden(folders / "variables", "input", "<f4")
    # From the start and in a row, as the self-test runs them.
    np.testing.assert_allclose(golden(folders / "variables", "output_0", "<f4"), np.cumsum(x), rtol=1e-5)
    np.testing.assert_allclose(golden(folders / "variables", "output_1", "<f4"), [0, *x[:-1]], rtol=1e-6)


def test_custom_operators_of_tflm_run_and_are_registered_by_their_types(folders):
    assert _registered(folders / "signal") == ["AddRfft(tflite::tflm_signal::Register_RFFT_INT16())", "AddWindow()"]
    x, windowed = (golden(folders / "signal", kind, "<i2").astype(int) for kind in ("input", "output_0"))
    assert np.abs(windowed - x / 2).max() <= 1


def test_several_files_of_others_make_one_firmware(folders, tmp_path):
    assert verify_bundle(folders).passed
    sources = "".join(path.read_text() for path in folders.glob("*/model_networks.h"))
    starts = re.findall(r"int (\w+)_start\(void\);", sources)
    assert sorted(starts) == ["branches", "signal", "variables"]
    assert check_for_tflm(folders / "variables", tmp_path / "variables") == 2
    assert check_for_tflm(folders / "signal", tmp_path / "signal") == 2
    above = (folders / "CMakeLists.txt").read_text()
    assert all(f"add_subdirectory({name})" in above for name in starts)
    text = (folders / "README.md").read_text()
    assert all(f'#include "{name}/model_networks.h"' in text for name in starts)
    assert "_LABELS" not in (folders / "signal" / "model_settings.h").read_text()
    text = (folders / "signal" / "README.md").read_text()
    assert "a file that keras_mtl did not make" in text
    assert not re.search("`unknown`|labels stand", text)


def test_resolver_without_an_operator_makes_no_bundle(board, tmp_path, monkeypatch):
    """What is asked for in a branch alone, too: TFLM is given a file in which that operator is none of its own."""
    artifact = branches()
    report = report_of(artifact, board, "branches.tflite")
    complete = resolver.registrations

    def without_sums(model: Any) -> tuple[str, ...]:
        return tuple(call for call in complete(model) if call != "AddAdd()")

    assert resolver.restricted(artifact).network.content == artifact.network.content
    monkeypatch.setattr(resolver, "registrations", without_sums)
    assert resolver.restricted(artifact).network.content != artifact.network.content
    with pytest.raises(EngineRefused, match=r"ADD \(not in the resolver\)"):
        write_bundle([(artifact, report)], tmp_path / "firmware")
    assert not (tmp_path / "firmware").exists()


def test_methods_of_the_resolver_are_those_of_tflm():
    assert len(set(RESOLVER_METHODS.values())) == len(RESOLVER_METHODS) == _METHODS
    assert {op: RESOLVER_METHODS[op] for op in ODD_METHODS} == ODD_METHODS


@pytest.mark.parametrize(
    ("name", "why"),
    [("ethos-u", "nothing on this host runs it"), ("MyOwn", "none of TFLM's operators")],
    ids=["npu", "own"],
)
def test_operators_that_no_host_runs_are_refused_with_the_reason(board, tmp_path, name, why):
    file = File()
    main = file.graph()
    main.tensor("x", "int8", (1, 4)), main.tensor("y", "int8", (1, 4))
    main.op(name, "x", "y", custom={})
    main.ends("x", "y")
    artifact = file.artifact()
    report = emulate(artifact, board, ("tflm",))
    (check,) = [check for check in report.checks if check.name == "ops_supported"]
    assert not check.ok
    assert why in check.why
    with pytest.raises(VerdictFailed, match="ops_supported"):
        write_bundle([(artifact, report)], tmp_path / "firmware")


def test_names_come_from_files_and_tell_them_apart():
    artifact = branches()

    def names(*paths: str, given: tuple[str, ...] = ()) -> list[str]:
        return bundle_names([(artifact, path) for path in paths], given)

    assert names("a/Hello World-int8.tflite", "b/speech.tflite") == ["hello_world_int8", "speech"]
    assert names("x/a/net.tflite", "x/b/net.tflite", "x/b/other.tflite") == ["a_net", "b_net", "other"]
    # Words of C++, of CMake, and of what the sources use.
    assert names("int.tflite", "test.tflite", "std.tflite", "m.tflite") == ["m_int", "m_test", "m_std", "m_m"]
    assert names("a.tflite", "a.tflite", given=("wake", "voice")) == ["wake", "voice"]
    for paths, given, why in (
        (("a.tflite", "a.tflite"), (), "clash in a firmware: a, a"),
        (("a.tflite", "a_selftest.tflite"), (), "clash in a firmware: a, a_selftest"),
        (("a.tflite",), ("two", "names"), "2 names for 1 artifacts"),
        (("a.tflite",), ("my-net",), "'my-net' is no name"),
    ):
        with pytest.raises(ArtifactError, match=why):
            names(*paths, given=given)


def test_block_that_builds_tflm_is_a_script_and_has_the_abi_of_the_core(board):
    text = tflm_build.tflm_section(board.to_dict())
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.S)
    subprocess.run(["bash", "-n"], input=block, text=True, check=True)
    assert f"git checkout {tflm_build.TFLM_COMMIT}" in block
    assert "TARGET_ARCH=cortex-m7+fp OPTIMIZED_KERNEL_DIR=cmsis_nn" in block
    assert "-mfloat-abi=hard" in text
    small = tflm_build.tflm_section({"core": "cortex-m0plus", "kernels": "reference"})
    assert "TARGET_ARCH=cortex-m0plus microlite" in small
    assert "-mfloat-abi=soft" in small
    other = tflm_build.tflm_section(load_target("esp32-s3").to_dict())
    assert "cortex_m_generic TARGET_ARCH" not in other


def test_sections_of_an_arena_without_content_are_those_that_the_sources_name(folders, tmp_path):
    """GCC gives a section whose name begins with ".bss." no content in the image."""
    told = re.findall(r'section\("([^"]+)"\)', (folders / "signal" / "model_networks.cc").read_text())
    assert told == [".bss.sdram"]
    source, made = tmp_path / "arena.c", tmp_path / "arena.o"
    source.write_text(
        f'__attribute__((section("{told[0]}"))) static char arena[4096];\nchar *use(void) {{ return arena; }}\n'
    )
    subprocess.run(["gcc", "-c", str(source), "-o", str(made)], check=True)
    assert made.stat().st_size < 4096


def _registered(folder: Path) -> list[str]:
    return re.findall(r"resolver->(.+) != kTfLiteOk", (folder / "model_resolver.h").read_text())
