"""Engines that differ: how much, in a histogram, and by which operator first."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from run_rows import run_rows

from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.emulate.first_difference import expose, first_difference, first_member, first_operator
from keras_mtl.firmware_host.emulate.parity import REFERENCE, compare, parities
from keras_mtl.firmware_host.engines import run
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import report_text
from keras_mtl.tflite.artifact import Artifact, Golden

_ENGINES = ["tflm", "litert", "litert-reference"]


@pytest.fixture(scope="module")
def summed(builder):
    """Squares of 25 steps, added up in 16 bits: LiteRT's reference kernel for that SUM gives something else."""
    made = builder()
    source = made.tensor("in", (1, 25, 8), "int16", None, 1 / 4096)
    squares = made.tensor("squares", (1, 25, 8), "int16", None, 3e-5)
    axis = made.tensor("axis", (1,), "int32", [1])
    total, result = (made.tensor(name, (1, 8), "int16", None, 7e-4) for name in ("total", "positive"))
    made.op("MUL", 1, [source, source], [squares], schema.MulOptionsT())
    made.op("SUM", 1, [squares, axis], [total], schema.ReducerOptionsT())
    made.op("RELU", 1, [total], [result])
    made.ends[0] = ([source], [result])
    return made.bytes()


def test_the_operator_that_differs_first_is_named(summed):
    artifact = Artifact.build(summed, {"part": "unknown", "format": "int16x8", "audio_seconds": 1.0})
    report = emulate(artifact, load_target("dcase-asc"), _ENGINES)
    check = report.check("parity_lsb")
    assert check.ok
    assert check.why.startswith("tflm against litert, ")
    parity, first = report.parity, report.parity["first_difference"]
    assert (parity["base"], parity["limit_lsb"], parity["pair"]) == ("tflm", 2, ["tflm", "litert"])
    assert (parity["largest_lsb"], parity["left_out"]) == (check.value, ["litert-reference"])
    (note,) = (note for note in report.notes if note.startswith("from tflm differs litert-reference by"))
    assert "begins at operator 1, SUM (total); litert-reference computes int16 SUM wrongly" in note
    wrong, right = parity["engines"]["litert-reference"], parity["engines"]["litert"]
    assert right["histogram"][">2"] == right["histogram"]["2"] == 0
    assert wrong["histogram"][">2"] > 32
    assert wrong["differing"] <= sum(wrong["histogram"].values()) == 8 * 8
    assert (first["engine"], first["op"], first["layer"], first["operator"]) == ("litert-reference", "SUM", "total", 1)
    assert first["lsb"] > 100
    assert first["inputs_lsb"] <= 1
    json.dumps(report.to_dict(), allow_nan=False)
    told = "litert-reference against tflm: first at operator 1, SUM (total), by"
    assert told in report_text(report)


def test_engines_that_agree_have_no_first_difference(make_artifact):
    report = emulate(make_artifact("int16x8"), load_target("dcase-asc"))
    parity = report.parity
    assert parity["base"] == REFERENCE
    there = {engine.engine for engine in report.engines if not engine.missing}
    assert set(parity["engines"]) == there > {"tflm", "litert"}
    assert all(sum(each["histogram"].values()) == 6 * 5 for each in parity["engines"].values())
    assert all(each["histogram"][">2"] == 0 for each in parity["engines"].values())
    assert parity["first_difference"] is None


def test_a_file_that_all_engines_read_alike_blames_none_of_them(make_artifact):
    """Where only the reference differs, the file is another network than the one that was converted."""
    artifact = make_artifact("int8")
    inputs, outputs = artifact.golden.inputs, artifact.golden.outputs["output_0"]
    runs = {name: run(name, artifact, inputs) for name in ("tflm", "litert")}
    shifted = np.clip(outputs.astype(int) + 20, -128, 127).astype(np.int8)
    parity = parities(replace(artifact, golden=Golden(inputs, {"output_0": shifted})), runs)["outputs"]
    assert parity.largest_lsb > 2
    assert first_difference(artifact, inputs, runs, parity, 2, 2, 60) is None


def test_what_every_operator_makes_becomes_an_output(models):
    artifact = Artifact.of(models["int8"])
    exposed, tensors = expose(artifact.network)
    inputs = np.random.default_rng(1).integers(-128, 127, (2, 8, 6, 1)).astype(np.int8)
    maps, pooled, logits = run_rows("tflm", exposed, inputs)
    assert len(tensors) == 3
    assert len(artifact.network.outputs) == 1 == len(artifact.network.model.subgraphs[0].outputs)
    np.testing.assert_array_equal(pooled, maps.reshape(2, 4, 2, 3, 2, 4).max((2, 4)))
    np.testing.assert_array_equal(logits, run_rows("tflm", artifact, inputs)[0])


def test_a_difference_that_goes_away_is_said_to(models):
    inputs = np.random.default_rng(1).integers(-128, 127, (1, 8, 6, 1)).astype(np.int8)
    found = first_operator(Artifact.of(models["int8"]).network, {"input_0": inputs}, ("litert", "tflm"), 2, 60)
    assert "the engines agree" in found["why"]


def test_of_several_members_the_first_is_named(make_artifact, summed):
    members = {"good": make_artifact("int16x8").network, "bad": Artifact.of(summed).network}
    found = first_member(members, ("litert-reference", "tflm"), 2, 60)
    assert (found["member"], found["engine"], found["op"]) == ("bad", "litert-reference", "SUM")
    assert "no operator differs" in first_member({"good": members["good"]}, ("litert", "tflm"), 2, 60)["why"]
    refused = first_member({"float": make_artifact("float16").network}, ("litert", "tflm"), 2, 60)
    assert "TFLM has no float16 kernels" in refused["why"]


def test_histogram_counts_steps_and_what_is_no_number():
    base = np.array([[0.0, 0.0, 0.0, 65536.0]])
    other = base + np.array([1.2, 2.0, np.nan, 0.4])
    parity = compare({"a": (base,), "b": (other,)})
    assert parity.histograms == {"b": {"0": 1, "1": 1, "2": 1, ">2": 1}}
    told = parity.to_dict(2)
    assert (told["base"], told["largest_lsb"], told["engines"]["b"]["differing"]) == ("a", None, 3)


@pytest.mark.parametrize("member", [{}, {"member": "forward"}])
def test_text_says_why_no_operator_can_be_named(summed, member):
    artifact = Artifact.build(summed, {"part": "unknown", "format": "int16x8", "audio_seconds": 1.0})
    report = emulate(artifact, load_target("dcase-asc"), _ENGINES[:2])
    why = {"engine": "tflm", "against": "litert", "why": "not named: the file can't be rewritten"}
    parity = {**report.parity, "first_difference": why | member}
    text = report_text(replace(report, parity=parity))
    told = " ".join([*member.values(), "not named: the file can't be rewritten"])
    assert f"differs   tflm against litert: {told}" in text
