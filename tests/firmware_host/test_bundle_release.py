"""What makes a bundle a release: its manifest and how it is held against the folder, signature, bill of materials."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from small_artifacts import make_two_state

from keras_mtl.cli.bundle import command
from keras_mtl.core import ArtifactError, KerasMtlError
from keras_mtl.firmware_host.bundle import verify_bundle, write_bundle
from keras_mtl.firmware_host.bundle.release import load_private_key
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target

RECIPE = {"name": "small", "sha256": "1" * 64}


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    """A folder with key.pem and key.pub, other.pub, and what is no Ed25519 key."""
    folder, pem = tmp_path_factory.mktemp("keys"), serialization.Encoding.PEM
    plain, public = serialization.NoEncryption(), serialization.PublicFormat.SubjectPublicKeyInfo
    mine, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    (folder / "key.pem").write_bytes(mine.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    locked = serialization.BestAvailableEncryption(b"secret")
    (folder / "locked.pem").write_bytes(mine.private_bytes(pem, serialization.PrivateFormat.PKCS8, locked))
    curve = ec.generate_private_key(ec.SECP256R1())
    (folder / "curve.pem").write_bytes(curve.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "key.pub").write_bytes(mine.public_key().public_bytes(pem, public))
    (folder / "other.pub").write_bytes(other.public_key().public_bytes(pem, public))
    (folder / "text.pem").write_text("I am no key")
    return folder


@pytest.fixture(scope="module")
def checked(make_artifact):
    facts = {
        "recipe": RECIPE,
        "metrics": {"scenes": {"accuracy": 0.5}},
        "data": {"name": "noise", "fingerprint": "f00"},
    }
    artifact = make_artifact("int8", **facts)
    return artifact, emulate(artifact, load_target("stm32h743"), ("tflm",))


@pytest.fixture(scope="module")
def released(checked, keys, tmp_path_factory) -> Path:
    key = load_private_key(keys / "key.pem")
    return write_bundle([checked], tmp_path_factory.mktemp("release") / "firmware", private_key=key).path


@pytest.fixture
def folder(released, tmp_path) -> Path:
    """A copy of the bundle, to be spoiled."""
    return Path(shutil.copytree(released, tmp_path / "firmware"))


@pytest.fixture(scope="module")
def stream_folder(builder, tmp_path_factory) -> Path:
    artifact = make_two_state(builder, "int8", look_ahead=0)
    report = emulate(artifact, load_target("stm32h743"), ("tflm",))
    return write_bundle([(artifact, report)], tmp_path_factory.mktemp("stream") / "firmware").path


def verify(folder: Path, *options: str):
    return CliRunner().invoke(command, ["--verify", str(folder), *options])


def test_manifest_says_where_the_model_came_from(released, stream_folder):
    manifest = json.loads((released / "manifest.json").read_text())
    assert manifest["provenance"]["data"] == {"name": "noise", "fingerprint": "f00"}
    assert manifest["provenance"]["recipe"] == RECIPE
    assert manifest["provenance"]["metrics"] == {"scenes": {"accuracy": 0.5}}
    assert manifest["engines"].keys() == {"tflm"}
    of_stream = json.loads((stream_folder / "manifest.json").read_text())
    assert of_stream["provenance"]["recipe"] == RECIPE
    assert of_stream["arenas"].keys() == of_stream["artifact"]["members"].keys()
    assert of_stream["arena_bytes"] % 16 == 0


def test_what_is_for_people_lies_in_no_flash(checked):
    """The recipe and the figures stand in the sidecar; the file itself, which a device holds, goes without."""
    artifact, _ = checked
    assert b"fingerprint" in artifact.network.content
    assert b"accuracy" not in artifact.network.content
    assert RECIPE["sha256"].encode() not in artifact.network.content


def test_bundle_as_written_passes(released, keys, stream_folder):
    done = verify(released, "--public-key", str(keys / "key.pub"))
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-2:] == ["signature  valid", "verdict    passed"]
    assert verify_bundle(released).signature == "not checked"
    assert verify_bundle(stream_folder).passed
    assert verify_bundle(stream_folder).signature == "none"
    document = json.loads(verify(released, "--json").stdout)
    assert (document["schema"], document["verdict"]) == ("keras_mtl.verification/1", "passed")
    assert document["differences"] == []


def test_every_changed_file_is_named(folder):
    """One bit of each file in turn; and as many bytes as before, so that it is the content that tells."""
    entries = json.loads((folder / "manifest.json").read_text())["files"]
    assert len(entries) > 30
    for entry in entries:
        path = folder / entry["path"]
        kept = path.read_bytes()
        path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        done = verify(folder, "--json")
        assert done.exit_code == 1
        assert json.loads(done.stdout)["differences"] == [{"path": entry["path"], "what": "changed"}]
        path.write_bytes(kept)
    assert verify(folder).exit_code == 0


def test_missing_and_added_files_are_named(folder):
    (folder / "model_data.cc").unlink()
    (folder / "kmtl" / "more.c").write_text("")
    (folder / "README.md").write_text("shorter")
    (folder / "sub").mkdir()
    (folder / "sub" / b"\xff\n.c".decode("utf-8", "surrogateescape")).write_text("")
    done = verify(folder)
    assert done.exit_code == 1
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("  ")]
    assert lines == [
        ["changed", "'README.md'"],
        ["extra", "'kmtl/more.c'"],
        ["missing", "'model_data.cc'"],
        ["extra", "'sub/\\\\xff\\n.c'"],
    ]


def test_what_is_no_file_is_not_opened(folder, tmp_path):
    """A link to the very content, a named pipe, on which a reader would wait forever, and a folder."""
    (tmp_path / "elsewhere").write_bytes((folder / "model.tflite").read_bytes())
    for name in ("model.tflite", "report.json", "selftest.c"):
        (folder / name).unlink()
    (folder / "model.tflite").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "report.json")
    (folder / "selftest.c").mkdir()
    shutil.move(folder / "kmtl", tmp_path / "kmtl")
    (folder / "kmtl").symlink_to(tmp_path / "kmtl")
    found = {difference.path: difference.what for difference in verify_bundle(folder).differences}
    assert (found["model.tflite"], found["report.json"], found["selftest.c"]) == ("not a file", "not a file", "missing")
    assert (found["kmtl"], found["kmtl/kmtl_tflm.h"]) == ("extra", "missing")


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "/etc/hostname",
        "kmtl/../../outside",
        "./model.tflite",
        "kmtl//x.c",
        "C:x",
        "a\\b",
        "",
        ".",
        "a\x00b",
    ],
)
def test_manifest_that_names_files_elsewhere_is_refused(folder, tmp_path, path):
    (tmp_path / "outside").write_text("mine")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0]["path"] = path
    (folder / "manifest.json").write_text(json.dumps(manifest))
    done = verify(folder)
    assert isinstance(done.exception, ArtifactError)
    assert done.exception.exit_code == 2
    assert "outside of its folder" in str(done.exception)
    assert done.stdout == ""
    assert (tmp_path / "outside").read_text() == "mine"


def test_what_is_no_bundle_is_refused(folder, tmp_path):
    with pytest.raises(ArtifactError, match="not a bundle"):
        verify_bundle(tmp_path)
    with pytest.raises(ArtifactError, match="not a bundle"):
        verify_bundle(tmp_path / "gone")
    manifest = folder / "manifest.json"
    text = manifest.read_text()
    manifest.rename(tmp_path / "manifest.json")
    manifest.symlink_to(tmp_path / "manifest.json")
    with pytest.raises(ArtifactError, match="of its own"):
        verify_bundle(folder)
    manifest.unlink()
    for wrong in ("", "[]", "null", "{}", "[" * 100_000, text.replace("bundle/1", "bundle/9"), text[: len(text) // 2]):
        manifest.write_text(wrong)
        with pytest.raises(ArtifactError):
            verify_bundle(folder)


def test_mutated_manifests_never_pass_and_never_crash(folder):
    """What changes what is said of a file is found; what does not, as a space, may pass."""
    path = folder / "manifest.json"
    text, generator, failed = path.read_bytes(), random.Random(4), 0
    said = json.loads(text)["files"]
    for _ in range(300):
        changed = bytearray(text)
        for _ in range(generator.randint(1, 3)):
            at = generator.randrange(len(changed))
            changed[at : at + generator.choice([0, 1, 1, 40])] = generator.randbytes(generator.choice([0, 1, 3]))
        path.write_bytes(bytes(changed))
        try:
            passed = verify_bundle(folder).passed
        except ArtifactError:
            passed = False
        failed += not passed
        if passed:
            files = json.loads(bytes(changed))["files"]
            assert [(f["path"], f["bytes"], f["sha256"]) for f in files] == [tuple(f.values()) for f in said]
    assert failed > 100


def test_signature_belongs_to_the_manifest_and_the_key(folder, keys):
    public = ("--public-key", str(keys / "key.pub"))
    assert "signature  wrong" in verify(folder, "--public-key", str(keys / "other.pub")).stdout
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest))  # the same files, another text
    assert verify_bundle(folder).passed
    done = verify(folder, *public)
    assert (done.exit_code, "signature  wrong" in done.stdout) == (1, True)
    (folder / "manifest.sig").write_bytes(b"short")
    assert verify(folder, *public).exit_code == 1
    (folder / "manifest.sig").unlink()
    assert "signature  missing" in verify(folder, *public).stdout


def test_signing_is_repeatable_and_a_bundle_without_a_key_is_not_signed(checked, released, keys, tmp_path):
    again = write_bundle([checked], tmp_path / "signed", private_key=load_private_key(keys / "key.pem"))
    assert (again.path / "manifest.sig").read_bytes() == (released / "manifest.sig").read_bytes()
    assert "manifest.sig" in again.files
    assert "manifest.sig" not in write_bundle([checked], tmp_path / "plain").files


@pytest.mark.parametrize(
    ("name", "says"),
    [("locked.pem", "password"), ("curve.pem", "no private Ed25519"), ("text.pem", "no private"), ("gone.pem", "read")],
)
def test_keys_that_can_not_be_used(make_artifact, keys, tmp_path, name, says):
    path = make_artifact("int8").save(tmp_path / "scenes.int8.tflite")
    arguments = [str(path), "--target", "stm32h743", "--out", str(tmp_path / "out"), "--sign", str(keys / name)]
    done = CliRunner().invoke(command, arguments)
    assert isinstance(done.exception, KerasMtlError), done.output
    assert (done.exception.exit_code, says in str(done.exception)) == (2, True)
    assert "checking" not in done.stderr  # the key is looked at before minutes are spent
    assert not (tmp_path / "out").exists()


def test_private_key_is_no_public_one(released, keys):
    for name in ("key.pem", "text.pem", "gone.pub"):
        with pytest.raises(KerasMtlError, match="key"):
            verify_bundle(released, keys / name)


def test_verifying_needs_neither_tensorflow_nor_cryptography(released, keys):
    code = f"""
