"""What the emulator says of real boards, held against what others measured on them."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from collections import Counter
from types import ModuleType

import pytest

from keras_mtl.firmware_host.compute import estimate
from keras_mtl.firmware_host.targets import load_target, target_names


@pytest.fixture(scope="module")
def devices(repository) -> ModuleType:
    """The script."""
    spec = importlib.util.spec_from_file_location("devices", repository.root / "benchmarks" / "devices.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_times_are_inside_narrow_ranges(devices):
    """At least 18 of 21; no range is wider than 3 : 1."""
    times, arenas, left = devices.held_against()
    assert not arenas and not left
    boards = Counter(row["board"].split()[-1].strip("()") for row in times)
    assert len(times) == 31 and set(boards) == {
        "nRF52840", "LX6", "LX7", "Cortex-M4", "Cortex-M7", "Cortex-M33",
    }  # fmt: skip
    outside = [(row["board"], row["network"]) for row in times if not row["inside"]]
    assert len(outside) <= len(times) // 7, outside
    assert max(row["most_to_least"] for row in times) <= 3.0
    assert all(row["least_ms"] < row["most_ms"] for row in times)
    middle = sorted(abs(row["error"]) for row in times)
    assert middle[len(middle) // 2] < 0.25  # of the ranges' middles


def test_no_shipped_board_has_a_wider_range(repository, devices):
    """Of any of these networks."""
    networks = devices._networks(repository.root / "benchmarks" / "devices" / "networks.tsv")
    boards = [target for target in map(load_target, target_names()) if target.is_board]
    for target in boards:
        for name, layers in networks.items():
            least, most = estimate(layers, None, target)[0]["cycles_per_inference"]
            assert most <= 3 * least, (target.name, name, most / least)


def test_a_row_outside_its_range_is_said(repository, tmp_path):
    table = (repository.root / "benchmarks/devices/measured.tsv").read_text().splitlines()
    heads, *rows = csv.reader(table, delimiter="\t")
    board = next(row for row in rows if "nRF52840" in row[0])
    slow = [*board[:4], str(10 * float(board[4])), *board[5:]]
    nothing = ["Some ESP32-C3 board", "160", *board[2:]]
    (tmp_path / "measured.tsv").write_text("\n".join("\t".join(row) for row in (heads, slow, nothing)))
    command = [sys.executable, str(repository.root / "benchmarks" / "devices.py"), "--models", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "OUTSIDE" in done.stdout and "0 of 1 times inside" in done.stdout
    assert "no figures for this board or runtime" in done.stdout


def test_every_row_names_its_source(repository):
    with (repository.root / "benchmarks/devices/measured.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert all(row["source"].startswith(("mcufit-bench", "MLPerf Tiny v1.", "esp-tflite-micro")) for row in rows)
