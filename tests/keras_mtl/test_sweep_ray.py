"""A sweep by Ray Tune. The locked environment goes without Ray: where the extra `sweep` is installed, it is tested."""

import importlib.util
import sys

import pytest
from click.testing import CliRunner

from keras_mtl import cli
from keras_mtl.core import RunError
from keras_mtl.experiments import Sweep, sweep_ray
from keras_mtl.experiments.sweep import Training
from keras_mtl.runs import Run

ARGUMENTS = ("sweep", "--recipe", "mt", "--data", "soundscapes:tiny", "--seeds", "0,1", "--ray", "local")
SETS = ("algorithm=single", "task=scenes", "system=cnn", "train.epochs=1", "scene_batch=16")


def test_without_ray_it_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"Ray is not installed \(pip install 'keras_mtl\[sweep\]'"):
        CliRunner().invoke(cli.group, [*ARGUMENTS, "--out", str(tmp_path / "s")], catch_exceptions=False)
    assert not (tmp_path / "s").exists()


def test_a_trial_gets_the_training_whole(tmp_path, monkeypatch):
    """What travels to another machine comes back as it was, and is run there."""
    failing = "print('error: no such recipe')\nraise SystemExit(2)"
    monkeypatch.setattr(Training, "command", [sys.executable, "-c", failing])
    training = Training("x", tmp_path / "x", tmp_path / "x.log", "mine", ("seed=0",), "soundscapes", tmp_path)
    seen, real = [], sweep_ray.run_training

    def seen_running(given):
        seen.append(given)
        return real(given)

    monkeypatch.setattr(sweep_ray, "run_training", seen_running)
    told = sweep_ray.trial({"training": sweep_ray._plain(training)})
    assert seen == [training]
    assert told["reason"] == "no such recipe"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: the extra `sweep`")
def test_a_sweep_by_ray(cache, tmp_path):
    out = tmp_path / "sweep"
    arguments = [*ARGUMENTS, "--out", str(out), "--cache", str(cache), "--ray-cpus", "1"]
    arguments += [word for item in SETS for word in ("--set", item)]
    done = CliRunner().invoke(cli.group, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert [run.state for run in Sweep.load(out).runs] == ["done", "done"]
    assert {Run.load(out / name).info["seed"] for name in ("seed=0", "seed=1")} == {0, 1}
