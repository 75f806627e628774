"""Synthesising DESED's layout from a bank: same bytes for a seed, levels, labels, going on, and what is wrong."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click.testing
import numpy as np
import pytest
import soundfile

from keras_mtl.cli.data_synthesize import command
from keras_mtl.core import DCASE, DataError
from keras_mtl.datasets import open_corpus
from keras_mtl.datasets.mixing import Soundbank, open_soundbank
from keras_mtl.datasets.soundscapes import mixtures, synthesis
from keras_mtl.datasets.soundscapes.mixtures import Placed, Plan
from keras_mtl.datasets.soundscapes.synthesis import Order, synthesise

_needs_scaper = pytest.mark.skipif(
    importlib.util.find_spec("scaper") is None, reason="the optional Scaper is not installed (`make scaper`)"
)


@pytest.fixture
def bank(tmp_path: Path) -> Soundbank:
    """Tones over noise: event k of class c is at a frequency of the class."""
    rng = np.random.default_rng(0)
    foreground, background = tmp_path / "bank/foreground", tmp_path / "bank/background"
    for label, hz in (("Cat", 1000.0), ("Dog", 2000.0), ("Speech", 3000.0)):
        for index, seconds in enumerate((0.5, 2.0)):
            path = foreground / label / f"ä {index}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            time_s = np.arange(round(seconds * 44_100)) / 44_100
            soundfile.write(path, 0.2 * np.sin(2 * np.pi * hz * time_s), 44_100)
    for index, seconds in enumerate((4.0, 14.0)):
        path = background / "room" / f"{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(round(seconds * 16_000)), 16_000)
    return open_soundbank(foreground, background)


def _order(bank: Soundbank, **clips: int) -> Order:
    return Order(clips, dict.fromkeys(clips, bank), seed=5)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@_needs_scaper
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_processes(bank: Soundbank, tmp_path: Path) -> None:
    order = _order(bank, strong_synthetic=3, weak=2)
    synthesise(order, tmp_path / "one", progress=False)
    synthesise(order, tmp_path / "two", jobs=2, progress=False)
    assert _files(tmp_path / "one") == _files(tmp_path / "two")
    synthesise(Order(order.clips, order.banks, seed=6), tmp_path / "other", progress=False)
    name = "audio/train/weak/weak-00000.wav"
    assert _files(tmp_path / "one")[name] != _files(tmp_path / "other")[name]


@_needs_scaper
def test_what_is_written_reads_as_desed(bank: Soundbank, tmp_path: Path) -> None:
    clips = {"strong_synthetic": 4, "weak": 3, "unlabelled": 2, "validation": 3}
    told = synthesise(_order(bank, **clips), tmp_path / "data/desed", progress=False)["splits"]
    events = open_corpus(tmp_path / "data", tmp_path / "cache", progress=False).events
    assert {name: split.count for name, split in events.items()} == clips
    assert not any(split.census.changes() or split.census.missing for split in events.values())
    for split in told:
        read = [DCASE.events[label] for clip in events[split["split"]] for label in clip["events"]["label"]]
        if split["split"] in ("strong_synthetic", "validation"):
            assert {label: read.count(label) for label in set(read)} == split["events"]
        else:
            assert read == []
    assert all(clip["weak"].any() for clip in events["weak"])
    assert not any(clip["weak"].any() for clip in events["unlabelled"])
    assert json.loads((tmp_path / "data/desed/synthesis.json").read_text())["seed"] == 5


@_needs_scaper
def test_events_sound_when_and_as_loud_as_the_plan_says(bank: Soundbank) -> None:
    cat, dog = bank.events["Cat"][1], bank.events["Dog"][1]
    events = (Placed("Cat", cat, 0.0, 2.0, 2.0, 20.0), Placed("Dog", dog, 0.5, 6.0, 1.0, 26.0))
    audio, scaled = mixtures.mix(Plan(bank.backgrounds[1], 1.0, events), bank)
    assert audio.dtype == np.int16
    assert audio.shape == (160_000,)
    assert not scaled
    spectrum_of = {hz: np.abs(_tone(audio, hz)) for hz in (1000.0, 2000.0)}
    for event, hz in zip(events, (1000.0, 2000.0), strict=True):
        loud = np.flatnonzero(spectrum_of[hz] > spectrum_of[hz].max() / 2) / 100
        assert loud[0] == pytest.approx(event.onset_s, abs=0.03)
        assert loud[-1] == pytest.approx(event.onset_s + event.seconds, abs=0.03)
    # BS.1770 weighs 1 and 2 kHz by 0.7 and 2.6 dB: what is left of 6 dB once the weights are taken off.
    apart_db = 20 * np.log10(spectrum_of[2000.0].max() / spectrum_of[1000.0].max())
    assert apart_db == pytest.approx(6.0 - 1.9, abs=1.0)


def _tone(audio: np.ndarray, hz: float) -> np.ndarray:
    """The part of that frequency in each stretch of 10 ms."""
    time_s = np.arange(len(audio)) / 16_000
    return (audio * np.exp(-2j * np.pi * hz * time_s)).reshape(-1, 160).mean(axis=1)


@_needs_scaper
def test_an_interrupted_synthesis_goes_on(bank: Soundbank, tmp_path: Path, monkeypatch) -> None:
    order, out = _order(bank, strong_synthetic=4), tmp_path / "out"
    synthesise(order, tmp_path / "whole", progress=False)
    mix, calls = mixtures.mix, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return mix(*arguments)

    monkeypatch.setattr(synthesis.mixtures, "mix", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthesise(order, out, progress=False)
    assert not out.exists()
    synthesise(order, out, progress=False)
    assert len(calls) == 3 + 2  # the two finished ones were kept
    assert _files(out) == _files(tmp_path / "whole")
    assert not list(tmp_path.glob(".out*"))


_MAKE = """
import sys
sys.argv = ["keras_mtl", "data", "synthesize", *sys.argv[1:]]
from keras_mtl.cli import main
main()
"""


def _start(bank: Soundbank, out: Path, *more: str) -> subprocess.Popen[str]:
    given = ["--foreground", str(bank.foreground), "--background", str(bank.background), "--out", str(out), *more]
    return subprocess.Popen([sys.executable, "-c", _MAKE, *given], stdout=-1, stderr=-1, text=True)


@_needs_scaper
def test_of_two_processes_one_works_and_what_a_killed_one_left_is_removed(bank: Soundbank, tmp_path: Path) -> None:
    out, hidden = tmp_path / "out", tmp_path / ".out.unfinished"
    killed = _start(bank, out, "--clips", "2000")
    while not list(hidden.glob("*/done/*.json")):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    refused = _start(bank, out, "--clips", "3")
    said, why = refused.communicate(timeout=120)
    assert (refused.returncode, said) == (2, "")
    assert why == f"error: another process makes {out} now (wait for it, or give another folder)\n"
    assert killed.poll() is None
    killed.kill()
    killed.communicate()
    assert len(list(hidden.iterdir())) == 1
    synthesise(_order(bank, strong_synthetic=2), out, progress=False)
    assert not list(tmp_path.glob(".out*"))
    assert len(list(out.rglob("*.wav"))) == 2


@_needs_scaper
def test_an_interrupt_is_one_clear_line(bank: Soundbank, tmp_path: Path, monkeypatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(synthesis.mixtures, "mix", interrupted)
    done = _call(bank, tmp_path / "out", "--clips", "2")
    assert done.exit_code == 130
    assert done.stderr.strip() == "interrupted; the same command goes on from here"


@_needs_scaper
def test_a_silent_event_is_named(bank: Soundbank, tmp_path: Path) -> None:
    for source in bank.events["Cat"]:
        soundfile.write(source.path, np.zeros(44_100), 44_100)
    with pytest.raises(DataError, match=r"Cat.*is silent from") as caught:
        synthesise(_order(open_soundbank(bank.foreground, bank.background), weak=1), tmp_path / "out", progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@_needs_scaper
def test_too_loud_a_clip_is_made_softer_and_counted(bank: Soundbank, monkeypatch) -> None:
    monkeypatch.setattr(mixtures, "REFERENCE_DB", -10.0)
    audio, scaled = mixtures.mix(
        Plan(bank.backgrounds[1], 0.0, (Placed("Cat", bank.events["Cat"][0], 0, 1, 0.5, 30.0),)), bank
    )
    assert scaled
    assert np.abs(audio.astype(int)).max() == pytest.approx(0.99 * 32768, abs=1)


@_needs_scaper
def test_a_folder_in_use_is_left_alone(bank: Soundbank, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is there already"):
        synthesise(_order(bank, weak=1), tmp_path / "out", progress=False)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="can't be written"):
        synthesise(_order(bank, weak=1), tmp_path / "file/out", progress=False)


def _call(bank: Soundbank, out: Path, *more: str) -> click.testing.Result:
    given = ["--foreground", str(bank.foreground), "--background", str(bank.background), "--out", str(out), *more]
    return click.testing.CliRunner().invoke(command, given)


@_needs_scaper
def test_the_command_answers_in_words_and_in_json(bank: Soundbank, tmp_path: Path) -> None:
    counts = ("--clips", "2", "--unlabelled", "1")
    said = _call(bank, tmp_path / "words", *counts)
    assert said.exit_code == 0, said.output
    assert "strong_synthetic      2 clips" in said.stdout
    document = json.loads(_call(bank, tmp_path / "json", *counts, "--json").stdout)
    assert document["schema"] == "keras_mtl.synthesis/1"
    assert [(split["split"], split["clips"], split["seconds"]) for split in document["splits"]] == [
        ("strong_synthetic", 2, 20.0),
        ("unlabelled", 1, 10.0),
    ]


@_needs_scaper
def test_validation_clips_are_made_from_recordings_of_their_own(bank: Soundbank, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(bank.foreground / "Cat", other / "Cat")
    out = tmp_path / "out"
    done = _call(bank, out, "--clips", "0", "--validation", "3", "--validation-foreground", str(other), "--json")
    (split,) = json.loads(done.stdout)["splits"]
    assert set(split["events"]) == {"Cat"}


@pytest.mark.parametrize(
    ("more", "says"),
    [(("--clips", "0"), "no clips are asked for"), (("--validation", "5"), "needs recordings of its own")],
)
def test_wrong_use_is_one_clear_line(bank: Soundbank, tmp_path: Path, more: tuple[str, ...], says: str) -> None:
    done = _call(bank, tmp_path / "out", *more)
    assert isinstance(done.exception, DataError)
    assert says in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_without_scaper_the_command_says_what_to_install(bank: Soundbank, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scaper", None)
    done = _call(bank, tmp_path / "out")
    assert isinstance(done.exception, DataError)
    assert "scaper is not installed (pip install 'keras_mtl[train,scaper]'" in str(done.exception)
