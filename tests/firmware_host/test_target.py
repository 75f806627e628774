"""Targets: those that ship, a user's own file, and what is wrong with one."""

from __future__ import annotations

import pytest

from keras_mtl.errors import TargetError
from keras_mtl.firmware_host.target import load_target, read_target, target_names

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
"""


def test_every_shipped_target_loads_under_its_own_name():
    names = target_names()
    assert {"dcase-asc", "stm32h743"} <= set(names)
    for name in names:
        assert load_target(name).name == name


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


def test_unknown_name_gives_the_nearest():
    with pytest.raises(TargetError, match=r"unknown target stm32h734 \(did you mean stm32h743\?"):
        load_target("stm32h734")


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(TargetError, match=r"can't read the target file .*: No such file"):
        load_target(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clock_hz = 64_000_000", "", "missing field clock_hz"),
        ('name = "mine"', "", "missing field name"),
        ("clock_hz", "clock_mhz", r"unknown field clock_mhz \(did you mean clock_hz\?\)"),
        ("64_000_000", '"fast"', "field clock_hz is 'fast'"),
        ("64_000_000", "true", "field clock_hz is True"),
        ("flash_bytes = 1_000_000", "flash_bytes = -1", "field flash_bytes is -1"),
        ('"cortex-m4"', "4", "field core is 4"),
        ('"cmsis-nn"', '"esp-nn"', "field kernels is 'esp-nn'"),
        ('"board"', '"phone"', "field kind is 'phone'"),
        ("200_000", "300_000", "field arena_ram_bytes is more than ram_bytes"),
        ("100_000", "2_000_000", "field application_flash_bytes is more than flash_bytes"),
        ('kind = "board"', "kind = ", "not valid TOML"),
    ],
)
def test_wrong_field_is_named(old, new, message):
    with pytest.raises(TargetError, match=message):
        read_target(BOARD.replace(old, new, 1), "mine.toml")
