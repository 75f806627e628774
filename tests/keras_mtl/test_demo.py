"""The whole line on the smallest embedded data: every station's result is there, and readable on its own."""

import json
from pathlib import Path

import numpy as np
import pytest

from keras_mtl.demo import run_demo
from keras_mtl.errors import RunError
from keras_mtl.run_folder import Run
from keras_mtl.tflite.artifact import Artifact


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "out"


@pytest.fixture(scope="module")
def document(out, recipe, cache):
    return run_demo(recipe, "soundscapes:tiny", out, cache)


def test_every_station_left_its_result(document, out):
    assert document["schema"] == "keras_mtl.demo/1"
    assert json.loads((out / "demo.json").read_text()) == document
    assert Run.load(out / "run").info["metrics"] == document["run"]["metrics"]
    assert Run.load(out / "run").info["data"] == document["data"]
    for scheme in ("int8", "int16x8"):
        assert Run.load(out / f"run-{scheme}").info["scheme"] == scheme
    for kind, row in document["artifacts"].items():
        artifact = Artifact.load(row["path"])
        assert artifact.manifest["sha256"] == row["sha256"]
        assert artifact.manifest["format"] == kind
    assert Path(document["timeline"]).read_bytes().startswith(b"\x89PNG")


def test_verdicts_are_those_of_the_formats(document, out):
    verdicts = {kind: row["verdicts"] for kind, row in document["artifacts"].items()}
    assert verdicts["int8"] == verdicts["int16x8"] == {"dcase-asc": "passed", "stm32h743": "passed"}
    assert verdicts["float16"] == {"dcase-asc": "passed", "stm32h743": "failed"}
    assert verdicts["float32"]["dcase-asc"] == "failed", "its parameters alone are too many bytes"
    report = json.loads((out / "reports" / "scenes.float16.stm32h743.json").read_text())
    (why,) = [check["why"] for check in report["checks"] if check["name"] == "ops_supported"]
    assert "float16" in why


def test_firmware_folder_holds_what_passed(document, out):
    manifests = sorted(Path(document["firmware"]).rglob("manifest.json"))
    assert manifests
    arrays = [path.read_text() for path in Path(document["firmware"]).rglob("model_data.cc")]
    assert len(arrays) == 2
    assert all("alignas(16)" in text for text in arrays)


def test_page_shows_the_figures(document):
    page = Path(document["report"]).read_text()
    assert f"{document['run']['metrics']['scenes']['accuracy']:.3f}" in page
    assert "data:image/png;base64" in page
    assert "stm32h743" in page


def test_only_a_demo_s_folder_is_replaced(document, out, recipe, cache, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="no demo wrote"):
        run_demo(recipe, "soundscapes:tiny", tmp_path, cache)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_golden_inputs_are_evaluation_clips(document, out):
    artifact = Artifact.load(document["artifacts"]["int8"]["path"])
    assert artifact.golden is not None
    port = artifact.manifest["inputs"][0]
    inputs = (artifact.golden.inputs[0].astype(np.float32) - port["zero_point"]) * port["scale"]
    golden = Run.load(out / "run").samples().golden
    assert np.abs(inputs.reshape(golden.shape) - golden).mean() < port["scale"]
