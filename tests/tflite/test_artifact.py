"""Artifacts: saved, read back, refused when damaged; and none of it needs TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_mtl.core import DCASE, ArtifactError
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import METADATA_NAME, Artifact, Member, Port, Wiring

INT8 = Port("x", "int8", (1, 2, 3), 0.5, 3)
FLOAT = Port("x", "float32", (1, 2, 3))


def test_saved_artifact_is_read_back(artifacts, saved):
    for kind in ("float16", "int8"):
        made, loaded = artifacts[kind], Artifact.load(saved(kind))
        assert loaded.network.content == made.network.content
        assert loaded.manifest == made.manifest
        assert loaded.wiring == made.wiring == Wiring()
        for read, written in ((loaded.golden.inputs, made.golden.inputs), (loaded.golden.outputs, made.golden.outputs)):
            (name,) = written
            np.testing.assert_array_equal(read[name], written[name])
            assert [*read] == [name]


@pytest.mark.parametrize("ending", [".manifest.json", ".golden.npz"])
@pytest.mark.parametrize("content", [b"mine", b"{}", b'{"schema": 3}', None])
def test_what_only_has_a_sidecar_s_name_is_kept(artifacts, tmp_path: Path, ending, content):
    model, theirs = tmp_path / "model.tflite", tmp_path / f"model{ending}"
    if content is None:
        np.savez(tmp_path / "theirs.npz", weights=np.arange(3))
        content = (tmp_path / "theirs.npz").read_bytes()
        (tmp_path / "theirs.npz").unlink()
    theirs.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{theirs.name} is there, and is no artifact's"):
        artifacts["int8"].save(model)
    assert theirs.read_bytes() == content
    assert list(tmp_path.iterdir()) == [theirs]


def test_an_artifact_s_own_sidecars_are_replaced(artifacts, saved):
    """Without golden data the old ones go: they would be another file's."""
    path = saved("int8")
    assert len(list(path.parent.iterdir())) == 3
    assert Artifact.of_member(artifacts["int16x8"].network).save(path) == path
    assert sorted(each.name for each in path.parent.iterdir()) == ["scenes.int8.manifest.json", "scenes.int8.tflite"]
    assert Artifact.load(path).facts.format == "int16x8"


def test_a_lone_file_still_says_what_it_is(artifacts, saved):
    path = saved("int8")
    path.with_suffix(".manifest.json").unlink()
    path.with_suffix(".golden.npz").unlink()
    loaded = Artifact.load(path)
    # Where it came from in full stands beside the file, not in it: it would lie in the device's flash.
    assert loaded.manifest == {k: v for k, v in artifacts["int8"].manifest.items() if k not in ("recipe", "metrics")}
    assert loaded.golden is None


