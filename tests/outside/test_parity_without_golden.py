"""Verdicts on good files that come without golden data: TensorFlow Lite Micro against the reference kernels decides."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import network_files as made

from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.emulate.parity import REFERENCE, compare
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import report_html, report_text
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact

BOARD = load_target("stm32h743")


@pytest.fixture
def verdict(monkeypatch):
    """The report on a file, whose engines give zeros moved by so much."""

    def make(moved, content=None, target=BOARD, **kinds):
        engines = made.engines(moved, **kinds)
        monkeypatch.setattr("keras_mtl.firmware_host.emulate.emulator.run", engines)
        monkeypatch.setattr("keras_mtl.firmware_host.emulate.first_difference.run", engines)
        return emulate(Artifact.of(content or made.summed()), target)

    return make


def _notes(report, beginning: str) -> list[str]:
    return [note for note in report.notes if note.startswith(beginning)]


def test_a_wrong_sum_of_the_reference_kernels_is_named_and_left_out():
    report = emulate(Artifact.of(made.summed()), BOARD, ("litert", "litert-reference"))
    assert report.passed, report.failures()
    check = report.check("parity_lsb")
    assert check.value <= 1
    assert check.why.startswith("tflm against litert, 8 random inputs")
    assert report.parity["engines"]["litert-reference"]["largest_lsb"] > 50
    (note,) = _notes(report, "from tflm differs litert-reference by")
    assert "litert-reference begins at operator 0, SUM (out); litert-reference computes int8 SUM wrongly" in note
    (lacking,) = [found for found in report.compatibility if found["where"] == "litert"]
    assert "a wrong int8 SUM, without a word (LiteRT issue 4079)" in lacking["why"]


def test_optimised_kernels_that_differ_are_a_note_with_the_operator(verdict):
    """As LiteRT's ADD in a residual network of MLPerf Tiny, by 6 LSB."""
    report = verdict({"tflm": 0, "litert": 6, "litert-reference": 1, "tflite-runtime": 6})
    assert report.passed, report.failures()
    assert report.check("parity_lsb").value == 1
    assert report.parity["pair"] == ["tflm", "litert-reference"]
    assert report.parity["left_out"] == ["litert", "tflite-runtime"]
    (note,) = _notes(report, "from tflm differs litert by 6 LSB, tflite-runtime by 6 LSB")
    assert "litert begins at operator 0, SUM (out)" in note
    assert f"note      {note}" in report_text(report)
    assert note in report_html([report])


@pytest.mark.parametrize("content", [None, made.ends_in_float()])
def test_a_file_that_differs_from_both_families_fails_and_says_by_which_limit(verdict, content):
    moved = {"tflm": 9, "litert": 0, "litert-reference": 0, "tflite-runtime": 0}
    if content is None:
        report = verdict(
            moved, made.one_operator("RELU", [((1, 4), "int8", None, 0.1)], ((1, 4), "int8"), None, 2, 0.1)
        )
    else:
        report = verdict({name: 0.25 * lsb for name, lsb in moved.items()}, content)
    check = report.check("parity_lsb")
    assert (check.value, check.ok, report.verdict) == (9, False, "failed")
    assert "allowed are the 2 of parity_lsb of the target stm32h743" in check.why
    assert not _notes(report, "from tflm differs")
    assert "allowed are" not in verdict(dict.fromkeys(made.ENGINES, 0)).check("parity_lsb").why


def test_where_only_kernels_of_another_family_differ_nothing_is_decided(verdict):
    report = verdict({"tflm": 0, "litert": 6})
    assert report.passed, report.failures()
    assert report.check("parity_lsb") is None
    (note,) = _notes(report, "parity_lsb: not checked: ")
    assert "from tflm differs litert by 6 LSB" in note
    assert report.parity["limit_lsb"] is None
    assert "not checked, in steps" in report_html([report])


