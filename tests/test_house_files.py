"""The repository's files: modules small and described, no traces of one machine, a lock that any index can serve."""

from __future__ import annotations

import ast
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_TEXT_SUFFIXES = {".py", ".toml", ".md", ".txt", ".bib", ".sh", ".lock", ".yaml", ".ipynb", ".h", ".cc", ".c", ""}
_NOT_OURS = {".git", ".venv", "build", "dist", "demo", "runs", "__pycache__", ".hypothesis"}
# Extras that the locked environment goes without: Ray is 200 MB and runs sweeps on a cluster, PyTorch is larger and
# only timed, and no test needs either; Scaper is compiled against a library that not every machine has; Beam wants
# older versions of protobuf and pyarrow than the rest; a sound card's library needs PortAudio, which no test has.
_NOT_LOCKED = {"sweep", "benchmark", "scaper", "beam", "listen"}
_UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
# A home, work or temporary folder of one machine. `~/`, and paths that a document makes up after `/path/to`, are fine.
_MACHINE_PATH = re.compile(r"(?<![\w~.$}/-])/(?:" + "|".join(("home", "root", "work", "Users", "mnt", "opt")) + r")/\w")


def _texts(root: Path) -> list[Path]:
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _NOT_OURS and not name.endswith(("_cache", ".egg-info"))]
        found += [Path(folder, name) for name in files if Path(name).suffix in _TEXT_SUFFIXES]
    assert root / "README.md" in found
    assert len(found) > 300
    return sorted(found)


