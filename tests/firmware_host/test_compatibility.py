"""What runtimes and kernels lack: each finding with the layer that brought it, and what it does to the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from run_rows import run_rows

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.compute import Finding, compatibility, tflm_blocks
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import report_text
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact

ARM, ESP, BUDGET = (load_target(name) for name in ("stm32h743", "esp32-s3", "dcase-asc"))
REFERENCE = replace(ARM, kernels="reference")
STEP = {"int8": 0.1, "int16": 0.1}


@pytest.fixture
def layer(builder):
    """A file of one operator: inputs as (shape, type, data, steps), and an output of the first one's type."""

    def make(
        op: str,
        inputs: Sequence[tuple[Any, ...]],
        output: tuple[int, ...] = (1, 4),
        options: Any = None,
        version: int = 1,
        step: float = 0.1,
    ) -> bytes:
        made = builder()
        places = []
        for i, (shape, dtype, *more) in enumerate(inputs):
            data, steps = (*more, None, None)[:2]
            places.append(made.tensor(f"in_{i}", shape, dtype, data, steps or STEP.get(dtype), axis=len(shape) - 1))
        dtype = inputs[0][1]
        result = made.tensor("fused/layer;second/name", output, dtype, None, step if dtype in STEP else None)
        made.op(op, version, places, [result], options)
        made.ends[0] = ([places[0]], [result])
        return made.bytes()

    return make


def found(content: bytes, target=ARM) -> list[Finding]:
    return list(compatibility({"": flatbuffer.read_model(content)}, target))


def one(content: bytes, target=ARM) -> Finding:
    findings = found(content, target)
    assert len(findings) == 1, findings
    return findings[0]


def dense(layer, bias: str = "int64", steps: Any = 0.1, dtype: str = "int16") -> bytes:
    inputs = [((1, 4), dtype), ((4, 4), "int8", np.ones((4, 4)), steps), ((4,), bias, np.zeros(4), 0.01)]
    return layer("FULLY_CONNECTED", inputs, options=schema.FullyConnectedOptionsT(), version=4)


def depthwise(layer, dtype: str, bias: str, dilation: int = 1, bias_levels: Sequence[int] = (0, 0, 0, 0)) -> bytes:
    options = schema.DepthwiseConv2DOptionsT()
    options.strideH = options.strideW = options.depthMultiplier = 1
    options.dilationHFactor = options.dilationWFactor = dilation
    inputs = [
        ((1, 6, 6, 4), dtype),
        ((1, 3, 3, 4), "int8", np.ones(36), [0.1] * 4),
        ((4,), bias, bias_levels, [0.01] * 4),
    ]
    return layer("DEPTHWISE_CONV_2D", inputs, (1, 6, 6, 4), options, 3)


def test_nothing_is_lacking_of_a_good_file(models):
    for fmt in ("int8", "int16x8"):
        assert found(models[fmt]) == []
    assert found(models["int8"], ESP) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_tflm_kernel", "TFLM has no kernel for RELU_N1_TO_1"),
        ("no_kernel_anywhere", "no resolver can be generated for CUSTOM"),
        ("endless_loop", "TFLM can't run loops"),
    ],
)
@pytest.mark.parametrize("target", [ARM, ESP, REFERENCE])
def test_what_tflm_lacks_blocks_whatever_the_kernels(odd_models, name, why, target):
    first = found(odd_models[name], target)[0]
    assert (first.where, first.severity, first.layer) == ("tflm", "blocks", "out")
    assert why in first.why
    assert first.remedy


def test_nothing_of_tflm_matters_for_a_budget(odd_models):
    for name in ("no_tflm_kernel", "endless_loop", "per_channel_dense"):
        assert found(odd_models[name], BUDGET) == []


def test_float16_blocks_once_for_all_its_layers(models):
    finding = found(models["float16"])[0]
    assert (finding.op, finding.where, finding.severity, finding.count) == ("DEQUANTIZE", "tflm", "blocks", 2)
    assert finding.layer == "kernel and 1 more"


def test_per_channel_dense_blocks_where_the_kernels_can_not_take_it(layer):
    content = dense(layer, steps=[0.1, 0.2, 0.1, 0.2])
    assert (one(content).where, one(content).severity, one(content).layer) == ("cmsis-nn", "blocks", "fused/layer")
    blocking, slow = found(content, ESP)
    assert (blocking.where, blocking.severity, slow.severity) == ("esp-nn", "blocks", "slow")
    assert found(content, REFERENCE) == []
    assert found(dense(layer, "int32", [0.1, 0.2, 0.1, 0.2], "int8")) == []


