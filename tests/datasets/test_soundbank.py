"""Banks of isolated events in Scaper's layout, and what is drawn from them; nothing here needs Scaper."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from keras_mtl.core import DataError
from keras_mtl.datasets.mixing import Soundbank, Source, open_soundbank
from keras_mtl.datasets.soundscapes.mixtures import SECONDS, SHORTEST_EVENT_S, Placed, Plan, draw_plan


@pytest.fixture
def bank_folder(tmp_path: Path, write_tone) -> Path:
    for name, seconds in (("Dog/ä 1.wav", 0.4), ("Dog/2.wav", 35.0), ("Speech/1.wav", 3.0), ("Speech_nOff/2.wav", 8.0)):
        write_tone(tmp_path / "foreground" / name, seconds=seconds, rate_hz=8000)
    for name, seconds in (("Frying_nOn_nOff/1.wav", 12.0), ("Cat_nOn/1.wav", 2.0)):
        write_tone(tmp_path / "foreground" / name, seconds=seconds, rate_hz=8000)
    write_tone(tmp_path / "background/kitchen/1.wav", seconds=12.0, rate_hz=8000)
    write_tone(tmp_path / "background/hall/1.wav", seconds=2.0, rate_hz=8000)
    return tmp_path


def _open(folder: Path) -> Soundbank:
    return open_soundbank(folder / "foreground", folder / "background")


def test_a_bank_has_classes_in_their_order_and_desed_s_marks(bank_folder: Path) -> None:
    (bank_folder / "foreground/Dog/notes.txt").write_text("barks")
    bank = _open(bank_folder)
    assert list(bank.events) == ["Cat", "Dog", "Frying", "Speech"]
    assert [source.path.name for source in bank.events["Dog"]] == ["2.wav", "ä 1.wav"]
    marks = {source.folder: (source.has_onset, source.has_offset) for group in bank.events.values() for source in group}
    assert marks == {
        "Cat_nOn": (False, True),
        "Dog": (True, True),
        "Frying_nOn_nOff": (False, False),
        "Speech": (True, True),
        "Speech_nOff": (True, False),
    }
    assert [source.folder for source in bank.backgrounds] == ["hall", "kitchen"]


def test_a_bank_s_fingerprint_is_of_what_it_holds(bank_folder: Path, tmp_path: Path) -> None:
    first = _open(bank_folder).fingerprint
    shutil.copytree(bank_folder / "foreground", tmp_path / "moved/foreground")
    shutil.copytree(bank_folder / "background", tmp_path / "moved/background")
    assert _open(tmp_path / "moved").fingerprint == first
    (tmp_path / "moved/foreground/Dog/2.wav").unlink()
    assert _open(tmp_path / "moved").fingerprint != first


def test_a_bank_that_cannot_be_used_is_one_clear_line(bank_folder: Path, write_tone) -> None:
    def says(message: str) -> None:
        with pytest.raises(DataError, match=message) as caught:
            _open(bank_folder)
        assert "\n" not in str(caught.value)

    foreground = bank_folder / "foreground"
    path = write_tone(foreground / "Dog/short.wav", seconds=0.01)
    says(r"short\.wav is 0\.010 s long")
    path.write_text("no sound")
    says(r"short\.wav can't be read as audio")
    path.unlink()
    write_tone(foreground / "Parrot/1.wav")
    says('"Parrot" is not an event class')
    shutil.rmtree(foreground)
    says("no folder at .*foreground")
    foreground.mkdir()
    says("no recordings in the folders of .*foreground")


def _plans(bank: Soundbank, label: str, count: int) -> list[Plan]:
    return [draw_plan(np.random.default_rng([7, index]), bank, label) for index in range(count)]


def test_plans_are_a_function_of_the_seed(bank_folder: Path) -> None:
    bank = _open(bank_folder)
    assert _plans(bank, "Dog", 20) == _plans(bank, "Dog", 20)
    assert len(set(_plans(bank, "Dog", 20))) == 20


def test_drawn_events_lie_in_their_recordings_and_in_the_clip(bank_folder: Path) -> None:
    bank = _open(bank_folder)
    plans = [plan for label in bank.events for plan in _plans(bank, label, 150)]
    for plan in plans:
        assert 0 <= plan.background_start_s <= max(0.0, plan.background.seconds - SECONDS)
        for event in plan.events:
            assert event.start_s >= 0
            assert event.start_s + event.seconds <= event.source.seconds + 1e-9
            assert 0 <= event.onset_s <= SECONDS - SHORTEST_EVENT_S
            assert event.onset_s + event.seconds <= SECONDS + 1e-9
            assert 6.0 <= event.snr_db <= 30.0
            if not event.source.has_onset:
                assert event.onset_s == 0.0
        at_once = [
            sum(e.onset_s <= t < e.onset_s + e.seconds for e in plan.events) for t in np.arange(0.0, SECONDS, 0.01)
        ]
        assert max(at_once) <= 2
    heard = Counter(event.label for plan in plans for event in plan.events)
    assert set(heard) == set(bank.events)
    starts = {event.start_s > 0 for plan in plans for event in plan.events if event.source.seconds == 35.0}
    assert starts == {False, True}


def test_every_clip_has_the_class_that_it_is_made_for(bank_folder: Path) -> None:
    bank = _open(bank_folder)
    assert len(bank.events) > 1
    for label in bank.events:
        assert all(label in {event.label for event in plan.events} for plan in _plans(bank, label, 20))


def test_labels_are_joined_over_small_gaps_and_lengthened(tmp_path: Path) -> None:
    source = Source(tmp_path / "1.wav", "Dog", 5.0, 8000)

    def labels(*times: tuple[str, float, float]) -> list[tuple[float, float, str]]:
        placed = tuple(Placed(label, source, 0.0, onset_s, seconds, 10.0) for label, onset_s, seconds in times)
        return [tuple(row) for row in Plan(source, 0.0, placed).labels()]

    assert labels(("Dog", 1.0, 0.5), ("Dog", 1.6, 1.0)) == [(1.0, 2.6, "Dog")]
    assert labels(("Dog", 1.0, 0.5), ("Dog", 1.7, 1.0)) == [(1.0, 1.5, "Dog"), (1.7, 2.7, "Dog")]
    assert labels(("Dog", 1.0, 3.0), ("Dog", 2.0, 0.5)) == [(1.0, 4.0, "Dog")]
    assert labels(("Dog", 2.0, 0.5), ("Cat", 1.0, 3.0)) == [(1.0, 4.0, "Cat"), (2.0, 2.5, "Dog")]
    assert labels(("Dog", 1.0, 0.1)) == [(1.0, 1.25, "Dog")]
    assert labels(("Dog", 9.75, 0.1)) == [(9.75, 10.0, "Dog")]
