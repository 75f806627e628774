"""Files of others: how they come, how often they run, their signatures and baselines, and what they lack for sound."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
import network_files as made

from keras_mtl import cli
from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.engines import run
from keras_mtl.firmware_host.report import Baseline
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import report_html, report_text
from keras_mtl.predictors import open_predictor
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact

BOARD, BUDGET = load_target("stm32h743"), load_target("dcase-asc")
_HEADER = b"""/* Copyright, see http://example.org/LICENSE. */
#include <cstdint>
extern const unsigned int g_other_len;
alignas(16) const unsigned char g_other[] = {1, 2, 3};  // not a network
"""


@pytest.fixture
def quiet(monkeypatch):
    """All engines give zeros, at once."""
    engines = made.engines(dict.fromkeys(made.ENGINES, 0))
    monkeypatch.setattr("keras_mtl.firmware_host.emulate.emulator.run", engines)


def multiplied(factor: int = 1) -> bytes:
    """An int8 dense layer, 4 to 3 times a factor."""
    weights = ((3 * factor, 4), "int8", [[1, 2, 3, 4]] * 3 * factor, 0.1)
    options = schema.FullyConnectedOptionsT()
    return made.one_operator(
        "FULLY_CONNECTED", [((1, 4), "int8", None, 0.1), weights, None], ((1, 3 * factor), "int8"), options, 4, 0.5
    )


def as_source(content: bytes, kind: str) -> bytes:
    """A C array of a file, as one tool or another prints it."""
    hexadecimal = [f"0x{byte:02x}" for byte in content]
    lines = [", ".join(hexadecimal[first : first + 12]) for first in range(0, len(content), 12)]
    if kind == "xxd":
        body = ",\n  ".join(lines)
        return b"unsigned char a_tflite[] = {\n  %s\n};\nunsigned int a_tflite_len = %d;\n" % (
            body.encode(),
            len(content),
        )
    if kind == "commented":
        body = "".join(f"  {line},  // {number}\n" for number, line in enumerate(lines))
        return _HEADER + f"const uint8_t g_model[{len(content)}] __attribute__((aligned(16))) = {{\n{body}}};".encode()
    values = ", ".join(str(byte - 256 if byte > 127 else byte) for byte in content)
    return _HEADER + b"const signed char model[] = { /* the network */ %s };" % values.encode()


def archived(**entries: bytes) -> bytes:
    made_of = io.BytesIO()
    with zipfile.ZipFile(made_of, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "."), content)
    return made_of.getvalue()


@pytest.mark.parametrize("kind", ["xxd", "commented", "signed"])
def test_a_c_array_is_read_as_its_file(tmp_path, kind):
    path = tmp_path / "model_data.cc"
    path.write_bytes(as_source(multiplied(), kind))
    assert Artifact.load(path).network.content == multiplied()


def test_an_archive_of_mltk_is_read_as_its_network(tmp_path):
    path = tmp_path / "wake.mltk.zip"
    path.write_bytes(archived(wake__tflite=multiplied(), wake__h5=b"weights", wake__unquantized__tflite=multiplied(2)))
    assert Artifact.load(path).network.content == multiplied()
    path.write_bytes(archived(other__tflite=multiplied(2)))
    assert Artifact.load(path).network.content == multiplied(2)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.cc", _HEADER, "holds not one C array of a .tflite file: none"),
        ("a.h", b"extern const unsigned char g_model[];\nstruct a { int b; };", "not one C array"),
        ("a.cc", as_source(multiplied(), "xxd") + as_source(multiplied(2), "signed"), "one C array.*a_tflite, model"),
        ("a.cc", as_source(multiplied(), "xxd")[:900], "not one C array"),
        ("a.zip", archived(b__tflite=multiplied(), c__tflite=multiplied()), "not one .tflite file: b.tflite, c.tflite"),
        ("a.zip", archived(readme__txt=b"none"), "not one .tflite file: none"),
        ("a.zip", archived(a__tflite=multiplied())[:200], "the archive can't be read"),
        ("a.tflite", b"network {not one}", "not one C array"),
        ("a.tflite", b"some other bytes", "lacks the identifier TFL3"),
    ],
)  # fmt: skip
def test_what_holds_no_network_is_one_line(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name}.*{why}") as refused:
        Artifact.load(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_reading_takes_a_time_that_grows_with_the_length():
    for part in (b"a[", b"a", b"/*", b"a[]={"):
        with pytest.raises(ArtifactError):
            flatbuffer.unwrapped(b"{" + part * 100_000, "a.cc", 1 << 20)


def test_figures_are_per_inference_unless_it_is_said_how_often_it_runs(quiet):
    artifact = Artifact.of(multiplied())
    report = emulate(artifact, BOARD)
    assert (report.artifact["macs"], report.artifact["macs_per_second"], report.artifact["hop_s"]) == (12, None, None)
    assert (
        "figures are per inference: the file does not say how often it runs; --hop-s SECONDS states it" in report.notes
    )
    assert report.check("audio_latency_s") is None
    assert (report.compute["per"], report.compute["load"]) == ("inference", None)
    assert report.compute["parts"][0]["macs_per_inference"] == 12
    text, page = report_text(report), report_html([report])
    assert "unknown, 12 MACs an inference" in text
    assert "MACs an inference  M instructions an inference" in text
    assert "second of audio" not in text + page
    assert "1 s" not in text
    often = emulate(artifact.every(0.02), BOARD)
    assert (often.artifact["macs_per_second"], often.artifact["hop_s"]) == (600, 0.02)
    assert often.compute["parts"][0]["macs_per_second"] == 600
    assert often.check("audio_latency_s").value == 0.02
    assert "an inference comes every 0.02 s" in often.check("audio_latency_s").why
    assert not [note for note in often.notes if "per inference" in note]


def test_a_budget_for_a_second_says_up_to_which_rate_it_holds(quiet):
    report = emulate(Artifact.of(multiplied()), BUDGET)
    assert report.passed, report.failures()
    (note,) = [note for note in report.notes if note.startswith("macs_per_second: not checked: ")]
    assert "12 MACs an inference, within 30,000,000 MAC/s up to 2,500,000 inferences a second" in note
    assert not emulate(Artifact.of(multiplied()).every(1e-7), BUDGET).passed


def test_a_manifest_beside_a_file_of_others_states_how_often_it_runs(tmp_path):
    path, beside = tmp_path / "wake.tflite", tmp_path / "wake.manifest.json"
    path.write_bytes(multiplied())
    beside.write_text('{"hop_s": 0.03}')
    artifact = Artifact.load(path)
    assert (artifact.facts.hop_s, artifact.facts.part, artifact.macs_per_second) == (0.03, "unknown", 400)
    beside.write_text('{"hop": 0.03}')
    with pytest.raises(ArtifactError, match=r"wake.manifest.json: no key hop \(did you mean hop_s"):
        Artifact.load(path)
    for value in ("0", "-1", '"often"', "true"):
        beside.write_text(f'{{"hop_s": {value}}}')
        with pytest.raises(ArtifactError, match=r"hop_s is .*, not a positive number"):
            Artifact.load(path)


def test_signatures_are_listed_and_chosen(tmp_path, quiet):
    path = tmp_path / "two.tflite"
    path.write_bytes(made.two_signatures())
    other = Artifact.load(path, "embed")
    report = emulate(Artifact.load(path), BOARD)
    assert report.artifact["signatures"] == ["classify", "embed"]
    assert "of its signatures classify was checked, and not embed: --signature chooses one" in report.notes
    assert Artifact.load(path, "classify").network.content == made.two_signatures()
    assert (other.network.outputs[0].shape, other.network.macs) == ((1, 4), 32)
    assert other.file_bytes < len(made.two_signatures()) + 64
    assert not [note for note in emulate(other, BOARD).notes if "signature" in note]
    with pytest.raises(ArtifactError, match=r"no signature both \(its signatures: classify, embed\)"):
        Artifact.load(path, "both")


def test_a_chosen_signature_gives_what_its_subgraph_gives(tmp_path):
    path = tmp_path / "two.tflite"
    path.write_bytes(made.two_signatures())
    inputs = {"input_0": np.arange(8, dtype=np.float32)[None]}
    (found,) = run("tflm", Artifact.load(path, "embed"), inputs).outputs.values()
    weights = np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8)
    np.testing.assert_allclose(found[0], weights @ np.arange(8), rtol=1e-5)


def test_a_signature_brings_the_subgraphs_that_it_runs():
    model = flatbuffer.read_model(made.branched())
    model.subgraphs.insert(0, flatbuffer.read_model(made.two_signatures()).subgraphs[0])
    for operator in model.subgraphs[1].operators:
        operator.builtinOptions.thenSubgraphIndex += 1
        operator.builtinOptions.elseSubgraphIndex += 1
    model.signatureDefs = flatbuffer.read_model(made.two_signatures()).signatureDefs
    chosen = flatbuffer.of_signature(model, "embed")
    assert len(chosen.subgraphs) == 3
    options = chosen.subgraphs[0].operators[0].builtinOptions
    assert (options.thenSubgraphIndex, options.elseSubgraphIndex) == (1, 2)
    assert flatbuffer.macs(chosen) == 4 * 5
    assert model.subgraphs[1].operators[0].builtinOptions.thenSubgraphIndex == 2


def test_baselines_are_matched_by_file_or_name_in_any_order(tmp_path, quiet):
    small, large, changed = multiplied(), multiplied(9), multiplied(2)

    def report(content: bytes, name: str) -> dict:
        return emulate(Artifact.of(content), BOARD, path=f"/somewhere/{name}").to_dict()

    older = Baseline("older.json", (report(small, "a.tflite"), report(large, "b.tflite")))

    def matched(*reports: dict) -> list[str]:
        return [old["artifact"]["path"][-8:] for old in older.require(reports)]

    assert matched(report(large, "b.tflite"), report(small, "a.tflite")) == ["b.tflite", "a.tflite"]
    assert matched(report(large, "new.tflite"), report(changed, "a.tflite")) == ["b.tflite", "a.tflite"]  # hash, name
    assert matched(report(changed, "new.tflite"), report(small, "a.tflite")) == ["b.tflite", "a.tflite"]  # what is left
    with pytest.raises(ArtifactError, match=r"has 2 reports on unknown for stm32h743, none of c.tflite"):
        matched(report(changed, "c.tflite"), report(multiplied(3), "d.tflite"))
    with pytest.raises(ArtifactError, match=r"has a report on b.tflite for stm32h743, which is missing now"):
        matched(report(small, "a.tflite"))
    with pytest.raises(ArtifactError, match=r"no report on c.tflite for stm32h743; it has nothing else"):
        matched(report(small, "a.tflite"), report(large, "b.tflite"), report(changed, "c.tflite"))


def test_the_command_compares_in_any_order_and_by_mac_of_an_inference(tmp_path, quiet):
    a, b, older = tmp_path / "a.tflite", tmp_path / "b.tflite", tmp_path / "older.json"
    a.write_bytes(multiplied())
    b.write_bytes(multiplied(9))

    def called(*arguments) -> tuple[int, str]:
        done = CliRunner().invoke(cli.group, ["emulate", *map(str, arguments), "--target", "stm32h743"])
        return done.exit_code, done.stdout

    assert called(a, b, "--report", older)[0] == 0
    code, text = called(b, a, "--baseline", older)
    assert code == 0
    assert "\nb.tflite for stm32h743\n" in text
    assert "REGRESSION" not in text
    a.write_bytes(multiplied(2))
    code, text = called(b, a, "--baseline", older)
    assert code == 1
    assert text.index("\nb.tflite for") < text.index("\na.tflite for")
    assert "macs" in text[text.index("\na.tflite for") :]
    code, text = called(a, "--hop-s", "0.5", "--json")
    assert (code, json.loads(text)["artifact"]["macs_per_second"]) == (0, 48)


@pytest.mark.parametrize(
    ("shape", "kind", "missing"),
    [
        ((15_600,), "float32", "and the sample rate that it was trained on"),
        ((1, 3, 40), "int8", "and the features (sample rate, window, mel bands, scaling) that it was trained on"),
    ],
    ids=["waveform", "wake word"],
)
def test_listen_and_predict_say_what_a_file_of_others_lacks(tmp_path, shape, kind, missing):
    path = tmp_path / "theirs.tflite"
    path.write_bytes(made.one_operator("RELU", [(shape, kind, None, 0.1)], (shape, kind), None, 2, 0.1))
    listened = CliRunner().invoke(cli.group, ["listen", "-", "--model", str(path)]).exception
    with pytest.raises(ArtifactError) as predicted:
        open_predictor(path)  # what `predict` and `evaluate` begin with
    for refused in (listened, predicted.value):
        told = str(refused)
        assert f"theirs.tflite is a network of others: it takes {kind} [" in told
        assert f"{missing}, how often it runs and its labels are missing to run it on sound (emulate and bundle" in told
        assert "\n" not in told