def test_int32_bias_of_int16_layers_is_not_read_as_such(layer):
    for target in (ARM, ESP):
        first = found(dense(layer, "int32"), target)[0]
        assert (first.where, first.severity) == (target.kernels, "blocks")
    assert found(dense(layer, "int32"), REFERENCE) == []
    assert one(depthwise(layer, "int16", "int32"), REFERENCE).where == "tflm"
    assert found(depthwise(layer, "int16", "int64"), REFERENCE) == []


# Asks TFLM itself, past our refusal: of an input of zeros the output is the bias.
_ASK_TFLM = """
import json, sys
from pathlib import Path
import numpy as np
from tflite_micro.python.tflite_micro import runtime

interpreter = runtime.Interpreter.from_bytes(Path(sys.argv[1]).read_bytes(), arena_size=1 << 20)
interpreter.set_input(np.zeros((1, 6, 6, 4), np.int16), 0)
interpreter.invoke()
print(json.dumps(interpreter.get_output(0)[0, 0, 0].tolist()))
"""


@pytest.mark.parametrize(("bias", "right"), [("int64", True), ("int32", False)])
def test_int32_bias_of_an_int16_depthwise_convolution_is_wrong_in_tflm_indeed(layer, run_python, tmp_path, bias, right):
    content = depthwise(layer, "int16", bias, bias_levels=(1000, 2000, 3000, 4000))
    (tmp_path / "model.tflite").write_bytes(content)
    assert (run_python(_ASK_TFLM, str(tmp_path / "model.tflite")) == [100, 200, 300, 400]) == right
    if not right:
        with pytest.raises(EngineRefused, match=r"INT64, and this one is INT32: wrong results \(layer fused/layer\)"):
            run_rows("tflm", content, np.zeros((1, 6, 6, 4), np.int16))


def test_slow_paths_are_named_with_what_to_do(layer):
    axes = ((2,), "int32", [1, 2])
    mean = layer("MEAN", [((1, 6, 6, 4), "int8"), axes], options=schema.ReducerOptionsT(), version=2)
    assert one(mean).severity == "slow"
    assert "130 instructions an element" in one(mean).why
    assert "AVERAGE_POOL_2D" in one(mean).remedy
    assert "generic path: 3.9 times" in one(depthwise(layer, "int16", "int64")).why
    assert found(depthwise(layer, "int8", "int32")) == []
    assert "no int16 kernel for DEPTHWISE_CONV_2D" in one(depthwise(layer, "int16", "int64"), ESP).why
    assert "no dilated convolution" in one(depthwise(layer, "int8", "int32", dilation=2), ESP).why
    transposed = layer("TRANSPOSE", [((1, 4), "int16"), ((2,), "int32", [0, 1])], options=schema.TransposeOptionsT())
    assert "CMSIS-NN has no int16 kernel for TRANSPOSE" in one(transposed).why
    broadcast = layer("ADD", [((1, 4), "int8"), ((1, 1), "int8")], options=schema.AddOptionsT(), version=2)
    assert "broadcasting" in one(broadcast).why
    assert found(layer("ADD", [((1, 4), "int8"), ((1, 4), "int8")], options=schema.AddOptionsT(), version=2)) == []


def test_kernels_in_plain_c_are_notes_and_data_moves_are_none(layer):
    assert (one(layer("TANH", [((1, 4), "int8")])).severity, one(layer("TANH", [((1, 4), "int8")])).op) == (
        "note",
        "TANH",
    )
    assert found(layer("TANH", [((1, 4), "int8")]), REFERENCE) == []
    reshape = layer("RESHAPE", [((1, 4), "int8"), ((2,), "int32", [4, 1])], (4, 1), schema.ReshapeOptionsT())
    assert found(reshape) == found(reshape, ESP) == []


@pytest.mark.parametrize(
    ("op", "version", "dtype", "why"),
    [
        ("SQRT", 2, "int8", "has SQRT up to version 1, not 2"),
        ("CONV_2D", 8, "int16", "has CONV_2D up to version 7, not 8"),
        ("BITCAST", 9, "int8", "up to version 1"),
        ("STABLEHLO_ADD", 1, "int8", "has no STABLEHLO_ADD"),
    ],
)
def test_versions_that_tflite_runtime_lacks_are_notes(layer, op, version, dtype, why):
    finding = one(layer(op, [((1, 4), dtype)], version=version), BUDGET)
    assert (finding.where, finding.severity, finding.version) == ("tflite-runtime", "note", version)
    assert why in finding.why


