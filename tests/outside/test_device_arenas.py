"""The arena that a device needs: scratch memory of its kernels, by layer, and variables counted once.

Inputs are of the kinds that came from outside: wide convolutions, streaming wake words with variables, transposed
convolutions, recurrent layers. Sizes are worked out by hand from the libraries' sources, or are Arm's own functions'.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keras_mtl.firmware_host.arena import arena_of, cmsis_nn
from keras_mtl.firmware_host.arena.plan import plan_arena
from keras_mtl.firmware_host.arena.window import Window, window
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import KernelBuild, load_target
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact

BOARD, CHIP = load_target("stm32h743"), load_target("esp32-s3")
HELIUM = replace(BOARD, core="cortex-m55")
NEWEST = "7.0"
#: Whether the interpreter starts in so many bytes.
_STARTS = """
import sys
from pathlib import Path
from tflite_micro.python.tflite_micro import runtime
for size in map(int, sys.argv[2:]):
    try:
        runtime.Interpreter.from_bytes(Path(sys.argv[1]).read_bytes(), arena_size=size)
        print(True)
    except RuntimeError:
        print(False)
"""
#: Bytes of one more ASSIGN_VARIABLE on the host: its node, and the data of its kernel.
_ONE_MORE_OPERATOR = 64 + 16
_BYTES = {"int8": np.int8, "int16": np.int16, "int32": np.int32, "float32": np.float32}


def file(name: str, inputs: list[Any], result: Any, options: Any = None, steps: int = 1) -> bytes:
    """A file of one operator. Tensors are (type, shape), constants (type, shape, True)."""
    model, graph, operator, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    model.version, model.buffers, graph.tensors = 3, [schema.BufferT()], []
    for number, (kind, shape, *constant) in enumerate([*inputs, result]):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = f"t{number}", list(shape), 0
        tensor.type = getattr(schema.TensorType, kind.upper())
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.full(steps if constant else 1, 0.5, np.float32)
        tensor.quantization.zeroPoint = np.zeros(steps if constant else 1, np.int64)
        if constant:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ones(shape, _BYTES[kind]).tobytes(), np.uint8)
            model.buffers.append(buffer)
            tensor.buffer = len(model.buffers) - 1
        graph.tensors.append(tensor)
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, list(range(len(inputs))), [len(inputs)]
    if options is not None:
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
    graph.operators, model.operatorCodes, model.subgraphs = [operator], [code], [graph]
    graph.inputs = [n for n, tensor in enumerate(graph.tensors[:-1]) if not tensor.buffer]
    graph.outputs = [len(inputs)]
    return flatbuffer.write_model(model)


def _options(name: str, **values: Any) -> Any:
    made = getattr(schema, f"{name}OptionsT")()
    for key, value in values.items():
        setattr(made, key, value)
    return made


def _convolution(kind: str, image: tuple[int, ...], weights: tuple[int, ...], result: tuple[int, ...], **more: Any):
    sides = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": 0, **more}
    name = "DepthwiseConv2D" if "depthMultiplier" in more else "Conv2D"
    inputs = [(kind, image), ("int8", weights, True), ("int32", (result[-1],), True)]
    operator = "DEPTHWISE_CONV_2D" if "depthMultiplier" in more else "CONV_2D"
    return file(operator, inputs, (kind, result), _options(name, **sides), result[-1])


FILES = {
    "conv": _convolution("int8", (1, 6, 6, 256), (8, 3, 3, 256), (1, 4, 4, 8), padding=1),
    "conv int16": _convolution("int16", (1, 6, 6, 256), (8, 3, 3, 256), (1, 4, 4, 8), padding=1),
    "point": _convolution("int8", (1, 6, 6, 256), (8, 1, 1, 256), (1, 6, 6, 8)),
    "rows": _convolution("int8", (1, 5, 1, 40), (32, 5, 1, 40), (1, 1, 1, 32), padding=1, strideH=3),
    "small": _convolution("int8", (1, 8, 8, 3), (4, 3, 3, 3), (1, 8, 8, 4)),
    "depthwise": _convolution("int8", (1, 4, 4, 512), (1, 3, 3, 512), (1, 4, 4, 512), depthMultiplier=1),
    "depthwise 5x5": _convolution("int8", (1, 8, 8, 64), (1, 5, 5, 64), (1, 8, 8, 64), depthMultiplier=1),
    "depthwise int16": _convolution("int16", (1, 4, 4, 512), (1, 3, 3, 512), (1, 4, 4, 512), depthMultiplier=1),
    "dense": file(
        "FULLY_CONNECTED", [("int8", (1, 64)), ("int8", (10, 64), True)], ("int8", (1, 10)), _options("FullyConnected")
    ),
    "dense over rows": file(
        "FULLY_CONNECTED",
        [("int8", (1, 5, 64)), ("int8", (10, 64), True)],
        ("int8", (1, 5, 10)),
        _options("FullyConnected", keepNumDims=True),
    ),
    "pool": file(
        "AVERAGE_POOL_2D",
        [("int8", (1, 8, 8, 64))],
        ("int8", (1, 1, 1, 64)),
        _options("Pool2D", strideH=8, strideW=8, filterHeight=8, filterWidth=8, padding=1),
    ),
    "matmul": file(
        "BATCH_MATMUL", [("int8", (1, 4, 8)), ("int8", (1, 8, 6))], ("int8", (1, 4, 6)), _options("BatchMatMul")
    ),
    "transposed": file(
        "TRANSPOSE_CONV",
        [("int32", (4,), True), ("int8", (4, 3, 3, 4), True), ("int8", (1, 8, 8, 4))],
        ("int8", (1, 16, 16, 4)),
        _options("TransposeConv", strideH=2, strideW=2),
    ),
    "transposed wide": file(
        "TRANSPOSE_CONV",
        [("int32", (4,), True), ("int8", (4, 3, 3, 32), True), ("int8", (1, 8, 8, 32))],
        ("int8", (1, 16, 16, 4)),
        _options("TransposeConv", strideH=2, strideW=2),
    ),
    "softmax": file("SOFTMAX", [("int8", (1, 10))], ("int8", (1, 10)), _options("Softmax", beta=1.0)),
}


def _scratch(name: str, target: Any) -> list[int]:
    return [each["bytes"] for each in arena_of(flatbuffer.read_model(FILES[name]), None, target)["device"]["scratch"]]


@pytest.mark.parametrize(
    ("name", "core", "version", "wanted"),
    [
        # Two columns of 16 bits: 36 bytes a channel; with Helium four of 8 bits.
        ("conv", "cortex-m7", NEWEST, [9216]),
        ("conv", "cortex-m0plus", NEWEST, [9216]),
        ("conv", "cortex-m55", NEWEST, [4 * 9 * 256]),
        ("conv int16", "cortex-m7", NEWEST, [9216]),
        ("conv int16", "cortex-m7", "5.0", []),
        ("point", "cortex-m7", NEWEST, []),
        # 3x3 windows: 18 bytes a channel in 4.0, nothing since; in a target without a version what asks for the most.
        ("depthwise", "cortex-m7", "4.0", [9216]),
        ("depthwise", "cortex-m7", NEWEST, []),
        ("depthwise", "cortex-m7", None, [9216]),
        ("depthwise", "cortex-m0", None, []),
        ("depthwise", "cortex-m55", None, [4 * 124 * 9]),
        ("depthwise 5x5", "cortex-m4", None, [2 * 25 * 64]),
        ("depthwise int16", "cortex-m4", None, []),
        ("dense", "cortex-m4", None, []),
        ("dense over rows", "cortex-m4", None, [80]),
        ("pool", "cortex-m4", None, [256]),
        ("pool", "cortex-m55", None, []),
        ("matmul", "cortex-m4", None, []),
        ("matmul", "cortex-m55", None, [32]),
        ("transposed", "cortex-m7", None, [3 * 3 * 8 * 8 * 4 * 4]),
        ("transposed", "cortex-m7", NEWEST, [17 * 4 * 3 * 4]),
        ("transposed wide", "cortex-m7", NEWEST, [2 * 2 * 288 + 4 * 288]),
        ("softmax", "cortex-m7", None, []),
    ],
)
def test_cmsis_nn_asks_by_layer_version_and_core(name, core, version, wanted):
    assert _scratch(name, replace(BOARD, core=core, kernels_version=version)) == wanted


@pytest.mark.parametrize(
    ("name", "core", "version", "wanted"),
    [
        # Weights twice, the image with what its last window lacks, a sum for each output, and room around it.
        ("rows", "xtensa-lx7", "1.2.3", [15_840]),
        ("rows", "xtensa-lx7", "1.2.1", [15_808]),
        ("rows", "xtensa-lx7", "1.1", [7_840]),
        ("rows", "xtensa-lx7", None, [15_840]),
        ("rows", "xtensa-lx6", None, []),
        ("small", "xtensa-lx7", "1.2.3", [4 * (4 + 32) + 32 + 96 + 0]),
        ("point", "xtensa-lx7", None, [2048 + 4096 + 64]),
        ("depthwise", "xtensa-lx7", "1.1", [9 * 512 + 36 * 512 + 16]),
        ("depthwise 5x5", "xtensa-lx7", "1.1", [32]),
        ("depthwise 5x5", "xtensa-lx7", "1.2.3", [2 * (25 * 64 + 64 * 64) + 32]),
        ("softmax", "xtensa-lx6", None, [48]),
    ],
)
def test_esp_nn_asks_by_layer_version_and_chip(name, core, version, wanted):
    assert _scratch(name, replace(CHIP, core=core, kernels_version=version)) == wanted


def test_scratch_memory_is_placed_with_the_tensors_of_its_operator():
    """Input 6x6x256 and output 4x4x8 of 8 bits, and 9,216 bytes beside them."""
    model = flatbuffer.read_model(FILES["conv"])
    assert plan_arena(model).device.activations_bytes == 9216 + 128
    assert plan_arena(model, BOARD.kernel_builds).device.activations_bytes == 9216 + 128 + 9216
    assert plan_arena(model).planned_bytes == plan_arena(model, BOARD.kernel_builds).planned_bytes
    assert arena_of(model, None, HELIUM)["device"]["activations_bytes"] == 9216 + 128 + 9216


def test_check_and_words_have_the_scratch_memory_of_the_largest_layer():
    artifact = Artifact.build(FILES["conv"], {"part": "unknown", "audio_seconds": 1.0})
    report = emulate(artifact, BOARD, ["tflm"])
    check, device = report.check("arena_bytes"), report.arena["device"]
    assert check.value == device["arena_bytes"] + device["interpreter_bytes"]
    assert 0 <= device["arena_bytes"] - report.arena["planned_32bit_bytes"] - device["reserve_bytes"] < 16
    assert "at most 9,216 of CONV_2D t3 (cmsis-nn)" in check.why
    assert device["arena_bytes"] > report.arena["measured_bytes"] + 8000


def _with_variables() -> bytes:
    """A state of 8 floats and one of 3: set to zero by CALL_ONCE, read and written each time, under two handles."""
    model, names = schema.ModelT(), ("CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ADD", "ASSIGN_VARIABLE")
    model.version, model.operatorCodes, model.buffers, model.subgraphs = 3, [], [schema.BufferT()], []
    for name in names:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        model.operatorCodes.append(code)
    for size in (8, 3):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.zeros(size, np.float32).tobytes(), np.uint8)
        model.buffers.append(buffer)

    def graph() -> Any:
        made = schema.SubGraphT()
        made.tensors, made.operators, made.inputs, made.outputs = [], [], [], []
        model.subgraphs.append(made)
        return made

    def tensor(made: Any, kind: str, *shape: int, buffer: int = 0) -> int:
        one = schema.TensorT()
        one.name, one.shape, one.buffer = f"t{len(made.tensors)}", list(shape), buffer
        one.type = getattr(schema.TensorType, kind)
        made.tensors.append(one)
        return len(made.tensors) - 1

    def op(made: Any, name: str, inputs: list[int], outputs: list[int], options: Any = None) -> None:
        one = schema.OperatorT()
        one.opcodeIndex, one.inputs, one.outputs = names.index(name), inputs, outputs
        if options is not None:
            one.builtinOptions = options
            one.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        made.operators.append(one)

    main, start = graph(), graph()
    source = tensor(main, "FLOAT32", 1, 8)
    op(main, "CALL_ONCE", [], [], _options("CallOnce", initSubgraphIndex=1))
    for number, size in enumerate((8, 3), 1):
        for made in (main, start):
            handle = tensor(made, "RESOURCE")
            op(made, "VAR_HANDLE", [], [handle], _options("VarHandle", container="", sharedName=f"state_{number}"))
            value = tensor(made, "FLOAT32", 1, size, buffer=0 if made is main else number)
            if made is main:
                op(made, "READ_VARIABLE", [handle], [value])
                total = tensor(made, "FLOAT32", 1, size)
                op(made, "ADD", [value, source if size == 8 else value], [total], _options("Add"))
                op(made, "ASSIGN_VARIABLE", [handle, total], [])
                main.outputs.append(total)
            else:
                op(made, "ASSIGN_VARIABLE", [handle, value], [])
    main.inputs = [source]
    return flatbuffer.write_model(model)


def test_variables_are_counted_once_and_their_handles_not_at_all(tmp_path):
    """The plan is what the interpreter uses, to the byte, and a second assignment or handle adds nothing to it."""
    content = _with_variables()
    artifact = Artifact.build(content, {"part": "unknown", "audio_seconds": 1.0})
    report = emulate(artifact, load_target("dcase-asc"), ["tflm"])
    arena = report.arena
    assert arena["measured_bytes"] == arena["planned_bytes"], report.notes
    assert not any(each["name"] in ("t1", "t4") for each in arena["tensors"])
    assert arena["persistent_parts"]["variables"] == 16 + 2 * 40
    # So few activations take less than planning them: the interpreter starts with exactly that, and not with less.
    needed = arena["device"]["pc_arena_bytes"] - arena["device"]["reserve_bytes"]
    assert needed > arena["measured_bytes"]
    path = tmp_path / "variables.tflite"
    path.write_bytes(content)
    command = [sys.executable, "-c", _STARTS, str(path), str(needed), str(needed - 48)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["True", "False"]
    again = flatbuffer.read_model(content)
    first = next(operator for operator in again.subgraphs[1].operators if len(operator.inputs) == 2)
    again.subgraphs[1].operators.append(first)
    grown = plan_arena(again).planned_bytes - arena["planned_bytes"]
    assert 0 < grown <= _ONE_MORE_OPERATOR


@pytest.fixture(scope="module")
def arm() -> Any:
    """Arm's own functions, as `scripts/cmsis_nn.sh` gets them; the test is skipped without."""
    folder = Path(__file__).parents[2] / ".venv" / "share" / "cmsis-nn"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        try:
            found = importlib.import_module("executorch.backends.cortex_m.library.cmsis_nn")
        except ModuleNotFoundError:
            pytest.skip("Arm's buffer-size functions are not there: sh scripts/cmsis_nn.sh gets them")
        yield found


