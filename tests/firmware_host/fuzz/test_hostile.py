"""Files that were made to do harm, and places that can't be read or written: one clear line, and nothing is lost."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_artifacts import ENCODER, make_streaming

from keras_mtl import cli
from keras_mtl.tflite.artifact import Artifact

#: Root reads and writes everything, unless it gives up that power.
_AS_A_USER = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
#: A place that nothing can be written to, in a name space of its own.
_READ_ONLY = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


@pytest.fixture
def artifact(make_artifact, tmp_path) -> Path:
    """A sound artifact with both sidecars."""
    return make_artifact("int8").save(tmp_path / "art" / "scenes.int8.tflite")


@pytest.fixture(scope="module")
def made_folder(builder, tmp_path_factory) -> Path:
    return make_streaming(builder, "int8").save(tmp_path_factory.mktemp("artifacts") / "small")


@pytest.fixture
def folder(made_folder, tmp_path) -> Path:
    """The folder of a sound streaming artifact, to be damaged."""
    return shutil.copytree(made_folder, tmp_path / "streaming")


@pytest.fixture
def refusal(monkeypatch, capsys) -> Callable[..., str]:
    """The line that `keras_mtl emulate` gives with exit status 2, which must be one."""

    def refused(path: Path, *more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["keras_mtl", "emulate", str(path), "--target", "dcase-asc", *more])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        assert (stopped.value.code, out) == (2, ""), err
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        return err

    return refused


def _rewire(folder: Path, member: str, **entry: str) -> None:
    manifest = json.loads((folder / "artifact.json").read_text())
    manifest["members"][member] |= entry
    (folder / "artifact.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "way", [f"../{ENCODER}.int8.tflite", "/etc/hostname", f"sub/{ENCODER}.int8.tflite", "..", ".", ""]
)
def test_members_outside_of_the_folder_are_refused(folder, tmp_path, refusal, way):
    shutil.copy(folder / f"{ENCODER}.int8.tflite", tmp_path)
    (folder / "sub").mkdir()
    shutil.copy(folder / f"{ENCODER}.int8.tflite", folder / "sub")
    _rewire(folder, ENCODER, file=way)
    assert "outside of its folder" in refusal(folder)


@pytest.mark.parametrize("name", ["1" * 251 + ".tflite", "\u00e9" * 128], ids=["ascii", "utf8"])
def test_names_that_no_file_has_are_one_short_line(folder, refusal, name):
    _rewire(folder, ENCODER, file=name)
    assert "characters, which no file has" in refusal(folder)


@pytest.mark.parametrize("name", [f"{ENCODER}.int8.tflite", "golden.npz"])
def test_links_out_of_the_folder_are_refused(folder, tmp_path, refusal, name):
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    assert "outside of its folder" in refusal(folder)


def test_folder_that_is_itself_behind_a_link_is_read(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert Artifact.load(tmp_path / "link").manifest == Artifact.load(folder).manifest


def test_sizes_and_ports_are_the_files_own(folder, artifact, refusal):
    """A manifest that makes a network smaller than it is would pass any limit."""
    sound = (folder / "artifact.json").read_text()
    for key, value in (("parameter_bytes", 1), ("macs_per_second", 1), ("buffers", {}), ("calls_per_second", {})):
        (folder / "artifact.json").write_text(json.dumps(json.loads(sound) | {key: value}))
        assert f"{key} is not what its members hold" in refusal(folder)
    sidecar = artifact.with_suffix(".manifest.json")
    manifest = json.loads(sidecar.read_text())
    ports = [manifest["inputs"][0] | {"scale": 1.0}]
    for key, value in (("parameter_bytes", 1), ("macs_per_second", None), ("inputs", ports), ("outputs", [])):
        sidecar.write_text(json.dumps(manifest | {key: value}))
        assert f"{key} is not what the file holds" in refusal(artifact)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _endless_link(path: Path) -> None:
    path.symlink_to(path.name)


def _gigantic(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(300 << 20)  # no bytes on the disk


@pytest.mark.parametrize("make", [_pipe, _folder, _device, _endless_link, _gigantic])
def test_what_is_no_file_or_too_large_is_refused_at_once(artifact, folder, refusal, make):
    for path, given in (
        (artifact.with_suffix(".golden.npz"), artifact),
        (artifact.with_suffix(".manifest.json"), artifact),
        (artifact, artifact),
        (folder / "golden.npz", folder),
        (folder / "gru_1_forward.int16x8.tflite", folder),
    ):
        kept = path.rename(path.parent / "kept")
        make(path)
        assert refusal(given)
        path.rmdir() if path.is_dir() else path.unlink()
        kept.rename(path)
    (folder / "artifact.json").unlink()
    make(folder / "artifact.json")
    assert refusal(folder / "artifact.json")


@pytest.mark.parametrize("make", [_pipe, _device, _endless_link, _gigantic])
def test_what_is_no_target_or_baseline_is_refused_at_once(artifact, tmp_path, refusal, make):
    make(tmp_path / "own.toml")
    assert "can't read the target file" in refusal(artifact, "--target", str(tmp_path / "own.toml"))
    make(tmp_path / "old.json")
    assert "can't read the baseline" in refusal(artifact, "--baseline", str(tmp_path / "old.json"))


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        b" " * (5 << 20),
        b'{"schema": "\xff"}',
        b'{"audio_seconds": NaN}',
        b"[]",
        b'""',
    ],
)
def test_manifests_that_are_no_manifests(artifact, folder, refusal, content):
    artifact.with_suffix(".manifest.json").write_bytes(content)
    assert "manifest can't be read" in refusal(artifact)
    (folder / "artifact.json").write_bytes(content)
    said = refusal(folder)
    assert "not the manifest of an artifact" in said or "can't read the artifact" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\x1b[2Jpassed", "can't be printed"),
        ("two\nlines", "can't be printed"),
        ("\u202eslotted", "can't be printed"),
        ("\ud800", "it is not JSON"),  # half a character
    ],
)
def test_texts_that_would_steer_a_terminal(artifact, refusal, text, says):
    sidecar = artifact.with_suffix(".manifest.json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"part": text}))
    assert says in refusal(artifact)


def _npz(path: Path, arrays: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)


def _packed(values: np.ndarray) -> bytes:
    packed = io.BytesIO()
    np.lib.format.write_array(packed, values, allow_pickle=True)
    return packed.getvalue()


class _Harm:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return print, ("unpickled",)


def test_golden_data_that_would_do_harm(artifact, refusal):
    path = artifact.with_suffix(".golden.npz")
    with np.load(path) as arrays:
        sound = {name: _packed(arrays[name]) for name in arrays}
    header, data = sound["input_0"][:128], sound["input_0"][128:]
    assert b"(6, 8, 6, 1)" in header
    huge = header.replace(b"(6, 8, 6, 1), }" + b" " * 12, b"(9000000000, 8, 6, 1), }   ") + data
    row = np.zeros((6, 8, 6, 1), np.int8)
    for changed, message in (
        ({"input_0": _packed(np.array([_Harm()], object))}, "holds no numbers"),
        ({"input_0": huge}, "another size than its shape"),
        ({"input_0": header[:60]}, "can't be read"),
        ({"input_0": _packed(row[:, :4])}, "no rows of int8"),
        ({"input_0": _packed(row.astype(np.int16))}, "no rows of int8"),
        ({"input_0": _packed(row[:0])}, "no rows of int8"),
        ({"input_0": _packed(row[:3])}, "different numbers of rows"),
        ({"input_1": _packed(row)}, "does not hold input_0"),
        ({"bomb": b"\0" * (257 << 20)}, "unpacks to more than"),
        ({f"a{i}": b"" for i in range(300)}, "arrays"),
    ):
        _npz(path, sound | changed)
        assert message in refusal(artifact)
    _npz(path, {name: content for name, content in sound.items() if name != "output_0"})
    assert "does not hold output_0" in refusal(artifact)


def test_golden_data_of_a_recording_must_fit(folder, refusal):
    with np.load(folder / "golden.npz") as arrays:
        sound = dict(arrays)
    for name, values in (
        ("recording", sound["recording"][:20]),
        ("recording", sound["recording"].astype(np.float32)),
        ("recording", sound["recording"][:0]),
        ("strong", sound["strong"][:1]),
        ("strong", sound["strong"] * np.nan),
        ("scenes", sound["scenes"][:, :2]),
    ):
        np.savez(folder / "golden.npz", **(sound | {name: values}))
        assert "does not fit the artifact" in refusal(folder)


def test_what_an_artifact_is_run_by_must_be_there(folder, refusal):
    sound = json.loads((folder / "artifact.json").read_text())
    for key in ("features", "labels", "decoding", "audio_seconds", "wiring", "members", "parameter_bytes", "buffers"):
        for changed in ({k: v for k, v in sound.items() if k != key}, sound | {key: None}):
            (folder / "artifact.json").write_text(json.dumps(changed))
            assert refusal(folder)
    for decoding in ({}, {"threshold": 0.5}, {"threshold": 2.0, "median_s": 0.1}, {"threshold": 0.5, "median_s": 1e12}):
        (folder / "artifact.json").write_text(json.dumps(sound | {"decoding": decoding}))
        assert refusal(folder)


def _emulated(command: list[str], *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    call = [*command, sys.executable, "-m", "keras_mtl", "emulate", "--target", "dcase-asc", "--engine", "litert"]
    return subprocess.run([*call, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)


def _one_line(done: subprocess.CompletedProcess[str]) -> str:
    errors = [line for line in done.stderr.splitlines() if not line.startswith("running ")]
    assert (done.returncode, len(errors)) == (2, 1), done.stderr
    return errors[0]


def test_what_may_not_be_read_is_told(artifact, tmp_path):
    if _AS_A_USER and shutil.which(_AS_A_USER[0]) is None:
        pytest.skip("root reads everything, and there is no setpriv to give that up")
    for path in (artifact, artifact.with_suffix(".manifest.json"), artifact.with_suffix(".golden.npz")):
        path.chmod(0)
        line = _one_line(_emulated(_AS_A_USER, artifact, cwd=tmp_path))
        assert "can't" in line and path.name.split(".")[-2] in line
        path.chmod(0o644)


def test_a_page_that_can_not_be_written_loses_no_report(artifact, tmp_path):
    (tmp_path / "file").write_text("kept")
    places = [tmp_path / "file" / "page.html", Path("/proc/page.html"), Path("/dev/null/page.html")]
    before = sorted(tmp_path.rglob("*"))
    for place in places:
        done = _emulated([], artifact, "--json", "--html", place, cwd=tmp_path)
        assert json.loads(done.stdout)["verdict"] == "passed"
        assert _one_line(done).startswith("error: ")
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "kept"


def test_a_file_whose_name_is_not_utf_8_has_a_report(artifact, tmp_path):
    try:
        shutil.copyfile(artifact, os.fsencode(tmp_path) + b"/Z\xfcrich.tflite")
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    (path,) = tmp_path.glob("Z*.tflite")
    document = json.loads(_emulated([], path.name, "--json", cwd=tmp_path).stdout)
    assert (document["artifact"]["path"], document["verdict"]) == ("Z\ufffdrich.tflite", "passed")


def test_too_little_memory_is_told(tmp_path):
    with (tmp_path / "large.tflite").open("wb") as file:
        file.truncate(200 << 20)
    code = """
