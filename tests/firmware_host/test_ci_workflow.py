"""The workflow of docs/ci.md: it is valid YAML, and its emulating step runs as it stands, and fails on a regression."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def workflow(repository) -> dict[str, Any]:
    text = (repository.root / "docs" / "ci.md").read_text()
    (block,) = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    return yaml.safe_load(block)


@pytest.fixture
def checkout(make_artifact, tmp_path: Path) -> Path:
    """A firmware repository with the model, but without a baseline."""
    (tmp_path / "models").mkdir()
    make_artifact("int8").save(tmp_path / "models" / "scenes.int8.tflite")
    return tmp_path


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a step as GitHub does: bash, ended by the first failure."""
    path = f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
    call = ["bash", "-e", "-c", command]
    return subprocess.run(call, cwd=folder, env={"PATH": path}, capture_output=True, text=True, check=False)


def test_installs_the_host_part_alone_on_a_python_that_it_takes(workflow, repository):
    steps = workflow["jobs"]["emulate"]["steps"]
    (install,) = (step["run"] for step in steps if "pip install" in step.get("run", ""))
    assert "[" not in install  # no extra: TensorFlow is one
    (python,) = (step["with"]["python-version"] for step in steps if "setup-python" in step.get("uses", ""))
    assert f"Programming Language :: Python :: {python}" in repository.pyproject["project"]["classifiers"]
    assert workflow["permissions"] == {"contents": "read"}


def test_emulating_step_passes_and_then_fails_on_a_regression(workflow, repository, checkout):
    (step,) = (s["run"] for s in workflow["jobs"]["emulate"]["steps"] if "keras_mtl emulate" in s.get("run", ""))
    text = (repository.root / "docs" / "ci.md").read_text()
    (make_baseline,) = re.findall(r"^ +(keras_mtl emulate .* --report models/baseline\.json)$", text, re.M)
    made = shell(make_baseline, checkout)
    assert made.returncode == 0, made.stderr
    passed = shell(step, checkout)
    assert passed.returncode == 0, passed.stderr + passed.stdout
    assert passed.stdout.rstrip().endswith("against the baseline   passed")
    assert (checkout / "report.html").is_file()
    older = json.loads((checkout / "models" / "baseline.json").read_text())
    assert json.loads((checkout / "report.json").read_text())["artifact"] == older["artifact"]
    older["artifact"]["parameter_bytes"] //= 2
    (checkout / "models" / "baseline.json").write_text(json.dumps(older))
    failed = shell(step, checkout)
    assert failed.returncode == 1
    assert re.search(r"parameter_bytes .* REGRESSION", failed.stdout)
