"""Folders as DCASE's challenges of 2019 to 2025 lay them out: read, or every table and folder that is not named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from keras_mtl.cli.data_check import command
from keras_mtl.core import DataError
from keras_mtl.datasets import DataSettings, FolderCensus, check_folder, open_corpus
from keras_mtl.datasets.tables import labels_of

STRONG = ("filename", "onset", "offset", "event_label")


def check(folder: Path, settings: DataSettings | None = None) -> FolderCensus:
    return check_folder(folder, progress=False, hashed=False, settings=settings)


def clips(census: FolderCensus) -> dict[str, int]:
    return {each.split: each.census.clips for each in census.splits}


def unread(census: FolderCensus) -> dict[str, str]:
    return {each.name: each.why for each in census.unread}


#: Where the synthetic training clips lie: their table, their folder, and their split.
SYNTHETIC = {
    "2019": ("metadata/train/synthetic.tsv", "audio/train/synthetic"),
    "2019, csv": ("metadata/train/synthetic.csv", "audio/train/synthetic"),
    "2020": ("metadata/train/synthetic20/soundscapes.tsv", "audio/train/synthetic20/soundscapes"),
    "2021 and 2022": ("metadata/train/synthetic21_train/soundscapes.tsv", "audio/train/synthetic21_train/soundscapes"),
    "2022 at 16 kHz": (
        "metadata/train/synthetic21_train/soundscapes.tsv",
        "audio/train/synthetic21_train/soundscapes_16k",
    ),
    "2023 and 2024": (
        "dcase_synth/metadata/train/synthetic21_train/soundscapes.tsv",
        "dcase_synth/audio/train/synthetic21_train/soundscapes",
    ),
    "2023, moved": (
        "dcase_synth/metadata/train/synthetic21_train/soundscapes.tsv",
        "audio/train/synthetic21_train/soundscapes",
    ),
    "another year": ("metadata/train/synthetic25/soundscapes.tsv", "audio/train/synthetic25/soundscapes"),
}
REAL = {"strong_real": 1, "validation": 1, "weak": 1, "unlabelled": 1}


@pytest.mark.parametrize("year", SYNTHETIC)
def test_synthetic_clips_of_every_year_are_read(desed: Path, record, write_table, year: str) -> None:
    table, folder = (desed / place for place in SYNTHETIC[year])
    write_table(table, STRONG, ("0.wav", 0.5, 2.25, "Dog"), ("1.wav", 1, 2, "Speech"))
    record(folder / "0.wav")
    record(folder / "1.wav")
    found = check(desed)
    assert clips(found) == {**REAL, "strong_synthetic": 2}
    assert not found.unread
    assert found.usable
    known = labels_of(folder / "0.wav")
    assert known is not None
    assert (known.table, known.events) == (table, [(0.5, 2.25, "Dog")])


def test_they_are_prepared_as_they_are_checked(desed: Path, record, write_table, tmp_path: Path) -> None:
    for part in ("train/synthetic21_train", "validation/synthetic21_validation"):
        write_table(desed / f"metadata/{part}/soundscapes.tsv", STRONG, ("0.wav", 0.5, 2.25, "Dog"))
        record(desed / f"audio/{part}/soundscapes/0.wav")
    (desed / "audio/train/weak/._w.wav").write_bytes(b"\0\5\x16\7" + bytes(50))
    tone = np.sin(np.arange(10_000) / 10)
    soundfile.write(desed / "audio/train/unlabel_in_domain/u2.wav", np.stack([tone, -tone], 1), 1000)
    soundfile.write(desed / "audio/train/unlabel_in_domain/u3.wav", 1e4 * tone, 1000, subtype="FLOAT")
    corpus = open_corpus(desed, tmp_path / "cache", progress=False, sample_rate_hz=1000)
    checked = check_folder(desed, progress=False, hashed=False, sample_rate_hz=1000)
    assert {name: each.census.saved() for name, each in corpus.events.items()} == {
        each.split: each.census.saved() for each in checked.splits
    }
    assert clips(checked) == {**REAL, "strong_synthetic": 1, "synthetic_validation": 1, "unlabelled": 3}
    by_split = {each.split: each.census for each in checked.splits}
    assert by_split["weak"].names["hidden"] == ["._w.wav"]
    assert by_split["unlabelled"].names["cancelling"] == ["u2.wav"]
    assert by_split["unlabelled"].names["loud"] == ["u3.wav"]


def test_the_recorded_clips_of_2020(tmp_path: Path, record, write_table) -> None:
    """The validation clips lie in no folder of their own, and some tables are parts of others."""
    root = tmp_path / "dataset"
    record(root / "audio/validation/v.wav")
    record(root / "audio/train/unlabel_in_domain/u.wav")
    for name in ("validation", "test_dcase2018"):
        write_table(root / f"metadata/validation/{name}.tsv", STRONG, ("v.wav", 1, 2, "Dog"))
    write_table(root / "metadata/train/unlabel_in_domain.tsv", ("filename",), ("u.wav",))
    for folder in (root, tmp_path):
        found = check(folder)
        assert clips(found) == {"validation": 1, "unlabelled": 1}
        assert {Path(name).name: why for name, why in unread(found).items()} == {
            "test_dcase2018.tsv": "labels in time of another set of clips",
            "unlabel_in_domain.tsv": "names alone: the folder of the recordings is read",
        }


def test_what_is_not_read_is_named(desed: Path, record, write_table) -> None:
    """2024 with MAESTRO, an older set of synthetic clips beside a newer one, evaluation sets and the soundbank."""
    for name in ("synthetic20", "synthetic21_train"):
        write_table(desed / f"metadata/train/{name}/soundscapes.tsv", STRONG, ("0.wav", 0.5, 2.25, "Dog"))
        record(desed / f"audio/train/{name}/soundscapes/0.wav")
    soft = (*STRONG, "confidence")
    for name in ("maestro_real_train", "maestro_synth_train"):
        write_table(desed / f"metadata/{name}.tsv", soft, ("a-000000-001000.wav", 0, 1, "footsteps", 0.3))
        record(desed / f"audio/{name}/a-000000-001000.wav")
    write_table(desed / "metadata/soft.tsv", soft, ("v.wav", 0, 1, "Dog", 0.3))
    write_table(desed / "metadata/eval/public.tsv", STRONG, ("e.wav", 0, 1, "Dog"))
    record(desed / "audio/eval/public/e.wav")
    record(desed / "audio/eval/public/f.wav")
    record(desed / "audio/train/soundbank/foreground/Dog/d.wav")
    record(desed / "audio/train/weak/more/w9.wav")
    found = check(desed)
    assert clips(found) == {**REAL, "strong_synthetic": 1}
    assert labels_of(desed / "audio/train/synthetic21_train/soundscapes/0.wav") is not None
    maestro = "MAESTRO, whose labels are soft: they are not read"
    assert unread(found) == {
        "audio/eval/": "clips of an evaluation",
        "audio/maestro_real_train/": maestro,
        "audio/maestro_synth_train/": maestro,
        "audio/train/soundbank/": "isolated sounds, read with data.soundbank = true only",
        "audio/train/synthetic20/": "no split is known to lie here",
        "audio/train/weak/more/": "no split is known to lie here",
        "metadata/eval/public.tsv": "labels in time of another set of clips",
        "metadata/maestro_real_train.tsv": maestro,
        "metadata/maestro_synth_train.tsv": maestro,
        "metadata/soft.tsv": "soft labels (column confidence) are not read",
        "metadata/train/synthetic20/soundscapes.tsv": "labels in time of another set of clips",
    }
    assert {each.name: each.recordings for each in found.unread}["audio/eval/"] == 2
    done = CliRunner().invoke(command, [str(desed), "--quick", "--names", "0"], catch_exceptions=False)
    assert "not read: audio/eval/ (2 recordings): clips of an evaluation\n" in done.output
    told = json.loads(CliRunner().invoke(command, [str(desed), "--quick", "--json"], catch_exceptions=False).output)
    assert len(told["unread"]) == len(found.unread)


def test_soft_labels_in_the_place_of_others_are_refused(desed: Path, write_table) -> None:
    write_table(desed / "metadata/train/audioset_strong.tsv", (*STRONG, "confidence"), ("s.wav", 1, 2, "Dog", 0.4))
    (problem,) = check(desed).problems
    assert "audioset_strong.tsv has soft labels (column confidence), which are not read" in problem
    write_table(desed / "metadata/train/audioset_strong.tsv", (*STRONG, "confidence"), ("s.wav", 1, 2, "Dog", 1.0))
    assert check(desed).usable


def test_what_systems_leave_is_passed_over(desed: Path, tmp_path: Path) -> None:
    """And does not change the fingerprint, which is that of the data."""
    before = check_folder(desed, progress=False)
    waste = b"\0\5\x16\7" + bytes(100)
    for name in (
        "audio/train/weak/._w.wav",
        "audio/train/unlabel_in_domain/._u.wav",
        "audio/train/unlabel_in_domain/.u.wav.part.wav",
        "metadata/train/._weak.tsv",
        "__MACOSX/audio/train/weak/._w.wav",
        "audio/train/weak/@eaDir/w.wav",
    ):
        (desed / name).parent.mkdir(parents=True, exist_ok=True)
        (desed / name).write_bytes(waste)
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):
        (desed / "audio/train/weak" / name).write_bytes(waste)
    found = check_folder(desed, progress=False)
    assert found.usable
    assert not found.unread
    assert found.fingerprint == before.fingerprint
    assert clips(found) == REAL
    assert {each.split: each.census.hidden for each in found.splits if each.census.hidden} == {
        "weak": 1,
        "unlabelled": 2,
    }
    output = CliRunner().invoke(command, [str(desed), "--quick"], catch_exceptions=False).output
    assert "desed/unlabelled: 2 hidden files are passed over: ._u.wav, .u.wav.part.wav" in output


def tau(root: Path, record, write_table, seconds: float, devices: tuple[str, ...], channels: int = 1) -> Path:
    rows = []
    for scene, place in (("airport", "lisbon-1"), ("bus", "lyon-2")):
        for device in devices:
            rows.append((f"audio/{scene}-{place}-7-{device}.wav", scene, place, device))
            record(root / rows[-1][0], seconds, channels=channels)
    write_table(root / "meta.csv", ("filename", "scene_label", "identifier", "source_label"), *rows)
    half = len(rows) // 2
    for name, part, columns in (("train", rows[:half], 2), ("test", rows[half:], 1), ("evaluate", rows[half:], 2)):
        header = ("filename", "scene_label")[:columns]
        write_table(root / f"evaluation_setup/fold1_{name}.csv", header, *(row[:columns] for row in part))
    return root


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("TAU-urban-acoustic-scenes-2019-development", 2),
        ("TAU-urban-acoustic-scenes-2019-mobile-development", 1),
        ("TAU-urban-acoustic-scenes-2020-mobile-development", 1),
    ],
)
def test_the_10_second_clips_of_2019_and_2020(tmp_path: Path, record, write_table, name: str, channels: int) -> None:
    tau(tmp_path / name, record, write_table, 10.0, ("a", "b"), channels)
    found = check(tmp_path)
    assert clips(found) == {"train": 2, "test": 2}
    assert not found.unread
    output = CliRunner().invoke(command, [str(tmp_path), "--quick"], catch_exceptions=False).output
    assert "of 10 s only the first 1 s of each are used: --set data.scene_clip_s=10" in output
    longer = ["--quick", "--set", "data.scene_clip_s=10"]
    assert "of 10 s only" not in CliRunner().invoke(command, [str(tmp_path), *longer], catch_exceptions=False).output
    twice = tmp_path / "unpacked" / name
    shutil.copytree(tmp_path / name, twice / name)
    assert clips(check(twice.parent)) == {"train": 2, "test": 2}


def test_of_several_sets_the_newest_is_read_and_the_others_are_named(tmp_path: Path, record, write_table) -> None:
    for year, seconds in (("2019", 10.0), ("2020-mobile", 10.0), ("2022-mobile", 1.0)):
        name = f"TAU-urban-acoustic-scenes-{year}-development"
        tau(tmp_path / name, record, write_table, seconds, ("a",))
    found = check(tmp_path)
    assert all(each.census.cut == 0 for each in found.splits)
    assert {"TAU-urban-acoustic-scenes-2019-development/", "TAU-urban-acoustic-scenes-2020-mobile-development/"} <= set(
        unread(found)
    )


def test_the_tables_and_devices_of_dcase_2025(tmp_path: Path, record, write_table) -> None:
    """`split_setup/` in place of the folds, and devices that nobody trains on."""
    root = tau(
        tmp_path / "TAU-urban-acoustic-scenes-2022-mobile-development", record, write_table, 1.0, ("a", "s7", "d")
    )
    rows = [line.split("\t") for line in (root / "meta.csv").read_text().splitlines()[1:]]
    shutil.rmtree(root / "evaluation_setup")
    write_table(root / "split_setup/split25.csv", ("filename",), *(row[:1] for row in rows[:2]))
    write_table(root / "split_setup/split100.csv", ("filename",), *(row[:1] for row in rows[:3]))
    write_table(root / "split_setup/test.csv", ("filename",), *(row[:1] for row in rows[3:]))
    found = check(tmp_path)
    assert clips(found) == {"train": 3, "test": 3}
    assert not found.unread
    corpus = open_corpus(tmp_path, tmp_path / "cache", progress=False, sample_rate_hz=1000)
    assert {clip["device"] for clip in corpus.scenes["test"]} == {b"a", b"s7", b"d"} or {
        clip["device"] for clip in corpus.scenes["test"]
    } == {"a", "s7", "d"}


def test_a_folder_of_another_kind_is_told_by_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "development_annotation").mkdir()
    (tmp_path / "development_audio").mkdir()
    with pytest.raises(DataError, match="but development_annotation/, development_audio/"):
        check(tmp_path)


def test_own_sounds_beside_other_folders(tmp_path: Path, record) -> None:
    for scene in ("bus", "park"):
        record(tmp_path / f"scenes/{scene}/a.wav")
        (tmp_path / f"scenes/{scene}/._a.wav").write_bytes(b"\0\5\x16\7")
    record(tmp_path / "old/b.wav")
    record(tmp_path / "c.wav")
    found = check(tmp_path)
    assert set(unread(found)) == {"old/", "./"}
    assert found.own is not None
    notes = dict(found.own.notes)
    assert notes["hidden files are passed over"] == ("scenes/bus/._a.wav", "scenes/park/._a.wav")
    assert found.usable


def test_nothing_is_left_in_the_temporary_folder(desed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "temporary"
    empty.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(empty))
    assert check(desed).usable
    open_corpus(desed, tmp_path / "cache", progress=False, sample_rate_hz=1000)
    assert not list(empty.iterdir())
