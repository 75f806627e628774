"""The commands `quantize` and `convert`, from a float run folder to a file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from event_networks import run_of, small_network

from keras_mtl.cli import group
from keras_mtl.core import ArtifactError, ConversionError, RunError
from keras_mtl.runs import Run
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.quantize import quantize


def _document(*arguments: str | Path) -> dict:
    done = CliRunner().invoke(group, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def quantized_run(runs, tmp_path_factory) -> tuple[Path, dict, Path]:
    """A run folder made by `quantize` on the embedded data, what the command said, and the cache."""
    folder = tmp_path_factory.mktemp("quantize")
    out, cache = folder / "run", folder / "cache"
    arguments = ("--scheme", "int16x8", "--data", "soundscapes:tiny", "--out", out, "--cache", cache, "--epochs", 1)
    return out, _document("quantize", runs["float"].path, *arguments), cache


def test_quantize_says_what_it_made(quantized_run):
    out, document, _ = quantized_run
    assert document["schema"] == "keras_mtl.quantize/1"
    assert document["run"] == str(out)
    assert set(document["metrics"]) == {"before", "after"}
    assert 0 <= document["metrics"]["after"]["scenes"]["accuracy"] <= 1
    assert set(document["nearness"]) == {"calibrated", "fine_tuned"}
    names = {f"scenes_{kind}" for kind in ("agreement", "divergence", "embedding_error")}
    assert all(set(near) == names for near in document["nearness"].values())
    run = Run.load(out)
    assert (run.info["stage"], run.info["scheme"], run.info["quantization"]["epochs"]) == ("qat", "int16x8", 1)
    assert run.info["engine"] == document["engine"] == "native"
    assert run.info["metrics"] == document["metrics"]["after"]
    assert run.info["quantization"]["data"] == document["data"]
    calibration = run.info["quantization"]["calibration"]["scenes"]
    assert calibration["clips"] == len(run.samples().calibration)
    assert len(calibration["sha256"]) == 64
    assert len(document["data"]["fingerprint"]) == 64
    log = (out / "quantize.csv").read_text()
    assert log.startswith("epoch,loss,scenes_divergence,scenes_embedding_error,")


def test_a_quantized_run_is_converted(quantized_run, tmp_path):
    out, _, _ = quantized_run
    document = _document("convert", out, "--part", "scenes", "--format", "int16x8", "--out", tmp_path)
    (row,) = document["artifacts"]
    assert document["schema"] == "keras_mtl.convert/2"
    assert (document["part"], document["format"], document["schedule"]) == ("scenes", "int16x8", "clip")
    assert row["path"] == document["path"] == str(tmp_path / "scenes.int16x8.tflite")
    artifact = Artifact.load(row["path"])
    assert {key: artifact.manifest[key] for key in row if key != "path"} == {
        k: v for k, v in row.items() if k != "path"
    }
    assert artifact.golden is not None


@pytest.mark.slow
def test_a_run_quantized_for_scenes_gives_a_streaming_artifact(quantized_run, tmp_path):
    options = ("--schedule", "stream", "--format", "int16x8", "--scene-hop", 10, "--out", tmp_path)
    document = _document("convert", quantized_run[0], *options)
    assert (document["part"], document["schedule"]) == ("scenes", "stream")
    made = Artifact.load(document["path"])
    assert [*made.members] == ["encoder_step", "scene_head"]
    assert made.macs_per_second == document["macs_per_second"] == 29_044_600
    assert len(made.golden.outputs["scenes"]) > 10


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_both_parts_are_quantized_scored_and_converted_to_a_stream(quantized_run, tmp_path_factory, epochs):
    cache, folder = quantized_run[2], tmp_path_factory.mktemp("joint")
    source = run_of(tmp_path_factory.mktemp("source"), small_network(recurrent_layers=1))
    arguments = [
        "--part",
        "joint",
        "--scheme",
        "int8",
        "--data",
        "soundscapes:tiny",
        "--cache",
        cache,
        "--epochs",
        epochs,
    ]
    document = _document("quantize", source.path, *arguments, "--ranges", "moving_average", "--out", folder / "run")
    assert document["part"] == "joint"
    assert {"scenes_agreement", "events_agreement"} < set(document["nearness"][document["kept"]])
    assert set(document["metrics"]["after"]) == {"scenes", "events"}
    made = Run.load(folder / "run").info
    assert made["tasks"] == ["scenes", "events"]
    facts = made["quantization"]
    assert (facts["cells"], facts["learning"], facts["epochs"]) == ("int16x8", "moving_average", epochs)
    assert facts["calibration"]["events"]["clips"] > 1
    converted = _document("convert", folder / "run", "--part", "events", "--format", "int8", "--out", folder / "made")
    assert len(converted["artifacts"]) == 4  # encoder, two cells, classifiers
    assert converted["buffer_bytes"] > 0


def test_quantize_refuses_without_leaving_anything(quantized_run, runs, tmp_path):
    out, _, cache = quantized_run
    common = ["--scheme", "int8", "--data", "soundscapes:tiny", "--cache", str(cache), "--epochs", "0"]
    with pytest.raises(RunError, match="holds something already"):
        CliRunner().invoke(
            group, ["quantize", str(runs["float"].path), "--out", str(out), *common], catch_exceptions=False
        )
    with pytest.raises(RunError, match="is quantized already"):
        CliRunner().invoke(
            group, ["quantize", str(out), "--out", str(tmp_path / "new"), *common], catch_exceptions=False
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cells", "int8"), "part 'scenes' has no recurrent cells, so their scheme can't be chosen ('int8')"),
        (("--cells", "int16x8"), "part 'scenes' has no recurrent cells"),
        (("--engine", "tfmot", "--ranges", "moving_average"), "tfmot's ranges are moving averages always"),
    ],
)
def test_an_option_without_an_effect_is_one_line_and_exit_2(runs, tmp_path, options, message):
    arguments = ["quantize", str(runs["float"].path), "--scheme", "int8", "--data", "soundscapes:tiny", *options]
    done = subprocess.run(
        [sys.executable, "-m", "keras_mtl", *arguments, "--out", str(tmp_path / "run"), "--cache", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not list(tmp_path.iterdir())
    given = dict(zip([name.lstrip("-") for name in options[::2]], options[1::2], strict=True))
    chosen = {"learning" if name == "ranges" else name: value for name, value in given.items()}
    nothing: Any = None  # refused before data are read
    with pytest.raises(ConversionError, match=re.escape(message)):
        quantize(runs["float"], "int8", nothing, tmp_path / "run", tmp_path, **chosen)
    assert not list(tmp_path.iterdir())


def test_bad_input_is_one_line_and_exit_2(runs, tmp_path):
    program = [sys.executable, "-m", "keras_mtl", "convert"]
    for arguments, message in (
        ([str(runs["float"].path), "--format", "int8"], "is not quantized, so it gives no int8 file"),
        ([str(tmp_path / "missing"), "--format", "int8"], "no run folder"),
        ([str(runs["float"].path), "--part", "joint", "--format", "float32"], "'joint' can't be one file"),
    ):
        done = subprocess.run(
            [*program, *arguments, "--out", str(tmp_path / "x.tflite")],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == ConversionError.exit_code == 2
        assert done.stdout == ""
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_of_others_in_the_folder_is_kept(runs, artifacts, tmp_path):
    """Its name is the command's, and not the user's."""
    model = flatbuffer.read_model(artifacts["float16"].network.content)
    model.metadata = []
    theirs = flatbuffer.write_model(model)
    (tmp_path / "scenes.float16.tflite").write_bytes(theirs)
    arguments = ["convert", str(runs["float"].path), "--format", "float16", "--out", str(tmp_path)]
    with pytest.raises(ArtifactError, match=r"scenes\.float16\.tflite is there, and was not converted here"):
        CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [theirs]


@pytest.mark.parametrize("name", ["quantize", "convert"])
def test_help_shows_examples_and_needs_no_tensorflow(name, tmp_path):
    code = (
        "import sys\nfrom keras_mtl.cli import group\n"
        f"try: group(['{name}', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"keras_mtl {name} runs/real" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
