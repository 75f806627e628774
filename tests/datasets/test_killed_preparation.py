"""A preparation that is killed: the same command goes on from what was kept, and nothing stays in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from keras_mtl.features import prepare
from keras_mtl.recipes import load_recipe

# The command, in parts and shards of two clips. It tells each file when it is whole, and at one of them it stops before
# the rename until it is killed. While TFDS works nothing goes out by Python's stdout, so it writes to the descriptor.
_PREPARE = """
import contextlib, os, sys, time
from keras_mtl import cli; from keras_mtl.core import files; from keras_mtl.features import cache as level_shards
from keras_mtl.datasets.prepare import kept_examples
data, cache, stop, *sets = sys.argv[1:]
kept_examples._PART_SECONDS = level_shards._SHARD_SECONDS = 20
plain = files.new_file

@contextlib.contextmanager
def new_file(path):
    name = f"{path.parent.name}/{path.name}"
    with plain(path) as file:
        yield file
        if stop and name.endswith(stop):
            file.flush()
            os.write(1, b"stopped\\n")
            time.sleep(600)
    os.write(1, f"{name}\\n".encode())

files.new_file = new_file
sys.argv = ["keras_mtl", "data", "prepare", data, "--cache", cache, *sets]
cli.main()
"""

# Its workers have done all there is to do, and wait.
_WITH_WORKERS = """
import os, sys, time
from keras_mtl.datasets.prepare import in_processes
if __name__ == "__main__":
    for _ in in_processes(2)(os.mkdir, sys.argv[1:]):
        time.sleep(600)
"""


@pytest.fixture
def folder(desed_folder: Path, write_tone) -> Path:
    """Four splits, one of them of several parts."""
    for number in range(5):
        path = desed_folder / f"audio/train/unlabel_in_domain/more{number}.wav"
        write_tone(path, hz=100.0 * (number + 1), seconds=10.0, rate_hz=44_100)
    return desed_folder


def _written(folder: Path, cache: Path, sets: Sequence[str], stop: str = "") -> list[str]:
    """Runs the command and kills it where it stops; gives the files that were whole by then."""
    command = [sys.executable, "-c", _PREPARE, str(folder), str(cache), stop, *(f"--set={each}" for each in sets)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = []
        for line in process.stdout:
            if line == "stopped\n":
                process.send_signal(signal.SIGKILL)
                break
            lines.append(line.strip())
        error = process.stderr.read()
    assert process.returncode == (-signal.SIGKILL if stop else 0), error
    return [line for line in lines if line.endswith((".npz", ".npy", ".json"))]


def _content(cache: Path) -> dict[str, Any]:
    """What is in each file: its bytes, or its examples, whose fields TFDS writes in an order of their own each time."""
    found: dict[str, Any] = {}
    for path in cache.rglob("*"):
        if ".tfrecord-" in path.name:
            records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
            found[str(path.relative_to(cache))] = [tf.train.Example.FromString(record) for record in records]
        elif path.is_file():
            found[str(path.relative_to(cache))] = path.read_bytes()
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "split", "sets"),
    [("desed", "unlabelled", ()), ("own", "strong_synthetic", ("data.mixed_clips=24",))],
)
def test_what_was_kept_counts_and_the_result_is_an_undisturbed_one(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch, data: str, split: str, sets: Sequence[str]
) -> None:
    folder: Path = request.getfixturevalue({"desed": "folder", "own": "own_sounds"}[data])
    cache, undisturbed = tmp_path / "cache", tmp_path / "undisturbed"
    reading = _written(folder, cache, sets, f"{split}-2-4.npz")
    assert any(path.name.startswith(f".{split}-2-4.npz.") for path in cache.rglob("*")), "killed within a part"
    computing = _written(folder, cache, sets, f"{data}_{split}/levels-00001.npy")
    assert any(path.name.startswith(".levels-00001.npy.") for path in cache.rglob("*")), "killed within a shard"
    written = [*reading, *computing, *_written(folder, cache, sets)]
    assert f"{split}-0-2.npz" in reading[-1]
    assert f"{data}_{split}/levels-00000.npy" in computing
    assert len(set(written)) == len(written), "nothing was done twice"
    for constant in (
        "keras_mtl.datasets.prepare.kept_examples._PART_SECONDS",
        "keras_mtl.features.cache._SHARD_SECONDS",
    ):
        monkeypatch.setattr(constant, 20)
    prepare(str(folder), [load_recipe("mt", sets)], undisturbed)
    assert _content(cache) == _content(undisturbed)


def _children(process: int) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == process:
                found.add(int(path.parent.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def _until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_workers_end_with_the_process_that_is_killed(tmp_path: Path) -> None:
    script, done = tmp_path / "with_workers.py", [tmp_path / "first", tmp_path / "second"]
    script.write_text(_WITH_WORKERS)
    with subprocess.Popen([sys.executable, str(script), *map(str, done)]) as process:
        assert _until(lambda: all(path.exists() for path in done))
        children = _children(process.pid)
        process.kill()
    assert len(children) >= 2
    assert _until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