def summed(layer, step: float) -> bytes:
    inputs = [((1, 64, 4), "int16"), ((1,), "int32", [1])]
    return layer("SUM", inputs, options=schema.ReducerOptionsT(), version=2, step=step)


def test_int16_sum_is_said_to_differ_and_does(layer):
    values = np.random.default_rng(0).integers(-500, 500, (2, 64, 4)).astype(np.int16)
    same, other = summed(layer, 0.1), summed(layer, 0.2)
    assert [finding.where for finding in found(same, BUDGET)] == ["litert"]
    assert [finding.where for finding in found(other, BUDGET)] == ["litert", "tflite-runtime"]
    right = values.astype(int).sum(1)
    for engine in ("tflm", "litert", "tflite-runtime"):
        np.testing.assert_array_equal(run_rows(engine, same, values)[0], right)
    assert np.abs(run_rows("litert-reference", same, values)[0] - right).max() > 100
    with pytest.raises(EngineRefused, match="scale"):
        run_rows("tflite-runtime", other, values)


def test_reverse_over_several_axes_is_said_to_be_wrong_in_tflite_runtime_and_is(layer):
    def reversed_over(axes: list[int]) -> bytes:
        inputs = [((1, 3, 4), "float32"), ((len(axes),), "int32", axes)]
        return layer("REVERSE_V2", inputs, (1, 3, 4), schema.ReverseV2OptionsT(), 3)

    values = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    both = reversed_over([1, 2])
    assert "first of several axes" in one(both, BUDGET).why
    assert found(reversed_over([1]), BUDGET) == []
    np.testing.assert_array_equal(run_rows("litert", both, values)[0], values[:, ::-1, ::-1])
    np.testing.assert_array_equal(run_rows("tflite-runtime", both, values)[0], values[:, ::-1])


def test_findings_of_a_set_name_the_member_and_come_once(layer):
    cell = flatbuffer.read_model(layer("TANH", [((1, 4), "int16")], version=3))
    (finding,) = compatibility({"forward": cell, "backward": cell}, ARM)
    assert (finding.layer, finding.count) == ("forward/fused/layer and 1 more", 2)


def test_what_blocks_comes_first(layer, models):
    severities = [finding.severity for finding in found(models["float16"])]
    assert severities == sorted(severities, key=["blocks", "slow", "note"].index)
    assert set(severities) == {"blocks", "slow"}


def test_blocking_findings_fail_the_check_with_layer_and_remedy(make_artifact, layer, tmp_path):
    content = dense(layer, steps=[0.1, 0.2, 0.1, 0.2])
    artifact = Artifact.build(content, {"part": "unknown", "audio_seconds": 1.0})
    report = emulate(artifact, ARM, engines=("tflm", "litert"))
    check = report.check("ops_supported")
    assert (check.ok, check.value) == (False, 1)
    assert "(layer fused/layer); convert with dense layers per tensor" in check.why
    (plain,) = report.to_dict()["compatibility"]
    assert set(plain) == {"op", "version", "layer", "where", "severity", "why", "try", "layers"}
    assert Report.load(report.save(tmp_path / "report.json")) == report
    assert "blocks (cmsis-nn)  FULLY_CONNECTED v4" in report_text(report)


def test_a_missing_operator_is_refused_before_tflm_is_asked(odd_models):
    artifact = Artifact.build(odd_models["no_tflm_kernel"], {"part": "unknown", "audio_seconds": 1.0})
    report = emulate(artifact, ARM, engines=("tflm", "litert"), timeout_s=60)
    check = report.check("ops_supported")
    assert check.why.count("TFLM has no kernel for RELU_N1_TO_1 (layer out)") == 1
    assert check.value == 1
    assert tflm_blocks(artifact.network.model)[0].sentence() in check.why
    # A limit that no process could keep: none was started.
    with pytest.raises(EngineRefused, match="layer out"):
        run_rows("tflm", artifact, np.zeros((1, 4), np.float32), timeout_s=1e-6)


def test_slow_paths_do_not_fail_anything(layer):
    artifact = Artifact.build(layer("TANH", [((1, 4), "int8")], version=2, step=1 / 128), {"audio_seconds": 1.0})
    report = emulate(artifact, ARM)
    assert report.compatibility
    assert report.check("ops_supported").ok, report.failures()