def test_nothing_to_compare_with_is_not_checked(verdict):
    """As a file whose parameters only TensorFlow Lite Micro takes: the detector of persons of its own examples."""
    report = verdict({"tflm": 0})
    assert report.passed, report.failures()
    assert report.check("parity_lsb") is None
    assert _notes(report, "parity_lsb: not checked: only tflm ran: nothing to compare with")


def test_what_is_no_number_fails_even_without_the_reference_kernels(verdict):
    relu = made.one_operator("RELU", [((1, 4), "float32")], ((1, 4), "float32"))
    report = verdict({"tflm": np.nan, "litert": 0.0}, relu)
    assert not report.check("parity_lsb").ok
    assert "not a number" in report.check("parity_lsb").why


def test_with_golden_outputs_tflm_decides():
    rows = np.zeros((1, 4), np.int8)
    results = {name: (rows + step,) for name, step in ((REFERENCE, 0), ("tflm", 1), ("litert", 7))}
    assert compare(results).decided_by(2) == (REFERENCE, "tflm")
    assert compare(results).left_out(2) == {"litert": 7}
    assert compare({**results, "tflm": (rows + 5,)}).decided_by(2) == (REFERENCE, "tflm")
    without = {name: results[name] for name in (REFERENCE, "litert")}
    assert compare(without).decided_by(2) == (REFERENCE, "litert")


@pytest.mark.parametrize(
    ("op", "step"), [("", 0.25), ("RESHAPE", 0.25), ("SOFTMAX", 0.25), ("LOGISTIC", 0.25), ("MUL", None)]
)
def test_a_float_output_behind_dequantize_is_measured_in_its_steps(op, step):
    assert flatbuffer.output_steps(flatbuffer.read_model(made.ends_in_float(op))) == [step]


def test_a_step_behind_dequantize_is_one_lsb(verdict):
    report = verdict({"tflm": 0.0, "litert": 0.25, "litert-reference": 0.25}, made.ends_in_float())
    assert report.check("parity_lsb").value == 1


def test_weights_that_are_dequantized_are_no_steps():
    halves = made.one_operator("DEQUANTIZE", [((1, 4), "float16", np.ones((1, 4)))], ((1, 4), "float32"))
    assert flatbuffer.output_steps(flatbuffer.read_model(halves)) == [None]
    constants = made.one_operator("DEQUANTIZE", [((1, 4), "int8", np.ones((1, 4)), 0.1)], ((1, 4), "float32"))
    assert flatbuffer.output_steps(flatbuffer.read_model(constants)) == [None]


def test_a_state_is_compared_from_a_reset_and_in_a_row():
    artifact = Artifact.of(made.remembering())
    report = emulate(artifact, BOARD, ("litert-reference",))
    assert report.passed, report.failures()
    assert report.check("parity_lsb").why.startswith("tflm against litert-reference, 8 random inputs, a reset before")
    assert report.parity["inputs"] == report.parity["in_a_row"]["inputs"] == 8


def test_a_state_that_differs_is_not_blamed_on_an_operator(verdict):
    same, apart = dict.fromkeys(made.ENGINES, 0.0), {"tflm": 0.0, "litert-reference": 1.0}
    report = verdict(apart, made.remembering(), from_reset=same)
    check = report.check("parity_lsb")
    assert not check.ok
    assert "8 random inputs one after the other" in check.why
    assert "they differ in the state they carry" in report.parity["in_a_row"]["first_difference"]["why"]
    assert "they differ in the state they carry" in report_text(report)
    assert "without a reset" in report_html([report])


def test_a_target_of_ones_own_decides(verdict):
    lenient = replace(BOARD, name="mine", parity_lsb=9)
    moved = {"tflm": 9, "litert-reference": 0}
    relu = made.one_operator("RELU", [((1, 4), "int8", None, 0.1)], ((1, 4), "int8"), None, 2, 0.1)
    assert verdict(moved, relu, lenient).passed
    assert not verdict(moved, relu).passed
