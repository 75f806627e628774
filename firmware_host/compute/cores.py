"""Processor cores, as the tables of this package tell them apart."""

from __future__ import annotations

from dataclasses import dataclass

from keras_mtl.firmware_host.targets import Target


@dataclass(frozen=True)
class Core:
    """What of a core decides how long something takes.

    Attributes:
        instructions: whose instructions it runs, as in `instruction_rates`. Of an Xtensa none were counted: a
            Cortex-M4's stand for them where its cycles were not measured.
        pipeline: as in `cycle_rates`, what one of them takes; empty where that is not known.
        unit: its arithmetic unit, as in `around`. Figures of an Xtensa's front end are those of a Cortex-M4F, whose FPU
            computes float32 as well.
    """

    instructions: str
    pipeline: str
    unit: str


_M0, _M4F, _M33 = Core("m0", "m0", "m0"), Core("m4", "m4", "m4f"), Core("m4", "m33", "m4f")
#: By name. An M52 and an M85 run an M55's instructions, at one beat a cycle and two at once.
CORES = {
    **dict.fromkeys(("cortex-m0", "cortex-m0plus", "cortex-m0+", "cortex-m1", "cortex-m23"), _M0),
    "cortex-m3": Core("m3", "m4", "m4 without FPU"),
    **dict.fromkeys(("cortex-m4", "cortex-m4f"), _M4F),
    "cortex-m7": Core("m4", "m7", "m4f"),
    **dict.fromkeys(("cortex-m33", "cortex-m35p"), _M33),
    "cortex-m55": Core("m55", "m55", "m55"),
    **dict.fromkeys(("cortex-m52", "cortex-m85"), Core("m55", "", "m55")),
    "xtensa-lx6": Core("xtensa", "lx6", "m4f"),
    "xtensa-lx7": Core("xtensa", "lx7", "m4f"),
}
_UNKNOWN = Core("", "", "")


def core_of(target: Target) -> Core:
    """The target's core; one without anything in the tables where it is not known."""
    return CORES.get(str(target.core).lower(), _UNKNOWN)
