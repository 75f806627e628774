"""Targets: those that ship, a user's own file, and what is wrong with one."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from importlib import resources

import pytest

from keras_mtl.core import TargetError
from keras_mtl.firmware_host.compute import OpRow, estimate
from keras_mtl.firmware_host.targets import Target, load_target, target_names
from keras_mtl.firmware_host.targets.target import read_target

BOARD = """
kind = "board"
name = "mine"
core = "cortex-m4"
clock_hz = 64_000_000
flash_bytes = 1_000_000
ram_bytes = 256_000
arena_ram_bytes = 200_000
application_flash_bytes = 100_000
application_ram_bytes = 50_000
kernels = "cmsis-nn"
audio_latency_s = 1.5
# [end]
"""
BOARDS = (
    "apollo4",
    "corstone-300",
    "esp32-s3",
    "nrf52840",
    "rp2040",
    "rp2350",
    "stm32f746",
    "stm32h743",
    "stm32u585",
)


def test_every_shipped_target_loads_under_its_own_name():
    names = target_names()
    assert set(names) == {"dcase-asc", *BOARDS}
    for name in names:
        assert load_target(name).name == name


@pytest.mark.parametrize("name", BOARDS)
def test_every_figure_of_a_board_has_its_source_in_a_comment(name):
    lines = (resources.files("keras_mtl.firmware_host.targets") / f"{name}.toml").read_text().splitlines()
    figures = [i for i, line in enumerate(lines) if re.match(r"\w+ = [\d.]", line)]
    assert len(figures) == 7
    assert [lines[i] for i in figures if not lines[i - 1].startswith("# ")] == []
    assert "Source" in "".join(lines[:3])
    assert sum("assumption" in line.lower() for line in lines) >= 3  # flash, RAM and latency of the application


@pytest.mark.parametrize("name", BOARDS)
def test_board_can_be_estimated_for_and_has_room_for_a_small_model(name):
    target = load_target(name)
    row = OpRow(0, "CONV_2D", 3, "maps", ("int8", "int8"), ((1, 8, 6, 1), (4, 3, 3, 1)), "int8", (1, 8, 6, 4), 10, 1, 1)
    compute, why = estimate([row], [1.0], target)
    assert compute is not None, why
    assert 0 < compute["cycles_per_mac"][0] < compute["cycles_per_mac"][1]
    assert target.flash_bytes - target.application_flash_bytes > 400_000
    assert target.arena_ram_bytes - target.application_ram_bytes > 150_000


def test_budget_has_the_two_limits_of_dcase():
    target = load_target("dcase-asc")
    assert (target.parameter_bytes, target.macs_per_second, target.is_board) == (128_000, 30_000_000, False)


def test_board_leaves_room_for_the_application():
    target = load_target("stm32h743")
    assert target.is_board
    assert target.flash_bytes == 2 * 1024**2
    assert target.arena_ram_bytes == 512 * 1024
    assert 0 < target.application_ram_bytes < target.arena_ram_bytes < target.ram_bytes
    assert 0 < target.application_flash_bytes < target.flash_bytes


def test_own_file_works(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(BOARD)
    target = load_target(path)
    assert (target.name, target.core, target.parity_lsb) == ("mine", "cortex-m4", 2)
    assert target.audio_latency_s == 1.5
    assert read_target(BOARD.replace("1.5", "2"), "mine.toml").audio_latency_s == 2


def test_what_is_assumed_is_a_matter_of_the_target():
    """As it was measured or chosen here where a file says nothing, and then it is no field of a report."""
    usual = read_target(BOARD, "mine.toml")
    assert set(usual.to_dict()) == {*tomllib.loads(BOARD), "description", "parity_lsb"}
    own = {"parity_probability": 0, "events_differ_fraction": 0.1, "interpreter_code_bytes": 60_000}
    own |= {"arena_reserve_bytes": 2_048, "kernels_version": "7.0"}
    text = BOARD + "".join(f"{key} = {json.dumps(value)}\n" for key, value in own.items())
    target = read_target(text, "mine.toml")
    assert target.to_dict() == usual.to_dict() | own
    assert Target(**target.to_dict()) == target


def test_unknown_name_gives_the_nearest():
    with pytest.raises(TargetError, match=r"unknown target stm32h734 \(did you mean stm32h743\?"):
        load_target("stm32h734")


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(TargetError, match=r"can't read the target file .*: No such file"):
        load_target(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clock_hz = 64_000_000", "", "clock_hz is missing"),
        ('name = "mine"', "", "name is missing"),
        ("clock_hz", "clock_mhz", r"no key clock_mhz \(did you mean clock_hz\?\)"),
        ("64_000_000", '"fast"', r"clock_hz = 'fast' \(it must be a whole number\)"),
        ("64_000_000", "true", "clock_hz = True"),
        ("flash_bytes = 1_000_000", "flash_bytes = -1", r"flash_bytes = -1 \(it must be a whole number >= 0\)"),
        ('"cortex-m4"', "4", r"core = 4 \(it must be a text\)"),
        ('"cmsis-nn"', '"esp_nn"', "kernels = 'esp_nn'.*one of cmsis-nn, esp-nn, reference"),
        ("audio_latency_s = 1.5", "", "audio_latency_s is missing"),
        ("audio_latency_s", "latency_s", r"no key latency_s \(did you mean audio_latency_s\?\)"),
        ("= 1.5", "= 0", r"audio_latency_s = 0 \(it must be a number > 0"),
        ("= 1.5", "= inf", "audio_latency_s = inf"),
        ("= 1.5", "= nan", "audio_latency_s = nan"),
        ("= 1.5", "= true", "audio_latency_s = True"),
        ("64_000_000", "0", "clock_hz = 0"),
        ('"board"', '"phone"', r"kind = 'phone' \(it must be one of budget, board\)"),
        ("200_000", "300_000", "arena_ram_bytes is more than ram_bytes"),
        ("100_000", "2_000_000", "application_flash_bytes is more than flash_bytes"),
        ('kind = "board"', "kind = ", "not valid TOML"),
        ("[end]", "parity_probability = -0.1", r"parity_probability = -0.1 \(it must be a number >= 0"),
        ("[end]", "parity_probability = nan", "parity_probability = nan"),
        ("[end]", "events_differ_fraction = 1.5", "events_differ_fraction = 1.5 .*<= 1"),
        ("[end]", 'interpreter_code_bytes = "52 KB"', r"interpreter_code_bytes = '52 KB' \(it must be a whole number"),
        ("[end]", "interpreter_code_bytes = -1", "interpreter_code_bytes = -1"),
        ("[end]", "arena_reserve_bytes = 0.5", r"arena_reserve_bytes = 0.5 \(it must be a whole number"),
        ("[end]", "arena_reserve = 1", r"no key arena_reserve \(did you mean arena_reserve_bytes\?\)"),
        ("[end]", "arena_reserve_bytes = 200_001", "arena_reserve_bytes is more than arena_ram_bytes"),
        (
            "[end]",
            'kernels_version = "3.9"',
            r"kernels_version = '3.9' .*versions of cmsis-nn are 4.0, 4.1, .*leave it out",
        ),
        ("[end]", "kernels_version = 7.0", r"kernels_version = 7.0 \(it must be a text"),
        ("[end]", "interpreter_code_bytes = 1_000_001", "interpreter_code_bytes is more than flash_bytes"),
        ('"cmsis-nn"', '"cmsis-nn 3.9"', "kernels_version = '3.9' is not known"),
        ('"cmsis-nn"', '"cmsis-nn 7.0 8.0"', "kernels_version = '7.0 8.0' is not known"),
        ('"cmsis-nn"', '"cmsis-nn -O9"', "the build '-O9' in kernels is not known .*-O2, -Os, arduino"),
        ('"cmsis-nn"', '"cmsis-nn 7.0"\nkernels_version = "6.0"', "kernels_version is in kernels = 'cmsis-nn 7.0' too"),
        ('"cmsis-nn"', '""', "kernels = ''"),
        ("[end]", "compute_share = 0", r"compute_share = 0 \(it must be a number > 0"),
        ("[end]", "compute_share = 1.5", "compute_share = 1.5 .*<= 1"),
        ("[end]", 'front_end = "double"', "front_end = 'double' .*one of float, fixed"),
        ("[end]", "flash_cycles_per_byte = [8.0, 4.0]", "flash_cycles_per_byte begins with its most, 8 to 4"),
        ("[end]", "energy_nj_per_cycle = [0.1]", "energy_nj_per_cycle = .0.1."),
        ("[end]", "energy_nj_per_cycle = 0.1", "energy_nj_per_cycle = 0.1"),
    ],
)
def test_wrong_field_is_named(old, new, message):
    old = f"# {old}" if old == "[end]" else old
    with pytest.raises(TargetError, match=message):
        read_target(BOARD.replace(old, new, 1), "mine.toml")


def test_a_version_of_the_kernels_is_one_of_that_library():
    for kernels, version in (("esp-nn", "7.0"), ("reference", "1.1")):
        with pytest.raises(TargetError, match=f"kernels_version = '{version}' is not known"):
            read_target(BOARD.replace("cmsis-nn", kernels) + f'kernels_version = "{version}"\n', "mine.toml")


def test_a_file_names_library_version_and_build_in_one_line():
    target = read_target(BOARD.replace('"cmsis-nn"', '"cmsis-nn 7.0 -O2"'), "mine.toml")
    assert (target.kernels, target.kernels_version, target.kernels_build) == ("cmsis-nn", "7.0", "-O2")
    assert target.library == "cmsis-nn 7.0 -O2"
    arduino = read_target(BOARD.replace('"cmsis-nn"', '"cmsis-nn arduino"'), "mine.toml")
    assert (arduino.kernels_version, arduino.kernels_build, arduino.library) == (None, "arduino", "cmsis-nn arduino")
    own = {
        "compute_share": 0.5,
        "front_end": "fixed",
        "flash_cycles_per_byte": [4, 8.5],
        "energy_nj_per_cycle": [0.1, 0.1],
    }
    text = BOARD + "".join(f"{key} = {json.dumps(value)}\n" for key, value in own.items())
    assert read_target(text, "mine.toml").to_dict() == read_target(BOARD, "mine.toml").to_dict() | own
    assert all(load_target(name).kernels_build == "-O2" for name in BOARDS)


def test_builds_are_those_that_version_and_core_leave_open():
    """One where both are known; every known version where a file names none; every variant of a core not known."""
    usual = read_target(BOARD, "mine.toml")
    assert {build.variant for build in usual.kernel_builds} == {"dsp"}
    assert [build.version for build in usual.kernel_builds] == [(4, 0), (4, 1), (5, 0), (6, 0), (7, 0)]
    (one,) = replace(usual, kernels_version="7.0", core="Cortex-M55").kernel_builds
    assert (one.family, one.version, one.variant) == ("cmsis-nn", (7, 0), "mve")
    unknown = replace(usual, kernels_version="7.0", core="cortex-x1").kernel_builds
    assert {build.variant for build in unknown} == {"c", "dsp", "mve"}
    assert {build.family for build in replace(usual, kernels="reference").kernel_builds} == {"reference"}
    (chip,) = replace(usual, kernels="esp-nn", kernels_version="1.1", core="xtensa-lx7").kernel_builds
    assert (chip.variant, chip.version) == ("esp32s3", (1, 1))
