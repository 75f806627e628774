"""The streaming encoder as a file: its embeddings are those of the windowed file, to the bit, on every engine."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_mtl.cli import group
from keras_mtl.cli.listeners import open_listener
from keras_mtl.errors import ArtifactError, ConversionError
from keras_mtl.firmware_host.emulator import emulate
from keras_mtl.firmware_host.engines import ENGINES, run_engine
from keras_mtl.firmware_host.engines.stream_runner import run_stream
from keras_mtl.firmware_host.target import load_target
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, quantize
from keras_mtl.tflite.patch_matmul import transpose_before_matmul
from keras_mtl.tflite.qat import build_qat_network
from keras_mtl.tflite.stream_convert import convert_stream
from keras_mtl.tflite.stream_step import build_step
from keras_mtl.tflite.stream_wiring import Stream

KINDS = ("float32", "int8", "int16x8")
#: Of the default encoder: frames of an embedding, and the embeddings of a second that see nothing but that second.
STRIDE, FIRST, LAST = 4, 3, 22
SECONDS = 4


@pytest.fixture(scope="module")
def streams(runs):
    return {kind: convert_stream(runs.get(kind, runs["float"]), kind) for kind in KINDS}


@pytest.fixture(scope="module")
def windowed(artifacts):
    """The encoder of the scene file, cut off where the embeddings are."""

    def cut(content: bytes) -> bytes:
        model = flatbuffer.read_model(content)
        (graph,) = model.subgraphs
        shapes = [flatbuffer.tensor_shape(flatbuffer.op_outputs(graph, each)[0]) for each in graph.operators]
        last = shapes.index((1, 25, 224))
        graph.operators, graph.outputs = graph.operators[: last + 1], graph.operators[last].outputs
        model.signatureDefs = None
        return flatbuffer.write_model(model)

    return {kind: cut(artifacts[kind].content) for kind in KINDS}


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
def test_embeddings_are_those_of_the_windows(streams, windowed, recording, kind, engine):
    frames = quantize(recording, streams[kind].manifest["inputs"][0])
    pushes = pushes_of(len(frames), ENGINES.index(engine))
    assert len({*pushes}) > 5
    heard = run_stream(engine, streams[kind], frames, pushes)
    assert heard.embeddings.shape == (25 * SECONDS - 3, 224)
    assert (heard.arena_bytes is not None) == (engine == "tflm")
    starts = np.arange(0, len(frames) - 99, (LAST - FIRST) * STRIDE)
    windows = np.stack([frames[start : start + 100, :, None] for start in starts])
    (found,) = run_engine(engine, windowed[kind], [windows]).outputs
    goal = found[:, FIRST:LAST].reshape(-1, 224)
    same = heard.embeddings[FIRST : FIRST + len(goal)]
    assert len(goal) > 50
    assert same.dtype == goal.dtype
    if kind == "float32":
        np.testing.assert_allclose(same, goal, rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(same, goal)
        assert len(np.unique(goal)) > 100
    # Before the warm-up is over, a clip that is heard at once has zeros where the stream has what it held.
    assert (heard.embeddings[:FIRST] != found[0, :FIRST]).any(axis=1).all()


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_scales_and_constants_are_the_windowed_files_layer_by_layer(streams, windowed, kind):
    def layers_of(content: bytes) -> list[tuple]:
        model, found = flatbuffer.read_model(content), []
        for graph, operator in flatbuffer.operators(model):
            if flatbuffer.op_name(model, operator) == "CONV_2D":
                tensors = [*flatbuffer.op_inputs(graph, operator), *flatbuffer.op_outputs(graph, operator)]
                constants = [flatbuffer.constant_bytes(model, tensor) for tensor in tensors[1:3]]
                found.append((constants, [flatbuffer.quantization(tensor) for tensor in tensors]))
        return found

    stepped, goal = layers_of(streams[kind].content), layers_of(windowed[kind])
    assert len(goal) == 6
    for (constants, levels), (goal_constants, goal_levels) in zip(stepped, goal, strict=True):
        assert constants == goal_constants
        for one, other in zip(levels, goal_levels, strict=True):
            np.testing.assert_array_equal(one.scale, other.scale)
            np.testing.assert_array_equal(one.zero_point, other.zero_point)


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_handed_on_as_they_are(streams, kind):
    """What a step gives is what the next one takes: the same levels, the same shape."""
    manifest = streams[kind].manifest
    taken, given = ({port["name"]: port for port in manifest[end]} for end in ("inputs", "outputs"))
    stream = Stream.from_dict(manifest["stream"])
    assert [*taken] == ["log_mel", *(state.taken for state in stream.states)]
    for state in stream.states:
        assert {**taken[state.taken], "name": ""} == {**given[state.given], "name": ""}
        assert taken[state.taken]["shape"][1] == state.frames
    size = {"float32": 4, "int8": 1, "int16x8": 2}[kind]
    assert manifest["state_bytes"] == 4096 * size
    assert (manifest["audio_seconds"], manifest["latency_s"], manifest["first_exact_step"]) == (0.04, 0.12, 6)
    assert manifest["macs_per_second"] == 28_800_000
    golden = streams[kind].golden
    for states, port in zip(golden.inputs[1:], manifest["inputs"][1:], strict=True):
        assert (states[0] == (port["zero_point"] or 0)).all()
    order = [port["name"] for port in manifest["outputs"]]
    for number, state in enumerate(stream.states, start=1):
        np.testing.assert_array_equal(golden.inputs[number][1:], golden.outputs[order.index(state.given)][:-1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_is_the_same_every_time(streams, recording, kind):
    """The first embeddings, too: states begin with what stands for 0."""
    frames = quantize(recording[:60], streams[kind].manifest["inputs"][0])
    one, other = (run_stream("litert", streams[kind], frames, pushes) for pushes in (None, [7] * 8 + [4]))
    assert len(one.embeddings) == 15 - 3
    np.testing.assert_array_equal(one.embeddings, other.embeddings)


def test_samples_are_heard_as_their_frames_are(streams):
    samples = (np.random.default_rng(9).normal(size=40_000) * 3000).astype(np.int16)
    found = [run_stream("litert", streams["int8"], samples, pushes_of(len(samples), seed)) for seed in (1, 2)]
    # Frame t is centred at sample 160 t and reaches 1024 samples further.
    assert len(found[0].embeddings) == ((40_000 - 1024) // 160 + 1) // 4 - 3
    np.testing.assert_array_equal(found[0].embeddings, found[1].embeddings)
    floats = run_stream("litert", streams["int8"], (samples / 32768).astype(np.float32))
    np.testing.assert_array_equal(floats.embeddings, found[0].embeddings)


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_the_emulator_takes_a_step(streams, kind):
    report = emulate(streams[kind], load_target("stm32h743"), ["litert"])
    assert report.passed, report.failures()
    window_arena = {"int8": 130_000, "int16x8": 260_000}[kind]
    assert report.check("arena_bytes").value < window_arena / 6
    assert report.arena["measured_bytes"] <= report.arena["planned_bytes"] <= 1.05 * report.arena["measured_bytes"]
    assert report.check("integer_only").value == 0


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_a_matrix_that_is_turned_beforehand_changes_no_number(artifacts, kind):
    model = flatbuffer.read_model(artifacts[kind].content)
    assert transpose_before_matmul(model) == 1
    assert transpose_before_matmul(model) == 0
    turned, kept, inputs = flatbuffer.write_model(model), artifacts[kind].content, artifacts[kind].golden.inputs
    for engine in ("tflm", "litert", "tflite-runtime"):
        runs = [run_engine(engine, content, [values[:4] for values in inputs]) for content in (kept, turned)]
        np.testing.assert_array_equal(runs[0].outputs[0], runs[1].outputs[0])
        if engine == "tflm":
            # A second of embeddings less.
            saved = runs[0].arena_bytes - runs[1].arena_bytes
            assert 0.9 < saved / (25 * 224 * {"int8": 1, "int16x8": 2}[kind]) <= 1


@pytest.mark.parametrize(("part", "kind"), [("stream", "float32"), ("stream-encoder", "int8")])
def test_command(runs, streams, tmp_path, part, kind):
    """In float there is no set, so that "stream" is the encoder too."""
    run = runs.get(kind, runs["float"])
    arguments = ["convert", str(run.path), "--part", part, "--format", kind]
    done = CliRunner().invoke(group, [*arguments, "--out", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["artifacts"]
    assert row["path"] == str(tmp_path / f"{part}.{kind}.tflite")
    saved = Artifact.load(row["path"])
    # The same run gives the same bytes.
    assert saved.content == streams[kind].content
    assert saved.manifest == streams[kind].manifest
    with pytest.raises(ArtifactError, match="is not a scene or event artifact"):
        open_listener(tmp_path / f"{part}.{kind}.tflite")


def test_what_can_not_be_streamed_is_refused(runs, streams, artifacts, recording):
    with pytest.raises(ConversionError, match="not quantized, so it gives no int8 file"):
        convert_stream(runs["float"], "int8")
    with pytest.raises(ConversionError, match="quantized to int8, so it gives no int16x8"):
        convert_stream(runs["int8"], "int16x8")
    with pytest.raises(ConversionError, match="by tfmot"):
        convert_stream(replace(runs["int8"], info={**runs["int8"].info, "engine": "tfmot"}), "int8")
    with pytest.raises(ConversionError, match="did not come back within 1 s"):
        convert_stream(runs["float"], "float32", timeout_s=1.0)
    with pytest.raises(ArtifactError, match="is no stream"):
        run_stream("litert", artifacts["int8"], recording)
    frames, manifest = quantize(recording, streams["int8"].manifest["inputs"][0]), streams["int8"].manifest
    with pytest.raises(ArtifactError, match="parts of 3"):
        run_stream("litert", streams["int8"], frames, [3])
    with pytest.raises(ArtifactError, match=r"log-mel of \[400, 128\] float32, where 128 bands of int8"):
        run_stream("litert", streams["int8"], recording)
    for broken in ({"states": []}, {"stride": 5}, {"states": manifest["stream"]["states"][::-1]}):
        other = replace(streams["int8"], manifest={**manifest, "stream": {**manifest["stream"], **broken}})
        with pytest.raises(ArtifactError, match="other ports than its manifest says"):
            run_stream("litert", other, frames)


def test_a_state_without_levels_of_its_own_is_refused():
    """16-bit tanh has levels that the format fixes, and no fake quantization that a state could share."""
    inputs = x = keras.Input((None, 8, 1))
    for number in range(2):
        x = keras.layers.Conv2D(2, 3, padding="same", activation="tanh", name=f"conv_{number}")(x)
    encoder = keras.Model(inputs, keras.layers.Reshape((-1, 16))(x), name="encoder")
    head = keras.Sequential([keras.Input((None, 16)), keras.layers.Dense(2)], name="scene_head")
    network = keras.Model(inputs, {"scenes": head(encoder(inputs))})
    twin = build_qat_network(network, "int16x8", ["scenes"])
    with pytest.raises(ConversionError, match="conv_1 reads has no levels"):
        build_step(twin.get_layer("encoder"))
