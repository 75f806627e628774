"""The encoder alone, a step at a time: its embeddings are those of the scene file, to the bit, on every engine."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner

from keras_mtl.cli import group
from keras_mtl.core import ArtifactError, ConversionError
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.engines import ENGINES, run
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.predictors import open_predictor
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Member, Port, Stream, Wiring
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.convert.step import build_step
from keras_mtl.tflite.patch import transpose_before_matmul
from keras_mtl.tflite.qat import as_network, build_qat

KINDS = ("float32", "int8", "int16x8")
#: Of the default encoder: frames of an embedding, and the embeddings of a second that see nothing but that second.
STRIDE, FIRST, LAST = 4, 3, 22
SECONDS = 4


@pytest.fixture(scope="module")
def encoders(runs):
    return {kind: convert(runs.get(kind, runs["float"]), "encoder", kind) for kind in KINDS}


def copier(port: Port) -> Member:
    """A scene decoder whose logits are the newest embedding as it is: one RESHAPE to the embedding's own shape."""
    model, graph, operator, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    constant = schema.BufferT()
    constant.data = np.frombuffer(np.array([1, port.size], np.int32).tobytes(), np.uint8)
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    code.version = 1
    graph.tensors = [schema.TensorT() for _ in range(3)]
    shapes = {"embeddings": (1, 1, port.size), "logits": (1, port.size), "shape": (2,)}
    for tensor, (name, shape) in zip(graph.tensors, shapes.items(), strict=True):
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = getattr(schema.TensorType, port.dtype.upper())
        if not port.is_float and name != "shape":
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array([port.scale], np.float32)
            tensor.quantization.zeroPoint = np.array([port.zero_point], np.int64)
    graph.tensors[2].type, graph.tensors[2].buffer = schema.TensorType.INT32, 1
    operator.inputs, operator.outputs, operator.opcodeIndex = [0, 2], [1], 0
    operator.builtinOptionsType, operator.builtinOptions = (
        schema.BuiltinOptions.ReshapeOptions,
        schema.ReshapeOptionsT(),
    )
    graph.inputs, graph.outputs, graph.operators, graph.name = [0], [1], [operator], "main"
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT(), constant]
    return Member.build("copier", model, {"part": "stream/copier", "format": "int8", "audio_seconds": 0.04})


def streaming(encoder: Artifact, **changes) -> Artifact:
    """A streaming artifact that gives every embedding of an encoder as the logits of its scenes."""
    stream = Stream.from_dict(encoder.facts.get("stream"))
    member = replace(encoder.network, name="encoder")
    embedding = next(port for port in member.outputs if port.name == "embedding")
    wiring = Wiring(encoder="encoder", scene_head="copier", scene_ring=1).streaming(replace(stream, **changes), 1)
    return Artifact.streaming({"encoder": member, "copier": copier(embedding)}, wiring, {"part": "scenes"})


def embeddings_of(engine, encoder: Artifact, frames: np.ndarray, pushes=None) -> tuple[np.ndarray, int | None]:
    """The embeddings [embeddings, size] as the encoder gives them, and its arena."""
    artifact = streaming(encoder)
    found = run(engine, artifact, {"recording": frames}, pushes)
    assert found.outputs["calls"].tolist() == list(range(1, 1 + len(found.outputs["scenes"])))
    port = artifact.members["copier"].inputs[0]
    return port.quantize(found.outputs["scenes"]), found.arena_bytes["encoder"]


@pytest.fixture(scope="module")
def windowed(artifacts):
    """The encoder of the scene file, cut off where the embeddings are."""

    def cut(content: bytes) -> bytes:
        model = flatbuffer.read_model(content)
        (graph,) = model.subgraphs
        shapes = [flatbuffer.tensor_shape(flatbuffer.op_outputs(graph, each)[0]) for each in graph.operators]
        last = shapes.index((1, 25, 224))
        graph.operators, graph.outputs = graph.operators[: last + 1], graph.operators[last].outputs
        model.signatureDefs, model.metadata = None, []
        return flatbuffer.write_model(model)

    return {kind: Artifact.of(cut(artifacts[kind].network.content)) for kind in KINDS}


@pytest.fixture(scope="module")
def recording() -> np.ndarray:
    """Continuous log-mel [frames, mel_bands]."""
    generator = np.random.default_rng(8)
    drift = generator.normal(size=(100 * SECONDS, 1)).cumsum(0) * 0.1
    colour = generator.normal(size=(1, 128)).cumsum(1) * 0.15
    return (drift + colour + generator.normal(size=(100 * SECONDS, 128)) * 0.4).astype(np.float32)