def test_every_module_says_what_it_is_for(repository) -> None:
    paths = [*repository.modules().values(), *repository.root.glob("*.py"), *(repository.root / "tests").rglob("*.py")]
    assert [str(path) for path in paths if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_no_module_is_a_drawer(repository) -> None:
    names = {part for name in repository.modules() for part in name.split(".")}
    assert not names & {"utils", "util", "helpers", "misc", "common"}


def test_nothing_is_left_unfinished(repository) -> None:
    for path in _texts(repository.root):
        assert not _UNFINISHED.search(path.read_text()), path


def test_no_path_of_one_machine(repository) -> None:
    for path in _texts(repository.root):
        assert not _MACHINE_PATH.search(path.read_text()), path


@pytest.mark.parametrize("text", ["see /{}/ann/data", "open('/{}/x')", '"/{}/data"'])
def test_the_path_check_finds_paths(text: str) -> None:
    assert all(_MACHINE_PATH.search(text.format(name)) for name in ("home", "root", "mnt"))


@pytest.mark.parametrize("text", ["~/home/x", "audio/work/1.wav", "https://example.org/home/a", "$DIR/opt/x"])
def test_the_path_check_lets_other_text_be(text: str) -> None:
    assert not _MACHINE_PATH.search(text)


@pytest.mark.parametrize(
    "name",
    [
        "requirements.lock",
        "requirements-compiler.lock",
        "requirements-scaper.lock",
        "requirements-cmsis-nn.lock",
    ],
)
def test_lock_has_hashes_and_no_addresses(repository, name: str) -> None:
    text = (repository.root / name).read_text()
    pin_of_any = r"[\w.-]+==[\w.]+(?: ; python_full_version (?:<|==) '3[\d.*]+')?"
    assert "://" not in text
    pins = re.split(r"^(?=[a-z0-9])", text, flags=re.M | re.I)[1:]
    assert pins
    for pin in pins:
        assert re.match(pin_of_any + r" \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", pin), pin.splitlines()[0]


def test_lock_has_what_the_project_asks_for(repository) -> None:
    """By name, and by version where pyproject.toml pins one."""
    locked = set(re.findall(r"^([\w.-]+)==(\S+)", (repository.root / "requirements.lock").read_text(), flags=re.M))
    project = repository.pyproject["project"]
    extras = project["optional-dependencies"]
    assert set(extras) > _NOT_LOCKED
    wanted = [requirements for extra, requirements in extras.items() if extra not in _NOT_LOCKED]
    for requirement in itertools.chain(project["dependencies"], *wanted):
        requirement = requirement.partition(";")[0].strip()
        name = re.split(r"[=<>~!\[ ]", requirement)[0].lower().replace("_", "-")
        assert name in {locked_name for locked_name, _ in locked}
        if "==" in requirement:
            assert (name, requirement.partition("==")[2]) in locked


def test_lock_has_one_version_of_each_package_for_each_python(repository) -> None:
    """NumPy alone has two: TensorFlow wants 2 on Python 3.13, tflite-runtime and tfmot want 1."""
    pins = re.findall(r"^([\w.-]+)==(\S+)( ;)?", (repository.root / "requirements.lock").read_text(), flags=re.M)
    names = [name for name, _, _ in pins]
    assert {name for name in names if names.count(name) > 1} == {"numpy"}
    assert [bool(marker) for name, _, marker in pins if name == "numpy"] == [True, True]


def test_lock_takes_no_other_prerelease(repository) -> None:
    pins = re.findall(r"^([\w.-]+)==(\S+)", (repository.root / "requirements.lock").read_text(), flags=re.M)
    assert [name for name, version in pins if re.search(r"\d(?:a|b|rc|\.dev)\d", version)] == ["tflite-micro"]
    assert "pathlib" not in dict(pins)


@pytest.mark.parametrize("check", [["check"], ["format", "--check"]])
def test_ruff(repository, check: list[str]) -> None:
    command = [sys.executable, "-m", "ruff", check[0], "--no-cache", *check[1:]]
    done = subprocess.run(command, cwd=repository.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shell_scripts_parse(repository) -> None:
    scripts = sorted((repository.root / "scripts").glob("*.sh"))
    assert scripts
    for path in [*scripts, repository.root / ".ci" / "run"]:
        done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def _checkout(repository, folder: Path) -> Path:
    """A folder with what the environment is made by, and an environment of somebody else's."""
    shutil.copytree(repository.root / "scripts", folder / "scripts")
    shutil.copy(repository.root / "Makefile", folder)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").write_text("of another version")
    return folder / ".venv"


def test_an_environment_of_others_is_not_made_anew(repository, tmp_path: Path) -> None:
    venv = _checkout(repository, tmp_path)
    environment = {**os.environ, "PYTHON": sys.executable}
    command = ["sh", "scripts/environment.sh"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert ".venv has no Python 3.11, 3.12 or 3.13 with pip, and was not made here: move it away" in done.stderr
    assert [str(path.relative_to(venv)) for path in venv.rglob("*")] == ["bin", "bin/python"]


@pytest.mark.parametrize("marker", ["", ".keras_mtl", "made-in"])
def test_make_clean_removes_what_was_made_and_nothing_else(repository, tmp_path: Path, marker: str) -> None:
    venv = _checkout(repository, tmp_path)
    if marker:
        (venv / marker).touch()
    kept = [tmp_path / folder / "mine" for folder in ("demo", "runs", "dist")]
    for path in kept:
        path.mkdir(parents=True)
    (tmp_path / ".ruff_cache").mkdir()
    done = subprocess.run(["make", "clean", "DEMO=runs"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(path.is_dir() for path in kept)
    assert not (tmp_path / ".ruff_cache").exists()
    assert venv.exists() == (not marker)
    assert (".venv stays" in done.stderr) == (not marker)


def test_ci_runs_the_tests_and_nothing_else(repository) -> None:
    script = repository.root / ".ci" / "run"
    commands = [line for line in script.read_text().splitlines() if not line.startswith("#")]
    assert [line.split()[1] for line in commands if line.startswith("make")] == ["test"]
    assert os.access(script, os.X_OK)


def test_links_of_the_documents_lead_somewhere(repository) -> None:
    pages = [*repository.root.glob("*.md"), *(repository.root / "docs").glob("*.md")]
    links = [(path, to) for path in pages for to in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())]
    inside = [(path, to) for path, to in links if "://" not in to]
    assert len(inside) > 20
    for path, target in inside:
        assert (path.parent / target).exists(), f"{path.name}: {target}"
