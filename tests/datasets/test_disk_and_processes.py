"""A disk that fills up while data are prepared, and two processes that prepare the same folder at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_mtl.datasets import open_corpus

_OPEN = """
import json, resource, sys
from keras_mtl.datasets import open_corpus
from keras_mtl.core import DataError
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    corpus = open_corpus(sys.argv[1], sys.argv[2], progress=False)
    clips = {each.name: sorted(clip["filename"] for clip in each) for each in corpus.scenes.values()}
    print(json.dumps({"clips": clips, "fingerprint": corpus.fingerprint}))
except DataError as error:
    print(json.dumps({"error": error.message, "hint": error.hint}))
"""


def _start(*arguments: object, shell: list[str] | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [*(shell or []), sys.executable, "-c", _OPEN, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _ended(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


@pytest.fixture
def large_folder(tau_folder: Path, write_tone) -> Path:
    """More than a megabyte of clips, so that the records' buffers overflow."""
    rows = [f"audio/bus-lisbon-2-8-{second}-a.wav" for second in range(60)]
    for name in rows:
        write_tone(tau_folder / name)
    for table, more in (("meta.csv", "\tbus\tlisbon-2\ta\n"), ("evaluation_setup/fold1_train.csv", "\tbus\n")):
        path = tau_folder / table
        path.write_text(path.read_text() + "".join(name + more for name in rows))
    return tau_folder


def _data_sets(cache: Path) -> list[Path]:
    """Prepared data sets, whole or not, and what their making leaves lying about."""
    return [path for path in cache.rglob("*") if "digests" not in path.parts and path.is_file()]


def test_a_limit_on_what_a_file_may_hold_is_one_clear_line(large_folder: Path, cache: Path) -> None:
    failed = _ended(_start(large_folder, cache, 300_000))
    assert "data can't be prepared in" in failed["error"]
    assert "KERAS_MTL_CACHE" in failed["hint"]
    assert "\n" not in failed["error"]
    assert _data_sets(cache) == []
    assert open_corpus(large_folder, cache, progress=False).scenes["train"].count == 64


_SMALL_DISK = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def _small_disk_is_allowed(folder: Path) -> bool:
    try:
        command = [*_SMALL_DISK, f"mount -t tmpfs -o size=1m none '{folder}'"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(large_folder: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not _small_disk_is_allowed(disk):
        pytest.skip("this system lets nobody but root mount a file system")
    script = f"mount -t tmpfs -o size=1m none '{disk}'; \"$@\"; find '{disk}' -type f | grep -v digests >&2; exit 0"
    process = _start(large_folder, disk / "cache", shell=[*_SMALL_DISK, script, "sh"])
    out, err = process.communicate(timeout=120)
    failed = json.loads(out.splitlines()[-1])
    assert "data can't be prepared in" in failed["error"]
    assert "No space left on device" in failed["error"]
    assert "/cache/" not in err, "something was left"


def test_a_command_that_cannot_write_says_so_in_one_line(tmp_path: Path) -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)); from keras_mtl import cli; cli.main()"
    arguments = ["sweep", "--recipe", "mt", "--data", "soundscapes:tiny", "--out", str(tmp_path / "sweep")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: File too large")
    assert done.stderr.count("\n") == 1
    assert list((tmp_path / "sweep").iterdir()) == []


@pytest.mark.slow
def test_two_processes_that_prepare_one_folder_at_once_agree(large_folder: Path, cache: Path) -> None:
    both = [_start(large_folder, cache) for _ in range(2)]
    first, second = (_ended(process) for process in both)
    assert first == second
    assert len(first["clips"]["tau_urban_acoustic_scenes_2022_mobile/train"]) == 64
    assert len({path.parent for path in _data_sets(cache)}) == 1, "one data set and nothing beside it"
