"""Where a folder is made over a long time: what an interrupt leaves, what the next start removes, and who waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_mtl.core import DataError, files
from keras_mtl.datasets.soundscapes.synthesis import workplace


def _interrupted(out: Path, key: str) -> None:
    with pytest.raises(KeyboardInterrupt), workplace(out, key) as work:
        (work / "audio").mkdir(exist_ok=True)
        (work / "audio/1.wav").write_text(key)
        (work / "audio/.2.wav.abc_12x9").write_text("half")
        raise KeyboardInterrupt


def test_the_folder_takes_its_place_when_all_is_done(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()  # an empty one is as good as none
    with workplace(out, "a") as work:
        (work / "1.wav").touch()
        assert not any(out.iterdir())
    assert [path.name for path in out.iterdir()] == ["1.wav"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(DataError, match="is there already"), workplace(out, "a"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_an_interrupt_left_is_gone_on_with_but_for_halves(tmp_path: Path) -> None:
    out = tmp_path / "out"
    _interrupted(out, "a")
    assert not out.exists()
    with workplace(out, "a") as work:
        assert [path.name for path in work.rglob("*.wav*")] == ["1.wav"]
    assert (out / "audio/1.wav").read_text() == "a"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_was_left_of_something_else_is_removed_at_the_next_start(tmp_path: Path) -> None:
    out = tmp_path / "out"
    _interrupted(out, "a")
    _interrupted(tmp_path / "other", "a")
    with workplace(out, "b") as work:
        assert list(work.iterdir()) == []
        assert [path.name for path in work.parent.iterdir()] == ["b.part"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.unfinished", "out"]


def test_what_others_have_where_the_work_is_done_stays(tmp_path: Path) -> None:
    theirs = tmp_path / ".out.unfinished" / "thesis"
    files.write_text(theirs / "1.txt", "mine")
    _interrupted(tmp_path / "out", "a")
    files.write_text(theirs.parent / "a.part" / ".notes.txt", "mine")
    with workplace(tmp_path / "out", "a"):
        pass
    assert (theirs / "1.txt").read_text() == (tmp_path / "out" / ".notes.txt").read_text() == "mine"
    assert not (tmp_path / "out" / "audio" / ".2.wav.abc_12x9").exists()


def test_what_is_made_of_unusable_sources_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="silent"), workplace(tmp_path / "out", "a") as work:
        (work / "1.wav").touch()
        raise DataError("a recording is silent")
    assert list(tmp_path.iterdir()) == []


def test_while_one_works_another_is_refused_and_removes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with workplace(out, "a") as work:
        (work / "1.wav").touch()
        for key in ("a", "b"):
            with pytest.raises(DataError, match=f"another process makes {out} now") as caught, workplace(out, key):
                pytest.fail("two at once")
            assert "wait for it, or give another folder" in str(caught.value)
        with workplace(tmp_path / "other", "a"):
            pass
    assert (out / "1.wav").is_file()
    assert not (tmp_path / ".out.unfinished").exists()


def test_one_that_asks_as_another_ends_leaves_its_folder_alone(tmp_path: Path, monkeypatch) -> None:
    """It has looked before the other one's folder took its place, and gets the lock after."""
    out, hold = tmp_path / "out", files.one_at_a_time

    def late(folder: Path, waits):
        out.mkdir()
        (out / "1.wav").touch()
        return hold(folder, waits)

    monkeypatch.setattr(files, "one_at_a_time", late)
    with pytest.raises(DataError, match="is there already"), workplace(out, "a"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
