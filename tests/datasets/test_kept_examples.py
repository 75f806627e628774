"""Whoever reads the recordings (this process, several, a pipeline, or an attempt that was interrupted): one census."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow_datasets as tfds

from keras_mtl.core import DataError
from keras_mtl.datasets import open_corpus
from keras_mtl.datasets.desed.desed_dataset_builder import Builder as Desed
from keras_mtl.datasets.prepare import Census, beam_options, in_processes, in_turn, quiet

_HOW: dict[str, Callable[[], dict[str, Any]]] = {
    "in turn": lambda: {"workers": in_turn},
    "in processes": lambda: {"workers": in_processes(2)},
    "beam": lambda: {"beam": beam_options("runner=DirectRunner")},
}


@pytest.fixture(params=_HOW)
def how(request) -> dict[str, Any]:
    if request.param == "beam" and importlib.util.find_spec("apache_beam") is None:
        pytest.skip("Apache Beam is not in the locked environment")
    return _HOW[request.param]()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch) -> None:
    """Parts of two event clips."""
    monkeypatch.setattr("keras_mtl.datasets.prepare.kept_examples._PART_SECONDS", 20)


@pytest.fixture
def odd_folder(desed_folder: Path, write_tone) -> Path:
    """Unlabelled clips of which many had to be changed."""
    for number in range(7):
        seconds = 9.0 if number % 2 else 11.0
        write_tone(desed_folder / f"audio/train/unlabel_in_domain/odd{number}.wav", seconds=seconds, rate_hz=8000)
    return desed_folder


def _census(folder: Path) -> dict[str, Any]:
    (metadata,) = folder.rglob("metadata.json")
    return json.loads(metadata.read_text())["census"]


def _by_tfds(folder: Path, out: Path) -> dict[str, Any]:
    """The census of TFDS's own preparation, which makes the examples one after the other."""
    with quiet():
        Desed(data_dir=out).download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder))
    return _census(out)


def test_whoever_reads_counts_and_names_the_same(odd_folder: Path, cache: Path, tmp_path: Path, how) -> None:
    expected = _by_tfds(odd_folder, tmp_path / "tfds")
    odd = expected["unlabelled"]
    assert (odd["clips"], odd["padded"], odd["cut"], odd["upsampled"]) == (8, 3, 5, 7)
    assert odd["names"]["upsampled"] == [f"odd{number}.wav" for number in range(5)]
    assert expected["strong_synthetic"]["names"]["clipped_events"] == ["1.wav"]
    open_corpus(odd_folder, cache, progress=False, **how)
    assert _census(cache) == expected


def test_whoever_reads_refuses_every_unreadable_recording(odd_folder: Path, cache: Path, how, caplog) -> None:
    for number in (1, 4, 6):
        (odd_folder / f"audio/train/unlabel_in_domain/odd{number}.wav").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        open_corpus(odd_folder, cache, progress=False, **how)
    assert "odd1.wav is empty (0 bytes) (and 2 more in desed/" in caught.value.message
    assert caught.value.hint == "remove such a file or get it again; missing files are skipped"
    for number in (4, 6):
        assert f"odd{number}.wav is empty (0 bytes)" in caplog.text
    assert [path for path in cache.rglob("*") if path.is_file() and "digests" not in path.parts] == []


def test_an_interrupt_leaves_parts_that_count_for_the_next_attempt(odd_folder: Path, cache: Path, tmp_path) -> None:
    def until_interrupted(function, tasks):
        if len(tasks) > 2:  # the unlabelled clips; splits before them are done by then
            yield function(tasks[0])
            yield function(tasks[2])
            raise KeyboardInterrupt
        yield from map(function, tasks)

    with pytest.raises(KeyboardInterrupt):
        open_corpus(odd_folder, cache, progress=False, workers=until_interrupted)
    kept = {path.name for path in cache.rglob("unlabelled-*.npz")}
    assert kept == {"unlabelled-0-2.npz", "unlabelled-4-6.npz"}
    done: list[Any] = []

    def noting(function, tasks):
        done.extend(tasks)
        return map(function, tasks)

    open_corpus(odd_folder, cache, progress=False, workers=noting)
    assert {path.path.name for path in done} == {"unlabelled-2-4.npz", "unlabelled-6-8.npz"}
    assert _census(cache) == _by_tfds(odd_folder, tmp_path / "tfds")
    assert not list(cache.rglob(".kept*"))


def test_parts_that_outlived_their_data_set_are_removed(odd_folder: Path, cache: Path) -> None:
    open_corpus(odd_folder, cache, progress=False)
    (info,) = cache.rglob("dataset_info.json")
    home, config, version = info.parents[3], info.parents[1].name, info.parent.name
    left = home / f".kept-desed-{config}-{version}"
    left.mkdir()
    (left / "unlabelled-0-2.npz").write_bytes(b"of a process that was killed while it removed them")
    open_corpus(odd_folder, cache, progress=False)
    assert not left.exists()


def test_sorting_on_the_disk_gives_the_same_in_the_same_order(odd_folder: Path, tmp_path: Path, monkeypatch) -> None:
    clips = []
    for name, most in (("memory", 1 << 30), ("disk", 1)):
        monkeypatch.setattr("keras_mtl.datasets.prepare.preparation._SORTED_IN_MEMORY", most)
        corpus = open_corpus(odd_folder, tmp_path / name, progress=False)
        clips.append([(each["filename"], each["audio"].tobytes()) for each in corpus.events["unlabelled"]])
    assert len(clips[0]) == 8
    assert clips[0] == clips[1]


def test_a_census_travels_whole() -> None:
    first = Census(clips=3)
    first.count("padded", "a.wav")
    second = Census.load(json.loads(json.dumps(first.saved())))
    assert second == first
    second.count("padded", "b.wav")
    second.refuse("unreadable", "c.wav", DataError("c.wav is empty", hint="get it again"))
    taken = second.take()
    assert second == Census()
    first.add(Census.load(json.loads(json.dumps(taken.saved()))))
    assert (first.clips, first.padded, first.unreadable) == (6, 3, 1)
    assert first.names == {"padded": ["a.wav", "a.wav", "b.wav"], "unreadable": ["c.wav"]}
    assert [(error.message, error.hint) for error in first.refusals] == [("c.wav is empty", "get it again")]
