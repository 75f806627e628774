"""The DESED layout: splits, events, weak labels, twins at 16 kHz, and what is missing or wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_mtl.core import DCASE, DataError
from keras_mtl.datasets import open_corpus

_STRONG_COLUMNS = ("filename", "onset", "offset", "event_label")


def _by_name(clips) -> dict:
    return {clip["filename"]: clip for clip in clips}


def _classes(clip) -> set[str]:
    return {DCASE.events[index] for index in np.flatnonzero(clip["weak"])}


def test_splits_that_are_there(desed_folder: Path, cache: Path) -> None:
    corpus = open_corpus(desed_folder.parent, cache, progress=False)
    assert corpus.scenes == {}
    counts = {name: clips.count for name, clips in corpus.events.items()}
    assert counts == {"strong_synthetic": 2, "weak": 1, "unlabelled": 1, "validation": 2}
    assert all(clip["audio"].shape == (160_000,) for clips in corpus.events.values() for clip in clips)


def test_events_come_in_order_and_end_with_the_clip(desed_folder: Path, cache: Path, caplog) -> None:
    split = open_corpus(desed_folder, cache, progress=False).events["strong_synthetic"]
    clip = _by_name(split)["1.wav"]
    assert [DCASE.events[label] for label in clip["events"]["label"]] == ["Cat", "Speech"]
    np.testing.assert_array_equal(clip["events"]["onset_s"], np.float32([0.5, 7.5]))
    np.testing.assert_array_equal(clip["events"]["offset_s"], np.float32([1.25, 10.0]))
    assert _classes(clip) == {"Cat", "Speech"}
    assert (split.census.clipped_events, split.census.padded) == (1, 1)
    assert "1 events clipped" in caplog.text


@pytest.mark.parametrize("nothing", ["", "nan", "NaN"])
def test_a_clip_without_events_is_a_clip(desed_folder: Path, cache: Path, nothing: str, write_table) -> None:
    table = desed_folder / "metadata/validation/validation.tsv"
    write_table(table, _STRONG_COLUMNS, ("v1.wav", 0.0, 1.0, "Dog"), ("v2.wav", nothing, nothing, nothing))
    clip = _by_name(open_corpus(desed_folder, cache, progress=False).events["validation"])["v2.wav"]
    assert clip["events"]["label"].shape == (0,)
    assert not clip["weak"].any()


def test_a_clip_that_only_the_durations_name_has_no_events(desed_folder: Path, cache: Path) -> None:
    clips = _by_name(open_corpus(desed_folder, cache, progress=False).events["validation"])
    assert set(clips) == {"v1.wav", "v2.wav"}
    assert clips["v2.wav"]["events"]["label"].shape == (0,)


def test_weak_and_unlabelled_clips(desed_folder: Path, cache: Path) -> None:
    events = open_corpus(desed_folder, cache, progress=False).events
    (weak,), (unlabelled,) = events["weak"], events["unlabelled"]
    assert _classes(weak) == {"Dishes", "Speech"}
    assert weak["events"]["label"].shape == unlabelled["events"]["label"].shape == (0,)
    assert not unlabelled["weak"].any()
    assert events["unlabelled"].census.cut == 1


def test_the_twin_at_16_khz_is_preferred_where_it_has_the_clip(
    desed_folder: Path, cache: Path, write_tone, write_table
) -> None:
    weak = desed_folder / "audio/train/weak"
    write_tone(weak / "w2.wav", hz=500.0, seconds=10.0, rate_hz=44_100)
    write_tone(weak.with_name("weak_16k") / "w1.wav", hz=2000.0, seconds=10.0)
    rows = (("w1.wav", "Dishes"), ("w2.wav", "Cat"))
    write_table(desed_folder / "metadata/train/weak.tsv", ("filename", "event_labels"), *rows)
    clips = _by_name(open_corpus(desed_folder, cache, progress=False).events["weak"])
    loudest_hz = {name: np.abs(np.fft.rfft(clip["audio"])).argmax() / 10.0 for name, clip in clips.items()}
    assert loudest_hz == {"w1.wav": 2000.0, "w2.wav": 500.0}


def test_every_split_has_its_own_folder_and_its_own_twin(
    desed_folder: Path, cache: Path, write_tone, write_table
) -> None:
    """One name in all folders, each at a pitch of its own: 1000 Hz and up in the originals, 2000 Hz and up in twins."""
    shutil.rmtree(desed_folder)
    folders = {
        "strong_real": "audio/train/strong_label_real",
        "strong_synthetic": "dcase_synth/audio/train/synthetic21_train/soundscapes",
        "synthetic_validation": "dcase_synth/audio/validation/synthetic21_validation/soundscapes",
        "weak": "audio/train/weak",
        "unlabelled": "audio/train/unlabel_in_domain",
        "validation": "audio/validation/validation",
    }
    tables = {
        "strong_real": "metadata/train/audioset_strong.tsv",
        "strong_synthetic": "dcase_synth/metadata/train/synthetic21_train/soundscapes.tsv",
        "synthetic_validation": "dcase_synth/metadata/validation/synthetic21_validation/soundscapes.tsv",
        "validation": "metadata/validation/validation.tsv",
    }
    write_table(desed_folder / "metadata/train/weak.tsv", ("filename", "event_labels"), ("1.wav", "Cat"))
    for index, (split, folder) in enumerate(folders.items()):
        write_tone(desed_folder / folder / "1.wav", hz=1000.0 + 100 * index, seconds=10.0, rate_hz=44_100)
        write_tone(desed_folder / f"{folder}_16k" / "1.wav", hz=2000.0 + 100 * index, seconds=10.0)
        if split in tables:
            write_table(desed_folder / tables[split], _STRONG_COLUMNS, ("1.wav", index, index + 1, "Dog"))
    for rate_hz, first_hz in ((16_000, 2000.0), (32_000, 1000.0)):
        events = open_corpus(desed_folder, cache, progress=False, sample_rate_hz=rate_hz).events
        assert set(events) == set(folders)
        for index, split in enumerate(folders):
            (clip,) = events[split]
            assert np.abs(np.fft.rfft(clip["audio"])).argmax() / 10.0 == first_hz + 100 * index
            assert clip["events"]["onset_s"].tolist() == ([index] if split in tables else [])


def test_above_16_khz_the_original_is_preferred_to_its_twin(desed_folder: Path, cache: Path, write_tone) -> None:
    weak = desed_folder / "audio/train/weak"  # w1.wav is at 500 Hz
    write_tone(weak.with_name("weak_16k") / "w1.wav", hz=2000.0, seconds=10.0)
    events = open_corpus(desed_folder, cache, progress=False, sample_rate_hz=32_000).events
    clip = _by_name(events["weak"])["w1.wav"]["audio"]
    assert clip.shape == (320_000,)
    assert np.abs(np.fft.rfft(clip)).argmax() == 5000
    assert (events["weak"].census.upsampled, events["validation"].census.upsampled) == (0, 2)
    assert len(_by_name(events["validation"])["v1.wav"]["events"]["label"]) == 1


def test_missing_clips_and_missing_splits_are_told(desed_folder: Path, cache: Path, caplog, write_table) -> None:
    table = desed_folder / "metadata/train/audioset_strong.tsv"
    write_table(table, _STRONG_COLUMNS, ("y1.wav", 0.0, 1.0, "Dog"), ("y2.wav", 0.0, 1.0, "Dog"))
    events = open_corpus(desed_folder, cache, progress=False).events
    assert "strong_real" not in events
    assert "desed/strong_real: 2 of 2 clips are missing, so this split is left out" in caplog.text
    assert {name: clips.census.missing for name, clips in events.items()} == {
        "strong_synthetic": 1,
        "weak": 1,
        "unlabelled": 0,
        "validation": 1,
    }


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("1.wav", 0.0, 1.0, "Parrot"), '"Parrot" of 1.wav is not an event class'),
        (("1.wav", 2.0, 1.0, "Dog"), "ends at 1.0 s, begins at 2.0 s"),
        (("1.wav", "soon", 1.0, "Dog"), "is not a number"),
    ],
)
def test_a_bad_row_is_one_clear_line(
    desed_folder: Path, cache: Path, row: tuple[object, ...], says: str, write_table
) -> None:
    write_table(desed_folder / "dcase_synth/metadata/train/synthetic21_train/soundscapes.tsv", _STRONG_COLUMNS, row)
    with pytest.raises(DataError, match=says) as caught:
        open_corpus(desed_folder, cache, progress=False)
    assert "\n" not in str(caught.value)
    assert [path.name for path in cache.iterdir()] == ["digests"]


def test_recordings_without_their_table_are_an_error(desed_folder: Path, cache: Path) -> None:
    (desed_folder / "metadata/train/weak.tsv").unlink()
    with pytest.raises(DataError, match=r"no table at .*weak\.tsv"):
        open_corpus(desed_folder, cache, progress=False)


def test_tables_without_any_recording_are_an_error(desed_folder: Path, cache: Path) -> None:
    shutil.rmtree(desed_folder / "audio")
    shutil.rmtree(desed_folder / "dcase_synth/audio")
    with pytest.raises(DataError, match="no recordings in the DESED folders"):
        open_corpus(desed_folder.parent, cache, progress=False)
