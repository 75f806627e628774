"""`keras_mtl data check` against the preparation: both count and refuse the same."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from keras_mtl.cli.data_check import command
from keras_mtl.core import DataError, RecipeError, VerdictFailed
from keras_mtl.datasets import DataSettings, check_folder, open_corpus

_STRONG_COLUMNS = ("filename", "onset", "offset", "event_label")
_SYNTHETIC = "dcase_synth/metadata/train/synthetic21_train/soundscapes.tsv"


def _prepared(folder: Path, cache: Path, settings: DataSettings | None = None) -> tuple[dict, str]:
    corpus = open_corpus(folder, cache, progress=False, settings=settings)
    return {
        clips.name: clips.census for clips in (*corpus.scenes.values(), *corpus.events.values())
    }, corpus.fingerprint


def _checked(folder: Path, cache: Path | None = None) -> dict:
    return {f"{each.name}/{each.split}": each for each in check_folder(folder, cache, progress=False).splits}


@pytest.fixture
def awkward(tau_folder: Path, desed_folder: Path, write_tone, write_table) -> Path:
    """Both data sets with one or more of all that is passed over or changed."""
    train = tau_folder / "evaluation_setup/fold1_train.csv"
    train.write_text(train.read_text() + "audio/airport-lisbon-1-7-0-a.wav\tairport\n")
    write_tone(tau_folder / "audio/airport-lisbon-1-7-0-a.wav", seconds=0.3)
    write_tone(tau_folder / "audio/airport-lisbon-1-7-1-a.wav", seconds=31.0)
    write_tone(tau_folder / "audio/bus-lisbon-2-7-0-s1.wav", rate_hz=8_000)
    write_tone(tau_folder / "audio/stray.wav")
    two = np.zeros((44_100, 2))
    soundfile.write(tau_folder / "audio/tram-paris-3-7-0-b.wav", two, 44_100)
    soundfile.write(tau_folder / "audio/bus-lisbon-2-7-1-s1.wav", np.zeros(16_000), 16_000, subtype="FLOAT")
    rows = [
        ("1.wav", 7.5, 10.4, "Speech"),
        ("1.wav", 7.5, 10.4, "Speech"),
        ("1.wav", 11.0, 12.0, "Cat"),
        ("2.wav", 9.0, 31.0, "Cat"),
        ("2.wav", -1.0, 2.0, "Dog"),
        ("gone.wav", 1.0, 2.0, "Dog"),
        ("gone.wav", 3.0, 40.0, "Dog"),
    ]
    write_table(desed_folder / _SYNTHETIC, _STRONG_COLUMNS, *rows)
    weak = (("w1.wav", "Dishes,Speech"), ("w1.wav", "Speech,Dishes"), ("gone.wav", "Cat"))
    write_table(desed_folder / "metadata/train/weak.tsv", ("filename", "event_labels"), *weak)
    write_tone(desed_folder / "audio/train/weak/w2.wav", seconds=10.0)
    write_table(desed_folder / "metadata/train/audioset_strong.tsv", _STRONG_COLUMNS, ("y1.wav", 0.0, 1.0, "Dog"))
    return tau_folder.parent


def test_it_counts_what_the_preparation_counts(awkward: Path, cache: Path) -> None:
    checked = check_folder(awkward, cache, progress=False)
    prepared, fingerprint = _prepared(awkward, cache)
    assert checked.fingerprint == fingerprint
    by_name = {f"{each.name}/{each.split}": each.census for each in checked.splits}
    assert {name: by_name[name].saved() for name in prepared} == {name: c.saved() for name, c in prepared.items()}
    assert set(by_name) - set(prepared) == {"desed/strong_real"}, "nothing is there of it, so it is left out"
    train, synthetic = by_name["tau_urban_acoustic_scenes_2022_mobile/train"], by_name["desed/strong_synthetic"]
    assert (train.padded, train.cut, train.upsampled, train.repeated, train.unnamed) == (1, 1, 1, 1, 1)
    assert (synthetic.repeated, synthetic.missing, synthetic.missing_rows) == (1, 1, 2)
    assert (synthetic.lost_events, synthetic.clipped_events) == (1, 3)
    assert (by_name["desed/weak"].repeated, by_name["desed/weak"].unnamed) == (1, 1)
    assert by_name["tau_urban_acoustic_scenes_2022_mobile/test"].mixed == 1
    assert train.names["cut"] == ["audio/airport-lisbon-1-7-1-a.wav"]
    assert synthetic.names["clipped_events"] == ["1.wav", "2.wav"]
    assert checked.usable


def test_it_counts_for_the_clips_of_a_recipe(awkward: Path, cache: Path) -> None:
    """What is too short, too long or beyond the clip depends on how long the clips are."""
    settings = DataSettings(scene_clip_s=0.25, event_clip_s=8.0)
    prepared, _ = _prepared(awkward, cache, settings)
    checked = check_folder(awkward, progress=False, hashed=False, settings=settings)
    by_name = {f"{each.name}/{each.split}": each.census for each in checked.splits}
    assert {name: by_name[name].saved() for name in prepared} == {name: c.saved() for name, c in prepared.items()}
    train, synthetic = by_name["tau_urban_acoustic_scenes_2022_mobile/train"], by_name["desed/strong_synthetic"]
    assert (train.padded, train.cut) == (0, train.clips)
    assert (synthetic.padded, synthetic.cut, synthetic.lost_events) == (0, 2, 2)
    options = [
        "--recipe",
        "real",
        "--set",
        "data.scene_clip_s=0.25",
        "--set",
        "data.event_clip_s=8",
        "--quick",
        "--json",
    ]
    done = CliRunner().invoke(command, [str(awkward), *options], catch_exceptions=False)
    rows = {(each["name"], each["split"]): each for each in json.loads(done.stdout)["datasets"]}
    assert rows["desed", "strong_synthetic"]["lost_events"] == 2
    with pytest.raises(RecipeError, match=r"data\.event_clip_s = 61"):
        CliRunner().invoke(command, [str(awkward), "--set", "data.event_clip_s=61"], catch_exceptions=False)


def test_seconds_and_rates_are_those_on_disk(awkward: Path) -> None:
    train = _checked(awkward)["tau_urban_acoustic_scenes_2022_mobile/train"]
    assert train.seconds == pytest.approx(0.3 + 31.0 + 1.0 + 1.0)
    assert train.rates == {16_000: 3, 8_000: 1}


def _text(folder: Path, desed: Path) -> None:
    (folder / "audio/airport-lisbon-1-7-0-a.wav").write_text("no sound\n" * 100)


def _empty(folder: Path, desed: Path) -> None:
    (folder / "audio/airport-lisbon-1-7-0-a.wav").write_bytes(b"")


def _truncated(folder: Path, desed: Path) -> None:
    path = folder / "audio/airport-lisbon-1-7-0-a.wav"
    path.write_bytes(path.read_bytes()[:50_000])


def _only_a_header(folder: Path, desed: Path) -> None:
    path = folder / "audio/airport-lisbon-1-7-0-a.wav"
    path.write_bytes(path.read_bytes()[:30])


def _nan(folder: Path, desed: Path) -> None:
    samples = np.zeros(16_000, np.float32)
    samples[8_000] = np.nan
    soundfile.write(desed / "audio/train/weak/w1.wav", samples, 16_000, subtype="FLOAT")


def _infinite(folder: Path, desed: Path) -> None:
    samples = np.zeros(16_000)
    samples[8_000] = np.inf
    soundfile.write(desed / "audio/train/weak/w1.wav", samples, 16_000, subtype="DOUBLE")


def _damaged_flac(folder: Path, desed: Path) -> None:
    path = desed / "audio/train/unlabel_in_domain/u2.flac"
    soundfile.write(path, np.random.default_rng(1).uniform(-1, 1, 16_000), 16_000)
    path.write_bytes(path.read_bytes()[:10_000])


def _rows(table: str, *rows: tuple[object, ...]):
    def spoil(folder: Path, desed: Path) -> None:
        root = desed if (desed / table).exists() else folder
        text = (root / table).read_text()
        (root / table).write_text(text + "".join("\t".join(map(str, row)) + "\n" for row in rows))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        (_text, "unreadable", "can't be read as audio"),
        (_empty, "unreadable", r"is empty \(0 bytes\)"),
        (_truncated, "unreadable", "is cut short"),
        (_only_a_header, "unreadable", "can't be read as audio"),
        (_nan, "unreadable", "not finite"),
        (_infinite, "unreadable", "not finite"),
        (_damaged_flac, "unreadable", "can't be read as audio"),
        (_rows(_SYNTHETIC, ("1.wav", 0, 1, "Parrot")), "unknown_labels", '"Parrot" of 1.wav is not an event class'),
        (_rows(_SYNTHETIC, ("1.wav", 2, 1, "Dog")), "backward_events", "ends at 1.0 s, begins at 2.0 s"),
        (_rows(_SYNTHETIC, ("1.wav", 2, 2, "Dog")), "backward_events", "ends at 2.0 s, begins at 2.0 s"),
        (_rows(_SYNTHETIC, ("1.wav", "soon", 1, "Dog")), "bad_times", "is not a number"),
        (_rows(_SYNTHETIC, ("1.wav", 1, "nan", "Dog")), "bad_times", "is not a number"),
        (_rows(_SYNTHETIC, ("1.wav", 1, "inf", "Dog")), "bad_times", "is not a number"),
        (_rows("metadata/train/weak.tsv", ("w1.wav", "Cat")), "contradictions", "two rows for w1.wav that differ"),
        (_rows("metadata/train/weak.tsv", ("w9.wav", "Cat,Parrot")), "unknown_labels", '"Parrot" of w9.wav'),
        (
            _rows("evaluation_setup/fold1_train.csv", ("audio/airport-lisbon-1-7-0-a.wav", "beach")),
            "unknown_labels",
            '"beach" of .* is not a scene',
        ),
        (
            _rows("evaluation_setup/fold1_train.csv", ("audio/airport-lisbon-1-7-0-a.wav", "bus")),
            "contradictions",
            '"airport", and "bus"',
        ),
        (
            _rows("meta.csv", ("audio/airport-lisbon-1-7-0-a.wav", "airport", "lisbon-1", "b")),
            "contradictions",
            "two rows for audio/airport-lisbon-1-7-0-a.wav that differ",
        ),
    ],
)
def test_what_the_check_refuses_the_preparation_refuses(
    tau_folder: Path, desed_folder: Path, cache: Path, spoil, kind: str, says: str
) -> None:
    spoil(tau_folder, desed_folder)
    checked = check_folder(tau_folder.parent, progress=False, hashed=False)
    refusals = [error.message for each in checked.splits for error in each.census.refusals]
    assert sum(getattr(each.census, kind) for each in checked.splits) == len(refusals) == 1
    assert not checked.usable
    with pytest.raises(DataError, match=says) as caught:
        open_corpus(tau_folder.parent, cache, progress=False)
    assert caught.value.message == refusals[0]
    assert "\n" not in str(caught.value)


def test_all_bad_rows_are_told_at_once(desed_folder: Path, cache: Path, caplog) -> None:
    _rows(_SYNTHETIC, ("1.wav", 2, 1, "Dog"), ("2.wav", 0, 1, "Parrot"), ("1.wav", 0, 1, "Fish"))(None, desed_folder)
    with pytest.raises(DataError, match=r"begins at 2.0 s \(and 2 more in desed"):
        open_corpus(desed_folder, cache, progress=False)
    assert '"Parrot" of 2.wav' in caplog.text
    assert '"Fish" of 1.wav' in caplog.text


def test_names_with_spaces_and_letters_of_any_kind(desed_folder: Path, cache: Path, write_tone) -> None:
    name = "mañana in Zürich 音.wav"
    write_tone(desed_folder / "audio/train/weak" / name, seconds=10.0)
    write_tone(desed_folder / "audio/train/unlabel_in_domain" / name, seconds=10.0)
    _rows("metadata/train/weak.tsv", (name, "Cat"))(None, desed_folder)
    prepared, fingerprint = _prepared(desed_folder, cache)
    assert (prepared["desed/weak"].clips, prepared["desed/unlabelled"].clips) == (2, 2)
    assert check_folder(desed_folder, cache, progress=False).fingerprint == fingerprint
    names = [clip["filename"] for clip in open_corpus(desed_folder, cache, progress=False).events["weak"]]
    assert name in names


def test_a_name_that_is_not_utf_8_is_refused_by_name(desed_folder: Path, cache: Path) -> None:
    folder = desed_folder / "audio/train/unlabel_in_domain"
    try:
        shutil.copyfile(folder / "u1.wav", os.fsencode(folder) + b"/Z\xfcrich.wav")
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    checked = check_folder(desed_folder, cache, progress=False)
    assert [each.census.unreadable for each in checked.splits] == [0, 0, 0, 1]
    with pytest.raises(DataError, match=r"Z\\udcfcrich.wav is not named in UTF-8"):
        open_corpus(desed_folder, cache, progress=False)


def test_a_link_to_nothing_is_a_missing_file(desed_folder: Path, cache: Path) -> None:
    path = desed_folder / "audio/validation/validation/v2.wav"
    path.unlink()
    path.symlink_to("nowhere.wav")
    assert _checked(desed_folder)["desed/validation"].census.names["missing"] == ["gone.wav", "v2.wav"]
    assert _prepared(desed_folder, cache)[0]["desed/validation"].missing == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_one_may_not_read_is_told(desed_folder: Path, cache: Path) -> None:
    (desed_folder / "audio/validation/validation/v2.wav").chmod(0)
    assert _checked(desed_folder)["desed/validation"].census.unreadable == 1
    with pytest.raises(DataError, match=r"v2\.wav can't be read: Permission denied"):
        open_corpus(desed_folder, cache, progress=False)


def test_recordings_of_which_no_sample_need_be_read_are_not_decoded(tau_folder: Path, monkeypatch) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    assert _checked(tau_folder)["tau_urban_acoustic_scenes_2022_mobile/train"].census.clips == 4
    soundfile.write(tau_folder / "audio/bus-lisbon-2-7-1-s1.wav", np.zeros(16_000), 16_000, subtype="FLOAT")
    with pytest.raises(AssertionError, match="decoded"):
        _checked(tau_folder)


def test_a_table_that_is_not_there_keeps_the_other_data_set_in_view(tau_folder: Path, desed_folder: Path) -> None:
    (tau_folder / "meta.csv").unlink()
    checked = check_folder(tau_folder.parent, progress=False, hashed=False)
    assert {each.name for each in checked.splits} == {"desed"}
    assert [problem.partition(" at ")[0] for problem in checked.problems] == ["no table"]
    assert not checked.usable


def _run(*arguments: object):
    return CliRunner().invoke(command, [str(word) for word in arguments])


def test_the_command_tells_what_is_there_and_passes_with_missing_files(awkward: Path, cache: Path) -> None:
    done = _run(awkward, "--cache", cache, "--json")
    assert done.exit_code == 0, done.exception
    document = json.loads(done.stdout)
    assert document["schema"] == "keras_mtl.census/1"
    assert document["verdict"] == "passed"
    assert len(document["data"]["fingerprint"]) == 64
    train = document["datasets"][0]
    assert (train["name"], train["split"]) == ("tau_urban_acoustic_scenes_2022_mobile", "train")
    assert (train["listed"], train["clips"], train["missing"], train["unreadable"]) == (5, 4, 1, 0)
    assert train["seconds"] == pytest.approx(33.3)
    assert train["rates"] == {"8000": 1, "16000": 3}
    assert train["names"]["missing"] == ["audio/park-paris-9-7-0-a.wav"]
    told = _run(awkward, "--cache", cache).stdout
    assert "tau_urban_acoustic_scenes_2022_mobile/train: 1 clips are missing" in told
    assert document["data"]["fingerprint"] in told


def test_the_command_names_as_many_as_asked_for_and_fails_what_cannot_be_prepared(
    tau_folder: Path, cache: Path
) -> None:
    clips = sorted((tau_folder / "audio").glob("*.wav"))
    for path in clips[:3]:
        path.write_bytes(b"")
    done = _run(tau_folder, "--cache", cache, "--json", "--names", 2, "--quick")
    assert isinstance(done.exception, VerdictFailed)
    assert "3 things are wrong" in str(done.exception)
    document = json.loads(done.stdout)
    assert document["verdict"] == "failed"
    assert document["data"]["fingerprint"] is None
    train = document["datasets"][0]
    assert train["unreadable"] == 3
    assert len(train["names"]["unreadable"]) == len(train["refusals"]) == 2
    every = json.loads(_run(tau_folder, "--cache", cache, "--json", "--names", 0, "--quick").stdout)
    assert every["datasets"][0]["names"]["unreadable"] == [f"audio/{path.name}" for path in clips[:3]]
    assert not cache.exists(), "nothing was asked for that is worth remembering"
    told = _run(tau_folder, "--cache", cache, "--names", 2).stdout
    assert "... and 1 more" in told


@pytest.mark.parametrize("folder", ["nowhere", "photos"])
def test_the_command_refuses_what_is_no_data_folder(tmp_path: Path, cache: Path, folder: str) -> None:
    (tmp_path / "photos").mkdir()
    done = _run(tmp_path / folder, "--cache", cache)
    assert isinstance(done.exception, DataError)
    assert done.stdout == ""
