"""Folders of own sounds: what is made of them, and what is refused in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_mtl.core import DataError, Labels
from keras_mtl.datasets import Corpus, DataSettings, check_folder, open_corpus
from keras_mtl.datasets.mixing import Mixer
from keras_mtl.datasets.own import mixer_of, open_own

SMALL = DataSettings(mixed_clips=8)


@pytest.fixture(scope="module")
def corpus(own_sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return open_corpus(own_sounds, tmp_path_factory.mktemp("cache"), progress=False, settings=SMALL)


@pytest.fixture
def copy(own_sounds: Path, tmp_path: Path) -> Path:
    """A folder that a test may change."""
    return Path(shutil.copytree(own_sounds, tmp_path / "copy"))


def by_name(clips: Iterator[dict]) -> dict[str, dict]:
    return {clip["filename"]: clip for clip in clips}


def test_classes_are_the_names_of_the_folders(corpus: Corpus) -> None:
    assert corpus.labels == Labels(("Straße", "in the bus"), ("door, knock", "кашель"))


def test_scene_recordings_are_cut_and_stay_on_their_side(corpus: Corpus) -> None:
    train, test = (by_name(iter(corpus.scenes[split])) for split in ("train", "test"))
    assert (len(train), len(test)) == (6 * 3, 2 * 3)  # the half second at each end is left out
    assert {clip["recording"] for clip in train.values()}.isdisjoint(clip["recording"] for clip in test.values())
    for name, clip in {**train, **test}.items():
        assert corpus.labels.scenes[clip["scene"]] == name.split("/")[1]
        assert clip["device"] == ""
        assert clip["audio"].shape == (16_000,)


def test_recordings_are_cut_with_their_labels(corpus: Corpus, own_sounds: Path) -> None:
    clips = {**by_name(iter(corpus.events["strong_real"])), **by_name(iter(corpus.events["validation"]))}
    first, second = (clips[f"recordings/kitchen 0.wav#{number}"] for number in range(2))
    np.testing.assert_allclose(first["events"]["onset_s"], [0.5, 9.0])
    np.testing.assert_allclose(first["events"]["offset_s"], [1.5, 10.0])
    assert [corpus.labels.events[k] for k in first["events"]["label"]] == ["кашель", "door, knock"]
    np.testing.assert_allclose(second["events"]["onset_s"], [0.0])
    np.testing.assert_allclose(second["events"]["offset_s"], [1.0])
    assert not len(clips["recordings/kitchen 2.wav#0"]["events"]["label"])
    recorded, _ = soundfile.read(own_sounds / "recordings" / "kitchen 0.wav", dtype="int16")
    np.testing.assert_array_equal(second["audio"][: 3 * 16_000], recorded[160_000:])
    assert not second["audio"][3 * 16_000 :].any()


def test_mixed_clips_sound_where_their_labels_say(corpus: Corpus) -> None:
    """Each class has tones of its own: in a mixture they are heard within its events, and hardly outside of them."""
    heard = 0
    for clip in corpus.events["strong_synthetic"]:
        events = list(zip(*(clip["events"][key] for key in ("label", "onset_s", "offset_s")), strict=True))
        frames = clip["audio"].astype(float).reshape(-1, 400)
        spectrum = np.abs(np.fft.rfft(frames * np.hanning(400), axis=1)) ** 2
        for label, low_hz in ((0, 650), (1, 2150)):
            active = np.zeros(clip["audio"].size, bool)
            for _, onset_s, offset_s in (event for event in events if event[0] == label):
                active[round(onset_s * 16_000) : round(offset_s * 16_000)] = True
            share, band = (
                active.reshape(-1, 400).mean(axis=1),
                spectrum[:, low_hz // 40 : low_hz // 40 + 10].sum(axis=1),
            )
            assert clip["weak"][label] == active.any()
            if active.any():
                heard += 1
                assert band[share == 1].min() > 5 * np.median(band[share == 0])
    assert heard > 4


def test_the_sides_of_the_events_share_no_sound(own_sounds: Path) -> None:
    folder = open_own(own_sounds, SMALL)
    banks = [mixer_of(folder, side, SMALL, 16_000) for side in ("train", "held_out", "test")]
    sounds = [{path for paths in bank.sounds.values() for path in paths} for bank in banks if bank is not None]
    assert len(sounds) == 3
    assert sum(map(len, sounds)) == len(set.union(*sounds)) == 10


def test_a_mix_is_a_function_of_its_numbers(own_sounds: Path) -> None:
    mixer = mixer_of(open_own(own_sounds, SMALL), "train", SMALL, 16_000)
    assert mixer is not None
    (audio, events), (again, same), (other, _) = mixer.clip(3), mixer.clip(3), mixer.clip(3, mix=1)
    np.testing.assert_array_equal(audio, again)
    assert events == same
    assert not np.array_equal(audio, other)


@settings(max_examples=30, deadline=None)
@given(number=st.integers(0, 10**6), mix=st.integers(0, 1000), clip_s=st.sampled_from([0.5, 2.0, 10.0]))
def test_events_lie_within_the_clip_and_are_never_crowded(
    own_sounds: Path, number: int, mix: int, clip_s: float
) -> None:
    base = mixer_of(open_own(own_sounds, SMALL), "train", SMALL, 16_000)
    assert base is not None
    audio, events = Mixer(base.sounds, base.backgrounds, clip_s, 16_000, (0.0, 20.0), (1,)).clip(number, mix)
    assert len(audio) == round(clip_s * 16_000)
    assert np.abs(audio.astype(int)).max() < 32_000
    for event in events:
        assert 0 <= event.onset_s < event.offset_s <= clip_s
        over = [other for other in events if other.onset_s < event.offset_s and event.onset_s < other.offset_s]
        assert len(over) <= 3  # itself, and one at either end
        assert [other.label for other in over].count(event.label) == 1


def test_no_class_number_of_another_list_survives(own_sounds: Path, tmp_path: Path) -> None:
    def labels_of(order: Labels) -> dict[str, list[str]]:
        found = open_corpus(own_sounds, tmp_path, progress=False, settings=SMALL, labels=order)
        scenes = {clip["filename"]: [found.labels.scenes[clip["scene"]]] for clip in found.scenes["train"]}
        events = {
            clip["filename"]: [found.labels.events[k] for k in clip["events"]["label"]]
            for clip in found.events["validation"]
        }
        return scenes | events

    first = Labels(("Straße", "in the bus"), ("door, knock", "кашель"))
    swapped = Labels(first.scenes[::-1], first.events[::-1])
    before = labels_of(first)
    assert labels_of(swapped) == before
    assert labels_of(first) == before


def test_a_table_says_the_sides(copy: Path, tmp_path: Path) -> None:
    names = [path.relative_to(copy).as_posix() for path in sorted(copy.rglob("*.*")) if path.suffix != ".txt"]
    rows = [f"{name}\t{'test' if '3' in name or 'kitchen 1' in name else 'train'}" for name in names[:-2]]
    (copy / "split.tsv").write_text("file\tsplit\n" + "\n".join([*rows, "events/кашель/gone.wav\ttrain"]) + "\n")
    found = open_own(copy, SMALL)
    assert {name for name, side in found.sides.items() if side == "test"} == {
        row.split("\t")[0] for row in rows if row.endswith("test") and not row.startswith("unlabelled")
    }
    assert found.missing == ("events/кашель/gone.wav",)


def test_one_task_alone(copy: Path, tmp_path: Path) -> None:
    for name in ("events", "recordings"):
        shutil.rmtree(copy / name)
    alone = open_corpus(copy, tmp_path / "cache", progress=False, settings=SMALL)
    assert alone.labels == Labels(scenes=("Straße", "in the bus"))
    assert (set(alone.scenes), alone.events) == ({"train", "test"}, {})


def test_without_isolated_sounds_the_classes_are_those_of_the_tracks(copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(copy / "events")
    shutil.rmtree(copy / "scenes")
    found = open_corpus(copy, tmp_path / "cache", progress=False, settings=DataSettings(split_seed=3))
    assert set(found.labels.events) <= {"door, knock", "кашель"}
    assert set(found.events) == {"strong_real", "unlabelled", "validation"}


def _remove(folder: str) -> Callable[[Path], None]:
    return lambda root: [path.unlink() for path in (root / folder).iterdir()] and None  # type: ignore[func-returns-value]


def _add_case(root: Path) -> None:
    shutil.copytree(root / "events" / "кашель", root / "events" / "Кашель")


def _unknown_label(root: Path) -> None:
    (root / "recordings" / "kitchen 0.txt").write_text("1.0\t2.0\tgoat\n")


def _no_track(root: Path) -> None:
    (root / "recordings" / "kitchen 0.txt").unlink()


def _backwards(root: Path) -> None:
    (root / "recordings" / "kitchen 1.txt").write_text("2.0\t2.0\tкашель\n")


def _foreign(root: Path) -> None:
    (root / "scenes" / "Straße" / "x.m4a").write_bytes(b"ftyp")


def _damaged(root: Path) -> None:
    (root / "scenes" / "Straße" / "walk 0.wav").write_bytes(b"RIFF")


def _both_sides(root: Path) -> None:
    (root / "split.tsv").write_text("file\tsplit\nevents/кашель/0.wav\ttrain\nevents/кашель/0.wav\ttest\n")


def _bad_side(root: Path) -> None:
    (root / "split.tsv").write_text("file\tsplit\nevents/кашель/0.wav\tdev\n")


def _only_test(root: Path) -> None:
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.wav"))]
    rows = [f"{name}\t{'test' if 'in the bus' in name else 'train'}\n" for name in names]
    (root / "split.tsv").write_text("file\tsplit\n" + "".join(rows))


def _one_scene(root: Path) -> None:
    shutil.rmtree(root / "scenes" / "in the bus")


def _bad_name(root: Path) -> None:
    (root / "scenes" / "in the bus").rename(root / "scenes" / "scene: bus")


def _with_tau(root: Path) -> None:
    (root / "TAU-urban-acoustic-scenes-2022-mobile-development").mkdir()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_remove("events/кашель"), "events/кашель holds no recordings"),
        (_add_case, "'Кашель' and 'кашель', which are one name"),
        (_unknown_label, 'its label "goat" is none of the classes'),
        (_no_track, "neither kitchen 0.txt nor kitchen 0.tsv beside it"),
        (_backwards, "from 2.0 s to 2.0 s is no event"),
        (_foreign, "m4a can't be read as audio"),
        (_damaged, "walk 0.wav"),
        (_both_sides, "on both sides"),
        (_bad_side, 'has split "dev"'),
        (_only_test, 'no training recording of the scene "in the bus"'),
        (_one_scene, "'Straße' alone"),
        (_bad_name, "would be read as something else"),
        (_with_tau, "own sounds beside TAU or DESED"),
    ],
)
def test_what_is_wrong_is_one_line(copy: Path, tmp_path: Path, change: Callable[[Path], None], words: str) -> None:
    change(copy)
    with pytest.raises(DataError) as raised:
        open_corpus(copy, tmp_path / "cache", progress=False, settings=SMALL)
    assert words in raised.value.message
    assert "\n" not in str(raised.value)
    assert raised.value.hint


def test_a_silent_sound_is_named(copy: Path, tmp_path: Path) -> None:
    for number in range(5):
        soundfile.write(copy / "events" / "кашель" / f"{number}.wav", np.zeros(8000), 16_000)
    with pytest.raises(DataError, match="is silent"):
        open_corpus(copy, tmp_path / "cache", progress=False, settings=SMALL)
    census = check_folder(copy, tmp_path / "cache", progress=False)
    assert not census.usable
    assert sum("is silent" in error.message for error in census.refusals) == 5


def test_the_census(copy: Path, tmp_path: Path) -> None:
    shutil.copy(copy / "events" / "кашель" / "1.wav", copy / "scenes" / "Straße" / "copy.wav")
    loud = 0.5 * np.sign(np.sin(np.arange(32_000)))
    soundfile.write(copy / "background" / "hum" / "loud.wav", 2.0 * loud, 16_000)
    census = check_folder(copy, tmp_path / "cache", progress=False)
    assert census.usable
    assert census.own is not None
    rows = {(row.folder, row.label): row for row in census.own.rows}
    assert (rows["scenes", "in the bus"].train, rows["scenes", "in the bus"].test) == (3, 1)
    assert rows["scenes", "in the bus"].seconds == 14.0
    assert rows["recordings", "кашель"].clips == 2
    notes = dict(census.own.notes)
    assert notes["recordings are clipped"] == ("background/hum/loud.wav",)
    assert any("copy.wav" in name for name in notes["recordings are in several classes, by content"])
    corpus = open_corpus(copy, tmp_path / "cache", progress=False)
    assert census.fingerprint == corpus.fingerprint


def test_the_fingerprint_is_of_content_and_split(own_sounds: Path, copy: Path, tmp_path: Path) -> None:
    def of(folder: Path, **changed: float) -> str | None:
        return check_folder(folder, tmp_path, progress=False, settings=DataSettings(**changed)).fingerprint  # type: ignore[arg-type]

    assert of(own_sounds) == of(copy) == of(copy, fresh_mixtures=True)
    assert of(copy, split_seed=1) != of(copy)
    (copy / "recordings" / "kitchen 2.txt").write_text("0.0\t1.0\tкашель\n")
    assert of(copy) != of(own_sounds)
