"""The TFDS builders as TFDS sees them: its own test of each, its own `tfds build`, and the dummy data behind both."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import tensorflow_datasets as tfds

from keras_mtl.datasets.desed import desed_dataset_builder as desed
from keras_mtl.datasets.desed.desed_dataset_builder_test import DesedTest  # noqa: F401 (collected here)
from keras_mtl.datasets.tau_urban_acoustic_scenes_2022_mobile import (
    tau_urban_acoustic_scenes_2022_mobile_dataset_builder as tau,
)

_BUILDERS = {"desed": desed.Builder, "tau_urban_acoustic_scenes_2022_mobile": tau.Builder}
_MOST_DUMMY_BYTES = 20_000
# The `tfds` command loads all of its sub commands, and others need Apache Beam and mlcroissant. This is `build` alone.
_BUILD = """
from absl import app
from tensorflow_datasets.scripts.cli import build, cli_utils
app.run(lambda args: args.execute(), flags_parser=cli_utils.make_flags_parser(build.Args, description="build"))
"""


@pytest.fixture(scope="module")
def script(repository) -> ModuleType:
    path = repository.root / "tests/datasets/make_dummy_data.py"
    spec = importlib.util.spec_from_file_location("make_dummy_data", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", _BUILDERS)
def test_dummy_data_are_small_and_what_their_script_makes(repository, script, tmp_path: Path, name: str) -> None:
    script.make(tmp_path)
    committed = _files(repository.root / "datasets" / name / "dummy_data")
    assert committed == _files(tmp_path / name / "dummy_data")
    assert sum(map(len, committed.values())) < _MOST_DUMMY_BYTES


@pytest.mark.parametrize("name", _BUILDERS)
def test_a_builder_s_folder_is_complete(repository, name: str) -> None:
    folder = repository.root / "datasets" / name
    own = {"__init__.py", "README.md", "CITATIONS.bib", "TAGS.txt", "dummy_data"}
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == own | {
        f"{name}_dataset_builder.py",
        f"{name}_dataset_builder_test.py",
    }
    metadata = _BUILDERS[name].get_metadata()
    assert metadata.description
    assert metadata.citation.startswith("@")
    assert metadata.tags


def _build(command: list[str], folder: Path, out: Path) -> tfds.core.DatasetBuilder:
    arguments = [f"--manual_dir={folder / 'dummy_data'}", f"--data_dir={out}"]
    done = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (info,) = out.rglob("dataset_info.json")
    return tfds.builder_from_directory(info.parent)


@pytest.mark.slow
@pytest.mark.parametrize("name", _BUILDERS)
def test_tfds_builds_in_the_builder_s_folder(repository, tmp_path: Path, name: str) -> None:
    built = _build([sys.executable, "-c", _BUILD], repository.root / "datasets" / name, tmp_path)
    assert built.name == name
    assert built.version == _BUILDERS[name].VERSION
    assert "census" in json.loads((Path(built.data_path) / "metadata.json").read_text())
    clips = {split: list(tfds.as_numpy(built.as_dataset(split=split))) for split in built.info.splits}
    assert all(len(clips[split]) == built.info.splits[split].num_examples > 0 for split in clips)
    if name == "desed":
        assert clips["strong_real"][0]["events"]["offset_s"].tolist() == [2.5]
    else:
        assert {clip["device"].decode() for clip in clips["test"]} == {"s4", "s6"}


def _lacking() -> list[str]:
    return [name for name in ("apache_beam", "mlcroissant") if importlib.util.find_spec(name) is None]


@pytest.mark.skipif(bool(_lacking()), reason=f"not installed, and the tfds command imports it: {', '.join(_lacking())}")
def test_the_stock_tfds_command_builds(repository, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("tfds")), "build"]
    built = _build(command, repository.root / "datasets/desed", tmp_path)
    assert set(built.info.splits) >= {"strong_real", "weak", "validation"}
