"""The whole line on the smallest embedded data: every station's result is there, and readable on its own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_mtl.core import DataError, RunError
from keras_mtl.demo import run_demo
from keras_mtl.predictors import predict_stream
from keras_mtl.runs import Run
from keras_mtl.tflite.artifact import Artifact


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "out"


@pytest.fixture(scope="module")
def document(out, recipe, cache):
    return run_demo(recipe, "soundscapes:tiny", out, cache)


@pytest.mark.slow
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
    joint = Artifact.load(document["joint"]["path"])
    assert joint.streams
    assert set(joint.facts.labels.to_dict()) == {"scenes", "events"}
    assert Path(document["timeline"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_verdicts_are_those_of_the_formats(document, out):
    verdicts = {kind: row["verdicts"] for kind, row in document["artifacts"].items()}
    assert verdicts["int8"] == verdicts["int16x8"] == {"dcase-asc": "passed", "stm32h743": "passed"}
    assert verdicts["float16"] == {"dcase-asc": "passed", "stm32h743": "failed"}
    assert verdicts["float32"]["dcase-asc"] == "failed", "its parameters alone are too many bytes"
    report = json.loads((out / "reports" / "scenes.float16.stm32h743.json").read_text())
    (why,) = [check["why"] for check in report["checks"] if check["name"] == "ops_supported"]
    assert "float16" in why


@pytest.mark.slow
def test_firmware_is_of_the_streaming_artifact_on_the_board_that_holds_it(document, out):
    boards = document["joint"]["boards"]
    assert boards["stm32h743"]["verdict"] == "passed"
    assert boards["nrf52840"]["verdict"] == "failed"
    assert "flash_bytes" in boards["nrf52840"]["why"]
    manifest = json.loads((Path(document["firmware"]) / "manifest.json").read_text())
    assert manifest["target"] == "stm32h743"
    assert (Path(document["firmware"]) / "listener.h").exists()


@pytest.mark.slow
def test_what_was_heard_is_what_the_artifact_predicts(document):
    heard = predict_stream(Artifact.load(document["joint"]["path"]), document["heard"]["file"], picture=False)
    found = [[row["onset_s"], row["label"]] for row in document["heard"]["scenes"]]
    assert found == [[event.onset_s, event.label] for event, _ in heard.scenes]


@pytest.mark.slow
def test_page_shows_the_figures(document):
    page = Path(document["report"]).read_text()
    assert f"{document['run']['metrics']['scenes']['accuracy']:.3f}" in page
    assert "data:image/png;base64" in page
    assert all(board in page for board in document["joint"]["boards"])
    assert document["joint"]["boards"]["nrf52840"]["why"].split(":")[0] in page


def _refused(recipe, cache, out):
    before = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    with pytest.raises(RunError, match="no demo wrote, or that was changed since"):
        run_demo(recipe, "soundscapes:tiny", out, cache)
    assert before
    assert {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()} == before


def test_a_folder_of_others_is_refused(recipe, cache, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    _refused(recipe, cache, tmp_path)


@pytest.mark.parametrize("name", ["recipe.toml", "run.json"])
def test_a_folder_with_a_training_in_it_is_refused(recipe, cache, tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("a training of days")
    (tmp_path / "run-of-last-year").mkdir()
    (tmp_path / "run-of-last-year" / name).write_text("another one")
    _refused(recipe, cache, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run/notes.txt", "run-2/run.json", "report.html", "empty"])
def test_a_demo_s_folder_with_something_of_others_is_refused(document, out, recipe, cache, tmp_path, name):
    shutil.copytree(out, tmp_path / "demo")
    place = tmp_path / "demo" / name
    if name == "empty":
        place.mkdir()
    else:
        place.parent.mkdir(exist_ok=True)
        place.write_text("mine")
    _refused(recipe, cache, tmp_path / "demo")
    assert place.exists()


@pytest.mark.slow
def test_a_folder_as_a_demo_left_it_stays_until_the_next_demo_is_whole(document, out, recipe, cache, tmp_path):
    shutil.copytree(out, tmp_path / "demo")
    with pytest.raises(DataError):  # not refused: it fails at its first stage
        run_demo(recipe, "soundscapes:none", tmp_path / "demo", cache)
    assert json.loads((tmp_path / "demo" / "demo.json").read_text()) == document
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


@pytest.mark.slow
def test_results_are_told_by_the_places_that_they_have(document, out):
    told = [document[key] for key in ("timeline", "report", "firmware")] + [document["run"]["path"]]
    told += [row["path"] for key in ("quantized", "artifacts") for row in document[key].values()]
    told += [json.loads(path.read_text())["artifact"]["path"] for path in sorted(out.glob("reports/*.json"))]
    told += [document["joint"]["path"], document["heard"]["file"]]
    assert len(told) == 4 + 3 + 4 + 11 + 2
    assert all(Path(path).exists() and Path(path).is_relative_to(out) for path in told)


@pytest.mark.slow
def test_golden_inputs_are_evaluation_clips(document, out):
    artifact = Artifact.load(document["artifacts"]["int8"]["path"])
    assert artifact.golden is not None
    port = artifact.manifest["inputs"][0]
    inputs = (artifact.golden.inputs["input_0"].astype(np.float32) - port["zero_point"]) * port["scale"]
    golden = Run.load(out / "run").samples().golden
    assert np.abs(inputs.reshape(golden.shape) - golden).mean() < port["scale"]
