"""The estimate of a target's work: ranges from measured figures, exceptions, sets, and where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keras_mtl.firmware_host.compute import OpRow, estimate
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import compute_lines, report_text

SHAPE = (1, 10, 10, 4)


def row(op: str = "CONV_2D", dtype: str = "int8", macs: int | None = 1000, **values) -> OpRow:
    made = OpRow(0, op, 1, "layer", (dtype, "int8"), (SHAPE, (4, 3, 3, 4)), dtype, SHAPE, macs, 10, 400)
    return replace(made, **values)


@pytest.fixture
def m4():
    return load_target("nrf52840")


def board(core: str, kernels: str = "cmsis-nn"):
    return replace(load_target("stm32h743"), core=core, kernels=kernels)


# Whole files in TensorFlow Lite Micro with CMSIS-NN on a Cortex-M4 under QEMU, instructions of one inference, bit-exact
# with the host: the scene part of `mt` (convolutions 3x3, pools, attention), and one step of its first recurrent cell.
MT_CONVOLUTIONS = (
    ((100, 128), 1, 8),
    ((50, 64), 8, 8),
    ((50, 32), 8, 24),
    ((50, 16), 24, 32),
    ((50, 8), 32, 56),
    ((50, 8), 56, 56),
)
MT_POOLS = ((100, 128, 8), (50, 64, 8), (50, 32, 24), (50, 16, 32), (50, 8, 56))
MEASURED_SCENES = {"int8": 72_967_720, "int16": 77_927_480}
MEASURED_CELL = 441_280


def scene_part(dtype: str) -> list[OpRow]:
    rows = []
    for (height, width), inputs, outputs in MT_CONVOLUTIONS:
        shapes = ((1, height, width, inputs), (outputs, 3, 3, inputs))
        macs = height * width * inputs * outputs * 9
        rows.append(row("CONV_2D", dtype, macs, input_shapes=shapes, output_shape=(1, height, width, outputs)))
    rows += [row("MAX_POOL_2D", dtype, 0, input_shapes=((1, *shape),)) for shape in MT_POOLS]
    rows.append(row("FULLY_CONNECTED", dtype, 89_600, output_shape=(1, 25, 16)))
    rows.append(row("BATCH_MATMUL", dtype, 5_600, output_shape=(1, 1, 224)))
    return rows


def cell() -> list[OpRow]:
    dense = [
        row("FULLY_CONNECTED", "int16", 128 * depth, output_shape=(1, 128)) for depth in (224, 224, 224, 128, 128, 128)
    ]
    elementwise = ("ADD", "ADD", "ADD", "ADD", "LOGISTIC", "LOGISTIC", "MUL", "MUL", "TANH", "SUB")
    return dense + [row(op, "int16", 0, input_shapes=((1, 128),)) for op in elementwise]


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_range_holds_what_a_whole_network_took_on_a_cortex_m4(m4, dtype):
    rows = scene_part(dtype)
    compute, why = estimate(rows, [1.0] * len(rows), m4)
    assert why == ""
    least, most = compute["instructions_per_second"]
    assert least < MEASURED_SCENES[dtype] < most
    assert most / least < 2
    assert compute["measured"] is False  # of the file in question, nothing was
    assert (compute["core"], compute["kernels"], compute["clock_hz"]) == ("cortex-m4", "cmsis-nn", 64_000_000)
    cycles = compute["cycles_per_second"]
    assert cycles == pytest.approx([least * 1.1, most * 1.5], rel=1e-6)
    assert compute["load"] == [round(end / 64e6, 4) for end in cycles]
    assert "measured under QEMU on Cortex-M4" in compute["basis"]


def test_range_holds_what_a_recurrent_cell_took_on_a_cortex_m4(m4):
    compute, _ = estimate(cell(), [1.0] * len(cell()), m4)
    least, most = compute["instructions_per_second"]
    assert least < MEASURED_CELL < most
    assert {part["op"] for part in compute["parts"]} == {"FULLY_CONNECTED", "ADD", "LOGISTIC", "MUL", "TANH", "SUB"}


def per_mac(core: str, kernels: str = "cmsis-nn", dtype: str = "int8", depth: int = 504) -> tuple[float, float, str]:
    compute, why = estimate([row(dtype=dtype, macs=depth * 400)], [1.0], board(core, kernels))
    assert compute is not None, why
    return *compute["instructions_per_mac"], compute["basis"]


# One convolution each that was measured: core, kernels, type, depth, instructions a MAC.
@pytest.mark.parametrize(
    ("core", "kernels", "dtype", "depth", "measured"),
    [
        ("cortex-m4", "cmsis-nn", "int8", 9, 13.99),
        ("cortex-m33", "cmsis-nn", "int8", 72, 2.67),
        ("cortex-m4", "cmsis-nn", "int16", 504, 1.94),
        ("cortex-m3", "cmsis-nn", "int8", 288, 2.77),
        ("cortex-m0plus", "cmsis-nn", "int8", 216, 6.86),
        ("cortex-m0plus", "cmsis-nn", "int16", 72, 8.68),
        ("cortex-m55", "cmsis-nn", "int8", 288, 0.24),
        ("cortex-m55", "cmsis-nn", "int16", 9, 8.58),
        ("cortex-m4", "reference", "int8", 288, 7.49),
        ("cortex-m0plus", "reference", "int16", 27, 45.96),
    ],
)
def test_range_holds_what_was_measured_of_a_kernel(core, kernels, dtype, depth, measured):
    least, most, basis = per_mac(core, kernels, dtype, depth)
    assert least < measured < most
    assert "measured under QEMU on Cortex-M" in basis


def test_more_depth_is_less_work_for_a_mac():
    for core in ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m55"):
        for dtype in ("int8", "int16"):
            middles = [sum(per_mac(core, dtype=dtype, depth=depth)[:2]) for depth in (9, 32, 72, 504)]
            assert middles == sorted(middles, reverse=True)


def test_cores_and_kernels_without_figures_say_what_stands_for_them():
    assert per_mac("cortex-m7")[:2] == per_mac("cortex-m4")[:2]
    assert "a cortex-m7 runs the same instructions" in per_mac("cortex-m7")[2]
    assert "the same" not in per_mac("cortex-m4")[2]
    assert per_mac("cortex-m55", "reference") == per_mac("cortex-m4", "reference")


# Cycles a MAC of one convolution of depth 504, and what they are from.
@pytest.mark.parametrize(
    ("core", "kernels", "build", "dtype", "cycles", "basis"),
    [
        ("cortex-m4", "cmsis-nn", None, "int8", (1.1 * 1.7 / 1.15, 1.5 * 2.0 * 1.15), "NUCLEO-L4R5ZI"),
        ("cortex-m4", "cmsis-nn", "-Os", "int8", (2.2 * 1.7 / 1.15, 3.0 * 2.0 * 1.15), "with -Os, which took twice"),
        ("cortex-m4", "cmsis-nn", "arduino", "int8", (3.6, 6.9), "measured on an Arduino Nano 33 BLE"),
        ("cortex-m33", "cmsis-nn", "-O2", "int8", (1.1 * 1.7 / 1.15, 1.35 * 2.0 * 1.15), "nRF5340"),
        ("cortex-m7", "cmsis-nn", "-O2", "int16", (0.65 * 1.9 / 1.15, 0.95 * 2.2 * 1.15), "it can do two at once"),
        ("cortex-m0plus", "cmsis-nn", "-O2", "int8", (1.2 * 6.3 / 1.15, 2.0 * 6.9 * 1.15), "not measured on a chip"),
        ("cortex-m55", "cmsis-nn", "-O2", "int8", (1.25 * 0.2 / 1.15, 1.5 * 0.3 * 1.15), "not measured on a chip"),
        ("xtensa-lx6", "esp-nn", "-O2", "int8", (10.5, 17.0), "measured on an ESP32"),
        ("xtensa-lx7", "esp-nn", "-O2", "int8", (0.7, 1.8), "measured on an ESP32-S3, by Espressif"),
        ("xtensa-lx7", "esp-nn", "-O2", "int16", (14.1 / 1.15, 1.6 * 14.9 * 1.15), "TFLM's reference kernels"),
        ("cortex-m4", "x-cube-ai", None, "int8", (1.23, 2.75), "measured on a NUCLEO-L4R5ZI with X-CUBE-AI 9.0"),
        ("cortex-m7", "x-cube-ai", None, "int8", (0.77, 1.49), "measured on a NUCLEO-H7A3ZI-Q"),
    ],
)
def test_cycles_are_those_of_core_library_build_and_type(core, kernels, build, dtype, cycles, basis):
    target = replace(board(core, kernels), kernels_build=build)
    compute, why = estimate([row(dtype=dtype, macs=504 * 10**6, output_shape=(1, 10**6))], [1.0], target)
    assert compute is not None, why
    assert compute["cycles_per_mac"] == pytest.approx(cycles, abs=0.006)
    assert basis in compute["cycles_basis"]
    assert compute["load"] == [round(end / 480e6, 4) for end in compute["cycles_per_second"]]
    if core.startswith("xtensa") or kernels == "x-cube-ai":
        assert compute["instructions_per_second"] is compute["instructions_per_mac"] is None
        assert "were not counted" in compute["basis"]


def test_what_was_not_measured_gives_instructions_only():
    faster, _ = estimate([row(macs=10**6)], [1.0], board("cortex-m85"))
    assert faster["cycles_per_second"] is None
    unknown = replace(board("cortex-m7"), kernels_build="arduino")
    compute, _ = estimate([row(macs=10**6)], [1.0], unknown)
    assert compute["instructions_per_second"] is not None
    assert compute["cycles_per_second"] is compute["cycles_basis"] is compute["load"] is None
    text = "\n".join(compute_lines(compute))
    assert "its cycles were not measured for cmsis-nn 7.0 arduino on cortex-m7" in text
    assert estimate([row()], [1.0], board("cortex-m0plus", "c99"))[0] is None  # no figures of that runtime there


def test_weights_from_a_flash_outside_the_chip_are_waited_for():
    """Each comes once a call: in a dense layer as often as it is multiplied, in a convolution far less."""
    layer = row("FULLY_CONNECTED", "int16", 10**6, weight_bytes=10**6, output_shape=(1, 1000))
    inside, _ = estimate([layer], [1.0], board("cortex-m33"))
    outside, _ = estimate([layer], [1.0], replace(board("cortex-m33"), flash_cycles_per_byte=(4.0, 8.0)))
    more = [a - b for a, b in zip(outside["cycles_per_second"], inside["cycles_per_second"], strict=True)]
    assert more == [4 * 10**6, 8 * 10**6]
    assert "4 to 8 cycles a byte" in outside["cycles_basis"]
    assert outside["instructions_per_second"] == inside["instructions_per_second"]


def test_mean_counts_its_elements(m4):
    compute, _ = estimate([row("MEAN", macs=0), row()], [1.0, 1.0], m4)
    mean, conv = compute["parts"]
    assert mean["instructions_per_second"] == [round(130 * 400 / 1.15), round(130 * 400 * 1.15)]
    assert (mean["op"], mean["macs_per_second"], conv["op"]) == ("MEAN", 0, "CONV_2D")
    only, _ = estimate([row("MEAN", macs=0)], [1.0], m4)
    assert only["instructions_per_mac"] is None
    wider, _ = estimate([row("MEAN", macs=0)], [1.0], board("cortex-m55"))
    assert wider["instructions_per_second"] == [round(130 * 400 / 2.5), round(130 * 400 * 1.15)]  # no more than an M4
    assert "a Cortex-M4's instructions, widened" in wider["basis"]
    small, _ = estimate([row("MEAN", macs=0)], [1.0], board("cortex-m0plus"))
    assert small["instructions_per_second"] == [round(130 * 400 / 2.5), round(130 * 400 * 2.5)]


def test_int16_depthwise_takes_the_slow_path(m4):
    slow, _ = estimate([row("DEPTHWISE_CONV_2D", "int16", 10**6)], [1.0], m4)
    fast, _ = estimate([row("DEPTHWISE_CONV_2D", "int8", 10**6)], [1.0], m4)
    ratios = [a / b for a, b in zip(slow["instructions_per_second"], fast["instructions_per_second"], strict=True)]
    assert ratios == pytest.approx([4.05, 4.05], rel=0.02)  # an older measurement of a whole layer: 3.9


def test_parts_are_added_up_by_operator_and_type(m4):
    rows = [row(macs=10**6), row(macs=3 * 10**6), row("FULLY_CONNECTED", "int16", 10**5), row("RELU", macs=0)]
    compute, _ = estimate(rows, [1.0, 1.0, 25.0, 1.0], m4)
    assert [(part["op"], part["dtype"], part["macs_per_second"]) for part in compute["parts"]] == [
        ("CONV_2D", "int8", 4_000_000),
        ("FULLY_CONNECTED", "int16x8", 2_500_000),
    ]
    sums = [sum(part["instructions_per_second"][end] for part in compute["parts"]) for end in (0, 1)]
    assert compute["instructions_per_second"] == sums
    assert compute["dtype"] == "int8 and int16x8"
    alone, _ = estimate(rows[:1], [4.0], m4)
    assert compute["parts"][0]["instructions_per_second"] == alone["instructions_per_second"]


@pytest.mark.parametrize(
    ("rows", "core", "kernels", "why"),
    [
        ([row(dtype="float32")], "cortex-m4", "cmsis-nn", "no figures for float32 kernels"),
        ([row()], "riscv", "reference", "no figures for the core riscv"),
        ([row()], "cortex-m4", "esp-nn", "no figures for CONV_2D with esp-nn on cortex-m4"),
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


def test_a_budget_has_no_core_to_estimate_for():
    assert estimate([row()], [1.0], load_target("dcase-asc")) == (None, "")


def test_report_shows_it_with_its_basis_and_never_as_a_latency(make_artifact, m4, tmp_path):
    report = emulate(make_artifact("int8"), m4, engines=("tflm",))
    compute = report.to_dict()["compute"]
    macs = 8 * 6 * 3 * 3 * 4 + 48 * 5
    assert [part["op"] for part in compute["parts"]] == ["CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED"]
    assert sum(part["macs_per_second"] for part in compute["parts"]) == macs
    text = report_text(report)
    for word in ("an estimate, not measured", " a MAC; ", "instructions a MAC by layer", "% of 64 MHz"):
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
