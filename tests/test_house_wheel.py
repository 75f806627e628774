"""The wheel: whole, harmless to other projects' packages, and well typed as a user gets it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

_DATA_SUFFIXES = {".toml", ".md", ".bib", ".txt", ".json", ".npz", ".typed", ".c", ".h"}


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory) -> Path:
    """The project's wheel, built from a copy: a build leaves its traces in the folder that it runs in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository.root / name, source)
    for folder in repository.stations.values():
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(repository.root / folder, source / folder, ignore=ignored)
    pip_wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation"]
    _run([*pip_wheel, "--wheel-dir", str(out), str(source)], cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory) -> Path:
    """A folder with the wheel installed into it, and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    pip_install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    _run([*pip_install, "--target", str(target), str(wheel)], cwd=target)
    return target


@pytest.fixture(scope="module")
def host(repository, wheel: Path, tmp_path_factory) -> Path:
    """The `bin` of an environment with the wheel and what it needs, in the versions of the lock, and nothing else."""
    environment = tmp_path_factory.mktemp("host") / "environment"
    _run([sys.executable, "-m", "venv", "--without-pip", str(environment)], cwd=environment.parent)
    pinned = re.findall(r"^[\w.-]+==[^\\\n]+", (repository.root / "requirements.lock").read_text(), re.M)
    (environment / "constraints.txt").write_text("\n".join(pinned))
    pip_install = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet"]
    _run([*pip_install, "-c", str(environment / "constraints.txt"), str(wheel)], cwd=environment)
    return environment / "bin"


def test_every_package_is_listed(repository) -> None:
    packages = {name for name, path in repository.modules().items() if path.name == "__init__.py"}
    assert set(repository.pyproject["tool"]["setuptools"]["packages"]) == packages


def test_every_folder_with_modules_is_a_package(repository) -> None:
    folders = {path.parent for path in repository.modules().values()}
    templates = {folder for folder in folders if folder.name == "templates"}
    assert not [folder for folder in folders - templates if not (folder / "__init__.py").exists()]


def test_wheel_holds_every_file_of_the_stations(repository, wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = set()
    for package, folder in repository.stations.items():
        for path in (repository.root / folder).rglob("*"):
            inside = path.relative_to(repository.root / folder)
            is_data = path.suffix in _DATA_SUFFIXES or "templates" in inside.parts
            if path.is_file() and "__pycache__" not in inside.parts and (path.suffix == ".py" or is_data):
                wanted.add((Path(*package.split(".")) / inside).as_posix())
    assert not wanted - held


def test_wheel_installs_one_name_only(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"keras_mtl"}


def test_wheel_carries_licence_and_python_version(repository, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        fields = archive.read(metadata).decode()
        (licence,) = (name for name in archive.namelist() if name.endswith("/LICENSE"))
        assert archive.read(licence) == (repository.root / "LICENSE").read_bytes()
    assert "License-Expression: Apache-2.0" in fields
    assert "Requires-Python: <3.14,>=3.11" in fields


def test_base_install_needs_no_training_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        required = re.findall(r"^Requires-Dist: ([\w-]+)(?![^\n]*extra ==)", archive.read(metadata).decode(), re.M)
    engines = {"ai-edge-litert", "tflite-micro"}
    assert set(required) == engines | {"click", "flatbuffers", "msgspec", "numpy"}


def test_stations_import_from_the_wheel(repository, installed: Path, run_python) -> None:
    code = "import importlib, json, sys\nprint(json.dumps([importlib.import_module(n).__file__ for n in sys.argv[1:]]))"
    packages = repository.pyproject["tool"]["setuptools"]["packages"]
    files = run_python(code, *packages, first_on_path=installed)
    assert len(files) == len(packages) > 3
    assert [file for file in files if not file.startswith(f"{installed}/keras_mtl/")] == []


@pytest.mark.parametrize("name", ["datasets", "tflite", "firmware_host", "tests"])
def test_names_of_others_stay_free(repository, installed: Path, run_python, name: str) -> None:
    code = (
        "import importlib.util, json, sys\nspec = importlib.util.find_spec(sys.argv[1])\n"
        "places = [] if spec is None else [str(spec.origin), *map(str, spec.submodule_search_locations or [])]\n"
        "print(json.dumps(places))"
    )
    places = run_python(code, name, first_on_path=installed)
    assert [place for place in places if place.startswith((str(repository.root / name), str(installed)))] == []


def test_types_of_the_installed_wheel(repository, installed: Path, tmp_path: Path) -> None:
    """As a user's mypy sees the package; run from elsewhere, where the folders don't shadow other packages."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(repository.root / "pyproject.toml")],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MYPYPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"no issues found in \d{2,} source files", done.stdout)


def test_host_part_runs_where_there_is_no_tensorflow(host: Path, hand_made_file: Path, tmp_path: Path) -> None:
    """Installed as a firmware team's CI installs it: the base wheel in an environment of its own."""

    def said(*command: str) -> str:
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    absent = ["tensorflow", "keras", "tf_keras", "librosa", "scipy", "soundfile", "matplotlib", "pandas", "torch"]
    look = "import importlib.util, sys; print([n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
    assert said(str(host / "python"), "-c", look, *absent, "numpy").strip() == "['numpy']"
    command, board = str(host / "keras_mtl"), ("--target", "stm32h743")
    assert "emulate" in said(command, "--help")
    report = json.loads(said(command, "emulate", hand_made_file.name, *board, "--json", "--html", "page.html"))
    assert report["verdict"] == "passed"
    assert [engine["engine"] for engine in report["engines"] if engine["ran"]] == ["tflm", "litert", "litert-reference"]
    assert [engine["engine"] for engine in report["engines"] if engine["missing"]] == ["tflite-runtime"]
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    said(command, "bundle", hand_made_file.name, *board, "--out", "firmware")
    assert said(command, "bundle", "--verify", "firmware").strip()
