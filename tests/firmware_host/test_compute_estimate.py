"""The estimate of a target's work: ranges from measured figures, exceptions, sets, and where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keras_mtl.firmware_host.compute_estimate import compute_notes, estimate, overload
from keras_mtl.firmware_host.cost import OpRow
from keras_mtl.firmware_host.emulator import emulate
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.target import load_target
from keras_mtl.firmware_host.text import report_text

SHAPE = (1, 10, 10, 4)


def row(op: str = "CONV_2D", dtype: str = "int8", macs: int | None = 1000, **values) -> OpRow:
    made = OpRow(0, op, 1, "layer", (dtype, "int8"), (SHAPE, (4, 3, 3, 4)), dtype, SHAPE, macs, 10, 400)
    return replace(made, **values)


@pytest.fixture
def m4():
    return load_target("nrf52840")


def board(core: str, kernels: str = "cmsis-nn"):
    return replace(load_target("stm32h743"), core=core, kernels=kernels)


# The figures that were measured: the least and the most instructions for each MAC.
@pytest.mark.parametrize(
    ("core", "kernels", "dtype", "ends"),
    [
        ("cortex-m4", "cmsis-nn", "int8", [6.3, 7.4]),
        ("cortex-m4", "cmsis-nn", "int16", [8, 12]),
        ("cortex-m55", "cmsis-nn", "int8", [2.2, 3.3]),
        ("cortex-m55", "cmsis-nn", "int16", [4.3, 8.9]),
    ],
)
def test_measured_figures_are_taken_as_they_are(core, kernels, dtype, ends):
    compute, why = estimate([row(dtype=dtype, macs=10**6)], [2.0], board(core, kernels))
    assert why == ""
    assert compute["instructions_per_mac"] == ends
    assert compute["instructions_per_second"] == [end * 2 * 10**6 for end in ends]
    assert compute["load"] == [round(end * 2e6 / 480e6, 4) for end in ends]
    assert "measured under QEMU on a small CNN" in compute["basis"]
    assert compute["measured"] is False  # of this file, nothing was
    assert (compute["core"], compute["kernels"], compute["clock_hz"]) == (core, kernels, 480_000_000)


@pytest.mark.parametrize(("dtype", "measured"), [("int8", 32), ("int16", 40)])
def test_one_measured_figure_becomes_a_range_around_it(dtype, measured):
    compute, _ = estimate([row(dtype=dtype)], [1.0], board("cortex-m4", "reference"))
    least, most = compute["instructions_per_mac"]
    assert least < measured < most
    assert f"({measured} on a Cortex-M4)" in compute["basis"]


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_cores_without_figures_get_wider_ranges_and_a_reason(dtype):
    def ends(core, kernels="cmsis-nn"):
        compute, _ = estimate([row(dtype=dtype, macs=10**6)], [1.0], board(core, kernels))
        return compute["instructions_per_mac"], compute["basis"]

    def width(of):
        return of[1] / of[0]

    m4, _ = ends("cortex-m4")
    for core in ("cortex-m7", "cortex-m33"):
        as_m4, basis = ends(core)
        assert as_m4 == m4
        assert "Cortex-M4's DSP instructions" in basis
    small, basis = ends("cortex-m0plus")
    assert small[0] > m4[1]
    assert width(small) > width(m4)
    assert "derived: CMSIS-NN's portable C" in basis
    xtensa, basis = ends("xtensa-lx7", "esp-nn")
    assert width(xtensa) > 3
    assert "Espressif" in basis


def test_mean_counts_its_elements(m4):
    compute, _ = estimate([row("MEAN", macs=0), row()], [1.0, 1.0], m4)
    mean, conv = compute["parts"]
    assert mean["instructions_per_second"] == [130 * 400] * 2
    assert (mean["op"], mean["macs_per_second"], conv["op"]) == ("MEAN", 0, "CONV_2D")
    assert "MEAN: 130 instructions an element" in compute["basis"]
    only, _ = estimate([row("MEAN", macs=0)], [1.0], m4)
    assert only["instructions_per_mac"] is None


def test_int16_depthwise_takes_the_slow_path(m4):
    compute, _ = estimate([row("DEPTHWISE_CONV_2D", "int16", 10**6)], [1.0], m4)
    assert compute["instructions_per_second"] == [round(3.9 * 6.3e6), round(3.9 * 7.4e6)]
    assert "3.9 times int8" in compute["basis"]
    fast, _ = estimate([row("DEPTHWISE_CONV_2D", "int8", 10**6)], [1.0], m4)
    assert fast["instructions_per_mac"] == [6.3, 7.4]


def test_parts_are_added_up_by_operator_and_type(m4):
    rows = [row(macs=10**6), row(macs=3 * 10**6), row("FULLY_CONNECTED", "int16", 10**5), row("RELU", macs=0)]
    compute, _ = estimate(rows, [1.0, 1.0, 25.0, 1.0], m4)
    assert [(part["op"], part["dtype"], part["macs_per_second"]) for part in compute["parts"]] == [
        ("CONV_2D", "int8", 4_000_000),
        ("FULLY_CONNECTED", "int16x8", 2_500_000),
    ]
    sums = [sum(part["instructions_per_second"][end] for part in compute["parts"]) for end in (0, 1)]
    assert compute["instructions_per_second"] == sums == [4 * 6_300_000 + 2_500_000 * 8, 4 * 7_400_000 + 2_500_000 * 12]
    assert compute["dtype"] == "int8 and int16x8"


@pytest.mark.parametrize(
    ("rows", "core", "kernels", "why"),
    [
        ([row(dtype="float32")], "cortex-m4", "cmsis-nn", "no figures for float32 kernels"),
        ([row()], "riscv", "reference", "no figures for the core riscv"),
        ([row()], "cortex-m4", "esp-nn", "no figures for esp-nn on cortex-m4"),
        ([row("SVDF", macs=None)], "cortex-m4", "cmsis-nn", "MACs of SVDF can't be counted"),
        ([row("MEAN", macs=0, repeats=None)], "cortex-m4", "cmsis-nn", "MACs of MEAN can't be counted"),
        ([row("RELU", macs=0)], "cortex-m4", "cmsis-nn", "no MACs"),
        ([row(macs=1 << 70)], "cortex-m4", "cmsis-nn", "beyond all reason"),
        ([row("MEAN", macs=0, input_shapes=((2**31 - 1,) * 50,))], "cortex-m4", "cmsis-nn", "beyond all reason"),
    ],
)
def test_where_there_is_no_basis_there_is_no_estimate(rows, core, kernels, why):
    compute, note = estimate(rows, [1.0] * len(rows), board(core, kernels))
    assert compute is None
    assert note.startswith("no compute estimate")
    assert why in note
    assert compute_notes(compute, note) == [note]


def test_a_budget_has_no_core_to_estimate_for():
    assert estimate([row()], [1.0], load_target("dcase-asc")) == (None, "")


@pytest.mark.parametrize(("macs", "word"), [(10**6, ""), (95 * 10**5, "may be more"), (10**7, ""), (10**8, "is more")])
def test_more_than_the_core_has_is_said(m4, macs, word):
    clock = 64_000_000 if macs != 10**7 else 480_000_000
    compute, note = estimate([row(macs=macs)], [1.0], replace(m4, clock_hz=clock))
    assert word in overload(compute)
    assert bool(overload(compute)) == bool(word)
    assert len(compute_notes(compute, note)) == bool(word)


def test_report_shows_it_with_its_basis_and_never_as_a_latency(make_artifact, m4, tmp_path):
    report = emulate(make_artifact("int8"), m4, engines=("tflm",))
    compute = report.to_dict()["compute"]
    macs = 8 * 6 * 3 * 3 * 4 + 48 * 5
    assert [part["op"] for part in compute["parts"]] == ["CONV_2D", "FULLY_CONNECTED"]
    assert sum(part["macs_per_second"] for part in compute["parts"]) == macs
    text = report_text(report)
    for word in ("an estimate, not measured", "6.3 to 7.4 a MAC", "basis: int8 6.3 to 7.4", "% of 64 MHz"):
        assert word in text
    assert Report.load(report.save(tmp_path / "report.json")) == report
    floats = emulate(make_artifact("float32"), m4, engines=("tflm",))
    assert floats.compute is None
    assert any("no figures for float32 kernels" in note for note in floats.notes)
    assert "an estimate" not in report_text(floats)


def test_twice_the_audio_is_half_the_work(make_artifact, m4):
    one, two = (emulate(make_artifact("int8", audio_seconds=s), m4, engines=("tflm",)).compute for s in (1.0, 2.0))
    assert two["instructions_per_second"] == pytest.approx(
        [end / 2 for end in one["instructions_per_second"]], rel=1e-3
    )
