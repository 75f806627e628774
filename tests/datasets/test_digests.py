"""Digests of files, read once; and fingerprints, which tell any two contents apart."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from keras_mtl.datasets.audio import layout as module
from keras_mtl.datasets.audio.layout import UNREADABLE, digests, fingerprint

_NAMES = ["a.wav", "b/c d.wav", "b/ü.wav"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for number, name in enumerate(_NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes([number]) * 3_000_000)
    return root


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Names of the files whose digests are computed."""
    names: list[str] = []
    whole = module._digest

    def listening(path: Path) -> str:
        names.append(path.name)
        return whole(path)

    monkeypatch.setattr(module, "_digest", listening)
    return names


def test_they_are_those_of_the_bytes(folder: Path) -> None:
    expected = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in _NAMES}
    assert digests(folder, _NAMES, progress=False) == expected


def test_a_file_is_read_once_and_again_when_it_changed(folder: Path, tmp_path: Path, opened: list[str]) -> None:
    first = digests(folder, _NAMES, tmp_path / "memory", progress=False)
    assert sorted(opened) == ["a.wav", "c d.wav", "ü.wav"]
    opened.clear()
    assert digests(folder, _NAMES, tmp_path / "memory", progress=False) == first
    assert opened == []
    before = (folder / "a.wav").stat()
    (folder / "a.wav").write_bytes(b"x" * 3_000_000)
    os.utime(folder / "a.wav", ns=(before.st_atime_ns, before.st_mtime_ns))  # size and time of change as they were
    again = digests(folder, _NAMES, tmp_path / "memory", progress=False)
    assert opened == ["a.wav"]
    assert again["a.wav"] == hashlib.sha256(b"x" * 3_000_000).hexdigest()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a.wav": 1}', b"\xff\x00"])
def test_a_damaged_memory_is_no_harm(folder: Path, tmp_path: Path, content: bytes) -> None:
    first = digests(folder, _NAMES, tmp_path / "memory", progress=False)
    (kept,) = (tmp_path / "memory").iterdir()
    kept.write_bytes(content)
    assert digests(folder, _NAMES, tmp_path / "memory", progress=False) == first


def test_what_was_read_before_an_interrupt_is_remembered(
    folder: Path, tmp_path: Path, monkeypatch, opened: list[str]
) -> None:
    listening = module._digest

    def interrupted(path: Path) -> str:
        if path.name == "c d.wav":
            raise KeyboardInterrupt
        return listening(path)

    monkeypatch.setattr(module, "_digest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        digests(folder, _NAMES, tmp_path / "memory", progress=False)
    monkeypatch.setattr(module, "_digest", listening)
    opened.clear()
    digests(folder, _NAMES, tmp_path / "memory", progress=False)
    assert "a.wav" not in opened


def test_a_file_that_cannot_be_read_has_none(folder: Path) -> None:
    assert digests(folder, ["a.wav", "gone.wav"], progress=False)["gone.wav"] == UNREADABLE


def test_the_fingerprint_sees_what_no_size_and_no_time_shows(tau_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tau_folder, copy)
    assert fingerprint("tau", copy, progress=False) == fingerprint("tau", tau_folder, progress=False)
    path = copy / "audio/tram-paris-3-7-0-b.wav"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fingerprint("tau", copy, progress=False) != fingerprint("tau", tau_folder, progress=False)
