"""A sweep: real trainings, an interrupt and what goes on after it, a run that fails; its parts with made-up ones."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from keras_mtl import cli
from keras_mtl.core import RunError, VerdictFailed
from keras_mtl.experiments import Sweep, plan_sweep, run_sweep
from keras_mtl.experiments.sweep import Outcome, Training, run_training
from keras_mtl.runs import Run

EPOCHS = 15


def states(folder: Path) -> dict[str, str]:
    return {run.name: run.state for run in Sweep.load(folder).runs}


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_and_a_failing_run_stops_nothing(run, interruptible, cache, tmp_path):
    """`crnn` has no scenes: its training is refused. That of `cnn` is interrupted as by a terminal."""
    out = tmp_path / "sweep"
    arguments = ["sweep", "--recipe", "mt", "--data", "soundscapes:tiny", "--out", out, "--cache", cache]
    sets = ("system=crnn,cnn", "algorithm=single", "task=scenes", f"train.epochs={EPOCHS}", "scene_batch=16")
    arguments = [*map(str, arguments), *(word for item in sets for word in ("--set", item))]
    listed = CliRunner().invoke(cli.group, [*arguments, "--dry-run"], catch_exceptions=False)
    assert listed.stdout.split() == ["waiting", "system=crnn", "waiting", "system=cnn"]
    assert not out.exists()

    command = [*interruptible, *arguments]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    begun = out / "system=cnn" / "checkpoints" / "state.json"
    until = time.monotonic() + 120
    while not begun.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == f"interrupted; the same command with --resume goes on in {out}"
    assert states(out) == {"system=crnn": "failed", "system=cnn": "waiting"}
    epochs_done = json.loads(begun.read_text())["epochs"]
    assert 0 < epochs_done < EPOCHS

    with pytest.raises(RunError, match="--resume"):
        CliRunner().invoke(cli.group, arguments, catch_exceptions=False)
    with pytest.raises(VerdictFailed, match="1 of 2 runs failed: system=crnn: system crnn has events"):
        CliRunner().invoke(cli.group, [*arguments, "--resume"], catch_exceptions=False)
    assert states(out) == {"system=crnn": "failed", "system=cnn": "done"}
    rows = list(csv.DictReader((out / "system=cnn" / "scenes.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(EPOCHS)), "it went on, and did not start anew"
    log = (out / "logs" / "system=cnn.log").read_text()
    assert f"Epoch {epochs_done + 1}/{EPOCHS}" in log.rpartition("phase scenes")[2]
    assert f"Epoch {epochs_done}/{EPOCHS}" not in log.rpartition("phase scenes")[2]

    (row,) = json.loads((out / "comparison.json").read_text())["rows"]
    assert (row["name"], row["params"]) == ("system=cnn", 60_059)
    assert row["figures"]["accuracy"]["value"] == Run.load(out / "system=cnn").info["metrics"]["scenes"]["accuracy"]
    assert f"keras_mtl compare {out}" in (out / "comparison.md").read_text()
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")

    # The sweep's folder stands for its finished runs; scored again, a difference gets an interval.
    arguments = ["compare", out, "--against", run.path, "--data", "soundscapes:tiny", "--cache", cache, "--json"]
    done = CliRunner().invoke(cli.group, list(map(str, arguments)), catch_exceptions=False)
    compared = json.loads(done.stdout)
    assert compared["rows"][0] == json.loads((out / "comparison.json").read_text())["rows"][0]
    assert {d["figure"] for d in compared["differences"]} == {"accuracy", "macro_accuracy"}
    assert all(d["low"] <= d["value"] <= d["high"] for d in compared["differences"])
    assert compared["mismatches"] == []


def planned(*sets, seeds="0,1,2"):
    return plan_sweep("mt", sets, "soundscapes:tiny", seeds)


def made_up(reasons=None, interrupt_at=None):
    """A runner that trains nothing: it leaves a `run.json`, fails with a reason, or is interrupted."""
    ran = []

    def run(trainings, ended):
        for training in trainings:
            if training.name == interrupt_at:
                raise KeyboardInterrupt
            ran.append(training.name)
            reason = (reasons or {}).get(training.name, "")
            if not reason:
                training.run.mkdir()
                (training.run / "run.json").write_text("{}")
            ended(training.name, Outcome(reason, 0.5))

    return run, ran


def test_what_is_done_is_skipped_and_what_failed_is_tried_again(tmp_path):
    out, said = tmp_path / "sweep", []
    run, ran = made_up({"seed=0": "no disk"}, interrupt_at="seed=2")
    with pytest.raises(KeyboardInterrupt):
        run_sweep(planned(), out, tmp_path, say=said.append, runner=run)
    assert ran == ["seed=0", "seed=1"]
    assert said == ["[1/3] seed=0: failed: no disk (0.5 min)", "[2/3] seed=1: done (0.5 min)"]
    assert states(out) == {"seed=0": "failed", "seed=1": "done", "seed=2": "waiting"}
    run, ran = made_up()
    sweep = run_sweep(planned(seeds="0,1,2,3"), out, tmp_path, resume=True, say=said.append, runner=run)
    assert ran == ["seed=0", "seed=2", "seed=3"]
    assert said[2] == "seed=1: done before"
    assert Sweep.load(out) == sweep
    assert [(each.state, each.reason, each.minutes) for each in sweep.runs] == [
        ("done", "", 1.0),
        ("done", "", 0.5),
        ("done", "", 0.5),
        ("done", "", 0.5),
    ]


def test_two_sweeps_can_not_be_at_work_in_one_folder(tmp_path):
    def run(trainings, ended):
        with pytest.raises(RunError, match="another sweep, or a training that it left behind"):
            run_sweep(planned(), tmp_path / "sweep", tmp_path, resume=True)

    run_sweep(planned(), tmp_path / "sweep", tmp_path, runner=run)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        run_sweep(planned(), tmp_path / "file", tmp_path)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os, signal; print('at work', flush=True); os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL.*at work"),
        ("import sys; print('error: no data (try others)'); sys.exit(2)", r"^no data \(try others\)$"),
        ("raise SystemExit(3)", "exit 3.*printed nothing"),
        ("print('all is well')", "exit 0.*all is well"),
    ],
)
def test_every_way_to_die_is_one_line(tmp_path, monkeypatch, code, says):
    monkeypatch.setattr(Training, "command", [sys.executable, "-c", code])
    training = Training("x", tmp_path / "x", tmp_path / "logs" / "x.log", "mt", (), "soundscapes", tmp_path)
    training.log.parent.mkdir()
    training.log.write_text("error: of an earlier sitting\n")
    outcome = run_training(training)
    assert "\n" not in outcome.reason
    assert re.search(says, outcome.reason), outcome.reason
