"""The benchmark scripts run and say what they measured; how fast anything is is no matter of tests."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from keras_mtl.recipes import load_recipe

PARTS = {"input", "forward", "teacher", "rest", "step"}
# The least of a training that still has both phases, checkpoints and logs.
LITTLE = ("strong_batch=4", "weak_batch=2", "unlabelled_batch=2", "scene_batch=32")


def _run(repository, script: str, *arguments: str) -> str:
    command = [sys.executable, str(repository.root / "benchmarks" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    "script",
    [
        "scoreboard.py",
        "reproduce.py",
        "train_step.py",
        "preparation.py",
        "input_pipeline.py",
        "quantization.py",
        "streaming.py",
        "firmware_c.py",
        "emulation.py",
        "devices.py",
        "qat.py",
    ],
)
def test_help_says_how_it_is_called(repository, script: str) -> None:
    assert f"python benchmarks/{script}" in _run(repository, script, "--help")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "teacher"), [("asc", False), ("joint", True)])
def test_a_step_is_timed_in_its_parts(repository, kind: str, teacher: bool) -> None:
    times = json.loads(_run(repository, "step_keras.py", kind, "2", "2").splitlines()[-1])
    assert set(times) == PARTS
    assert all(len(values) == 2 and min(values) >= 0 for part, values in times.items() if part != "rest")
    assert (max(times["teacher"]) > 0) == teacher


@pytest.mark.slow
def test_the_scoreboard_has_its_rows_and_goes_on(repository, tmp_path) -> None:
    sets = [word for text in LITTLE for word in ("--set", text)]
    rows = "single_scenes,soft,freeze_sed_asc"
    arguments = ["--data", "soundscapes", "--out", str(tmp_path), "--event-epochs", "1", "--scene-epochs", "1", *sets]
    _run(repository, "scoreboard.py", *arguments, "--rows", "soft")
    first = (tmp_path / "soft,seed=0" / "run.json").stat().st_mtime_ns
    _run(repository, "scoreboard.py", *arguments, "--rows", rows)
    assert (tmp_path / "soft,seed=0" / "run.json").stat().st_mtime_ns == first
    board = json.loads((tmp_path / "scoreboard.json").read_text())
    assert [row["name"] for row in board["rows"]] == [f"{row},seed=0" for row in rows.split(",")]
    assert {each["against"] for each in board["differences"]} == {"single_scenes,seed=0"}
    assert board["rows"][1]["conflict"]["measurements"] > 0
    for name in ("scoreboard.md", "scoreboard.png", "conflict.png"):
        assert (tmp_path / name).stat().st_size > 0


@pytest.mark.slow
def test_table_3_is_trained_row_by_row_and_goes_on(repository, tmp_path) -> None:
    arguments = ["--data", "soundscapes", "--out", str(tmp_path), "--event-epochs", "1", "--scene-epochs", "1"]
    arguments += ["--rows", "cp_mobile,soft", "--seeds", "0,1", *(word for text in LITTLE for word in ("--set", text))]
    _run(repository, "reproduce.py", *arguments)
    names = [f"{row},seed={seed}" for row in ("cp_mobile", "soft") for seed in (0, 1)]
    first = [(tmp_path / name / "run.json").stat().st_mtime_ns for name in names]
    _run(repository, "reproduce.py", *arguments)
    assert [(tmp_path / name / "run.json").stat().st_mtime_ns for name in names] == first
    board = json.loads((tmp_path / "scoreboard.json").read_text())
    assert [row["name"] for row in board["rows"]] == names


def test_the_rows_of_table_3_are_trainings_that_there_are(repository, tmp_path) -> None:
    command = [sys.executable, str(repository.root / "benchmarks" / "reproduce.py"), "--dry-run"]
    done = subprocess.run(
        [*command, "--data", "DIR", "--out", str(tmp_path / "out")], capture_output=True, text=True, check=True
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("$ keras_mtl train")]
    found = [load_recipe("paper", shlex.split(line)[10:][1::2]) for line in lines]
    assert len(found) == 10 and {recipe.train.algorithm for recipe in found} >= {"hard", "cross_hard", "freeze_sed_asc"}
    assert not (tmp_path / "out").exists()