def test_a_file_of_others_is_described(artifacts, tmp_path: Path):
    model = flatbuffer.read_model(artifacts["int8"].network.content)
    model.metadata = [entry for entry in model.metadata if flatbuffer.text(entry.name) != METADATA_NAME]
    path = tmp_path / "foreign.tflite"
    path.write_bytes(flatbuffer.write_model(model))
    manifest = Artifact.load(path).manifest
    assert manifest["part"] == "unknown"
    assert manifest["macs_per_second"] is None  # it says nothing of how often it runs
    assert Artifact.load(path).every(0.5).manifest["macs_per_second"] == 2 * 28_897_840
    assert manifest["inputs"] == artifacts["int8"].manifest["inputs"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"RIFF or any other text, long enough", "not a TFLite file"),
        (b"\x10\x00\x00\x00TFL3" + b"\xff" * 40, "cut off or corrupt"),
    ],
)
def test_what_is_no_model_is_one_clear_line(tmp_path: Path, content, message):
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=message) as caught:
        Artifact.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_cut_missing_and_empty_models(artifacts, saved, tmp_path: Path):
    content = artifacts["int8"].network.content
    for length in (9, 100, len(content) // 2, len(content) - 4096):
        path = tmp_path / f"cut{length}.tflite"
        path.write_bytes(content[:length])
        with pytest.raises(ArtifactError, match="cut off or corrupt"):
            Artifact.load(path)
    with pytest.raises(ArtifactError, match=r"can't read .*No such file"):
        Artifact.load(tmp_path / "missing.tflite")
    model = flatbuffer.read_model(content)
    model.subgraphs = []
    (tmp_path / "none.tflite").write_bytes(flatbuffer.write_model(model))
    with pytest.raises(ArtifactError, match="no subgraph"):
        Artifact.load(tmp_path / "none.tflite")


def _no_such_input(model):
    model.subgraphs[0].inputs = [999]


def _no_such_tensor(model):
    model.subgraphs[0].operators[3].inputs = [0, 999]


def _no_such_buffer(model):
    model.subgraphs[0].tensors[2].buffer = 999


def _no_such_code(model):
    model.subgraphs[0].operators[1].opcodeIndex = 99


def _no_such_metadata(model):
    model.metadata[0].buffer = 999


@pytest.mark.parametrize("damage", [_no_such_input, _no_such_tensor, _no_such_buffer, _no_such_code, _no_such_metadata])
def test_indices_that_lead_nowhere_are_named(artifacts, tmp_path: Path, damage):
    model = flatbuffer.read_model(artifacts["int8"].network.content)
    damage(model)
    (tmp_path / "bad.tflite").write_bytes(flatbuffer.write_model(model))
    with pytest.raises(ArtifactError, match=r"bad.tflite: the TFLite file is corrupt: \w+"):
        Artifact.load(tmp_path / "bad.tflite")


def test_damaged_bytes_are_read_or_refused(artifacts):
    """Whatever bytes of the tables are wrong: the file is described, or refused by one of our errors."""
    content, generator, refused = artifacts["int8"].network.content, np.random.default_rng(7), 0
    for _ in range(150):
        damaged = bytearray(content)
        for place in generator.integers(1, 9000, generator.integers(1, 9)):
            damaged[-place] = generator.integers(256)
        try:
            assert Member("network", bytes(damaged), flatbuffer.read_model(bytes(damaged))).manifest
        except ArtifactError:
            refused += 1
    assert 0 < refused < 150


def test_sidecars_of_another_file_are_refused(saved):
    path = saved("int8")
    path.with_suffix(".golden.npz").write_bytes(saved("int16x8").with_suffix(".golden.npz").read_bytes())
    with pytest.raises(ArtifactError, match=r"golden.npz belongs to another file"):
        Artifact.load(path)
    path.with_suffix(".golden.npz").write_text("no arrays")
    with pytest.raises(ArtifactError, match=r"golden.npz can't be read"):
        Artifact.load(path)
    path.with_suffix(".golden.npz").unlink()
    path = saved("int8")
    manifest = json.loads(path.with_suffix(".manifest.json").read_text())
    path.with_suffix(".manifest.json").write_text(json.dumps({**manifest, "sha256": "0" * 64}))
    with pytest.raises(ArtifactError, match="describes another file"):
        Artifact.load(path)
    path.with_suffix(".manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match="manifest can't be read"):
        Artifact.load(path)


@pytest.mark.parametrize(
    ("scenes", "message"),
    [
        (DCASE.scenes[:9], r"the manifest names 9 scenes, the network's output is \(1, 10\)"),
        ((*DCASE.scenes, "quay"), "the manifest names 11 scenes"),
        ((), "the manifest names 0 scenes"),
        ((*DCASE.scenes[:9], "BUS"), "its manifest's labels.scenes: 'bus' and 'BUS' are one name"),
        ((*DCASE.scenes[:9], " quay"), "its manifest's labels.scenes: ' quay' is empty, or begins or ends with a sp"),
    ],
)
def test_a_list_of_classes_that_is_not_the_networks_is_refused(artifacts, saved, scenes, message):
    path = saved("int8")
    sidecar = path.with_suffix(".manifest.json")
    manifest = json.loads(sidecar.read_text()) | {"labels": {"scenes": list(scenes)}}
    sidecar.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=message) as refused:
        Artifact.load(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)
    facts = artifacts["int8"].facts.values | {"labels": {"scenes": list(scenes)}}
    with pytest.raises(ArtifactError, match=message):
        Artifact.build(artifacts["int8"].network.content, facts)


def test_a_place_that_cannot_be_written_is_one_clear_line(artifacts, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="can't write"):
        artifacts["int8"].save(tmp_path / "file" / "scenes.tflite")


def test_a_port_rounds_and_saturates():
    values = np.array([-100.0, -0.26, 0.0, 0.25, 0.75, 100.0])
    integers = INT8.quantize(values)
    assert integers.dtype == np.int8
    assert integers.tolist() == [-128, 2, 3, 3, 5, 127]
    real = INT8.dequantize(integers)
    assert real.dtype == np.float32
    assert real.tolist() == [-65.5, -0.5, 0.0, 0.0, 1.0, 62.0]
    for found in (FLOAT.quantize(values), FLOAT.dequantize(values)):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, values.astype(np.float32))


def test_zeros_of_a_port_stand_for_zero():
    assert INT8.zeros().tolist() == [[[3] * 3] * 2]
    assert not INT8.dequantize(INT8.zeros()).any()
    assert FLOAT.zeros().dtype == np.float32
    assert not FLOAT.zeros().any()
    assert (INT8.size, INT8.elements, INT8.element_bytes, FLOAT.element_bytes) == (3, 6, 1, 4)


def test_ports_are_those_of_the_file(artifacts):
    for kind, dtype in (("float16", "float32"), ("int8", "int8"), ("int16x8", "int16")):
        (source,), (result,) = artifacts[kind].network.inputs, artifacts[kind].network.outputs
        assert (source.name, source.shape, source.dtype) == ("log_mel", (1, 100, 128, 1), dtype)
        assert (result.name, result.shape, result.dtype) == ("scene_logits", (1, 10), dtype)
        assert source.is_float == result.is_float == (kind == "float16")
        assert artifacts[kind].manifest["inputs"] == [source.to_dict()]
        assert json.loads(json.dumps(source.to_dict()))["shape"] == [1, 100, 128, 1]


def test_no_tensorflow_is_imported(saved, tmp_path: Path):
    code = (
        "import sys, keras_mtl.tflite, keras_mtl.tflite.convert, keras_mtl.tflite.flatbuffer.audit\n"
        "from keras_mtl.tflite.artifact import Artifact\n"
        "print(Artifact.load(sys.argv[1]).manifest['part'])\n"
        "assert not {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved("int8"))], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "scenes"), done.stderr
