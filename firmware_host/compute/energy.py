"""Energy of a second of audio, derived: cycles by the energy that a cycle took on a board that was measured.

The boards are those of MLPerf Tiny v1.2 (summary.csv, STMicroelectronics, X-CUBE-AI 9.0): microjoules an inference over
its milliseconds by the clock, of the four networks: least and most. Another chip of the same core takes another energy,
so a target may state its own (`energy_nj_per_cycle`). What the rest of a device takes comes on top: sleep, microphone,
radio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_mtl.firmware_host.compute.cores import core_of
from keras_mtl.firmware_host.targets import Target

#: Nanojoules for a cycle, by core, and the board that they were measured on.
_NANOJOULES = {
    "m4": ((0.322, 0.365), "NUCLEO-L4R5ZI (Cortex-M4, 120 MHz)"),
    "m7": ((0.434, 0.483), "NUCLEO-H7A3ZI-Q (Cortex-M7, 280 MHz)"),
    "m33": ((0.141, 0.150), "NUCLEO-U575ZI-Q (Cortex-M33, 160 MHz)"),
}
_SOURCE = "measured on a {} by MLPerf Tiny v1.2"
_SECONDS_A_DAY, _COULOMBS_PER_MAH = 86_400, 3.6


@dataclass(frozen=True)
class Battery:
    """A battery, and how much of the time a device listens.

    Attributes:
        mah: its charge.
        duty: part of the time in which audio is computed, above 0 and at most 1.
        volts: its voltage.
    """

    mah: float
    duty: float = 1.0
    volts: float = 3.0

    @property
    def joules(self) -> float:
        """What it holds."""
        return self.mah * _COULOMBS_PER_MAH * self.volts


def energy_of(compute: dict[str, Any] | None, target: Target, battery: Battery | None = None) -> dict[str, Any] | None:
    """The energy of a second of audio.

    `compute`: as `estimate` gives it.

    Returns:
        Plain values: `mj_per_second` (millijoules, or null), `nj_per_cycle` (or null), `source`: where that is from, or
        why there is none, `derived` (always true) and, with a battery, `battery`: its fields and `days` (or null). None
        where it is not known how many cycles a second of audio takes.
    """
    if compute is None or compute["load"] is None:
        return None
    each, source = target.energy_nj_per_cycle, "stated by the target"
    if each is None:
        each, board = _NANOJOULES.get(core_of(target).pipeline, (None, ""))
        source = _SOURCE.format(board) if each else f"no board with a {target.core} was measured by MLPerf Tiny v1.2"
    found: dict[str, Any] = {"mj_per_second": None, "nj_per_cycle": None, "source": source, "derived": True}
    days = None
    if each is not None:
        cycles = [end * compute["clock_hz"] for end in compute["load"]]
        ends = [one * nanojoules / 1e6 for one, nanojoules in zip(cycles, each, strict=True)]
        found |= {"mj_per_second": [_rounded(end) for end in ends], "nj_per_cycle": list(each)}
        if battery is not None and ends[0]:
            a_day = [end / 1000 * battery.duty * _SECONDS_A_DAY for end in ends]
            days = [_rounded(battery.joules / end) for end in reversed(a_day)]
    if battery is not None:
        found["battery"] = {"mah": battery.mah, "volts": battery.volts, "duty": battery.duty, "days": days}
    return found


def _rounded(value: float) -> float:
    """To three digits, which is more than is known."""
    return float(f"{value:.3g}")
