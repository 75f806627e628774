"""Damaged files and manifests through `keras_mtl emulate`: refused, failed or harmless, and never a crash or a hang.

A sample runs with the other tests, all of it by `make test-fuzz`. The variable KERAS_MTL_FUZZ_SEEDS names a folder of
`.tflite` files and streaming artifacts of one's own that are damaged as well.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import file_mutations
import manifest_mutations
import numpy as np
import pytest
from small_artifacts import Maker, make_streaming

from keras_mtl.core import KerasMtlError
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import MANIFEST, Artifact, Member
from keras_mtl.tflite.artifact.golden import pack_rows

_FILES, _MANIFESTS = 2000, 500
_MEMBERS = 200
#: Nearly all of these can't be read, so that the interpreters never see them.
_SELDOM_READ = ("cut", "cut_out", "put_in", "flip_bits", "swap_words", "flip_structure", "wild_words")
#: A board, which TFLM must run for, as often as a budget.
_TARGETS = ("stm32h743", "dcase-asc")


def _own(pattern: str) -> list[Path]:
    folder = os.environ.get("KERAS_MTL_FUZZ_SEEDS")
    return sorted(Path(folder).glob(pattern)) if folder else []


@pytest.fixture(scope="module")
def seeds(make_artifact, odd_models, builder) -> dict[str, Artifact]:
    """Sound artifacts: all formats, two inputs and outputs, a step of a recurrent layer."""
    made = {fmt: make_artifact(fmt) for fmt in ("int8", "int16x8", "float32", "float16")}
    facts = {"part": "unknown", "audio_seconds": 1.0}
    others = {name: odd_models[name] for name in ("several_ports", "depthwise")}
    others["cell"] = Maker(builder, np.random.default_rng(3)).cell(8, 1 / 32)
    made |= {name: Artifact.build(content, facts) for name, content in others.items()}
    return made | {path.stem: Artifact.load(path) for path in _own("*.tflite") + _own("*/*.tflite")}


@pytest.fixture(scope="module")
def folders(builder, tmp_path_factory) -> list[Path]:
    """Folders of sound streaming artifacts."""
    made = make_streaming(builder, "int8").save(tmp_path_factory.mktemp("artifacts") / "small")
    return [made, *(path.parent for path in _own(f"*/{MANIFEST}"))]


def _damaged_files(seeds: dict[str, Artifact], count: int, folder: Path) -> Iterator[tuple[str, Path, str]]:
    folder.mkdir()
    names, ways = list(seeds), list(file_mutations.MUTATIONS.items())
    for number in range(count):
        random = np.random.default_rng([1, number])
        seed, (way, mutate) = seeds[names[number % len(names)]], ways[number // 2 % len(ways)]
        content = mutate(seed.network.content, random)
        path = folder / f"{number}.tflite"
        if number % 3:
            path.write_bytes(content)  # by itself: random inputs
        else:
            _save_with_sidecars(content, seed, path)
        yield f"{number} {way} of {names[number % len(names)]}", path, _TARGETS[number % 2]
        for left in folder.glob(f"{number}.*"):
            left.unlink()


def _save_with_sidecars(content: bytes, seed: Artifact, path: Path) -> None:
    """As somebody would make them for the damaged file, as far as it can be read."""
    path.write_bytes(content)
    digest = ""
    try:
        member = _damaged(content, seed.network)
        manifest, digest = member.manifest, member.sha256
    except KerasMtlError:
        manifest = {**seed.manifest, "sha256": digest, "file_bytes": len(content)}
    path.with_suffix(".manifest.json").write_text(json.dumps(manifest))
    if seed.golden is not None:
        path.with_suffix(".golden.npz").write_bytes(pack_rows(seed.golden, digest))


def _damaged(content: bytes, sound: Member) -> Member:
    """A damaged file of which the same is said as of the sound one."""
    return Member(sound.name, content, flatbuffer.read_model(content), sound.facts)


def _damaged_manifests(
    seeds: dict[str, Artifact], folders: list[Path], count: int, folder: Path
) -> Iterator[tuple[str, Path, str]]:
    folder.mkdir()
    ways = list(manifest_mutations.MUTATIONS.items())
    files = [seed.save(folder / f"{name}.tflite") for name, seed in seeds.items()]
    copies = [shutil.copytree(made, folder / f"streaming_{number}") for number, made in enumerate(folders)]
    for number in range(count):
        random = np.random.default_rng([2, number])
        path = copies[number // 2 % len(copies)] if number % 2 else files[number // 2 % len(files)]
        manifest = path / MANIFEST if number % 2 else path.with_suffix(".manifest.json")
        sound, (way, mutate) = manifest.read_bytes(), ways[number // 2 % len(ways)]
        manifest.write_bytes(mutate(sound, random))
        yield f"{number} {way} of {manifest.name}", path, _TARGETS[number // 2 % 2]
        manifest.write_bytes(sound)


def _damaged_members(made: Path, count: int, folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Artifacts of which one member is damaged, and all that is said of it is so: the interpreters get to see it."""
    folder.mkdir()
    sound, ways = Artifact.load(made), [name for name in file_mutations.MUTATIONS if name not in _SELDOM_READ]
    number = 0
    for trial in itertools.count():
        random, way = np.random.default_rng([3, trial]), ways[trial % len(ways)]
        name = sound.wiring.members[int(random.integers(len(sound.members)))]
        content = file_mutations.MUTATIONS[way](sound.members[name].content, random)
        # One of which no artifact can be made.
        with contextlib.suppress(KerasMtlError, TypeError, LookupError, ValueError, ArithmeticError):
            members = {**sound.members, name: _damaged(content, sound.members[name])}
            changed = Artifact.streaming(members, sound.wiring, dict(sound.facts.values), sound.golden)
            path = changed.save(folder / str(trial))
            yield f"{trial} {way} of {name} of several", path, "dcase-asc"
            shutil.rmtree(path)
            number += 1
        if number == count:
            return


