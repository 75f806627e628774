"""The emulator: checks, verdicts and reports."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.emulate.checks import features_match
from keras_mtl.firmware_host.emulate.context import Context
from keras_mtl.firmware_host.emulate.parity import compare
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import report_html, report_text
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Golden

BOARD_CHECKS = [
    "flash_bytes", "arena_bytes", "audio_latency_s", "real_time", "ops_supported", "integer_only", "parity_lsb",
]  # fmt: skip


@pytest.fixture(scope="module")
def board():
    return load_target("stm32h743")


@pytest.fixture(scope="module")
def budget():
    return load_target("dcase-asc")


@pytest.fixture(scope="module")
def int8_report(make_artifact, board):
    return emulate(make_artifact("int8"), board, path="scenes.int8.tflite")


def test_int8_passes_the_board(int8_report, engines_here):
    assert [check.name for check in int8_report.checks] == BOARD_CHECKS
    assert int8_report.verdict == "passed", int8_report.failures()
    assert [engine.engine for engine in int8_report.engines if engine.ran] == engines_here
    arena = int8_report.check("arena_bytes")
    assert 8 * 6 * 5 < arena.value < 4000
    assert arena.limit == 524_288 - 65_536
    flash = int8_report.check("flash_bytes")
    parts = int8_report.artifact["code_bytes"]
    assert flash.value == int8_report.artifact["file_bytes"] + sum(parts.values())
    assert {"CONV_2D int8", "FULLY_CONNECTED int8", "front end"} < set(parts)
    parity = int8_report.check("parity_lsb")
    assert parity.value <= 1
    assert "6 golden inputs" in parity.why


def test_code_and_reserve_are_those_of_the_target(make_artifact, board, int8_report):
    own = replace(board, interpreter_code_bytes=70_000, arena_reserve_bytes=2048)
    report = emulate(make_artifact("int8"), own, ["tflm"])
    size = report.artifact["file_bytes"]
    flash, arena = report.check("flash_bytes"), report.check("arena_bytes")
    around = int8_report.artifact["code_bytes"]
    around = sum(around[part] for part in ("networks", "front end", "libc"))
    assert flash.value == size + 70_000 + around
    assert "interpreter and cmsis-nn kernels 70,000 (the target's), networks 1,408, front end " in flash.why
    assert "(estimate: interpreter and cmsis-nn kernels " in int8_report.check("flash_bytes").why
    assert arena.limit == 524_288 - 65_536
    assert "2,048 of it in reserve" in arena.why
    assert report.target == int8_report.target | {
        "interpreter_code_bytes": 70_000,
        "arena_reserve_bytes": 2048,
    }


@pytest.mark.parametrize("fmt", ["float32", "float16", "int8", "int16x8"])
def test_every_format_passes_the_accounting(make_artifact, budget, fmt):
    report = emulate(make_artifact(fmt), budget)
    assert report.passed, report.failures()
    names = [check.name for check in report.checks]
    assert names == ["parameter_bytes", "macs_per_second", *(["integer_only"] if "int" in fmt else []), "parity_lsb"]
    assert report.check("macs_per_second").value == 8 * 6 * 3 * 3 * 4 + 48 * 5
    refused = {engine.engine for engine in report.engines if not engine.ran and not engine.missing}
    assert refused == ({"tflm"} if fmt == "float16" else set())


def test_float16_is_refused_for_the_board_with_the_reason(make_artifact, board):
    report = emulate(make_artifact("float16"), board)
    assert not report.passed
    assert "TFLM has no float16 kernels" in report.check("ops_supported").why
    assert report.check("arena_bytes").value is None
    assert not report.check("arena_bytes").ok
    assert "TFLM has no float16 kernels" in report.engines[0].reason


def test_per_channel_dense_is_refused_for_cmsis_nn_although_tflm_runs_it(make_artifact, odd_models, board):
    artifact = make_artifact("int16x8", content=odd_models["per_channel_dense"])
    report = emulate(artifact, board, engines=("tflm",))
    check = report.check("ops_supported")
    assert report.engines[0].ran
    assert not check.ok
    assert "per-channel weights (layer logits); convert with dense layers per tensor" in check.why
    reference = emulate(artifact, replace(board, kernels="reference"), engines=("tflm",))
    assert reference.check("ops_supported").ok


def test_float_island_fails_an_integer_file(make_artifact, odd_models, budget):
    report = emulate(make_artifact("int8", content=odd_models["float_island"], golden=False), budget)
    check = report.check("integer_only")
    assert (check.value, check.ok) == (3, False)
    assert "DEQUANTIZE" in check.why


def test_wrong_reference_outputs_fail_parity(make_artifact, budget):
    artifact = make_artifact("int8")
    moved = Golden(artifact.golden.inputs, {"output_0": artifact.golden.outputs["output_0"] + np.int8(9)})
    report = emulate(replace(artifact, golden=moved), budget, engines=("litert",))
    check = report.check("parity_lsb")
    assert 8 <= check.value <= 10
    assert "reference against litert" in check.why
    assert report.verdict == "failed"


def test_limits_are_held(make_artifact, budget, board):
    artifact = make_artifact("int8")
    tight = emulate(artifact, replace(budget, parameter_bytes=100, macs_per_second=1000), engines=("litert",))
    assert not tight.check("parameter_bytes").ok
    assert not tight.check("macs_per_second").ok
    small = replace(board, arena_ram_bytes=1200, application_ram_bytes=0, flash_bytes=2000, application_flash_bytes=0)
    report = emulate(artifact, small, engines=("tflm",))
    assert not report.check("arena_bytes").ok
    assert not report.check("flash_bytes").ok
    assert "is over 1,200" in report.check("arena_bytes").why


def test_audio_that_is_waited_for_is_held_against_the_limit(make_artifact, board, budget):
    artifact = make_artifact("int8", golden=False)
    report = emulate(artifact, replace(board, audio_latency_s=1.0))
    check = report.check("audio_latency_s")
    assert (check.value, check.limit, check.unit, check.ok) == (1.0, 1.0, "s", True)
    assert "waits 1 s for the end of the audio: one inference hears 1 s; then an inference takes " in check.why
    check = emulate(artifact, replace(board, audio_latency_s=0.5)).check("audio_latency_s")
    assert not check.ok
    assert check.why.startswith("1.0 s is over 0.5")
    assert "Try shorter clips, a streaming artifact (keras_mtl convert RUN --schedule stream), or a" in check.why
    assert emulate(artifact, budget, engines=("litert",)).check("audio_latency_s") is None


def test_macs_are_per_second_of_audio(make_artifact, budget):
    report = emulate(make_artifact("int8", audio_seconds=0.5), budget, engines=("litert",))
    assert report.check("macs_per_second").value == 2 * (8 * 6 * 3 * 3 * 4 + 48 * 5)
    with pytest.raises(ArtifactError, match="audio_seconds is 0"):
        make_artifact("int8", audio_seconds=0)


def test_features_of_the_run_are_compared(make_artifact, budget, features):
    artifact = make_artifact("int8")
    same = emulate(artifact, budget, engines=("litert",), features=features)
    assert same.check("features_match").ok
    other = emulate(artifact, budget, engines=("litert",), features=features.normalised(-41.0, 12.0))
    assert not other.check("features_match").ok
    assert "mean_db -40.0 against -41.0" in other.check("features_match").why
    old = {key: value for key, value in artifact.manifest["features"].items() if key not in ("fft", "keep_last_frame")}
    for known, ok in ((old, True), ({"hop": 160}, False)):
        made = make_artifact("int8", features=known)
        context = Context(made, budget, (), (), {}, (), {}, None, None, (), features)
        assert features_match(context).ok is ok


def test_board_runs_tflm_even_when_not_asked(make_artifact, board):
    report = emulate(make_artifact("int8", golden=False), board, engines=("litert",))
    assert [engine.engine for engine in report.engines] == ["tflm", "litert"]
    assert report.passed


def test_one_engine_alone_leaves_parity_unchecked(make_artifact, board):
    report = emulate(make_artifact("int8", golden=False), board, engines=("tflm",))
    assert report.passed
    assert report.check("parity_lsb") is None
    assert "parity_lsb: not checked: only tflm ran: nothing to compare with" in report.notes
    assert "note      parity_lsb: not checked: only tflm ran" in report_text(report)


def test_hanging_file_is_a_failed_check_and_not_a_hang(odd_models, budget):
    artifact = Artifact.build(odd_models["endless_loop"], {"part": "unknown", "audio_seconds": 1.0})
    report = emulate(artifact, budget, engines=("litert",), timeout_s=3)
    assert report.verdict == "failed"
    assert "WHILE" in report.check("macs_per_second").why
    assert "no engine could run" in report.check("parity_lsb").why
    assert "did not come back within 3 s" in report.engines[0].reason


def test_a_file_is_parsed_once(make_artifact, board, tmp_path, monkeypatch):
    path = make_artifact("int8").save(tmp_path / "scenes.int8.tflite")
    read, calls = flatbuffer.read_model, []

    def counted(content: bytes) -> object:
        calls.append(len(content))
        return read(content)

    monkeypatch.setattr(flatbuffer, "read_model", counted)
    report = emulate(Artifact.load(path), board)
    assert report.passed, report.failures()
    assert calls == [path.stat().st_size]


def test_report_survives_saving(int8_report, tmp_path):
    assert Report.load(int8_report.save(tmp_path / "report.json")) == int8_report
    document = json.loads(int8_report.to_json())
    assert document["schema"] == "keras_mtl.report/1"
    assert {"artifact", "target", "checks", "ops", "engines", "verdict"} <= set(document)
    assert set(document["checks"][0]) == {"name", "value", "limit", "unit", "ok", "why", "certain"}
    for text in ("{}", '{"schema": "other/1"}', "nonsense"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ArtifactError):
            Report.load(tmp_path / "bad.json")


def test_text_shows_checks_engines_operators_and_verdict(int8_report):
    text = report_text(int8_report)
    for word in (*BOARD_CHECKS, "litert-reference", "CONV_2D v3", "1x8x6x4", "1,728"):
        assert word in text
    assert text.splitlines()[-1] == f"verdict   {int8_report.verdict_line}"
    assert int8_report.verdict_line.startswith("passed")
    assert "CONV_2D v3" not in report_text(int8_report, ops=False)


class _References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for key, value in attrs if key in ("src", "href")]


def test_html_is_one_page_without_references(int8_report):
    hostile = replace(int8_report, artifact={**int8_report.artifact, "path": "<script>alert(1)</script>"})
    page = report_html([hostile, int8_report])
    parser = _References()
    parser.feed(page)
    assert not parser.references
    assert page.count("<script") == 1  # that which sorts tables
    assert "url(" not in page
    assert page.count("<h1>") == 2
    for name in BOARD_CHECKS:
        assert f"<td>{name}</td>" in page


def test_a_file_with_several_inputs_and_outputs_runs_on_all_engines(odd_models, board, engines_here):
    report = emulate(Artifact.build(odd_models["several_ports"], {"part": "unknown", "audio_seconds": 1.0}), board)
    assert report.passed, report.failures()
    assert [engine.engine for engine in report.engines if engine.ran] == engines_here


def test_parity_counts_in_steps():
    a = np.array([[0, 10, -20]], np.int16)
    parity = compare({"reference": [a], "x": [a + np.int16(1)], "y": [a - np.int16(2)]})
    assert (parity.largest_lsb, parity.pair) == (3.0, ("x", "y"))
    assert parity.from_base_lsb == {"reference": 0.0, "x": 1.0, "y": 2.0}
    real = np.array([[4.0, -1.0]], np.float32)
    assert compare({"x": [real], "y": [real + np.float32(4 / 2**16)]}).largest_lsb == pytest.approx(1, rel=1e-2)
    half = compare({"reference": [real], "y": [real + np.float32(4 / 2**10)]}, float16_weights=True)
    assert half.largest_lsb == pytest.approx(1, rel=1e-2)
    assert compare({"x": [real], "y": [real * np.nan]}).largest_lsb == np.inf


def test_parity_takes_the_largest_of_all_outputs_each_in_its_own_steps():
    large, small, whole = np.array([[8.0]], np.float32), np.array([[0.5]], np.float32), np.array([[100]], np.int8)
    moved = [large + np.float32(8 / 2**16), small + np.float32(3 * 0.5 / 2**16), whole + np.int8(2)]
    assert compare({"x": [large, small, whole], "y": moved}).largest_lsb == pytest.approx(3, rel=1e-2)
    assert compare({"x": [large, whole], "y": [large, moved[2]]}).largest_lsb == 2
    apart = compare({"x": [large, small], "y": [large]})
    assert (apart.largest_lsb, apart.pair, apart.inputs) == (np.inf, ("x", "y"), 0)
