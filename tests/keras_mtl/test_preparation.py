"""Preparing ahead of a training: what is kept, what is verified, and what several processes do."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from keras_mtl import cli
from keras_mtl.core import DCASE, DataError, LogMelSettings
from keras_mtl.features import LogMel, MappedLogMel, event_set, prepare, scene_set
from keras_mtl.features.arrays import join, take
from keras_mtl.features.cache import open_log_mel
from keras_mtl.recipes import load_recipe

SETTINGS = LogMelSettings()
# Prepares like the command, in a process of its own; the first argument is the cache, the second a limit of file sizes.
PREPARE = """
import resource, sys
if sys.argv[2] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
sys.argv = ["keras_mtl", "data", "prepare", "soundscapes:tiny", "--cache", sys.argv[1], "--json"]
from keras_mtl.cli import main
main()
"""


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of eight scenes."""
    monkeypatch.setattr("keras_mtl.features.cache._SHARD_SECONDS", 8)


def shards_of(cache, split="soundscapes_train"):
    return sorted(next((cache / "log_mel").glob(f"*/*/{split}")).glob("levels-*.npy"))


def test_levels_are_rows_of_their_parts():
    parts = [np.arange(24, dtype=np.float16).reshape(4, 2, 3), np.arange(100, 112, dtype=np.float16).reshape(2, 2, 3)]
    whole, levels = np.concatenate(parts), MappedLogMel(parts)
    assert levels.shape == whole.shape
    np.testing.assert_array_equal(np.asarray(levels), whole)
    np.testing.assert_array_equal(levels[5], whole[5])
    np.testing.assert_array_equal(levels[3:5], whole[3:5])
    index = np.asarray([5, 0, 5, 3])
    np.testing.assert_array_equal(levels[index], whole[index])
    np.testing.assert_array_equal(take(levels, index)[1:], whole[index][1:])
    both = join(take(levels, index), levels)
    np.testing.assert_array_equal(both[:], np.concatenate([whole[index], whole]))


def test_a_training_reads_what_was_prepared(cache, corpus, tmp_path, small_shards):
    document = prepare("soundscapes:tiny", [load_recipe("mt")], tmp_path)
    assert document["fingerprint"] == corpus.fingerprint
    rows = {row["name"]: row for row in document["splits"]}
    assert (rows["soundscapes/train"]["clips"], rows["soundscapes/train"]["shards"]) == (40, 5)
    assert all(row["computed"] == row["shards"] for row in rows.values())
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("levels-*")}
    scenes = scene_set(corpus, "train", SETTINGS, tmp_path)
    event_set(corpus, "validation", SETTINGS, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("levels-*")} == written
    again = prepare("soundscapes:tiny", [load_recipe("mt")], tmp_path)
    assert {row["computed"] for row in again["splits"]} == {0}
    log_mel = LogMel(SETTINGS)
    for number, example in enumerate(corpus.scenes["train"]):
        # How many clips share a call decides about the last bit.
        expected = log_mel(example["audio"][None])[0]
        np.testing.assert_allclose(scenes.log_mel[number], expected, rtol=1e-3, atol=0.01)
        assert scenes.filenames[number] == example["filename"]


def test_recipes_of_other_labels_are_each_prepared(tmp_path):
    turned = load_recipe("cnn", [f"labels.scenes={json.dumps(DCASE.scenes[::-1])}"])
    rows = prepare("soundscapes:tiny", [load_recipe("cnn"), turned, turned], tmp_path)["splits"]
    assert [row["name"] for row in rows] == ["soundscapes/train", "soundscapes/test"] * 2
    assert all(row["computed"] == row["shards"] for row in rows)


def test_what_is_missing_or_damaged_is_computed_anew(corpus, tmp_path, small_shards, caplog):
    clips = corpus.scenes["train"]
    first = open_log_mel(clips, corpus.fingerprint, SETTINGS, tmp_path)
    expected, paths = first.log_mel[:], shards_of(tmp_path)
    content = paths[1].read_bytes()
    paths[0].unlink()
    paths[1].write_bytes(content[:-1000] + bytes([content[-1000] ^ 1]) + content[-999:])
    paths[2].write_bytes(content[: len(content) // 2])
    facts = paths[3].with_suffix(".json")
    facts.write_text(facts.read_text().replace('"scene": ', '"scene": 1', 1))
    kept = paths[4].stat().st_mtime_ns
    earlier = [facts.with_name(name) for name in ("levels.npy", "labels.json")]
    for path in earlier:
        path.write_bytes(b"of an earlier version")
    again = open_log_mel(clips, corpus.fingerprint, SETTINGS, tmp_path)
    assert (again.shards, again.computed) == (5, 4)
    np.testing.assert_array_equal(again.log_mel[:], expected)
    assert again.labels == first.labels
    assert not any(path.exists() for path in earlier)
    assert paths[4].stat().st_mtime_ns == kept
    assert "levels-00001.npy is damaged" in caplog.text


@pytest.mark.slow
def test_several_processes_compute_the_same(corpus, tmp_path):
    alone = prepare("soundscapes:tiny", [load_recipe("mt")], tmp_path / "alone")
    several = prepare("soundscapes:tiny", [load_recipe("mt")], tmp_path / "several", jobs=2)
    assert [row["clips"] for row in alone["splits"]] == [row["clips"] for row in several["splits"]]
    for path in (tmp_path / "alone" / "log_mel").rglob("levels-*"):
        assert (tmp_path / "several" / path.relative_to(tmp_path / "alone")).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_two_at_once_both_succeed(tmp_path):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE, str(tmp_path), "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    documents = []
    for process in both:
        out, err = process.communicate()
        assert process.returncode == 0, err
        documents.append(json.loads(out))
    assert documents[0]["fingerprint"] == documents[1]["fingerprint"]
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith((".kept", ".levels", "incomplete"))]


def test_a_disk_that_fills_gives_one_line_and_nothing_half_written(cache, corpus, tmp_path):
    """The limit of file sizes makes real writes fail; the clips are there, the features are too large."""
    (tmp_path / "tfds").symlink_to(cache / "tfds")
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, str(tmp_path), "100000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if "warn" not in line.lower()]
    assert line.startswith("error: features can't be written to")
    assert "KERAS_MTL_CACHE" in line
    assert not [path for path in (tmp_path / "log_mel").rglob("*") if path.is_file()]


def test_beam_is_asked_for_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"Apache Beam is not installed \(pip install 'keras_mtl\[train,beam\]'"):
        CliRunner().invoke(
            cli.group,
            ["data", "prepare", "soundscapes:tiny", "--cache", str(tmp_path), "--beam_pipeline_options", "x=y"],
            catch_exceptions=False,
        )


@pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None,
    reason="Apache Beam is not in the locked environment: it wants older versions of protobuf and pyarrow",
)
def test_a_beam_pipeline_prepares_the_same(tmp_path):
    recipes = [load_recipe("mt")]
    alone = prepare("soundscapes:tiny", recipes, tmp_path / "alone")
    beam = prepare("soundscapes:tiny", recipes, tmp_path / "beam", beam="runner=DirectRunner")
    assert [row["name"] for row in beam["splits"]] == [row["name"] for row in alone["splits"]]
    for path in (tmp_path / "alone" / "log_mel").rglob("levels-*"):
        assert (tmp_path / "beam" / path.relative_to(tmp_path / "alone")).read_bytes() == path.read_bytes()
