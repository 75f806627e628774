"""The event part as a float file with loops: what is in it, what it costs, and what engines make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from keras_mtl.cli import group
from keras_mtl.core import ArtifactError, EngineRefused, LogMelSettings
from keras_mtl.cost import cost
from keras_mtl.decoding import DecodeSettings
from keras_mtl.firmware_host.compute import op_rows, uncounted
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.engines import run
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.models import build_event_part, build_mt
from keras_mtl.predictors import open_predictor
from keras_mtl.recipes import Recipe, to_toml
from keras_mtl.runs import Run, Samples, save_samples
from keras_mtl.runs.folder import SCHEMA
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Member
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.flatbuffer import macs
from keras_mtl.tflite.patch import fill_loop_starts

#: A network that converts and runs in little time; 46 frames are 11 embeddings and 2 frames over.
SMALL = {"channels": (4, 6), "pools": ((2, 8), (2, 4)), "recurrent_units": 5, "attention_units": 3, "mel_bands": 64}
FRAMES = 46
SETTINGS = LogMelSettings(mel_bands=64, mean_db=-30.0, std_db=15.0)


@pytest.fixture(scope="module")
def make_run(tmp_path_factory) -> Callable[..., tuple[Run, keras.Model]]:
    """A run folder of the event task, and its event part, with no weight or bias at the zero that it begins with."""

    def make(frames: int, settings: LogMelSettings, **sizes) -> tuple[Run, keras.Model]:
        keras.utils.set_random_seed(3)
        network, generator = build_mt(frames, scenes=10, events=10, **sizes), np.random.default_rng(3)
        for weight in network.weights:
            if len(weight.shape) == 1 or "bias" in weight.path:
                weight.assign(weight.numpy() + generator.uniform(0.05, 0.5, weight.shape))
        folder = tmp_path_factory.mktemp("run")
        network.save(folder / "network.keras")
        clips = generator.normal(0, 1, (4, frames, settings.mel_bands)).cumsum(1) * 0.2
        none = np.zeros((0, 100, settings.mel_bands), np.float32)
        save_samples(folder, Samples(none, none, clips.astype(np.float32)))
        (folder / "recipe.toml").write_text(to_toml(Recipe(name="test")))
        info = {"schema": SCHEMA, "stage": "float", "system": "mt", "tasks": ["events"], "seed": 3}
        info |= {"features": settings.to_dict(), "data": {"name": "noise"}, "git_revision": None, "metrics": {}}
        (folder / "run.json").write_text(json.dumps(info))
        return Run.load(folder), build_event_part(network, frames)

    return make


@pytest.fixture(scope="module")
def small(make_run) -> tuple[Run, keras.Model]:
    return make_run(FRAMES, SETTINGS, **SMALL)


@pytest.fixture(scope="module")
def small_artifacts(small) -> dict[str, Artifact]:
    return {kind: convert(small[0], "events", kind) for kind in ("float32", "float16")}


@pytest.mark.parametrize("engine", ["litert", "litert-reference", "tflite-runtime"])
@pytest.mark.parametrize(("kind", "tolerance"), [("float32", 1e-5), ("float16", 2e-3)])
def test_engines_agree_with_keras(small, small_artifacts, kind, tolerance, engine):
    artifact = small_artifacts[kind]
    outputs = run(engine, artifact, artifact.golden.inputs).outputs
    goal = small[1](artifact.golden.inputs["input_0"], training=False)
    for number, name in enumerate(("strong", "weak")):
        golden = artifact.golden.outputs[f"output_{number}"]
        np.testing.assert_allclose(golden, goal[name], atol=1e-6)
        np.testing.assert_allclose(outputs[f"output_{number}"], golden, atol=tolerance)
        assert np.ptp(golden, axis=0).max() > 10 * tolerance  # they do not agree for want of anything to say


def test_tflm_is_not_even_asked(small_artifacts):
    artifact = small_artifacts["float32"]
    with pytest.raises(EngineRefused, match="TFLM can't run loops: it loads WHILE"):
        run("tflm", artifact, artifact.golden.inputs, timeout_s=0.001)


def test_manifest_says_how_to_use_it(small_artifacts):
    for kind, artifact in small_artifacts.items():
        manifest = artifact.manifest
        assert (manifest["part"], manifest["format"], manifest["output"]) == ("events", kind, "probabilities")
        assert [(p["name"], p["shape"]) for p in manifest["inputs"]] == [("log_mel", [1, FRAMES, 64, 1])]
        assert [(p["name"], p["shape"]) for p in manifest["outputs"]] == [("strong", [1, 11, 10]), ("weak", [1, 10])]
        assert {port["dtype"] for port in (*manifest["inputs"], *manifest["outputs"])} == {"float32"}
        assert list(manifest["labels"]) == ["events"]
        assert len(manifest["labels"]["events"]) == 10
        assert (manifest["frames_per_embedding"], manifest["audio_seconds"]) == (4, 0.46)
        assert manifest["decoding"] == asdict(DecodeSettings())


def test_costs_of_the_file_are_those_of_the_network(small, small_artifacts):
    single, half = (small_artifacts[kind].network for kind in ("float32", "float16"))
    _check_costs(small[1], single.model, norm_channels=4 + 6)
    assert half.macs == single.macs == macs(single.model)
    assert {row.repeats for row in op_rows(half.model)} == {1, 11}


@pytest.mark.slow
def test_costs_of_the_full_network(make_run):
    run, part = make_run(1000, LogMelSettings(mean_db=-30.0, std_db=15.0))
    artifact = convert(run, "events", "float32")
    assert artifact.manifest["macs_per_second"] == cost(part, 10.0).macs_per_second == 43_059_200
    assert artifact.manifest["audio_seconds"] == 10
    parameters = _check_costs(part, artifact.network.model, norm_channels=8 + 8 + 24 + 32 + 56 + 56)
    assert parameters == 627_284
    loops = [row for row in op_rows(artifact.network.model) if row.repeats == 250 and row.macs]
    assert sum(row.macs for row in loops) == 2 * 250 * 3 * 128 * (224 + 128 + 256 + 128)
    assert artifact.manifest["parameter_bytes"] < 4 * parameters + 200
    report = emulate(artifact, load_target("dcase-asc"), engines=("litert",))
    failed = {check.name: (check.value, check.limit) for check in report.checks if not check.ok}
    assert failed == {
        "parameter_bytes": (artifact.manifest["parameter_bytes"], 128_000),
        "macs_per_second": (43_059_200, 30_000_000),
    }
    assert "43,059,200 MAC/s is over 30,000,000: weights x positions" in report.failures()


def _check_costs(part: keras.Model, model: Any, norm_channels: int) -> int:
    """MACs are Keras's; constants are the parameters and a few numbers that are none. Returns the file's parameters.

    Batch normalisation folds into the convolution before it: of its four values a channel none is left, for the
    convolution has a bias already.
    """
    known = cost(part, 1.0)
    assert macs(model) == known.macs_per_second
    assert sum(row.macs for row in op_rows(model)) == known.macs_per_second
    read = {
        tensor.buffer: tensor
        for graph, operator in flatbuffer.operators(model)
        for tensor in flatbuffer.op_inputs(graph, operator)
        if tensor is not None and flatbuffer.constant_bytes(model, tensor)
    }
    values = [flatbuffer.constant(model, tensor) for tensor in read.values()]
    weights = [v for v in values if v.dtype == np.float32 and v.size > 1]
    # What remains: shapes, axes, the loops' counters (int32), and single numbers (the 1 of 1 - z, the 0 of a start).
    rest = [v for v in values if not (v.dtype == np.float32 and v.size > 1)]
    assert all(v.dtype == np.int32 or v.size == 1 for v in rest)
    parameters = known.params - 2 * norm_channels
    assert sum(v.size for v in weights) == parameters
    assert flatbuffer.parameter_bytes(model) == 4 * parameters + sum(v.nbytes for v in rest)
    assert sum(v.nbytes for v in rest) < 200
    return parameters


def test_loops_start_from_zeros_that_the_file_does_not_hold(small_artifacts):
    for artifact in small_artifacts.values():
        model = flatbuffer.read_model(artifact.network.content)
        assert op_rows(model)[0].op == "FILL"
        sizes = [b.data.nbytes for b in model.buffers if b.data is not None and len(b.data) and not np.any(b.data)]
        assert max(sizes) <= 12  # begin indices and axes
        fill_loop_starts(model)
        assert flatbuffer.write_model(model) == artifact.network.content


def test_damaged_bytes_are_read_or_refused(small_artifacts):
    """Whatever bytes of the tables are wrong, those of the loops among them: rows and costs, or one of our errors."""
    content, generator, refused = small_artifacts["float32"].network.content, np.random.default_rng(7), 0
    for _ in range(100):
        damaged = bytearray(content)
        for place in generator.integers(1, len(content) // 2, generator.integers(1, 9)):
            damaged[-place] = generator.integers(256)
        try:
            model = flatbuffer.read_model(bytes(damaged))
            assert Member("network", bytes(damaged), model).manifest
            op_rows(model)
            uncounted(model)
        except ArtifactError:
            refused += 1
    assert 0 < refused < 100


def test_the_same_run_gives_the_same_bytes(small, small_artifacts, tmp_path: Path):
    again = convert(small[0], "events", "float32")
    assert again.network.content == small_artifacts["float32"].network.content
    one, two = again.save(tmp_path / "one.tflite"), small_artifacts["float32"].save(tmp_path / "two.tflite")
    assert one.with_suffix(".golden.npz").read_bytes() == two.with_suffix(".golden.npz").read_bytes()
    read = Artifact.load(one)
    assert [*again.golden.outputs] == [*read.golden.outputs] == ["output_0", "output_1"]
    for name, known in again.golden.outputs.items():
        np.testing.assert_array_equal(known, read.golden.outputs[name])


@pytest.mark.slow
def test_the_accounting_fails_with_value_limit_and_reason(make_run, tmp_path: Path):
    """The command line, from run to verdict, with a network that is over one limit and under the other."""
    run, _ = make_run(100, SETTINGS, **{**SMALL, "recurrent_units": 60})
    path = tmp_path / "events.tflite"
    done = CliRunner().invoke(
        group, ["convert", str(run.path), "--part", "events", "--format", "float32", "--out", str(path), "--json"]
    )
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["artifacts"]
    done = CliRunner().invoke(group, ["emulate", str(path), "--target", "dcase-asc", "--json"])
    assert done.exit_code == 1, done.output
    report = json.loads(done.stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert set(checks) == {"parameter_bytes", "macs_per_second", "parity_lsb"}
    assert (checks["parameter_bytes"]["value"], checks["parameter_bytes"]["limit"]) == (row["parameter_bytes"], 128_000)
    assert "is over 128,000" in checks["parameter_bytes"]["why"]
    assert (checks["macs_per_second"]["value"], checks["macs_per_second"]["ok"]) == (row["macs_per_second"], True)
    assert checks["parity_lsb"]["ok"]
    assert "TFLM can't run loops" in next(e["reason"] for e in report["engines"] if not e["ran"])
    assert {op["repeats"] for op in report["ops"]} == {1, 25}


def test_the_artifact_hears_what_the_run_hears(small, small_artifacts, tmp_path: Path):
    run, part = small
    path = small_artifacts["float32"].save(tmp_path / "events.tflite")
    listener = open_predictor(path)
    assert listener.tasks == ("events",)
    assert (listener.frames_per_embedding, listener.decoding) == (4, run.recipe.decode)
    levels = run.samples().golden_events * 15.0 - 30.0
    strong, weak = listener.event_probabilities(levels)
    goal = part(run.samples().golden_events[..., None], training=False)
    np.testing.assert_allclose(strong, goal["strong"], atol=1e-4)
    np.testing.assert_allclose(weak, goal["weak"], atol=1e-4)


def test_other_lengths_are_refused(small_artifacts, tmp_path: Path):
    listener = open_predictor(small_artifacts["float32"].save(tmp_path / "events.tflite"))
    assert listener.event_frames == FRAMES
    for frames in (21, 47):
        with pytest.raises(ArtifactError, match=rf"takes 46 frames \(0.46 s\) at a time, not {frames}"):
            listener.event_probabilities(np.zeros((1, frames, 64)))


@pytest.mark.slow
def test_evaluate_and_predict_take_an_event_artifact(make_run, tmp_path: Path):
    run, _ = make_run(1000, SETTINGS, **SMALL)
    path = convert(run, "events", "float16").save(tmp_path / "events.tflite")
    data = ("--data", "soundscapes:tiny", "--cache", str(tmp_path / "cache"))
    figures = []
    for model in (path, run.path):
        done = CliRunner().invoke(group, ["evaluate", str(model), *data, "--json"], catch_exceptions=False)
        figures.append(json.loads(done.stdout))
    assert set(figures[0]) == {"schema", "model", "data", "events"}
    assert figures[0]["events"]["weak_f1_macro"] > 0
    for name in ("event_f1_macro", "psds1", "psds2", "weak_f1_macro"):
        assert figures[0]["events"][name] == pytest.approx(figures[1]["events"][name], abs=0.05)
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 16_000 * 12), 16_000)
    arguments = ["predict", str(tmp_path / "a.wav"), "--model", str(path), "--json"]
    (heard,) = json.loads(CliRunner().invoke(group, arguments, catch_exceptions=False).stdout)["files"]
    assert (heard["scene"], heard["duration_s"]) == (None, 12.0)
    assert all(0 <= event["onset_s"] < event["offset_s"] <= 12 for event in heard["events"])