import sys
for name in ("tensorflow", "keras", "tf_keras", "librosa", "cryptography"):
    sys.modules[name] = None
from keras_mtl.core import KerasMtlError
from keras_mtl.firmware_host.bundle import verify_bundle
assert verify_bundle({str(released)!r}).passed
try:
    verify_bundle({str(released)!r}, {str(keys / "key.pub")!r})
except KerasMtlError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pip install 'keras_mtl[sign]'" in done.stdout


def test_bill_of_materials_follows_the_official_schema(released, stream_folder):
    for folder, networks in ((released, 1), (stream_folder, 5)):
        text = (folder / "sbom.cdx.json").read_text()
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        assert error is None, error
        document = json.loads(text)
        kinds = [component["type"] for component in document["components"]]
        assert kinds.count("machine-learning-model") == networks
        linked = {c["name"]: c for c in document["components"] if c.get("scope")}
        assert linked.keys() == {"TensorFlow Lite Micro", "CMSIS-NN"}
        assert {c["licenses"][0]["license"]["id"] for c in linked.values()} == {"Apache-2.0"}
        (sources,) = (component for component in document["components"] if component["bom-ref"] == "sources")
        hashes = {file["name"]: file["hashes"][0]["content"] for file in sources["components"]}
        listed = {
            entry["path"]: entry["sha256"] for entry in json.loads((folder / "manifest.json").read_text())["files"]
        }
        assert hashes.items() <= listed.items()
        assert {Path(name).suffix for name in hashes} == {".c", ".cc", ".h"}


def test_places_that_can_not_be_written_are_refused_and_nothing_is_lost(checked, make_artifact, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("mine")
    before = sorted(path.name for path in tmp_path.iterdir())
    for out, says in (
        (tmp_path / "link", "is a link"),
        (tmp_path / "dangling", "is a link"),
        (tmp_path / "file", "not an empty folder"),
        (tmp_path / "file" / "below", "can't write"),
        (Path("/proc/firmware"), "can't write"),
    ):
        with pytest.raises(KerasMtlError, match=says) as raised:
            write_bundle([checked], out)
        assert raised.value.exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "file").read_text() == "mine"
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "missing: ARTIFACT, --target, --out"),
        (["x.tflite", "--target", "stm32h743"], "missing: --out"),
        (["x.tflite", "--verify", "d"], "nothing else"),
        (["--verify", "d", "--sign", "k"], "nothing else"),
        (["x.tflite", "--target", "t", "--out", "o", "--public-key", "k"], "belongs to --verify"),
    ],
)
def test_wrong_use_is_told(arguments, says):
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert says in done.stderr
