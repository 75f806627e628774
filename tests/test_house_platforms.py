"""The host part away from Linux: it imports without what only POSIX has, and says in one line what is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_HOST = (
    "keras_mtl.core",
    "keras_mtl.decoding",
    "keras_mtl.tflite.flatbuffer",
    "keras_mtl.tflite.artifact",
    "keras_mtl.firmware_host",
)
_COMMANDS = ("keras_mtl.cli.bundle", "keras_mtl.cli.emulate", "keras_mtl.cli.targets", "keras_mtl.cli.listen")
# What Python on Windows lacks, of its modules and of `os` and `signal`. Modules of others that are used are loaded
# before, since they choose by the platform's name.
_IMPORT_WITHOUT_POSIX = """
import importlib, json, os, shutil, signal, subprocess, sys
import multiprocessing, tempfile
import click, flatbuffers, msgspec, numpy
from ai_edge_litert import schema_py_generated
lacking = "fcntl resource pwd grp termios tty pty syslog posix _posixsubprocess crypt".split()
for name in lacking:
    sys.modules[name] = None
for name in '''fork forkpty setsid getsid getuid geteuid getgid getegid getpgid killpg wait wait3 wait4 waitid
        sched_getaffinity sched_setaffinity sched_yield nice getloadavg mkfifo mknod chroot fchmod fchown lchown chown
        sysconf confstr statvfs fstatvfs posix_fallocate posix_fadvise sendfile pread pwrite openpty ttyname
        register_at_fork setpgid set_blocking get_blocking O_CLOEXEC O_NOFOLLOW O_DIRECTORY O_SYNC
        O_NOCTTY'''.split():
    if hasattr(os, name):
        delattr(os, name)
shutil._use_fd_functions = False  # as it finds on Windows, where os has no O_NONBLOCK
del os.O_NONBLOCK
for name in "SIGKILL SIGHUP SIGALRM SIGCHLD SIGUSR1 SIGUSR2 SIGPIPE SIGQUIT alarm setitimer pthread_kill".split():
    if hasattr(signal, name):
        delattr(signal, name)
for name in sys.argv[1:]:
    importlib.import_module(name)
from keras_mtl.core import files, isolation
from pathlib import Path
with tempfile.TemporaryDirectory() as folder:
    path = files.write_bytes(Path(folder, "file"), b"content")
    assert files.read_bytes(path, 10) == b"content"
    with files.one_at_a_time(Path(folder, "held")) as lock:
        assert lock is None
isolation.limit_process(1 << 30)
print(json.dumps(len(sys.argv) - 1))
"""


def test_host_part_imports_without_posix(repository, run_python) -> None:
    host = [name for name in repository.modules() if name.startswith(_HOST) and not name.endswith("__main__")]
    assert len(host) > 80
    assert run_python(_IMPORT_WITHOUT_POSIX, *host, *_COMMANDS) == len(host) + len(_COMMANDS)


@pytest.fixture
def lacking(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Variables of a process that can't import a package, as where it has no wheel."""

    def make(name: str) -> dict[str, str]:
        package = tmp_path / "path" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\")")
        return {**os.environ, "PYTHONPATH": str(package.parent)}

    return make


@pytest.fixture
def without_tflm(lacking) -> dict[str, str]:
    return lacking("tflite_micro")


def test_bundle_says_in_one_line_that_tflm_is_missing(without_tflm, hand_made_file, tmp_path: Path) -> None:
    arguments = [
        "bundle",
        str(hand_made_file),
        "--target",
        "stm32h743",
        "--out",
        str(tmp_path / "out"),
        "--engine",
        "tflm",
    ]
    done = _run(arguments, without_tflm)
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if "tflite-micro" in line]
    assert len(lines) == 1
    assert "tflite-micro can't be imported" in lines[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_emulate_goes_on_without_tflm_and_says_so(without_tflm, hand_made_file) -> None:
    done = _run(["emulate", str(hand_made_file), "--target", "stm32h743", "--engine", "tflm", "--json"], without_tflm)
    report = json.loads(done.stdout)
    (engine,) = (engine for engine in report["engines"] if engine["engine"] == "tflm")
    assert not engine["ran"]
    assert engine["missing"]
    assert "tflite-micro can't be imported" in engine["reason"]
    assert "Traceback" not in done.stderr


def test_emulate_without_an_extra_engine_passes_and_names_it(lacking, hand_made_file) -> None:
    done = _run(["emulate", str(hand_made_file), "--target", "stm32h743"], lacking("tflite_runtime"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "verdict   passed; not asked, since not installed: tflite-runtime"
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("tflite-runtime"))
    assert "pip install 'keras_mtl[tflite-runtime]', on Python 3.11 and Linux" in row


def _run(arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "keras_mtl", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
