"""Files and folders are there whole or not at all."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from keras_mtl.core import files


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bytes_text_and_json_come_back(tmp_path: Path) -> None:
    assert files.write_bytes(tmp_path / "a.bin", b"\0\1").read_bytes() == b"\0\1"
    assert files.write_text(tmp_path / "a.txt", "±6 dB\n").read_bytes() == "±6 dB\n".encode()
    document = {"b": [1, 2.5, None], "a": "é"}
    text = files.write_json(tmp_path / "a.json", document).read_text(encoding="utf-8")
    assert json.loads(text) == document
    assert text == files.to_json(document)
    assert text.endswith("}\n")
    assert text.index('"b"') < text.index('"a"')


def test_missing_folders_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    files.write_text(tmp_path / "one" / "two" / "a.txt", "x")
    assert _names(tmp_path / "one" / "two") == ["a.txt"]


def test_a_file_is_replaced_and_readable_by_others(tmp_path: Path) -> None:
    path = files.write_text(tmp_path / "a.txt", "old and long")
    files.write_text(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_failed_write_leaves_the_old_file_and_no_remains(tmp_path: Path) -> None:
    path = files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(TypeError):
        files.write_bytes(path, "text is not bytes")  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["a.txt"]


def test_a_document_that_is_not_json_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "a.json", {"a": object()})
    assert _names(tmp_path) == []


def test_new_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "deep" / "run") as folder:
        (folder / "a.txt").write_text("x")
        assert not (tmp_path / "deep" / "run").exists()
    assert _names(tmp_path / "deep") == ["run"]
    assert (tmp_path / "deep" / "run" / "a.txt").read_text() == "x"
    assert stat.S_IMODE((tmp_path / "deep" / "run").stat().st_mode) == 0o755


def test_an_interrupt_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), files.new_folder(tmp_path / "run") as folder:
        (folder / "a.txt").write_text("x")
        raise KeyboardInterrupt
    assert _names(tmp_path) == []


def test_a_folder_with_something_in_it_is_kept(tmp_path: Path) -> None:
    files.write_text(tmp_path / "run" / "precious.txt", "x")
    with pytest.raises(FileExistsError), files.new_folder(tmp_path / "run"):
        pytest.fail("the block must not run")
    assert _names(tmp_path / "run") == ["precious.txt"]


def test_a_file_in_the_place_of_a_folder_is_kept(tmp_path: Path) -> None:
    files.write_text(tmp_path / "run", "x")
    with pytest.raises(FileExistsError), files.new_folder(tmp_path / "run"):
        pytest.fail("the block must not run")
    assert (tmp_path / "run").read_text() == "x"


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with files.new_folder(tmp_path / "run") as folder:
        (folder / "a.txt").write_text("x")
    assert _names(tmp_path / "run") == ["a.txt"]


def test_a_folder_of_ours_is_replaced_as_a_whole(tmp_path: Path) -> None:
    files.write_text(tmp_path / "run" / "old.txt", "x")
    with files.new_folder(tmp_path / "run", ours=lambda path: _names(path) == ["old.txt"]) as folder:
        (folder / "new.txt").write_text("x")
        assert _names(tmp_path / "run") == ["old.txt"]
    assert _names(tmp_path / "run") == ["new.txt"]


def test_a_failed_replacement_keeps_the_old_folder(tmp_path: Path) -> None:
    files.write_text(tmp_path / "run" / "old.txt", "x")
    with pytest.raises(ValueError, match="no"), files.new_folder(tmp_path / "run", ours=lambda _: True):
        raise ValueError("no")
    assert _names(tmp_path) == ["run"]
    assert _names(tmp_path / "run") == ["old.txt"]


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "a folder of ours"])
def test_what_came_there_meanwhile_is_kept_and_so_is_what_was_made(tmp_path: Path, there: str) -> None:
    run = tmp_path / "run"
    if there != "nothing":
        run.mkdir()
    if there == "a folder of ours":
        (run / "old.txt").touch()
    with (
        pytest.raises(OSError, match="what was made is in") as caught,
        files.new_folder(run, ours=lambda path: _names(path) == ["old.txt"]) as folder,
    ):
        (folder / "new.txt").write_text("made")
        files.write_text(run / "thesis.txt", "mine")
    assert (run / "thesis.txt").read_text() == "mine"
    assert (folder / "new.txt").read_text() == "made"
    assert str(folder) in str(caught.value)


def test_a_link_stays_and_its_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("disk")
    with files.new_folder(tmp_path / "link") as folder:
        (folder / "a.txt").touch()
    assert (tmp_path / "link").is_symlink()
    assert _names(tmp_path / "disk") == ["a.txt"]