def test_sound_seeds_are_run(seeds, folders, tmp_path, emulations):
    """The seeds themselves come through, so that what fails below fails by its damage."""
    paths = {name: seed.save(tmp_path / f"{name}.tflite") for name, seed in seeds.items()}
    calls = [(name, paths[name], "dcase-asc") for name in ("int8", "cell")] + [("streaming", folders[0], "dcase-asc")]
    assert [(outcome.name, outcome.kind) for outcome in emulations(calls, timeout_s=60)] == [
        ("int8", "passed"),
        ("cell", "passed"),
        ("streaming", "passed"),
    ]


def test_a_sample_of_damaged_files(seeds, tmp_path, require_sound):
    outcomes = require_sound(_damaged_files(seeds, len(file_mutations.MUTATIONS), tmp_path / "files"))
    assert {outcome.kind for outcome in outcomes} >= {"refused", "failed"}


def test_a_sample_of_damaged_manifests(seeds, folders, tmp_path, require_sound):
    outcomes = require_sound(_damaged_manifests(seeds, folders, 50, tmp_path / "manifests"))
    assert sum(outcome.kind == "refused" for outcome in outcomes) > 30


def test_a_sample_of_artifacts_with_a_damaged_member(folders, tmp_path, require_sound):
    require_sound(_damaged_members(folders[0], 4, tmp_path / "members"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_artifacts_with_a_damaged_member(folders, tmp_path, require_sound):
    require_sound(_damaged_members(folders[0], _MEMBERS, tmp_path / "members"))


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_all_damaged_files(seeds, tmp_path, require_sound):
    assert len(require_sound(_damaged_files(seeds, _FILES, tmp_path / "files"))) == _FILES


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_damaged_manifests(seeds, folders, tmp_path, require_sound):
    assert len(require_sound(_damaged_manifests(seeds, folders, _MANIFESTS, tmp_path / "manifests"))) == _MANIFESTS
