"""The commands `emulate` and `bundle`, as a person or a program calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from keras_mtl.cli.bundle import command as bundle
from keras_mtl.cli.emulate import command as emulate
from keras_mtl.core import ArtifactError, KerasMtlError, TargetError, VerdictFailed


@pytest.fixture(scope="module")
def files(make_artifact, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("artifacts")
    paths = {fmt: make_artifact(fmt).save(folder / f"scenes.{fmt}.tflite") for fmt in ("int8", "float16")}
    (folder / "empty.tflite").write_bytes(b"")
    (folder / "text.tflite").write_text("I am a text, not a network")
    return {
        **{fmt: str(path) for fmt, path in paths.items()},
        "empty": str(folder / "empty.tflite"),
        "text": str(folder / "text.tflite"),
    }


def test_emulate_prints_a_table_and_passes(files):
    done = CliRunner().invoke(emulate, [files["int8"], "--target", "stm32h743"])
    assert done.exit_code == 0, done.output
    assert done.stdout.rstrip().endswith("verdict   passed")
    assert "running" in done.stderr


def test_emulate_json_is_one_document_even_when_it_fails(files, tmp_path):
    page = tmp_path / "report.html"
    done = CliRunner().invoke(emulate, [files["float16"], "--target", "stm32h743", "--json", "--html", str(page)])
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert (document["schema"], document["verdict"]) == ("keras_mtl.report/1", "failed")
    assert page.read_text().startswith("<!doctype html>")


def test_emulate_several_artifacts(files):
    arguments = [files["int8"], files["float16"], "--target", "dcase-asc", "--engine", "litert", "--json"]
    done = CliRunner().invoke(emulate, arguments)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["schema"] == "keras_mtl.reports/1"
    assert [report["verdict"] for report in document["reports"]] == ["passed", "passed"]
    assert [engine["engine"] for engine in document["reports"][0]["engines"]] == ["litert"]


@pytest.mark.parametrize("command", [emulate, bundle])
def test_bad_input_is_one_error_and_nothing_is_written(command, files, tmp_path):
    out = ["--out", str(tmp_path / "out")] if command is bundle else []
    for arguments, kind, message in (
        ([files["empty"], "--target", "dcase-asc"], ArtifactError, "0 bytes"),
        ([files["text"], "--target", "dcase-asc"], ArtifactError, "not a TFLite file"),
        (["gone.tflite", "--target", "dcase-asc"], ArtifactError, "can't read gone.tflite"),
        ([files["int8"], "--target", "dcase-acs"], TargetError, "did you mean dcase-asc"),
    ):
        done = CliRunner().invoke(command, [*arguments, *out])
        assert isinstance(done.exception, kind), done.output
        assert done.exception.exit_code == 2
        assert message in str(done.exception)
        assert "\n" not in str(done.exception)
        assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_bundle_writes_a_folder_and_says_what_is_in_it(files, tmp_path):
    done = CliRunner().invoke(bundle, [files["int8"], "--target", "stm32h743", "--out", str(tmp_path / "b"), "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["schema"] == "keras_mtl.bundle/1"
    assert "model_data.cc" in document["files"]
    assert all(Path(document["path"], file).is_file() for file in document["files"])
    again = CliRunner().invoke(bundle, [files["int8"], "--target", "stm32h743", "--out", str(tmp_path / "b")])
    assert isinstance(again.exception, KerasMtlError)
    assert again.exception.exit_code == 2


def test_bundle_refuses_what_the_emulator_fails(files, tmp_path):
    done = CliRunner().invoke(bundle, [files["float16"], "--target", "stm32h743", "--out", str(tmp_path / "b")])
    assert isinstance(done.exception, VerdictFailed)
    assert done.exception.exit_code == 1
    assert "TFLM has no float16 kernels" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_commands_give_their_exit_status_to_the_shell(files, tmp_path):
    for artifact, target, status in (("float16", "stm32h743", 1), ("empty", "stm32h743", 2), ("int8", "none", 2)):
        call = [sys.executable, "-m", "keras_mtl", "emulate", files[artifact], "--target", target]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr


def test_whole_host_part_needs_neither_tensorflow_nor_keras(files, tmp_path):
    code = f"""
import json, pkgutil, sys, importlib
for name in ("tensorflow", "keras", "tf_keras", "librosa", "pandas", "matplotlib"):
    sys.modules[name] = None
import keras_mtl.firmware_host as host
names = [m.name for m in pkgutil.walk_packages(host.__path__, "keras_mtl.firmware_host.")]
for name in names:
    importlib.import_module(name)
from keras_mtl.cli.bundle import command
command([{files["int8"]!r}, "--target", "stm32h743", "--out", {str(tmp_path / "b")!r}], standalone_mode=False)
native = [m for m in sys.modules if m.startswith(("tflite_micro", "tflite_runtime", "ai_edge_litert.interp"))]
assert not native, native
assert len(names) > 15, names
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b" / "manifest.json").is_file()
