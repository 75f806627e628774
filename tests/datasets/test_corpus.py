"""Opening data: where folders are looked for, what is prepared once, and how data are told apart."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_mtl.core import DCASE, DataError, Labels
from keras_mtl.datasets import open_corpus


def _tree(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_one_folder_with_both_data_sets(tau_folder: Path, desed_folder: Path, cache: Path) -> None:
    corpus = open_corpus(tau_folder.parent, cache, progress=False)
    assert corpus.name == "data"
    assert set(corpus.scenes) == {"train", "test"}
    assert "validation" in corpus.events
    assert corpus.events["validation"].name == "desed/validation"


def test_desed_in_capitals(desed_folder: Path, cache: Path) -> None:
    desed_folder.rename(desed_folder.with_name("DESED"))
    assert "weak" in open_corpus(desed_folder.parent, cache, progress=False).events


def test_prepared_data_are_used_again(tau_folder: Path, cache: Path, capfd) -> None:
    first = open_corpus(tau_folder, cache)
    captured = capfd.readouterr()
    assert captured.out == ""  # stdout is for what a command answers
    assert "prepared tau_urban_acoustic_scenes_2022_mobile" in captured.err
    before = _tree(cache)
    again = open_corpus(tau_folder, cache)
    assert "prepared" not in capfd.readouterr().err
    assert _tree(cache) == before
    assert again == first
    for one, other in zip(first.scenes["train"], again.scenes["train"], strict=True):
        np.testing.assert_array_equal(one.pop("audio"), other.pop("audio"))
        assert one == other


def test_the_data_folder_is_only_read(tau_folder: Path, desed_folder: Path, cache: Path) -> None:
    before = _tree(tau_folder.parent)
    open_corpus(tau_folder.parent, cache, progress=False)
    assert _tree(tau_folder.parent) == before


def test_the_environment_names_the_cache(tau_folder: Path, cache: Path, monkeypatch) -> None:
    monkeypatch.setenv("KERAS_MTL_CACHE", str(cache))
    open_corpus(tau_folder, progress=False)
    assert list(cache.glob("*/tau_urban_acoustic_scenes_2022_mobile"))


def test_the_fingerprint_is_of_the_data_not_of_the_place(tau_folder: Path, cache: Path) -> None:
    first = open_corpus(tau_folder, cache, progress=False)
    moved = tau_folder.rename(tau_folder.parent / "TAU elsewhere")
    assert open_corpus(moved, cache, progress=False).fingerprint == first.fingerprint


def test_a_changed_file_changes_the_fingerprint_and_is_prepared_anew(tau_folder: Path, cache: Path, write_tone) -> None:
    first = open_corpus(tau_folder, cache, progress=False)
    write_tone(tau_folder / "audio/airport-lisbon-1-7-0-a.wav", seconds=1.5)
    assert open_corpus(tau_folder, cache, progress=False).fingerprint != first.fingerprint


def test_class_numbers_of_a_folder_follow_the_labels(tau_folder: Path, desed_folder: Path, cache: Path) -> None:
    """Two names swapped, and back, all in one cache; the fingerprint is that of the data, the key that of both."""
    swapped = Labels(
        ("bus", "airport", *DCASE.scenes[2:]), (*DCASE.events[:2], "Speech", "Dishes", "Cat", "Frying", "Dog")
    )
    opened = [open_corpus(tau_folder.parent, cache, progress=False, labels=labels) for labels in (None, swapped, DCASE)]
    usual, other, again = opened
    assert usual.labels == again.labels == DCASE
    assert usual.fingerprint == other.fingerprint
    assert usual.key == again.key != other.key
    scenes, events = [], []
    for corpus in opened:
        scenes.append({clip["filename"]: clip["scene"] for clip in corpus.scenes["train"]})
        (weak,) = [clip["weak"] for clip in corpus.events["weak"]]
        strong = {clip["filename"]: clip["events"]["label"].tolist() for clip in corpus.events["strong_synthetic"]}
        events.append((np.flatnonzero(weak).tolist(), strong))
        named = {name: corpus.labels.scenes[scene] for name, scene in scenes[-1].items()}
        assert all(name.startswith(f"audio/{scene}-") for name, scene in named.items())
    assert scenes[0] == scenes[2] != scenes[1]
    assert sorted(scenes[0].values()) == sorted(scenes[1].values()) == [0, 0, 1, 1]
    assert events[0] == events[2] == ([3, 8], {"1.wav": [2, 8], "2.wav": []})
    assert events[1] == ([2, 3], {"1.wav": [4, 2], "2.wav": []})


def test_a_label_that_is_no_class_is_refused_by_name(tau_folder: Path, desed_folder: Path, cache: Path) -> None:
    with pytest.raises(DataError, match="airport") as refused:
        open_corpus(tau_folder, cache, progress=False, labels=Labels(("bus", "park", "tram")))
    assert "bus, park, tram" in str(refused.value)
    with pytest.raises(DataError, match=r'"Cat" of 1\.wav is not an event class'):
        open_corpus(desed_folder, cache, progress=False, labels=Labels((), ("Speech", "Dog", "Frying", "Dishes")))


def test_tables_carry_names_of_any_script_and_refuse_what_they_cannot(desed_folder: Path, cache: Path) -> None:
    table = desed_folder / "dcase_synth/metadata/train/synthetic21_train/soundscapes.tsv"
    table.write_text(table.read_text().replace("Cat", unicodedata.normalize("NFD", "Große Tür, кашель")))
    names = ("Speech", "Große Tür, кашель", "Dog", "Frying", "Dishes", "Cat")
    with pytest.raises(DataError, match=r'weak\.tsv can\'t name "Große Tür, кашель": a comma parts two labels there'):
        open_corpus(desed_folder, cache, progress=False, labels=Labels((), names))
    for path in (desed_folder / "metadata/train/weak.tsv", *(desed_folder / "audio/train/weak").iterdir()):
        path.unlink()
    corpus = open_corpus(desed_folder, cache, progress=False, labels=Labels((), names))
    strong = {clip["filename"]: clip["events"]["label"].tolist() for clip in corpus.events["strong_synthetic"]}
    assert strong == {"1.wav": [1, 0], "2.wav": []}


def test_a_changed_table_changes_the_fingerprint(tau_folder: Path, cache: Path) -> None:
    first = open_corpus(tau_folder, cache, progress=False)
    for table in (tau_folder / "evaluation_setup/fold1_train.csv", tau_folder / "meta.csv"):
        table.write_text(table.read_text().replace("\tbus", "\ttram"))
    second = open_corpus(tau_folder, cache, progress=False)
    assert second.fingerprint != first.fingerprint
    assert sorted(clip["scene"] for clip in second.scenes["train"]) == [0, 0, 9, 9]


def test_a_recording_replaced_by_one_of_the_same_size_is_prepared_anew(
    tau_folder: Path, cache: Path, write_tone
) -> None:
    def loudest_hz() -> set[int]:
        clips = open_corpus(tau_folder, cache, progress=False).scenes["train"]
        return {int(np.abs(np.fft.rfft(clip["audio"])).argmax()) for clip in clips}

    assert loudest_hz() == {500, 1000}
    path = tau_folder / "audio/airport-lisbon-1-7-0-a.wav"
    changed_ns = path.stat().st_mtime_ns
    write_tone(path, hz=3000.0, rate_hz=44_100, subtype="PCM_24")
    os.utime(path, ns=(changed_ns + 1, changed_ns + 1))
    assert loudest_hz() == {500, 1000, 3000}


def test_a_missing_folder_is_one_clear_line(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_corpus(tmp_path / "none", cache)
    assert not cache.exists()


def test_a_file_is_no_folder(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "data.zip").touch()
    with pytest.raises(DataError, match="is a file, not a data folder"):
        open_corpus(tmp_path / "data.zip", cache)


def test_a_folder_of_something_else_is_one_clear_line(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="holds neither"):
        open_corpus(tmp_path / "photos", cache)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_one_clear_line(tau_folder: Path, tmp_path: Path) -> None:
    in_the_way = tmp_path / "occupied"
    in_the_way.touch()
    with pytest.raises(DataError, match="data can't be prepared in") as caught:
        open_corpus(tau_folder, in_the_way, progress=False)
    assert "KERAS_MTL_CACHE" in caught.value.hint


def _as_other_systems_write(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))


def test_tables_with_windows_line_ends_and_a_byte_order_mark(tau_folder: Path, desed_folder: Path, cache: Path) -> None:
    def labels() -> dict[str, list]:
        corpus = open_corpus(tau_folder.parent, cache, progress=False)
        return {
            clips.name: [
                (c["filename"], c.get("scene"), c.get("events", {}).get("label", ()), c.get("weak")) for c in clips
            ]
            for clips in (*corpus.scenes.values(), *corpus.events.values())
        }

    before = labels()
    tables = list(tau_folder.parent.rglob("*.?sv"))
    assert len(tables) == 8
    for path in tables:
        _as_other_systems_write(path)
    np.testing.assert_equal(labels(), before)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_recording_of_any_depth_rate_and_channels_is_the_same_clip(
    desed_folder: Path, cache: Path, subtype: str, rate_hz: int, channels: int
) -> None:
    sine = 0.5 * np.sin(2 * np.pi * 1000.0 * np.arange(10 * rate_hz) / rate_hz)
    path = desed_folder / "audio/validation/validation/v1.wav"
    soundfile.write(path, np.stack([sine] * channels, axis=1), rate_hz, subtype=subtype)
    split = open_corpus(desed_folder, cache, progress=False).events["validation"]
    (clip,) = (clip["audio"] / 32768.0 for clip in split if clip["filename"] == "v1.wav")
    expected = 0.5 * np.sin(2 * np.pi * 1000.0 * np.arange(160_000) / 16_000)
    np.testing.assert_allclose(clip[500:-500], expected[500:-500], atol=0.01 if subtype == "PCM_U8" else 2e-3)
    assert (split.census.mixed, split.census.padded, split.census.cut) == (channels - 1, 0, 0)
