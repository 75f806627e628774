"""Files of the four formats: what is in them, and what engines make of them against the model that was converted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_mtl.core import DCASE, ConversionError, EngineRefused, RunError
from keras_mtl.cost import cost
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.engines import run
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.models import build, build_scene_part
from keras_mtl.runs import Run
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.flatbuffer import float_islands
from keras_mtl.tflite.flatbuffer.audit import per_channel_dense
from keras_mtl.tflite.qat import ranges

ENGINES = ("litert", "litert-reference", "tflm", "tflite-runtime")
KIND = {"int8": "int8", "int16x8": "int16"}
#: Where the file says what each range of the model says: the operators that compute something, in order.
COMPUTING = ("CONV_2D", "FULLY_CONNECTED", "TANH", "SOFTMAX", "BATCH_MATMUL")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scheme", ["int8", "int16x8"])
def test_engines_agree_with_the_model_to_the_lsb(artifacts, scheme, engine):
    artifact = artifacts[scheme]
    outputs = run(engine, artifact, artifact.golden.inputs).outputs["output_0"]
    goal = artifact.golden.outputs["output_0"]
    assert outputs.dtype == goal.dtype == np.dtype(KIND[scheme])
    assert len(np.unique(goal)) > 50
    difference = np.abs(outputs.astype(int) - goal.astype(int))
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.2  # 0.02 to 0.12, by the processor that the network was tuned on


@pytest.mark.parametrize("engine", ["litert", "tflite-runtime"])
@pytest.mark.parametrize(("kind", "tolerance"), [("float32", 1e-4), ("float16", 0.02)])
def test_float_files_agree_with_the_network(artifacts, kind, tolerance, engine):
    golden = artifacts[kind].golden
    outputs = run(engine, artifacts[kind], golden.inputs).outputs
    assert [*outputs] == [*golden.outputs] == ["output_0"]
    np.testing.assert_allclose(outputs["output_0"], golden.outputs["output_0"], atol=tolerance)


def test_float16_is_refused_by_tflm(artifacts):
    with pytest.raises(EngineRefused, match="float16"):
        run("tflm", artifacts["float16"], artifacts["float16"].golden.inputs)


@pytest.mark.parametrize("scheme", ["int8", "int16x8"])
def test_scales_of_the_file_are_those_of_the_model(artifacts, quantized, scheme):
    model = flatbuffer.read_model(artifacts[scheme].network.content)
    found = [flatbuffer.quantization(flatbuffer.graph_inputs(model)[0])]
    for subgraph, operator in flatbuffer.operators(model):
        name = flatbuffer.op_name(model, operator)
        if name in COMPUTING and not (scheme == "int16x8" and name in ("TANH", "SOFTMAX")):
            found.append(flatbuffer.quantization(flatbuffer.op_outputs(subgraph, operator)[0]))
    expected = [layer.scale_and_zero_point() for layer in ranges(quantized[scheme].model)]
    assert [(q.scale[0], q.zero_point[0]) for q in found] == expected


@pytest.mark.parametrize("scheme", ["int8", "int16x8"])
def test_weights_of_the_file_are_those_of_the_model(artifacts, quantized, scheme):
    model = flatbuffer.read_model(artifacts[scheme].network.content)
    layers = [layer for layer in quantized[scheme].model.layers if layer.name.startswith(("conv_1", "scene_logits"))]
    kernels = {"CONV_2D": np.moveaxis(layers[0].get_weights()[0], -1, 0), "FULLY_CONNECTED": None}
    kernels["FULLY_CONNECTED"] = next(x for x in layers if x.name == "scene_logits").get_weights()[0].T
    found = {"CONV_2D": [], "FULLY_CONNECTED": []}
    for subgraph, operator in flatbuffer.operators(model):
        name = flatbuffer.op_name(model, operator)
        if name in found:
            found[name].append(flatbuffer.op_inputs(subgraph, operator)[1])
    for tensor, kernel in (
        (found["CONV_2D"][0], kernels["CONV_2D"]),
        (found["FULLY_CONNECTED"][-1], kernels["FULLY_CONNECTED"]),
    ):
        quantization = flatbuffer.quantization(tensor)
        scale = np.reshape(quantization.scale, (-1, *(1,) * (kernel.ndim - 1)))
        restored = flatbuffer.constant(model, tensor) * scale
        assert np.abs(restored - kernel).max() <= 0.501 * scale.max()
        assert set(quantization.zero_point) == {0}


def test_quantization_granularity_and_types(artifacts):
    for scheme in ("int8", "int16x8"):
        model = flatbuffer.read_model(artifacts[scheme].network.content)
        for subgraph, operator in flatbuffer.operators(model):
            name = flatbuffer.op_name(model, operator)
            inputs = flatbuffer.op_inputs(subgraph, operator)
            if name == "CONV_2D":
                weights = flatbuffer.quantization(inputs[1])
                assert len(weights.scale) == flatbuffer.tensor_shape(inputs[1])[0] > 1
            if name == "FULLY_CONNECTED":
                assert len(flatbuffer.quantization(inputs[1]).scale) == 1
            if name in ("CONV_2D", "FULLY_CONNECTED"):
                assert flatbuffer.tensor_dtype(inputs[2]) == ("int32" if scheme == "int8" else "int64")
        assert float_islands(model) == ()
        assert per_channel_dense(model) == ()


def test_manifest_tells_the_costs(artifacts):
    for kind, artifact in artifacts.items():
        manifest = artifact.manifest
        assert manifest["macs_per_second"] == 28_897_840
        assert manifest["file_bytes"] == len(artifact.network.content) == artifact.file_bytes
        assert manifest["inputs"][0]["shape"] == [1, 100, 128, 1]
        assert manifest["inputs"][0]["name"] == "log_mel"
        assert [(o["name"], o["shape"]) for o in manifest["outputs"]] == [("scene_logits", [1, 10])]
        assert manifest["part"] == "scenes"
        assert manifest["format"] == kind
        assert len(manifest["labels"]["scenes"]) == 10
    sizes = {kind: artifact.manifest["parameter_bytes"] for kind, artifact in artifacts.items()}
    # 60,059 parameters less the 368 of the batch normalisation that folds into the convolutions
    weights, biases = 59_480, 211
    shapes = sizes["float32"] - 4 * (weights + biases)
    assert 0 < shapes < 100
    assert weights + 4 * biases <= sizes["int8"] < weights + 4 * biases + 100
    assert weights + 8 * biases <= sizes["int16x8"] < weights + 8 * biases + 100
    assert sizes["float16"] < 120_000


def test_the_same_run_gives_the_same_bytes(artifacts, runs, tmp_path):
    again = convert(runs["int16x8"], "scenes", "int16x8")
    assert again.network.content == artifacts["int16x8"].network.content
    assert again.manifest == artifacts["int16x8"].manifest
    one = artifacts["int16x8"].save(tmp_path / "one.tflite")
    two = again.save(tmp_path / "two.tflite")
    for suffix in (".tflite", ".manifest.json", ".golden.npz"):
        assert one.with_suffix(suffix).read_bytes() == two.with_suffix(suffix).read_bytes()


def test_refusals_say_what_to_do(runs):
    with pytest.raises(ConversionError, match=r"is not quantized.*quantize RUN --part scenes --scheme int8"):
        convert(runs["float"], "scenes", "int8")
    with pytest.raises(ConversionError, match="quantized to int8, so it gives no int16x8 file"):
        convert(runs["int8"], "scenes", "int16x8")
    with pytest.raises(ConversionError, match=r"'joint' can't be one file.*--part scenes, --part events"):
        convert(runs["float"], "joint", "float32")
    for kind in ("int8", "int16x8"):
        with pytest.raises(ConversionError, match=rf"'events' can't be one file in {kind}.*or --schedule stream"):
            convert(runs[kind], "events", kind, "clip")
        with pytest.raises(RunError, match="no golden clips of events"):
            convert(runs[kind], "events", kind)
    with pytest.raises(RunError, match="no golden clips of events"):
        convert(runs["float"], "events", "float32")
    for task, other in (("scenes", "events"), ("events", "scenes")):
        alone = replace(runs["float"], info={**runs["float"].info, "tasks": [task]})
        with pytest.raises(ConversionError, match=rf"not trained on {other}.*trained on {task}: --part {task}"):
            convert(alone, other, "float32")
    with pytest.raises(ConversionError, match=r"is quantized, and holds no events part"):
        convert(replace(runs["int8"], info={**runs["int8"].info, "tasks": ["scenes"]}), "events", "float16")
    for asked in (("scenes", "int4"), ("stream", "int8"), ("scenes", "int8", "windows")):
        with pytest.raises(ConversionError, match=rf"unknown part '{asked[0]}', format '{asked[1]}' or schedule"):
            convert(runs["float"], *asked)
    for kind in ("float32", "float16"):
        with pytest.raises(ConversionError, match=rf"a streaming artifact can't be {kind}.*--part encoder"):
            convert(runs["float"], "scenes", kind, "stream")
    with pytest.raises(ConversionError, match="the encoder alone is one file"):
        convert(runs["int8"], "encoder", "int8", "stream")
    for hop in ("scene_hop", "event_hop"):
        with pytest.raises(ConversionError, match=r"belong to a stream.*--schedule stream"):
            convert(runs["int8"], "scenes", "int8", **{hop: 5})


def test_a_converter_that_hangs_or_dies_is_one_clear_error(runs, tmp_path: Path):
    with pytest.raises(ConversionError, match="did not come back within 1 s") as caught:
        convert(runs["float"], "scenes", "float32", timeout_s=1.0)
    assert "\n" not in str(caught.value)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "network.keras").write_text("not a model")
    (broken / "samples.npz").write_bytes((runs["float"].path / "samples.npz").read_bytes())
    run: Run = replace(runs["float"], path=broken)
    with pytest.raises(ConversionError, match="conversion of scenes to float32 failed") as caught:
        convert(run, "scenes", "float32")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["float16", "int8", "int16x8"])
def test_the_scene_part_passes_dcase_asc(artifacts, kind):
    report = emulate(artifacts[kind], load_target("dcase-asc"), engines=["litert"])
    assert report.verdict == "passed", report.failures()
    values = {check.name: check.value for check in report.checks}
    assert values["macs_per_second"] == cost(build_scene_part(build("mt", DCASE, frames=100), 100), 1).macs_per_second
    assert values["parameter_bytes"] <= 128_000
