"""Mixtures that are made ahead: the same with any number of processes, and none of these is left behind."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_mtl.core import DataError, LogMelSettings, TrainingError
from keras_mtl.datasets import Corpus, DataSettings, open_corpus
from keras_mtl.datasets.mixing import Mixer
from keras_mtl.features import Feeder, FreshMixtures, occurrence
from keras_mtl.recipes import load_recipe
from keras_mtl.training import EventStream, TrainingData, as_dataset, load_training_data
from keras_mtl.training.waiting import Waiting

_RATE_HZ, _CLIP_S = 16_000, 1.0
_DATA = DataSettings(event_clip_s=_CLIP_S, mixed_clips=6, fresh_mixtures=True, vary=True)
_PASSES = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_tone: Callable[..., Path]) -> Path:
    """A DESED folder of a few clips, with a soundbank."""
    root = tmp_path_factory.mktemp("feeder") / "desed"
    clips = root / "dcase_synth/audio/train/synthetic21_train/soundscapes"
    table = root / "dcase_synth/metadata/train/synthetic21_train/soundscapes.tsv"
    for number in range(4):
        write_tone(clips / f"{number}.wav", 500.0, _CLIP_S)
    table.parent.mkdir(parents=True)
    rows = "".join(f"{number}.wav\t0.1\t0.5\tDog\n" for number in range(4))
    table.write_text("filename\tonset\toffset\tevent_label\n" + rows)
    bank = root / "audio/train/soundbank"
    for hz, name in ((700.0, "foreground/Dog"), (1500.0, "foreground/Cat"), (90.0, "background/hall")):
        for number in range(2):
            write_tone(bank / name / f"{number}.wav", hz + 20 * number, 0.3 if hz > 100 else 2.0)
    return root


@pytest.fixture(scope="module")
def corpus(folder: Path, cache: Path) -> Corpus:
    return open_corpus(folder, cache / "tfds", progress=False, settings=_DATA)


def _data(corpus: Corpus, cache: Path, workers: int = 0) -> TrainingData:
    recipe = replace(load_recipe("mt", ["train.validation_fraction=0.25"]), data=_DATA)
    return load_training_data(recipe, corpus, {"events"}, cache, workers)


def _stream(data: TrainingData) -> EventStream:
    return EventStream(data.events, {"strong": 4}, data.settings, data.labels.events, 4, 0, 25)


def _feeder(data: TrainingData) -> Feeder:
    strong = data.events["strong"]
    assert isinstance(strong, FreshMixtures)
    return strong.feeder


def _processes(feeder: Feeder) -> list[int]:
    assert feeder._pool is not None
    return list(feeder._pool._processes)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def fed(corpus: Corpus, cache: Path) -> Iterator[TrainingData]:
    data = _data(corpus, cache, workers=1)
    with data.feeding():
        yield data


def test_a_soundbank_s_clips_are_trained_on_and_not_held_out(corpus: Corpus, cache: Path) -> None:
    data = _data(corpus, cache)
    names = data.events["strong"].filenames.tolist()
    assert (len(names), sum(name.startswith("mixed/") for name in names)) == (3 + 6, 6)
    assert data.held_out_events is not None
    assert not any(name.startswith("mixed/") for name in data.held_out_events.filenames)
    strong, place = data.events["strong"], names.index("mixed/soundbank-000002")
    assert corpus.mixer is not None
    found = occurrence(data.events["strong"], corpus.mixer.clip_s)
    assert found is not None and set(found.durations_s) <= set(corpus.labels.events)
    mixers = (corpus.mixer, replace(corpus.mixer, occurrence=found))  # what is stored is mixed without it
    for passed, mixer in enumerate(mixers):
        (log_mel, events), (_, expected) = strong.clip(place, passed), mixer.clip(2, passed)
        assert log_mel.dtype == np.float16 and log_mel.shape == (100, 128)
        assert [event.label for event in events] == [event.label for event in expected]
    assert not np.array_equal(strong.clip(place, 0)[0], strong.clip(place, 1)[0])
    place = next(place for place, name in enumerate(names) if not name.startswith("mixed/"))
    np.testing.assert_array_equal(strong.clip(place, 4)[0], strong.clip(place, 0)[0])


def test_batches_are_the_same_with_any_number_of_processes(corpus: Corpus, cache: Path) -> None:
    """With two here, with one below."""
    alone, data = _stream(_data(corpus, cache)), _data(corpus, cache, workers=2)
    steps = _PASSES * alone.steps
    with data.feeding():
        stream = _stream(data)
        # Taken up within the second pass, as a resumed training is, then asked again for what it did before.
        for step in (*range(4, steps), 0, 4):
            ours, theirs = stream(step), alone(step)
            assert ours.keys() == theirs.keys()
            for key, value in ours.items():
                assert value.tobytes() == theirs[key].tobytes(), (step, key)
        processes = _processes(_feeder(data))
        assert len(processes) == 2
        assert len(_feeder(data)._pending) <= 256
    assert not any(map(_alive, processes)), "they end with the training"
    assert stream(steps)["log_mel"].tobytes() == alone(steps)["log_mel"].tobytes()


def test_a_dataset_taken_up_later_goes_on(fed: TrainingData, corpus: Corpus, cache: Path) -> None:
    arrived: list[int] = []
    dataset = as_dataset({"events": _stream(fed)}, 5, 4, lambda: arrived.append(1))
    rest = list(dataset.as_numpy_iterator())
    whole = list(as_dataset({"events": _stream(_data(corpus, cache))}, 0, 9).as_numpy_iterator())
    assert len(arrived) == 4
    for ours, theirs in zip(rest, whole[5:], strict=True):
        for key, value in ours["events"].items():
            np.testing.assert_array_equal(value, theirs["events"][key])


def test_a_killed_process_is_one_clear_line(corpus: Corpus, cache: Path) -> None:
    data = _data(corpus, cache, workers=1)
    stream = _stream(data)
    dataset = as_dataset({"events": stream}, 3, 60)
    processes: list[int] = []
    with pytest.raises(TrainingError) as raised, data.feeding():
        for number, _ in enumerate(dataset):
            if number == 1:
                processes = _processes(_feeder(data))
                os.kill(processes[0], signal.SIGKILL)
    assert raised.value.message == "a process that mixes clips has ended unexpectedly"
    assert "--jobs 0" in raised.value.hint
    assert not any(map(_alive, processes))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_recording_is_named(folder: Path, tmp_path: Path, cache: Path, corpus: Corpus, workers: int) -> None:
    bad = shutil.copytree(folder, tmp_path / "desed")
    for path in (bad / "audio/train/soundbank/foreground").rglob("*.wav"):
        soundfile.write(path, np.zeros(8000), _RATE_HZ)
    data = _data(corpus, cache)
    mixer = open_corpus(bad, cache / "tfds", progress=False, settings=_DATA).mixer
    assert mixer is not None
    feeder = Feeder(mixer, data.settings.normalised(0.0, 1.0), workers)
    data = replace(data, events={"strong": FreshMixtures.of(data.events["strong"], feeder)})
    with pytest.raises(DataError, match="is silent") as raised, data.feeding():
        list(as_dataset({"events": _stream(data)}, 3, 3))
    assert "\n" not in str(raised.value) and raised.value.hint


def test_other_errors_and_interrupts_end_the_processes(corpus: Corpus, cache: Path) -> None:
    data = _data(corpus, cache, workers=1)
    processes: list[int] = []
    with pytest.raises(KeyboardInterrupt), data.feeding():
        _stream(data)(4)
        processes = _processes(_feeder(data))
        raise KeyboardInterrupt
    assert processes and not any(map(_alive, processes))


def test_what_is_no_longer_wanted_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pool:
        def __init__(self) -> None:
            self.asked: list[tuple[int, int]] = []

        def submit(self, _: object, wanted: tuple[int, int]) -> Future:
            self.asked.append(wanted)
            return Future()

    pool = Pool()
    monkeypatch.setattr("keras_mtl.features.feeder.open_pool", lambda *_: pool)
    feeder = Feeder(Mixer({}, (), 1.0, _RATE_HZ, (0.0, 1.0), (0,)), LogMelSettings(), 1)
    feeder.ahead([(3, 1), (1, 1)])
    kept, dropped = feeder._pending[1, 1], feeder._pending[3, 1]
    feeder.ahead([(1, 1), (2, 1)])
    assert pool.asked == [(3, 1), (1, 1), (2, 1)]
    assert feeder._pending.keys() == {(1, 1), (2, 1)}
    assert dropped.cancelled() and not kept.cancelled()


def test_processes_do_without_tensorflow(run_python) -> None:
    code = "import json, sys, keras_mtl.features.feeder; print(json.dumps(sorted(sys.modules)))"
    assert {"tensorflow", "keras", "tensorflow_datasets"}.isdisjoint(run_python(code))


def test_waiting_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr("keras_mtl.training.waiting.time.perf_counter", lambda: now[0])
    waiting = Waiting()
    assert waiting.fraction is None
    waiting.on_train_begin()
    for epoch, waits in enumerate(((50.0, 1.0, 0.0), (0.0, 0.0, 2.0))):
        waiting.on_epoch_begin(epoch)
        for step, wait_s in enumerate(waits):
            with waiting.computing():
                now[0] += 0.25  # before the batch is asked for: no part of the wait
            waiting.on_train_batch_begin(step)
            now[0] += wait_s
            with waiting.computing():  # and this is no waiting
                now[0] += 0.5
            waiting.got_batch()
            now[0] += 1.5
            waiting.on_train_batch_end(step)
        waiting.on_epoch_end(epoch)
        now[0] += 100.0  # held-out clips
    assert waiting.fraction == pytest.approx(3.0 / 13.0)
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == [
        "20.0% of 5 s waited for data",
        "25.0% of 8 s waited for data",
    ]
