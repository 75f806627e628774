"""Fixtures for tests of the repository itself: its folders, its modules, and Python run away from it."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import soundfile

import keras_mtl  # noqa: F401  before TensorFlow, which reads a setting of it
from keras_mtl.core import EngineMissing, LogMelSettings
from keras_mtl.firmware_host.engines import ENGINES
from keras_mtl.tflite.artifact import Artifact

#: Fixtures that take a minute to make: all files that use one are tested in one process, and begun first.
_SHARED = ("run", "quantized")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tells what is tested in one process (`--dist loadgroup`): a file, or all files that share a slow fixture."""
    group_of: dict[Path, str] = {}
    for item in items:
        shared = [name for name in _SHARED if name in getattr(item, "fixturenames", ())]
        group_of[item.path] = shared[0] if shared else group_of.get(item.path, str(item.path))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of[item.path]))
    items.sort(key=lambda item: group_of[item.path] not in _SHARED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Skips what asks tflite-runtime on a Python that there is no wheel of it for, with the engine's own words."""
    try:
        return (yield)
    except EngineMissing as error:
        if importlib.util.find_spec("tflite_runtime") is not None or "tflite-runtime" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def engines_here() -> list[str]:
    """The engines that are asked where none is chosen, as far as they are installed."""
    extra = importlib.util.find_spec("tflite_runtime") is not None
    return [name for name in ENGINES if extra or name != "tflite-runtime"]


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
                # `from keras_mtl.core import errors` imports a module, `from keras_mtl.core import DCASE` a name.
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


@pytest.fixture(scope="session")
def write_tone() -> Callable[..., Path]:
    """Writes a sine of amplitude 0.5 and gives its path."""

    def write(
        path: Path, hz: float = 1000.0, seconds: float = 1.0, rate_hz: int = 16_000, subtype: str = "PCM_16"
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        time_s = np.arange(round(seconds * rate_hz)) / rate_hz
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * hz * time_s), rate_hz, subtype=subtype)
        return path

    return write


@pytest.fixture(scope="session")
def own_sounds(tmp_path_factory: pytest.TempPathFactory, write_tone: Callable[..., Path]) -> Path:
    """A folder of own sounds: two scenes, two events with names of other scripts and spaces, and all else there is."""
    root = tmp_path_factory.mktemp("own") / "sounds"
    for hz, scene in enumerate(("Straße", "in the bus")):
        for number in range(4):
            write_tone(root / "scenes" / scene / f"walk {number}.wav", 300.0 + 900 * hz + 40 * number, 3.5)
    for hz, event in enumerate(("door, knock", "кашель")):
        for number in range(5):
            rate_hz = 44_100 if event == "кашель" and number == 0 else 16_000
            write_tone(root / "events" / event / f"{number}.wav", 700.0 + 1500 * hz + 50 * number, 0.6, rate_hz)
    for number in range(3):
        write_tone(root / "background" / "hum" / f"{number}.flac", 60.0 + 10 * number, 4.0)
    for number, labels in enumerate(("0.5\t1.5\tкашель\n9.0\t11.0\tdoor, knock\n", "1.0\t2.0\tкашель\n", "")):
        write_tone(root / "recordings" / f"kitchen {number}.wav", 440.0, 13.0)
        (root / "recordings" / f"kitchen {number}.txt").write_text(labels, encoding="utf-8")
    write_tone(root / "unlabelled" / "night.wav", 200.0, 12.0)
    return root


@pytest.fixture
def hand_made_file(repository, tmp_path: Path) -> Path:
    """A file of the small network that the tests of the host part build by hand."""
    spec = importlib.util.spec_from_file_location("hand_made", repository.root / "tests/firmware_host/conftest.py")
    hand_made = importlib.util.module_from_spec(spec)
    sys.modules["hand_made"] = hand_made
    spec.loader.exec_module(hand_made)
    features = LogMelSettings(mel_bands=hand_made.SHAPE[1], mean_db=-40.0, std_db=12.0)
    labels = {"scenes": ["airport", "bus", "metro", "park", "tram"]}
    facts = {"part": "scenes", "format": "int8", "system": "mt", "features": features.to_dict(), "labels": labels}
    facts |= {"audio_seconds": 1.0, "output": "logits"}
    return Artifact.build(hand_made.build("int8"), facts).save(tmp_path / "scenes.int8.tflite")
