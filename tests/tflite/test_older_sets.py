"""Folders that versions before this one wrote (`tests/golden/sets`): the streaming ones are read, the others refused.

They were written by the code as it was before: networks of a few weights, made by hand, with outputs of TensorFlow Lite
Micro as golden data.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from keras_mtl.cli import group
from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.engines import run
from keras_mtl.tflite.artifact import Artifact, Recurrent, State, Stream, Wiring

STREAM = Stream(2, 1, 1, (State("conv", "state_1", "next_state_1", 3),), scene_hop=2)
SCENES = {"schedule": STREAM, "encoder": "encoder_step", "scene_head": "scene_head", "scene_ring": 4}
BOTH_WAYS = tuple(Recurrent(f"gru_{n}_forward", f"gru_{n}_backward") for n in (1, 2))
WIRINGS = {
    "joint": Wiring(
        **{**SCENES, "schedule": Stream(2, 1, 1, STREAM.states, 2, 12)},
        recurrent=BOTH_WAYS,
        classifiers="classifiers",
        shift=7,
        event_ring=12,
    ),
    "scenes": Wiring(**SCENES),
    "events": Wiring(
        schedule=STREAM,
        encoder="encoder_step",
        recurrent=(Recurrent("gru_1_forward"), Recurrent("gru_2_forward")),
        classifiers="classifiers",
        shift=7,
        look_ahead=2,
    ),
}


@pytest.fixture
def older(repository, tmp_path: Path):
    """A copy of a kept folder. Of two of them only `set.json` is kept: their files are those of the joint one."""

    def copy(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(repository.root / "tests/golden/sets/joint", folder)
        shutil.copytree(repository.root / "tests/golden/sets" / name, folder, dirs_exist_ok=True)
        return folder

    return copy


@pytest.mark.parametrize("part", WIRINGS)
def test_an_older_streaming_set_is_the_artifact_that_it_is_saved_as(older, tmp_path: Path, part):
    folder = older(part)
    artifact, written = Artifact.load(folder / "set.json"), json.loads((folder / "set.json").read_text())
    assert artifact.wiring == WIRINGS[part]
    renamed = {"schema", "part", "schedule", "wiring", "decoding", "smoothing"}
    assert {key: value for key, value in artifact.manifest.items() if key not in renamed} == {
        key: value for key, value in written.items() if key not in renamed
    }
    assert (artifact.facts.part, artifact.facts.get("schedule")) == (part, "stream")
    assert artifact.facts.labels.to_dict() == written["labels"]
    smoothing = {"scene_weight": written["smoothing"]["weight"], "scene_hold_calls": written["smoothing"]["hold"]}
    assert artifact.manifest["decoding"] == written["decoding"] | smoothing
    again = Artifact.load(artifact.save(tmp_path / "again"))
    assert (again.manifest, again.wiring) == (artifact.manifest, artifact.wiring)
    assert not (tmp_path / "again" / "set.json").exists()
    for name in artifact.members:
        assert again.members[name].content == artifact.members[name].content
        assert again.members[name].manifest == artifact.members[name].manifest
    for found, goal in ((again.golden.inputs, artifact.golden.inputs), (again.golden.outputs, artifact.golden.outputs)):
        assert [*found] == [*goal]
        for name in goal:
            np.testing.assert_array_equal(found[name], goal[name])


@pytest.mark.parametrize("part", WIRINGS)
def test_it_computes_what_it_computed(older, part):
    """To the bit: golden data are TensorFlow Lite Micro's own, driven by the version that wrote the set."""
    artifact = Artifact.load(older(part))
    found = run("tflm", artifact, artifact.golden.inputs).outputs
    assert {*artifact.golden.outputs} == {"scenes", "strong"} & {*found}
    for name, goal in artifact.golden.outputs.items():
        np.testing.assert_array_equal(found[name], goal)
        assert len(np.unique(goal)) > 10


def test_a_set_that_takes_windows_is_refused_with_what_to_convert(older, tmp_path: Path):
    folder = older("windows")
    with pytest.raises(ArtifactError, match="takes windows, which is not supported any more") as refused:
        Artifact.load(folder)
    assert refused.value.hint.startswith("keras_mtl convert RUN --part joint --format int8")
    assert "\n" not in str(refused.value)
    for arguments in (
        ["emulate", folder, "--target", "stm32h743"],
        ["bundle", folder, "--target", "stm32h743", "--out", tmp_path / "firmware"],
        ["evaluate", folder, "--data", "soundscapes:tiny"],
    ):
        done = CliRunner().invoke(group, [*map(str, arguments)])
        assert isinstance(done.exception, ArtifactError)
        assert done.exception.message == refused.value.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "keras_mtl.artifact_set/2"}, "has schema keras_mtl.artifact_set/2, not keras_mtl.artifact_set/1"),
        ({"schema": None}, "has schema None"),
        ({"wiring": 3}, "set.json is not the manifest of an artifact"),
        ({"members": {}}, "set.json is not the manifest of an artifact"),
        ({"rings": {}}, "rings is not what its members hold"),
    ],
    ids=str,
)
def test_a_changed_one_is_refused(older, change, message):
    folder = older("joint")
    manifest = json.loads((folder / "set.json").read_text())
    (folder / "set.json").write_text(json.dumps(manifest | change))
    with pytest.raises(ArtifactError, match=message):
        Artifact.load(folder)


@pytest.mark.parametrize("key", ["windows", "clip_frames", "scene_head", "recurrent"])
def test_one_whose_wiring_lacks_a_key_is_refused(older, key):
    folder = older("joint")
    manifest = json.loads((folder / "set.json").read_text())
    del manifest["wiring"][key]
    (folder / "set.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="is not the manifest of an artifact"):
        Artifact.load(folder)


@pytest.mark.parametrize("windows", [None, {"frames": 8, "stride": 0}, {"frames": "8", "stride": 2}, {}], ids=str)
def test_one_with_broken_windows_is_refused(older, windows):
    folder = older("joint")
    manifest = json.loads((folder / "set.json").read_text())
    manifest["wiring"]["windows"] = windows
    (folder / "set.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="is not the manifest of an artifact"):
        Artifact.load(folder)