def pushes_of(total: int, seed: int) -> list[int]:
    """Random sizes from nothing to an eighth of all, most of them small."""
    generator, sizes = np.random.default_rng(seed), list[int]()
    while sum(sizes) < total:
        size = int(total / 2 ** generator.uniform(3, 10))
        sizes.append(min(size, total - sum(sizes)))
    return sizes


@pytest.mark.parametrize(
    ("kind", "engine"), [*itertools.product(("int8", "int16x8"), ENGINES), ("float32", "tflm"), ("float32", "litert")]
)
def test_embeddings_are_those_of_the_scene_file(encoders, windowed, recording, kind, engine):
    frames = encoders[kind].network.inputs[0].quantize(recording)
    pushes = pushes_of(len(frames), ENGINES.index(engine))
    assert len({*pushes}) > 5
    found, arena_bytes = embeddings_of(engine, encoders[kind], frames, pushes)
    assert found.shape == (25 * SECONDS - 3, 224)
    assert (arena_bytes is not None) == (engine == "tflm")
    starts = np.arange(0, len(frames) - 99, (LAST - FIRST) * STRIDE)
    windows = np.stack([frames[start : start + 100, :, None] for start in starts])
    whole = run(engine, windowed[kind], {"input_0": windows}).outputs["output_0"]
    goal = whole[:, FIRST:LAST].reshape(-1, 224)
    same = found[FIRST : FIRST + len(goal)]
    assert len(goal) > 50
    assert same.dtype == goal.dtype
    if kind == "float32":
        np.testing.assert_allclose(same, goal, rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(same, goal)
        assert len(np.unique(goal)) > 100
    # Before the warm-up is over, a clip that is taken at once has zeros where the stream has what it held.
    assert (found[:FIRST] != whole[0, :FIRST]).any(axis=1).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_8_bit_steps_are_the_networks_to_the_bit(encoders, engine):
    golden = encoders["int8"].golden
    found = run(engine, encoders["int8"], golden.inputs).outputs
    assert len(golden.outputs) == 7
    for name, goal in golden.outputs.items():
        np.testing.assert_array_equal(found[name], goal)
    assert len(np.unique(golden.outputs["output_0"])) > 50


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_scales_and_constants_are_the_windowed_files_layer_by_layer(encoders, windowed, kind):
    def layers_of(artifact: Artifact) -> list[tuple]:
        model, found = artifact.network.model, []
        for graph, operator in flatbuffer.operators(model):
            if flatbuffer.op_name(model, operator) == "CONV_2D":
                tensors = [*flatbuffer.op_inputs(graph, operator), *flatbuffer.op_outputs(graph, operator)]
                constants = [flatbuffer.constant_bytes(model, tensor) for tensor in tensors[1:3]]
                found.append((constants, [flatbuffer.quantization(tensor) for tensor in tensors]))
        return found

    stepped, goal = layers_of(encoders[kind]), layers_of(windowed[kind])
    assert len(goal) == 6
    for (constants, levels), (goal_constants, goal_levels) in zip(stepped, goal, strict=True):
        assert constants == goal_constants
        for one, other in zip(levels, goal_levels, strict=True):
            np.testing.assert_array_equal(one.scale, other.scale)
            np.testing.assert_array_equal(one.zero_point, other.zero_point)


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_handed_on_as_they_are(encoders, kind):
    """What a step gives is what the next one takes: the same levels, the same shape."""
    network, manifest = encoders[kind].network, encoders[kind].manifest
    taken, given = ({port.name: port for port in ports} for ports in (network.inputs, network.outputs))
    stream = Stream.from_dict(manifest["stream"])
    assert [*taken] == ["log_mel", *(state.taken for state in stream.states)]
    for state in stream.states:
        assert replace(taken[state.taken], name="") == replace(given[state.given], name="")
        assert taken[state.taken].shape[1] == state.frames
    size = {"float32": 4, "int8": 1, "int16x8": 2}[kind]
    assert manifest["state_bytes"] == 4096 * size
    assert (manifest["audio_seconds"], manifest["latency_s"], manifest["first_exact_step"]) == (0.04, 0.12, 6)
    assert manifest["macs_per_second"] == 28_800_000
    golden = encoders[kind].golden
    for number, port in enumerate(network.inputs[1:], start=1):
        np.testing.assert_array_equal(golden.inputs[f"input_{number}"][:1], port.zeros())
    order = [*given]
    for number, state in enumerate(stream.states, start=1):
        handed_on = golden.outputs[f"output_{order.index(state.given)}"]
        np.testing.assert_array_equal(golden.inputs[f"input_{number}"][1:], handed_on[:-1])
    assert len(golden.inputs) == len(stream.states) + 1 == 7


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_is_the_same_every_time(encoders, recording, kind):
    """The first embeddings, too: states begin with what stands for 0."""
    frames = encoders[kind].network.inputs[0].quantize(recording[:60])
    one, other = (embeddings_of("litert", encoders[kind], frames, pushes)[0] for pushes in (None, [7] * 8 + [4]))
    assert len(one) == 15 - 3
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_the_emulator_takes_a_step(encoders, kind):
    report = emulate(encoders[kind], load_target("stm32h743"), ["litert"])
    assert report.passed, report.failures()
    window_arena = {"int8": 130_000, "int16x8": 260_000}[kind]
    assert report.check("arena_bytes").value < window_arena / 6
    assert report.arena["measured_bytes"] <= report.arena["planned_bytes"] <= 1.05 * report.arena["measured_bytes"]
    assert report.check("integer_only").value == 0


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_a_matrix_that_is_turned_beforehand_changes_no_number(artifacts, kind):
    model = flatbuffer.read_model(artifacts[kind].network.content)
    assert transpose_before_matmul(model) == 1
    assert transpose_before_matmul(model) == 0
    turned = Artifact.of_member(Member("network", flatbuffer.write_model(model), model))
    rows = {name: values[:4] for name, values in artifacts[kind].golden.inputs.items()}
    for engine in ("tflm", "litert", "tflite-runtime"):
        runs = [run(engine, artifact, rows) for artifact in (artifacts[kind], turned)]
        np.testing.assert_array_equal(*(each.outputs["output_0"] for each in runs))
        if engine == "tflm":
            # A second of embeddings less.
            saved = runs[0].arena_bytes["network"] - runs[1].arena_bytes["network"]
            assert 0.9 < saved / (25 * 224 * {"int8": 1, "int16x8": 2}[kind]) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_command(runs, encoders, tmp_path, kind):
    run_folder = runs.get(kind, runs["float"]).path
    arguments = ["convert", str(run_folder), "--part", "encoder", "--format", kind, "--out", str(tmp_path), "--json"]
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    (row,) = document["artifacts"]
    assert row["path"] == document["path"] == str(tmp_path / f"encoder.{kind}.tflite")
    assert (document["part"], document["schedule"]) == ("encoder", "clip")
    saved = Artifact.load(row["path"])
    # The same run gives the same bytes.
    assert saved.network.content == encoders[kind].network.content
    assert saved.manifest == encoders[kind].manifest
    with pytest.raises(ArtifactError, match=r"is not an artifact of scenes or events .*\(part: encoder\)"):
        open_predictor(tmp_path / f"encoder.{kind}.tflite")


def test_what_can_not_go_step_by_step_is_refused(runs, encoders, artifacts, recording):
    with pytest.raises(ConversionError, match="not quantized, so it gives no int8 file"):
        convert(runs["float"], "encoder", "int8")
    with pytest.raises(ConversionError, match="quantized to int8, so it gives no int16x8"):
        convert(runs["int8"], "encoder", "int16x8")
    with pytest.raises(ConversionError, match="by tfmot"):
        convert(replace(runs["int8"], info={**runs["int8"].info, "engine": "tfmot"}), "encoder", "int8")
    with pytest.raises(ConversionError, match="did not come back within 1 s"):
        convert(runs["float"], "encoder", "float32", timeout_s=1.0)
    with pytest.raises(ArtifactError, match="takes clips, and no stream"):
        _ = artifacts["int8"].wiring.stream
    encoder = encoders["int8"]
    frames, stream = encoder.network.inputs[0].quantize(recording), Stream.from_dict(encoder.facts.get("stream"))
    with pytest.raises(ArtifactError, match="parts of 3 frames in all"):
        run("litert", streaming(encoder), {"recording": frames}, [3])
    with pytest.raises(ArtifactError, match=r"recording of \[400, 128\] float32.*128 bands of int8"):
        run("litert", streaming(encoder), {"recording": recording})
    for broken in ({"states": ()}, {"stride": 5}, {"states": stream.states[::-1]}):
        with pytest.raises(ArtifactError, match="other ports than its manifest has"):
            run("litert", streaming(encoder, **broken), {"recording": frames})


def test_a_state_without_levels_of_its_own_is_refused():
    """16-bit tanh has levels that the format fixes, and no fake quantization that a state could share."""
    inputs = x = keras.Input((None, 8, 1))
    for number in range(2):
        x = keras.layers.Conv2D(2, 3, padding="same", activation="tanh", name=f"conv_{number}")(x)
    encoder = keras.Model(inputs, keras.layers.Reshape((-1, 16))(x), name="encoder")
    head = keras.Sequential([keras.Input((None, 16)), keras.layers.Dense(2)], name="scene_head")
    network = keras.Model(inputs, {"scenes": head(encoder(inputs))})
    twin = as_network(build_qat(network, "int16x8"))
    with pytest.raises(ConversionError, match="conv_1 reads has no range"):
        build_step(twin.get_layer("encoder"))