@st.composite
def _layers(draw: Any) -> tuple[Window, int]:
    height, width = draw(st.sampled_from((1, 2, 5, 16))), draw(st.integers(1, 33))
    filter_sides = draw(st.sampled_from((1, 3, 5))), draw(st.sampled_from((1, 2, 3, 7)))
    channels, outputs = draw(st.integers(1, 140)), draw(st.integers(1, 20))
    stride = draw(st.sampled_from((1, 2, 3))), draw(st.sampled_from((1, 2, 3)))
    dilation, same = draw(st.sampled_from(((1, 1), (1, 1), (2, 2)))), draw(st.booleans())
    reach = [(side - 1) * by + 1 for side, by in zip(filter_sides, dilation, strict=True)]
    assume(same or (height >= reach[0] and width >= reach[1]))
    made = [
        -(-side // by) if same else (side - wide) // by + 1
        for side, wide, by in zip((height, width), reach, stride, strict=True)
    ]
    options = SimpleNamespace(
        strideH=stride[0], strideW=stride[1], dilationHFactor=dilation[0], dilationWFactor=dilation[1],
        padding=0 if same else 1, depthMultiplier=draw(st.sampled_from((1, 1, 2))),
    )  # fmt: skip
    groups = draw(st.sampled_from((1, 2))) if channels % 2 == 0 else 1
    image, result = (1, height, width, channels), (1, *made, outputs)
    return window(image, (outputs, *filter_sides, channels // groups), result, options), options.depthMultiplier


@settings(max_examples=150, deadline=None)
@given(_layers(), st.sampled_from(("mve", "dsp", "c")))
def test_sizes_are_those_of_arms_own_functions(arm, layer, variant):
    """CMSIS-NN's C functions, compiled for this machine in executorch 1.5.1, against this project's formulas."""
    one, multiplier = layer
    backend = {"mve": arm.Backend.MVE, "dsp": arm.Backend.DSP, "c": arm.Backend.SCALAR}[variant]
    build, types = KernelBuild("cmsis-nn", (7, 0), variant), arm.DataType
    sides = {"padding_hw": one.padding, "stride_hw": one.stride, "dilation_hw": one.dilation}
    image = [one.batch, *one.input, one.channels]

    def shapes(weights: int, channels: int, outputs: int) -> dict[str, Any]:
        filter_nhwc = [weights, *one.filter, channels]
        return {"input_nhwc": image, "filter_nhwc": filter_nhwc, "output_nhwc": [1, *one.output, outputs], **sides}

    dense = shapes(one.outputs, one.filter_channels, one.outputs)
    for kind, wide in ((types.A8W8, False), (types.A16W8, True)):
        assert arm.convolve_wrapper_buffer_size(backend, kind, **dense) == cmsis_nn.convolution(one, wide, build)
    outputs = one.channels * multiplier
    each = replace(one, outputs=outputs, filter_channels=outputs, multiplier=multiplier)
    for kind, packed in ((types.A8W8, False), (types.A8W4, True)):
        found = arm.depthwise_conv_wrapper_buffer_size(backend, kind, ch_mult=multiplier, **shapes(1, outputs, outputs))
        assert found == cmsis_nn.depthwise(each, packed, build)
    plain = {**shapes(one.outputs, one.channels, one.outputs), "dilation_hw": (1, 1)}
    reverse = {key: value for key, value in plain.items() if key != "output_nhwc"}
    assert (
        arm.transpose_conv_buffer_size(backend, types.A8W8, **plain),
        arm.transpose_conv_reverse_conv_buffer_size(backend, types.A8W8, **reverse),
    ) == cmsis_nn.transposed(one, build)
    weights = [one.channels, 1, 1, one.outputs]
    assert arm.fully_connected_buffer_size(backend, types.A8W8, filter_nhwc=weights) == cmsis_nn.dense(
        one.outputs, build
    )
    assert arm.svdf_buffer_size(backend, types.A8W8, filter_nhwc=weights) == cmsis_nn.dense(one.channels, build)
    for kind in (types.A8W8, types.A16W8):
        pooled = arm.avgpool_buffer_size(backend, kind, dim_dst_width=one.output[1], ch_src=one.channels)
        assert pooled == cmsis_nn.average_pool(one.channels, build)


def test_the_benchmark_holds_plans_against_a_table(repository, tmp_path):
    """Rows with a figure that fits, one that does not, one without a figure and one of kernels that have no plan."""
    planned = arena_of(flatbuffer.read_model(FILES["pool"]), None, replace(BOARD, kernels_version="4.0"))
    right = planned["planned_32bit_bytes"] + 100
    (tmp_path / "pool.tflite").write_bytes(FILES["pool"])
    rows = [
        ("Board (Cortex-M7)", "TFLM cmsis-nn", right),
        ("Board (Cortex-M7)", "TFLM cmsis-nn", right + 5000),
        ("Board (Cortex-M7)", "X-CUBE-AI", right),
        ("ESP32-S3", "TFLM esp-nn", ""),
    ]
    table = "board\truntime\tmodel\tarena_bytes\n" + "".join(f"{a}\t{b}\tpool.tflite\t{c}\n" for a, b, c in rows)
    (tmp_path / "measured.tsv").write_text(table)
    script = repository.root / "benchmarks" / "devices.py"
    command = [sys.executable, str(script), "--models", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert [row["right"] for row in found["rows"]] == [True, False]
    assert (done.returncode, len(found["left_out"])) == (1, 2)
