"""Clips mixed from DESED's soundbank: what is heard is what is labelled, and what is wrong is one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from keras_mtl.core import DCASE, DataError, Labels
from keras_mtl.datasets import Corpus, DataSettings, check_folder, open_corpus
from keras_mtl.datasets.mixing import Mixer, Occurrence, clips_of, open_desed_soundbank
from keras_mtl.datasets.mixing.mixer import ends_of
from keras_mtl.decoding import Event
from keras_mtl.runs import require_same_data, stamp_data

_SETTINGS = DataSettings(event_clip_s=2.0, mixed_clips=4, soundbank=True)
_RATE_HZ = 16_000


@pytest.fixture
def bank(tmp_path: Path, write_tone: Callable[..., Path]) -> Path:
    """Tones: a class has its own pitch, and all else others; a tenth of a second of silence at each end of a sound."""
    root = tmp_path / "soundbank"
    for folder, hz in (("Dog", 3000.0), ("Cat_nOn", 4500.0), ("Speech_nOff", 6000.0)):
        _write_sound(root / "foreground" / folder / "1.wav", hz, 0.5)
    _write_sound(root / "foreground" / "Dog" / "2.wav", 3050.0, 4.0)
    write_tone(root / "background" / "hall" / "1.wav", 150.0, 3.0, 44_100)
    _write_sound(root / "distractor" / "bird" / "1.wav", 1000.0, 0.4)
    return root


def _write_sound(path: Path, hz: float, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.4 * np.sin(2 * np.pi * hz * np.arange(round(seconds * _RATE_HZ)) / _RATE_HZ)
    soundfile.write(path, np.pad(tone, _RATE_HZ // 10), _RATE_HZ)


@pytest.fixture
def desed(desed_folder: Path, bank: Path) -> Path:
    """A DESED folder with a soundbank."""
    shutil.copytree(bank, desed_folder / "audio/train/soundbank")
    return desed_folder


def _mixer(bank: Path, **changed: object) -> Mixer:
    mixed = clips_of(open_desed_soundbank(bank), "", DCASE.of(["events"]), _SETTINGS, _RATE_HZ)
    return replace(mixed.mixer, **changed)  # type: ignore[arg-type]


def test_every_recording_has_its_place(bank: Path) -> None:
    mixer = _mixer(bank)
    assert {label: len(paths) for label, paths in mixer.sounds.items()} == {"Cat": 1, "Dog": 2, "Speech": 1}
    assert [path.parent.name for path in (*mixer.no_onset, *mixer.no_offset)] == ["Cat_nOn", "Speech_nOff"]
    assert [path.parent.name for path in (*mixer.backgrounds, *mixer.distractors)] == ["hall", "bird"]
    shutil.rmtree(bank / "distractor")
    assert not _mixer(bank).distractors


@pytest.mark.parametrize("vary", [False, True])
def test_labels_are_where_the_sounds_are(bank: Path, vary: bool) -> None:
    """Sounds far above the background: nearly all that is heard of a class lies within its events, to their ends."""
    mixer = _mixer(bank, vary=vary, snr_db=(40.0, 40.0), distractors=())
    lengths: dict[str, set[float]] = {"Cat": set(), "Dog": set(), "Speech": set()}
    for number in range(16):
        audio, events = mixer.clip(number)
        assert len(audio) == 2 * _RATE_HZ
        active = np.zeros(len(audio), bool)
        for event in events:
            first, last = round(event.onset_s * _RATE_HZ), round(event.offset_s * _RATE_HZ)
            active[first:last] = True
            ends = audio[first : first + 320], audio[last - 320 : last]
            inside = np.abs(audio[first:last].astype(float)).mean()
            assert min(np.abs(end.astype(float)).mean() for end in ends) > 0.02 * inside
            lengths[event.label].add(round(event.offset_s - event.onset_s, 3))
            assert event.label != "Cat" or event.onset_s == 0.0
            assert event.label != "Speech" or event.offset_s == 2.0
        power = np.square(audio.astype(float))
        if events:
            assert power[~active].sum() < 0.01 * power.sum()
    assert all(lengths.values())
    assert max(lengths["Cat"]) < 0.6 and max(lengths["Dog"]) <= 2.0
    assert (len(lengths["Cat"]) > 1) == vary, "another speed is another length"


def test_a_steady_sound_lasts_as_long_as_its_class_does(bank: Path) -> None:
    """Half a second of a tone is heard for 1.5 s without a pause, and the same tone in short bursts is not."""
    bursts = bank / "foreground" / "Cat" / "1.wav"
    _write_sound(bursts, 4500.0, 0.5)
    audio, _ = soundfile.read(bursts)
    soundfile.write(bursts, audio * (np.arange(len(audio)) % 1600 < 400), _RATE_HZ)
    shutil.rmtree(bank / "foreground" / "Cat_nOn")
    (bank / "foreground" / "Dog" / "2.wav").unlink()
    mixer = _mixer(bank, vary=True, snr_db=(40.0, 40.0), occurrence=_occurrence({"Dog": (1.5,), "Cat": (1.5,)}))
    found = {"Dog": [0.0], "Cat": [0.0]}
    for number in range(24):
        audio, events = mixer.clip(number)
        for event in events:
            if event.label in found:
                found[event.label].append(event.offset_s - event.onset_s)
            if event.label == "Dog" and len(events) == 1:
                heard = audio[round(event.onset_s * _RATE_HZ) : round(event.offset_s * _RATE_HZ)].astype(float)
                frames = np.square(heard[: len(heard) // 320 * 320]).reshape(-1, 320).mean(axis=1)
                assert frames[1:-1].min() > 0.1 * frames.max()
    assert 1.3 < max(found["Dog"]) < 1.7 and max(found["Cat"]) < 0.6


def _occurrence(durations_s: dict[str, tuple[float, ...]], **parts: Any) -> Occurrence:
    other = {"cut_before": {}, "cut_after": {}, "per_clip": (0.0, 0.5, 0.5), "at_once": 2}
    return Occurrence(durations_s, **{**other, **parts})


def test_how_events_occur_is_what_their_labels_say() -> None:
    clips = [
        [Event(0.0, 0.4, "Cat"), Event(0.2, 2.0, "Dog")],
        [Event(0.5, 0.7, "Cat")],
        [],
        [Event(1.0, 1.4, "Cat"), Event(1.2, 2.0, "Dog"), Event(1.3, 1.5, "Speech")],
    ]
    found = Occurrence.of(clips, 2.0)
    assert found is not None
    assert found.cut_before == {"Cat": 0.333, "Dog": 0.0, "Speech": 0.0}
    assert found.cut_after == {"Cat": 0.0, "Dog": 1.0, "Speech": 0.0}
    assert found.per_clip == (0.25, 0.25, 0.25, 0.25) and found.at_once == 3
    assert found.durations_s["Dog"][0] == pytest.approx(0.82, abs=0.011) and found.durations_s["Speech"] == (0.2,) * 20
    assert Occurrence.of([[], []], 2.0) is None


def test_clips_are_like_those_that_an_occurrence_is_of(bank: Path) -> None:
    """As many events a clip, and as many of them cut by its ends."""
    bounds = {"cut_before": {}, "cut_after": {"Dog": 1.0}, "per_clip": (0.5, 0.0, 0.5)}
    mixer = _mixer(bank, vary=True, occurrence=_occurrence({}, **bounds))
    clips = [mixer.clip(number)[1] for number in range(60)]
    assert {len(events) for events in clips} <= {0, 1, 2} and 15 < sum(not events for events in clips) < 45
    dogs = [event for events in clips for event in events if event.label == "Dog"]
    assert len(dogs) > 3 and all(event.offset_s == 2.0 for event in dogs)
    inside = replace(mixer, occurrence=_occurrence({}, per_clip=(0.0, 1.0)))
    dogs = [event for number in range(40) for event in inside.clip(number)[1] if event.label == "Dog"]
    short = [event for event in dogs if event.offset_s - event.onset_s < 1.0]
    assert short and all(event.onset_s > 0.0 and event.offset_s < 2.0 for event in short)


def test_varied_sounds_reach_over_the_ends_of_a_clip(bank: Path) -> None:
    ends = {vary: [0, 0] for vary in (False, True)}
    for vary, count in ends.items():
        for number in range(40):
            for event in _mixer(bank, vary=vary).clip(number)[1]:
                if event.label == "Dog" and event.offset_s - event.onset_s < 1.9:
                    count[0] += event.onset_s == 0.0
                    count[1] += event.offset_s == 2.0
    assert ends[False] == [0, 0] and min(ends[True]) > 0


def test_distractors_are_heard_and_have_no_label(bank: Path) -> None:
    with_them, without = _mixer(bank), _mixer(bank, distractors=())
    assert set(with_them.sounds) == {"Cat", "Dog", "Speech"}
    differ = []
    for number in range(12):
        (audio, events), (other, same) = with_them.clip(number), without.clip(number)
        assert events == same
        differ.append(not np.array_equal(audio, other))
    assert 1 <= sum(differ) < 12
    number = differ.index(True)
    bird = [np.abs(np.fft.rfft(mixer.clip(number)[0]))[1950:2050].max() for mixer in (with_them, without)]
    assert bird[0] > 5 * bird[1]


def test_ends_of_sounds_are_those_of_librosa() -> None:
    from librosa.effects import trim

    rng = np.random.default_rng(0)
    for samples in (100, 511, 5000, 40_000):
        for quiet in (1.0, 1e-3, 1e-6):
            audio = quiet * rng.normal(0.0, 0.1, samples).astype(np.float32) * np.hanning(samples).astype(np.float32)
            trimmed, _ = trim(audio, top_db=40.0, frame_length=512, hop_length=128)
            np.testing.assert_array_equal(audio[ends_of(audio)], trimmed)


def test_same_numbers_same_bytes(bank: Path) -> None:
    mixer, again = _mixer(bank, vary=True), _mixer(bank, vary=True)
    first, second = mixer.clip(3, 2), again.clip(3, 2)
    assert first[0].tobytes() == second[0].tobytes() and first[1] == second[1]
    assert mixer.clip(3, 1)[0].tobytes() != first[0].tobytes()
    assert _mixer(bank).clip(3, 2)[0].tobytes() != first[0].tobytes()


def test_a_soundbank_is_used_where_it_is_wanted(desed: Path, tmp_path: Path) -> None:
    cache, plain = tmp_path / "cache", DataSettings(mixed_clips=4)

    def opened(settings: DataSettings, **how: object) -> Corpus:
        return open_corpus(desed.parent, cache, progress=False, settings=settings, **how)  # type: ignore[arg-type]

    without = opened(plain)
    assert without.mixer is None and "strong_mixed" not in without.events
    for settings in (replace(plain, soundbank=True), replace(plain, fresh_mixtures=True)):
        corpus = opened(settings)
        assert corpus.mixer is not None
        assert (corpus.fingerprint, corpus.key) == (without.fingerprint, without.key)
        assert set(corpus.parts) == {*without.parts, "soundbank"}
        clips = list(corpus.events["strong_mixed"])
        assert [clip["filename"] for clip in clips] == [f"mixed/soundbank-{number:06d}" for number in range(4)]
        for number, clip in enumerate(clips):
            audio, events = corpus.mixer.clip(number)
            np.testing.assert_array_equal(clip["audio"], audio)
            assert [corpus.labels.events[label] for label in clip["events"]["label"]] == [e.label for e in events]
            assert clip["events"]["onset_s"] == [event.onset_s for event in events]
            assert set(np.flatnonzero(clip["weak"])) == set(clip["events"]["label"])
        scored = opened(settings, scoring=True)
        assert scored.mixer is None and set(scored.events) == set(without.events), "for the training alone"
    shutil.rmtree(desed / "audio/train/soundbank")
    assert opened(plain).fingerprint == without.fingerprint
    assert opened(replace(plain, fresh_mixtures=True)).mixer is None
    with pytest.raises(DataError, match=r"no soundbank at .*audio/train/soundbank"):
        opened(replace(plain, soundbank=True))


def test_mixtures_are_kept_under_what_makes_them(desed: Path, tmp_path: Path) -> None:
    def key(settings: DataSettings = _SETTINGS, labels: Labels | None = None) -> str:
        corpus = open_corpus(desed.parent, tmp_path / "cache", progress=False, settings=settings, labels=labels)
        return corpus.key_of(corpus.events["strong_mixed"])

    first = key()
    turned = Labels((), DCASE.events[::-1])
    others = [key(replace(_SETTINGS, vary=True)), key(replace(_SETTINGS, mix_seed=1)), key(labels=turned)]
    _write_sound(desed / "audio/train/soundbank/foreground/Dog/1.wav", 3000.0, 0.6)
    assert len({first, *others, key()}) == 5
    assert key(replace(_SETTINGS, fresh_mixtures=True)) == key()


def test_another_soundbank_is_refused_on_resume(desed: Path, tmp_path: Path) -> None:
    def opened() -> Corpus:
        return open_corpus(desed.parent, tmp_path / "cache", progress=False, settings=_SETTINGS)

    corpus = opened()
    stamp_data(tmp_path, corpus)
    require_same_data(tmp_path, corpus.fingerprint, corpus.parts)
    _write_sound(desed / "audio/train/soundbank/background/hall/2.wav", 100.0, 3.0)
    other = opened()
    with pytest.raises(DataError, match="soundbank is not as it was"):
        require_same_data(tmp_path, other.fingerprint, other.parts)


def _empty(root: Path) -> None:
    shutil.rmtree(root / "foreground")
    (root / "foreground" / "Dog").mkdir(parents=True)


def _no_background(root: Path) -> None:
    shutil.rmtree(root / "background")


def _unreadable(root: Path) -> None:
    (root / "foreground" / "Dog" / "1.wav").write_bytes(b"no sound")


def _wrong_label(root: Path) -> None:
    (root / "foreground" / "Dog").rename(root / "foreground" / "Wolf")


def _silent(root: Path) -> None:
    for name in ("Dog/1.wav", "Dog/2.wav", "Cat_nOn/1.wav", "Speech_nOff/1.wav"):
        soundfile.write(root / "foreground" / name, np.zeros(8000), _RATE_HZ)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_empty, "no recordings in the folders of"),
        (_no_background, "no folder at"),
        (_unreadable, "can't be read as audio"),
        (_wrong_label, '"Wolf" is not an event class'),
        (_silent, "is silent"),
    ],
)
def test_what_is_wrong_is_one_line(desed: Path, tmp_path: Path, change: Callable[[Path], None], words: str) -> None:
    change(desed / "audio/train/soundbank")
    with pytest.raises(DataError) as raised:
        corpus = open_corpus(desed.parent, tmp_path / "cache", progress=False, settings=_SETTINGS)
        list(corpus.events["strong_mixed"])
    assert words in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.hint
    census = check_folder(desed.parent, tmp_path / "cache", progress=False, settings=_SETTINGS)
    assert not census.usable
    assert any(words in line for line in (*census.problems, *(error.message for error in census.refusals)))
    assert check_folder(desed.parent, tmp_path / "cache", progress=False).usable, "it is not used"


def test_the_census_counts_the_soundbank(desed: Path, tmp_path: Path) -> None:
    census = check_folder(desed.parent, tmp_path / "cache", progress=False, settings=_SETTINGS)
    assert census.usable
    row = census.splits[-1]
    assert (row.split, row.census.clips, row.rates) == ("soundbank", 6, {_RATE_HZ: 5, 44_100: 1})