import resource, sys
from pathlib import Path
from keras_mtl import cli
from keras_mtl.tflite.artifact import Artifact
import keras_mtl.firmware_host.emulate
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20),) * 2)
cli.main()
"""
    call = [sys.executable, "-c", code, "emulate", "large.tflite", "--target", "dcase-asc"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert _one_line(done).startswith("error: not enough memory")


def test_a_full_device_for_the_report_is_told(artifact, tmp_path):
    call = f"'{sys.executable}' -m keras_mtl emulate '{artifact}' --target dcase-asc --engine litert --json > /dev/full"
    done = subprocess.run(["sh", "-c", call], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "No space left on device" in _one_line(done)


def test_a_read_only_disk_is_told_and_keeps_what_is_on_it(artifact, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    prepare = f"mount -t tmpfs none '{disk}' && echo old > '{disk}/page.html' && mount -o remount,ro '{disk}'"
    probe = subprocess.run([*_READ_ONLY, prepare], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this machine lets nobody mount a disk of their own")
    script = f'{prepare} && {{ "$@"; status=$?; cat "{disk}/page.html" >&2; ls -A "{disk}" >&2; exit $status; }}'
    done = _emulated([*_READ_ONLY, script, "sh"], artifact, "--html", disk / "page.html", cwd=tmp_path)
    assert done.returncode == 2
    error, kept, *left = [line for line in done.stderr.splitlines() if not line.startswith("running ")]
    assert "Read-only file system" in error
    assert (kept, left) == ("old", ["page.html"])
    assert done.stdout.rstrip().endswith("verdict   passed")
