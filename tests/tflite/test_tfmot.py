"""The engine `tfmot` of `quantize`: tensorflow-model-optimization on a twin in the old Keras, in its own process."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scene_networks as networks
from click.testing import CliRunner

from keras_mtl.cli import group
from keras_mtl.core import ConversionError, RunError, run_isolated
from keras_mtl.firmware_host import engines
from keras_mtl.firmware_host.engines import ENGINES
from keras_mtl.models import build_cp_mobile
from keras_mtl.runs import Run
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.flatbuffer import require_integer_only
from keras_mtl.tflite.quantize import qat_network
from keras_mtl.tflite.quantize import quantize as quantize_stage
from keras_mtl.tflite.tfmot import TfmotNetwork, quantize_with_tfmot

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason="tensorflow-model-optimization is not installed: it wants NumPy 1",
)


def _document(*arguments: str | Path) -> dict[str, Any]:
    done = CliRunner().invoke(group, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def made(runs, tmp_path_factory) -> tuple[Run, dict[str, Any], Path]:
    """A run folder made by tfmot on the embedded data, what the command said, and the cache."""
    folder = tmp_path_factory.mktemp("tfmot")
    out, cache = folder / "run", folder / "cache"
    arguments = ("--scheme", "int8", "--engine", "tfmot", "--data", "soundscapes:tiny", "--epochs", 1)
    document = _document("quantize", runs["float"].path, *arguments, "--out", out, "--cache", cache)
    return Run.load(out), document, cache


@pytest.fixture(scope="module")
def artifact(made, tmp_path_factory) -> tuple[Artifact, Path]:
    run, *_ = made
    path = tmp_path_factory.mktemp("tfmot_file") / "scenes.int8.tflite"
    _document("convert", run.path, "--format", "int8", "--out", path)
    return Artifact.load(path), path


@pytest.mark.slow
def test_the_run_says_what_made_it(made):
    run, document, _ = made
    assert (run.info["stage"], run.info["scheme"], run.info["engine"]) == ("qat", "int8", "tfmot")
    assert document["engine"] == "tfmot"
    assert set(document["nearness"]) == {"calibrated", "fine_tuned"}
    for near in document["nearness"].values():
        assert near["scenes_agreement"] > 0.8
        assert near["scenes_divergence"] < 0.1
        assert near["scenes_embedding_error"] < 0.05
    assert document["metrics"]["after"] == run.info["metrics"]
    assert (run.path / "quantize.csv").read_text().startswith("epoch,loss,scenes_divergence,scenes_embedding_error\n0,")


@pytest.mark.slow
def test_the_float_twin_is_the_network(made):
    run, *_ = made
    logits = float(np.abs(run.network().predict(run.samples().calibration[..., None], verbose=0)["scenes"]).max())
    assert 0 <= run.info["quantization"]["twin_difference"] < 1e-5 * max(1.0, logits)


@pytest.mark.slow
def test_a_run_is_heard_as_it_was_scored(made):
    run, _, cache = made
    document = _document("evaluate", run.path, "--data", "soundscapes:tiny", "--cache", cache)
    assert document["scenes"] == run.info["metrics"]["scenes"]
    with pytest.raises(RunError, match="was quantized by tfmot"):
        qat_network(run)


@pytest.mark.slow
def test_the_file_computes_what_tfmot_computes(made, artifact):
    run, *_ = made
    file, _ = artifact
    require_integer_only(file.network.model)
    (source,), (result,), outputs = file.network.inputs, file.network.outputs, file.golden.outputs["output_0"]
    again = TfmotNetwork(run).predict_on_batch(source.dequantize(file.golden.inputs["input_0"]))
    # A sum in another order may round otherwise.
    assert np.abs(result.quantize(again).astype(int) - outputs).max() <= 1
    for engine in ENGINES:
        found = engines.run(engine, file, file.golden.inputs).outputs["output_0"].astype(int)
        assert np.abs(found - outputs).max() <= 4, engine


@pytest.mark.slow
def test_the_file_is_emulated(artifact):
    _, path = artifact
    report = _document("emulate", path, "--target", "dcase-asc")
    assert report["verdict"] == "passed"
    assert all(engine["ran"] for engine in report["engines"])


@pytest.mark.slow
def test_residual_blocks_convert(tmp_path):
    network = networks.cp_mobile(17, 32)
    values = networks.clips(44, 17, 32)
    made = quantize_with_tfmot(network, values[:24], tmp_path)
    assert made.kept == "calibrated"
    np.savez(tmp_path / "samples.npz", calibration=values[:24], golden=values[24:])
    request = {"model": str(tmp_path / "qat_tfmot.npz"), "samples": str(tmp_path / "samples.npz")}
    answer = run_isolated("keras_mtl.tflite.convert.tfmot_worker", {**request, "folder": str(tmp_path)}, 300.0)
    file = Artifact.of(Path(answer["members"]["network"]["content"]).read_bytes())
    require_integer_only(file.network.model)
    with np.load(answer["golden"]) as arrays:
        inputs, outputs = arrays["log_mel"], file.network.outputs[0].quantize(arrays["scene_logits"]).astype(int)
    assert len(np.unique(outputs)) > 30
    found = engines.run("tflm", file, {"input_0": inputs}).outputs["output_0"].astype(int)
    assert np.abs(found - outputs).max() <= 4


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--scheme", "int16x8"), "tfmot has no scheme with 16-bit activations, so it can't make int16x8"),
        (("--scheme", "int8", "--part", "joint"), "part 'joint' can't be quantized by tfmot"),
        (
            ("--scheme", "int8", "--ranges", "gradient"),
            "tfmot's ranges are moving averages always, so 'gradient' can't",
        ),
    ],
)
def test_what_tfmot_has_no_scheme_for_is_refused_in_one_line(options, reason, runs, tmp_path):
    arguments = ["quantize", str(runs["float"].path), *options, "--engine", "tfmot", "--data", "soundscapes:tiny"]
    with pytest.raises(ConversionError, match=reason) as caught:
        CliRunner().invoke(group, [*arguments, "--out", str(tmp_path / "run")], catch_exceptions=False)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_system_with_grn_is_refused_before_data_are_read(runs, tmp_path):
    source = tmp_path / "float"
    shutil.copytree(runs["float"].path, source)
    build_cp_mobile(100, 128, base_channels=8, depths=(1, 1, 1), grn=True, scenes=10).save(source / "network.keras")
    (source / "run.json").write_text(json.dumps({**runs["float"].info, "tasks": ["scenes"]}))
    nothing: Any = None
    with pytest.raises(ConversionError, match=r"layer b1_grn \(GRN\) can't be quantized by tfmot: a layer of our own"):
        quantize_stage(Run.load(source), "int8", nothing, tmp_path / "out", tmp_path, engine="tfmot")
    assert not (tmp_path / "out").exists()


def test_a_process_that_hangs_or_dies_is_one_clear_line(network, clips, tmp_path, monkeypatch):
    with pytest.raises(ConversionError, match=r"tfmot failed: .* did not come back within 0 s") as hung:
        quantize_with_tfmot(network, clips.calibration[:2], tmp_path, timeout_s=0.3)
    monkeypatch.setattr("keras_mtl.tflite.tfmot.quantize._WORKER", "keras_mtl.tflite.no_such_worker")
    with pytest.raises(ConversionError, match=r"tfmot failed: .* died \(exit 1\)") as died:
        quantize_with_tfmot(network, clips.calibration[:2], tmp_path)
    assert all("\n" not in str(caught.value) for caught in (hung, died))
    assert not list(tmp_path.iterdir())


def test_a_damaged_graph_is_told(tmp_path):
    (tmp_path / "qat_tfmot.pb").write_bytes(b"\x00")
    with pytest.raises(RunError, match=r"qat_tfmot.pb is missing or damaged"):
        TfmotNetwork(Run(tmp_path, {}))
