"""Small `.tflite` files built by hand from the schema, with a numpy forward pass of the same network as reference."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.lib.stride_tricks import sliding_window_view

from keras_mtl.core import LogMelSettings
from keras_mtl.tflite.artifact import Artifact, Golden

sys.path.insert(
    0, str(Path(__file__).parent)
)  # for the modules beside the tests: pytest imports these without their folder
from file_builder import Builder

SHAPE, CHANNELS, CLASSES = (8, 6), 4, 5
FORMATS = ("float32", "float16", "int8", "int16x8")
#: Step of the input, of the convolution's output and of the logits, and the two zero points that are not 0.
STEPS = {"int8": (1 / 32, 6 / 255, 16 / 255), "int16x8": (4 / 32767, 6 / 32767, 12 / 32767)}
ZEROS = {"int8": (3, -128, -5), "int16x8": (0, 0, 0)}


def _weights() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(7)
    dense_inputs = SHAPE[0] // 2 * (SHAPE[1] // 2) * CHANNELS
    return (
        generator.normal(0, 0.4, (CHANNELS, 3, 3, 1)),
        generator.normal(0, 0.2, CHANNELS),
        generator.normal(0, 0.15, (CLASSES, dense_inputs)),
        generator.normal(0, 0.2, CLASSES),
    )


def forward(inputs: np.ndarray, fmt: str) -> np.ndarray:
    """The network in float64 with every tensor rounded to the file's steps: inputs [n, 8, 6, 1] -> logits [n, 5]."""
    kernel, bias, dense, dense_bias = _weights()
    if fmt.startswith("int"):
        steps = np.abs(kernel).max((1, 2, 3), keepdims=True) / 127
        kernel = np.rint(kernel / steps) * steps
        step = np.abs(dense).max() / 127
        dense = np.rint(dense / step) * step
    elif fmt == "float16":
        kernel, dense = kernel.astype(np.float16).astype(float), dense.astype(np.float16).astype(float)
    padded = np.pad(inputs[..., 0].astype(float), ((0, 0), (1, 1), (1, 1)))
    maps = np.einsum("nhwij,cij->nhwc", sliding_window_view(padded, (3, 3), (1, 2)), kernel[..., 0]) + bias
    maps = np.maximum(maps, 0)
    if fmt.startswith("int"):
        maps = np.minimum(np.rint(maps / STEPS[fmt][1]) * STEPS[fmt][1], 6)
    count, height, width, channels = maps.shape
    pooled = maps.reshape(count, height // 2, 2, width // 2, 2, channels).max((2, 4))
    return pooled.reshape(count, -1) @ dense.T + dense_bias


def build(fmt: str, dense_per_channel: bool = False, island: bool = False) -> bytes:
    """Convolution, max pooling and a dense layer in one of the four formats."""
    kernel, bias, dense, dense_bias = _weights()
    made, whole = Builder(), fmt.startswith("int")
    kind = {"int8": "int8", "int16x8": "int16"}.get(fmt, "float32")
    steps, zeros = (STEPS[fmt], ZEROS[fmt]) if whole else ((None,) * 3, (0,) * 3)

    def constant(name: str, values: np.ndarray, axis_steps: Any, axis: int = 0) -> int:
        if whole:
            shape = (-1,) + (1,) * (values.ndim - 1)
            levels = np.rint(values / np.reshape(axis_steps, shape))
            return made.tensor(name, values.shape, "int8", levels, axis_steps, axis=axis)
        if fmt == "float16":
            half = made.tensor(f"{name}_half", values.shape, "float16", values)
            full = made.tensor(name, values.shape, "float32")
            made.op("DEQUANTIZE", 3, [half], [full], schema.DequantizeOptionsT())
            return full
        return made.tensor(name, values.shape, "float32", values)

    def offset(name: str, values: np.ndarray, step: Any) -> int:
        if not whole:
            return made.tensor(name, values.shape, "float32", values)
        return made.tensor(name, values.shape, "int64" if fmt == "int16x8" else "int32", np.rint(values / step), step)

    kernel_steps = np.abs(kernel).max((1, 2, 3)) / 127
    dense_steps = np.abs(dense).max(1) / 127 if dense_per_channel else np.abs(dense).max() / 127
    source = made.tensor("log_mel", (1, *SHAPE, 1), kind, None, steps[0], zeros[0])
    maps = made.tensor("maps", (1, *SHAPE, CHANNELS), kind, None, steps[1], zeros[1])
    pooled = made.tensor("pooled", (1, SHAPE[0] // 2, SHAPE[1] // 2, CHANNELS), kind, None, steps[1], zeros[1])
    logits = made.tensor("logits", (1, CLASSES), kind, None, steps[2], zeros[2])
    conv, pool, full = schema.Conv2DOptionsT(), schema.Pool2DOptionsT(), schema.FullyConnectedOptionsT()
    conv.strideH = conv.strideW = conv.dilationHFactor = conv.dilationWFactor = 1
    conv.fusedActivationFunction = schema.ActivationFunctionType.RELU
    pool.strideH = pool.strideW = pool.filterHeight = pool.filterWidth = 2
    pool.padding = schema.Padding.VALID
    first = constant("kernel", kernel, kernel_steps), offset("bias", bias, (steps[0] or 0) * kernel_steps)
    second = constant("dense", dense, dense_steps), offset("dense_bias", dense_bias, (steps[1] or 0) * dense_steps)
    made.op("CONV_2D", 3, [source, *first], [maps], conv)
    made.op("MAX_POOL_2D", 2, [maps], [pooled], pool)
    made.op("FULLY_CONNECTED", 4, [pooled, *second], [logits], full)
    if island:
        real = made.tensor("real", (1, CLASSES), "float32")
        squashed = made.tensor("squashed", (1, CLASSES), "float32")
        again = made.tensor("again", (1, CLASSES), kind, None, steps[2], zeros[2])
        made.op("DEQUANTIZE", 2, [logits], [real], schema.DequantizeOptionsT())
        made.op("TANH", 1, [real], [squashed])
        made.op("QUANTIZE", 2, [squashed], [again], schema.QuantizeOptionsT())
        logits = again
    made.ends[0] = ([source], [logits])
    return made.bytes()


def single_op(name: str, version: int = 1, options: Any = None) -> bytes:
    """A float model of one operator with one input, [1, 4] -> [1, 4]."""
    made = Builder()
    source, result = made.tensor("in", (1, 4), "float32"), made.tensor("out", (1, 4), "float32")
    made.op(name, version, [source], [result], options)
    made.ends[0] = ([source], [result])
    return made.bytes()


def endless_recursion() -> bytes:
    """A WHILE whose body is the graph that it stands in: LiteRT dies of it."""
    made = Builder()
    condition = made.graph()
    loop = schema.WhileOptionsT()
    loop.condSubgraphIndex, loop.bodySubgraphIndex = condition, 0
    source, result = made.tensor("in", (1, 4), "float32"), made.tensor("out", (1, 4), "float32")
    made.op("WHILE", 1, [source], [result], loop)
    made.ends[0] = ([source], [result])
    value = made.tensor("value", (1, 4), "float32", graph=condition)
    one = made.tensor("one", (1,), "float32", np.ones(1, np.float32), graph=condition)
    true = made.tensor("true", (1,), "bool", graph=condition)
    made.op("EQUAL", 1, [one, one], [true], graph=condition)
    made.ends[condition] = ([value], [true])
    return made.bytes()


def wild_output() -> bytes:
    """An operator that writes to a tensor that is not there."""
    made = Builder()
    source, result = made.tensor("in", (1, 4), "float32"), made.tensor("out", (1, 4), "float32")
    made.op("RELU", 1, [source], [9999])
    made.ends[0] = ([source], [result])
    return made.bytes()


def no_such_input() -> bytes:
    """A model whose input is a tensor that is not there."""
    made = Builder()
    source, result = made.tensor("in", (1, 4), "float32"), made.tensor("out", (1, 4), "float32")
    made.op("RELU", 1, [source], [result])
    made.ends[0] = ([9999], [result])
    return made.bytes()


def several_ports() -> bytes:
    """Two inputs of different length, and two outputs: the first one's double, and both end to end."""
    made = Builder()
    a, b = made.tensor("a", (1, 4), "float32"), made.tensor("b", (1, 2), "float32")
    twice, joined = made.tensor("twice", (1, 4), "float32"), made.tensor("joined", (1, 6), "float32")
    options = schema.ConcatenationOptionsT()
    options.axis = 1
    made.op("ADD", 1, [a, a], [twice], schema.AddOptionsT())
    made.op("CONCATENATION", 1, [a, b], [joined], options)
    made.ends[0] = ([a, b], [twice, joined])
    return made.bytes()


def one_op(name: str, shapes: list[tuple[int, ...]], output: tuple[int, ...], options: Any = None) -> bytes:
    """A float model of one operator on inputs of these shapes; only for counting, nothing runs it."""
    made = Builder()
    inputs = [made.tensor(f"in_{i}", shape, "float32") for i, shape in enumerate(shapes)]
    result = made.tensor("out", output, "float32")
    made.op(name, 1, inputs, [result], options)
    made.ends[0] = (inputs, [result])
    return made.bytes()


def endless_loop() -> bytes:
    """A WHILE whose condition is always true: every interpreter hangs in it."""
    made = Builder()
    condition, body = made.graph(), made.graph()
    loop = schema.WhileOptionsT()
    loop.condSubgraphIndex, loop.bodySubgraphIndex = condition, body
    source, result = made.tensor("in", (1, 4), "float32"), made.tensor("out", (1, 4), "float32")
    made.op("WHILE", 1, [source], [result], loop)
    made.ends[0] = ([source], [result])
    value = made.tensor("value", (1, 4), "float32", graph=condition)
    same = made.tensor("same", (1, 4), "bool", graph=condition)
    true = made.tensor("true", (1,), "bool", graph=condition)
    axes = made.tensor("axes", (2,), "int32", [0, 1], graph=condition)
    made.op("EQUAL", 1, [value, value], [same], graph=condition)
    made.op("REDUCE_ANY", 1, [same, axes], [true], schema.ReducerOptionsT(), graph=condition)
    made.ends[condition] = ([value], [true])
    before, after = (made.tensor(n, (1, 4), "float32", graph=body) for n in ("before", "after"))
    made.op("RELU", 1, [before], [after], graph=body)
    made.ends[body] = ([before], [after])
    return made.bytes()


@pytest.fixture(scope="session")
def builder() -> type[Builder]:
    """What the models here are built with."""
    return Builder


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Callable[..., Any]:
    """Programs around the C of a bundle: `built(core, source, *options)`, each compiled once."""
    import c_programs  # here, so that tests without C need no bundle

    builders, programs = {}, {}

    def build(core: Any, source: Path, *options: str, **kept: Any) -> Any:
        c_programs.require(core)
        if core not in builders:
            builders[core] = c_programs.Builder(core, tmp_path_factory.mktemp("built"))
        key = (core, source, options, tuple(kept.items()))
        if key not in programs:
            programs[key] = builders[core].program(source, *options, **kept)
        return programs[key]

    return build


@pytest.fixture(scope="session")
def models() -> dict[str, bytes]:
    """The small network in each format."""
    return {fmt: build(fmt) for fmt in FORMATS}


@pytest.fixture(scope="session")
def odd_models() -> dict[str, bytes]:
    """Models that are odd or wrong, by name."""
    adjoint = schema.BatchMatMulOptionsT()
    adjoint.adjX = True
    return {
        "per_channel_dense": build("int16x8", dense_per_channel=True),
        "float_island": build("int8", island=True),
        "endless_loop": endless_loop(),
        "endless_recursion": endless_recursion(),
        "no_tflm_kernel": single_op("RELU_N1_TO_1"),
        "no_kernel_anywhere": single_op("CUSTOM"),
        "wild_output": wild_output(),
        "several_ports": several_ports(),
        "no_such_input": no_such_input(),
        "conv_without_weights": one_op("CONV_2D", [(1, 6, 4, 1)], (1, 6, 4, 2), schema.Conv2DOptionsT()),
        "depthwise": one_op(
            "DEPTHWISE_CONV_2D", [(1, 6, 4, 2), (1, 3, 3, 2)], (1, 6, 4, 2), schema.DepthwiseConv2DOptionsT()
        ),
        "batch_matmul": one_op("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), schema.BatchMatMulOptionsT()),
        "batch_matmul_adjoint": one_op("BATCH_MATMUL", [(2, 4, 3), (2, 4, 5)], (2, 3, 5), adjoint),
        "svdf": one_op("SVDF", [(1, 4), (8, 4), (8, 2)], (1, 8), schema.SVDFOptionsT()),
    }


@pytest.fixture(scope="session")
def features() -> LogMelSettings:
    """Feature settings as an artifact carries them."""
    return LogMelSettings(mel_bands=SHAPE[1], mean_db=-40.0, std_db=12.0)


@pytest.fixture(scope="session")
def make_artifact(models: dict[str, bytes], features: LogMelSettings) -> Callable[..., Artifact]:
    """An artifact of the small network, with golden data from the numpy forward pass."""

    def make(fmt: str, content: bytes | None = None, golden: bool = True, **facts: Any) -> Artifact:
        known = {
            "part": "scenes",
            "format": fmt,
            "system": "mt",
            "features": features.to_dict(),
            "labels": {"scenes": ["airport", "bus", "metro", "park", '"Straße" ??/1']},
            "audio_seconds": 1.0,
            "output": "logits",
            **facts,
        }
        artifact = Artifact.build(content or models[fmt], known)
        if not golden:
            return artifact
        (source,), (result,) = artifact.network.inputs, artifact.network.outputs
        inputs = source.quantize(np.random.default_rng(3).normal(0, 1, (6, *SHAPE, 1)))
        outputs = result.quantize(forward(source.dequantize(inputs), fmt))
        return replace(artifact, golden=Golden.of_rows((inputs,), (outputs,)))

    return make
