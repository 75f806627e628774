"""Fixtures for tests of the repository itself: its folders, its modules, and Python run away from it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

import keras_mtl  # noqa: F401  before TensorFlow, which reads a setting of it


@dataclass(frozen=True)
class Repository:
    """The repository that the tests stand in."""

    root: Path
    pyproject: dict[str, Any]

    @property
    def stations(self) -> dict[str, str]:
        """The folder of each station, by the name that it is imported as."""
        return self.pyproject["tool"]["setuptools"]["package-dir"]

    def modules(self) -> dict[str, Path]:
        """Every module of the stations' folders, by its dotted name."""
        found = {}
        for package, folder in self.stations.items():
            for path in sorted((self.root / folder).rglob("*.py")):
                parts = [package, *path.relative_to(self.root / folder).with_suffix("").parts]
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return found

    def imports(self, name: str) -> set[str]:
        """The dotted names of what a module imports anywhere in its body, inside functions too; not for types only."""
        modules = self.modules()
        parents = name.split(".") if modules[name].name == "__init__.py" else name.split(".")[:-1]
        tree = ast.parse(modules[name].read_text())
        guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and _is_for_types_only(node)]
        skipped = {id(inner) for guard in guards for statement in guard.body for inner in ast.walk(statement)}
        found: set[str] = set()
        for node in ast.walk(tree):
            if id(node) in skipped:
                continue
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = parents[: len(parents) - node.level + 1] if node.level else []
                base = ".".join([*above, *filter(None, [node.module])])
                # `from keras_mtl.core import errors` imports a module, `from keras_mtl.core import EVENTS` a name.
                names = {f"{base}.{alias.name}" for alias in node.names}
                found |= {dotted if dotted in modules else base for dotted in names}
        return found


def _is_for_types_only(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


class RunPython(Protocol):
    """Runs code in a Python process of its own, away from the repository, and gives the JSON of its last line."""

    def __call__(self, code: str, *arguments: str, first_on_path: Path | None = None) -> Any:
        """`arguments` become `sys.argv[1:]`; `first_on_path` is a folder to import from before all others."""


@pytest.fixture(scope="session")
def repository() -> Repository:
    root = Path(__file__).resolve().parents[1]
    return Repository(root, tomllib.loads((root / "pyproject.toml").read_text()))


@pytest.fixture
def run_python(tmp_path: Path) -> RunPython:
    def run(code: str, *arguments: str, first_on_path: Path | None = None) -> Any:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
        if first_on_path:
            environment["PYTHONPATH"] = str(first_on_path)
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def interruptible() -> list[str]:
    """The beginning of a command line of `keras_mtl` that can be interrupted.

    A test runner that was itself started in the background hands down that SIGINT is ignored.
    """
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    return [sys.executable, "-P", "-c", program + "from keras_mtl.cli import main; main()"]
