"""The TAU 2022 Mobile layout: splits, labels, devices, recordings, and what is missing or wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow_datasets as tfds

from keras_mtl.core import DCASE, DataError
from keras_mtl.datasets import open_corpus
from keras_mtl.datasets.prepare import prepared
from keras_mtl.datasets.tau_urban_acoustic_scenes_2022_mobile import (
    tau_urban_acoustic_scenes_2022_mobile_dataset_builder as tau,
)


def test_clips_of_both_splits_with_all_that_the_tables_say(tau_folder: Path, cache: Path) -> None:
    corpus = open_corpus(tau_folder.parent, cache, progress=False)
    assert set(corpus.scenes) == {"train", "test"}
    assert corpus.events == {}
    train = {clip["filename"]: clip for clip in corpus.scenes["train"]}
    assert len(train) == corpus.scenes["train"].count == 4
    assert {(clip["scene"], clip["device"], clip["recording"]) for clip in train.values()} == {
        (DCASE.scenes.index("airport"), "a", "lisbon-1"),
        (DCASE.scenes.index("bus"), "s1", "lisbon-2"),
    }
    assert [clip["scene"] for clip in corpus.scenes["test"]] == [DCASE.scenes.index("tram")] * 2


def test_24_bit_audio_at_44_1_khz_is_resampled(tau_folder: Path, cache: Path) -> None:
    clips = {clip["filename"]: clip["audio"] for clip in open_corpus(tau_folder, cache, progress=False).scenes["train"]}
    audio = clips["audio/bus-lisbon-2-7-1-s1.wav"]
    assert audio.dtype == np.int16
    assert audio.shape == (16_000,)
    expected = 0.5 * np.sin(2 * np.pi * 1000.0 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(audio[500:-500] / 32768.0, expected[500:-500], atol=2e-3)


def test_clips_at_another_rate_come_from_the_files_and_are_kept_apart(tau_folder: Path, cache: Path, caplog) -> None:
    key = "audio/bus-lisbon-2-7-1-s1.wav"
    write = tau_folder / key
    time_s = np.arange(44_100) / 44_100
    soundfile.write(write, 0.5 * np.sin(2 * np.pi * 12_000.0 * time_s), 44_100, subtype="PCM_24")
    corpora = {rate: open_corpus(tau_folder, cache, progress=False, sample_rate_hz=rate) for rate in (16_000, 32_000)}
    assert len({corpus.fingerprint for corpus in corpora.values()}) == 1
    for rate, corpus in corpora.items():
        assert corpus.sample_rate_hz == rate
        audio = next(clip["audio"] for clip in corpus.scenes["train"] if clip["filename"] == key)
        assert audio.shape == (rate,)
        if rate == 16_000:
            assert np.abs(audio[500:-500]).max() < 40  # nothing below 8 kHz was there
        else:
            expected = 0.5 * np.sin(2 * np.pi * 12_000.0 * np.arange(rate) / rate)
            np.testing.assert_allclose(audio[1000:-1000] / 32768.0, expected[1000:-1000], atol=2e-3)
    again = open_corpus(tau_folder, cache, progress=False)
    assert again == corpora[16_000]
    assert {clip["audio"].shape for clip in again.scenes["test"]} == {(16_000,)}
    assert "lower rate" not in caplog.text


def test_recordings_of_a_lower_rate_than_the_clips_are_told(tau_folder: Path, cache: Path, caplog, write_tone) -> None:
    write_tone(tau_folder / "audio/bus-lisbon-2-7-1-s1.wav", rate_hz=16_000)
    train = open_corpus(tau_folder, cache, progress=False, sample_rate_hz=44_100).scenes["train"]
    assert train.census.upsampled == 1
    assert "1 clips recorded at a lower rate" in caplog.text
    assert {clip["audio"].shape for clip in train} == {(44_100,)}


def test_missing_recordings_are_counted_and_told_every_time(tau_folder: Path, cache: Path, caplog) -> None:
    for _ in range(2):  # prepared, then from the cache
        caplog.clear()
        corpus = open_corpus(tau_folder, cache, progress=False)
        assert corpus.scenes["train"].census.missing == 1
        assert corpus.scenes["train"].census.names["missing"] == ["audio/park-paris-9-7-0-a.wav"]
        assert "1 of 5 clips are missing" in caplog.text
        assert "audio/park-paris-9-7-1-s4.wav" in caplog.text


def test_clips_of_another_length_are_padded_or_cut_and_counted(
    tau_folder: Path, cache: Path, caplog, write_tone
) -> None:
    short, long = tau_folder / "audio/airport-lisbon-1-7-0-a.wav", tau_folder / "audio/bus-lisbon-2-7-0-s1.wav"
    write_tone(short, seconds=0.3)
    write_tone(long, seconds=3.1)
    train = open_corpus(tau_folder, cache, progress=False).scenes["train"]
    assert (train.census.padded, train.census.cut) == (1, 1)
    assert "1 clips padded, 1 clips cut" in caplog.text
    audio = {clip["filename"]: clip["audio"] for clip in train}["audio/airport-lisbon-1-7-0-a.wav"]
    assert audio[:4800].any()
    assert not audio[4800:].any()


def test_labels_of_the_test_table_stand_in_the_metadata(tau_folder: Path, cache: Path) -> None:
    meta = tau_folder / "meta.csv"
    meta.write_text(meta.read_text().replace("\ttram\t", "\tmetro\t"))
    (tau_folder / "evaluation_setup/fold1_evaluate.csv").unlink()
    test = open_corpus(tau_folder, cache, progress=False).scenes["test"]
    assert {clip["scene"] for clip in test} == {DCASE.scenes.index("metro")}


def test_a_folder_of_test_clips_only_is_read(tau_folder: Path, cache: Path, write_table) -> None:
    write_table(tau_folder / "evaluation_setup/fold1_train.csv", ("filename", "scene_label"))
    corpus = open_corpus(tau_folder, cache, progress=False)
    assert {name: clips.count for name, clips in corpus.scenes.items()} == {"test": 2}


def test_a_folder_where_nothing_is_missing_is_read(tau_folder: Path, cache: Path) -> None:
    for path in (tau_folder / "evaluation_setup").iterdir():
        path.write_text("".join(line for line in path.read_text().splitlines(True) if "park" not in line))
    scenes = open_corpus(tau_folder, cache, progress=False).scenes
    assert {name: (clips.count, clips.census.missing) for name, clips in scenes.items()} == {
        "train": (4, 0),
        "test": (2, 0),
    }


def test_tables_without_rows_are_an_error(tau_folder: Path, cache: Path, write_table) -> None:
    write_table(tau_folder / "evaluation_setup/fold1_train.csv", ("filename", "scene_label"))
    write_table(tau_folder / "evaluation_setup/fold1_test.csv", ("filename",))
    with pytest.raises(DataError, match="have headers but no rows"):
        open_corpus(tau_folder, cache, progress=False)


@pytest.mark.parametrize("folder", ["evaluation_setup", "split_setup"])
def test_subsets_of_dcase_2024_are_splits_where_their_tables_are(
    tau_folder: Path, tmp_path, folder, write_table
) -> None:
    name = "audio/airport-lisbon-1-7-0-a.wav"
    write_table(tau_folder / folder / "split5.csv", ("filename",), (name,))
    write_table(tau_folder / folder / "split10.csv", ("filename", "scene_label"), (name, "airport"))
    write_table(tau_folder / folder / "split100.csv", ("filename",), (name,))  # that is `train`
    builder = prepared(tau.Builder, tmp_path / "built", tau_folder, progress=False)
    counts = {split: info.num_examples for split, info in builder.info.splits.items()}
    assert counts == {"train": 4, "test": 2, "evaluate": 2, "split5": 1, "split10": 1}
    (clip,) = tfds.as_numpy(builder.as_dataset(split="split5"))
    assert (clip["scene"], clip["device"], clip["filename"]) == (DCASE.scenes.index("airport"), b"a", name.encode())


def test_a_subset_changes_the_fingerprint_but_is_not_prepared_for_training(
    tau_folder: Path, cache: Path, write_table
) -> None:
    before = open_corpus(tau_folder, cache, progress=False)
    write_table(tau_folder / "split_setup/split5.csv", ("filename",), ("audio/airport-lisbon-1-7-0-a.wav",))
    after = open_corpus(tau_folder, cache, progress=False)
    assert after.fingerprint != before.fingerprint
    assert set(after.scenes) == {"train", "test"}


def test_a_row_that_stands_twice_counts_once(tau_folder: Path, cache: Path) -> None:
    table = tau_folder / "evaluation_setup/fold1_train.csv"
    table.write_text(table.read_text() + "audio/airport-lisbon-1-7-0-a.wav\tairport\n")
    train = open_corpus(tau_folder, cache, progress=False).scenes["train"]
    assert (train.count, train.census.repeated) == (4, 1)


@pytest.mark.parametrize(
    ("table", "header", "rows", "says"),
    [
        ("evaluation_setup/fold1_train.csv", ("filename",), [("audio/a.wav",)], "no column scene_label"),
        (
            "evaluation_setup/fold1_train.csv",
            ("filename", "scene_label"),
            [("audio/tram-paris-3-7-0-b.wav", "beach")],
            '"beach" of audio/tram-paris-3-7-0-b.wav is not a scene',
        ),
        (
            "evaluation_setup/fold1_test.csv",
            ("filename",),
            [("audio/elsewhere.wav",)],
            "names audio/elsewhere.wav, which meta.csv does not",
        ),
        (
            "meta.csv",
            ("filename", "scene_label", "identifier", "source_label"),
            [("audio/x.wav", "bus", "x", "a")],
            "which meta.csv does not",
        ),
    ],
)
def test_a_bad_table_is_one_clear_line_and_leaves_nothing(
    tau_folder: Path,
    cache: Path,
    table: str,
    header: tuple[str, ...],
    rows: list[tuple[str, ...]],
    says: str,
    write_table,
) -> None:
    write_table(tau_folder / table, header, *rows)
    with pytest.raises(DataError, match=says) as caught:
        open_corpus(tau_folder, cache, progress=False)
    assert "\n" not in str(caught.value)
    assert [path.name for path in cache.iterdir()] == ["digests"]


@pytest.mark.parametrize("table", ["meta.csv", "evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_test.csv"])
def test_a_missing_table_is_one_clear_line(tau_folder: Path, cache: Path, table: str) -> None:
    (tau_folder / table).unlink()
    with pytest.raises(DataError, match=f"no table at .*{Path(table).name}"):
        open_corpus(tau_folder.parent, cache, progress=False)


def test_no_recording_at_all_is_an_error(tau_folder: Path, cache: Path) -> None:
    for path in (tau_folder / "audio").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="none of the 5 recordings"):
        open_corpus(tau_folder, cache, progress=False)


def test_recordings_that_cannot_be_read_are_all_named(tau_folder: Path, cache: Path, caplog) -> None:
    (tau_folder / "audio/airport-lisbon-1-7-0-a.wav").write_text("no sound")
    (tau_folder / "audio/bus-lisbon-2-7-0-s1.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"airport-lisbon-1-7-0-a.wav can't be read .*\(and 1 more") as caught:
        open_corpus(tau_folder, cache, progress=False)
    assert "\n" not in str(caught.value)
    assert "bus-lisbon-2-7-0-s1.wav is empty" in caplog.text
    assert [path.name for path in cache.iterdir()] == ["digests"]
