"""Cycles that kernels take on a core, as data, each with its source; `row_rates` makes ranges of them.

Two kinds. Where a chip was measured by others, `MEASURED` has cycles for a multiply-accumulate (MAC) by core, library,
build and type. Elsewhere `PER_INSTRUCTION` has the cycles for an instruction of a core, and the instructions are those
of `instruction_rates`, counted under QEMU. What is in neither is not measured: then there are instructions only.

Chips, in the words of the sources below:

- Arduino: an Arduino Nano 33 BLE (nRF52840, 64 MHz), TensorFlow Lite Micro with CMSIS-NN as Arduino's library manager
  builds it, by operator: mcufit-bench, results/results.jsonl, August 2026 (MIT).
- ESP32: 240 MHz, -O2, weights in a flash outside the chip, whole networks and by operator: the same source; and, for
  the lower end, esp-tflite-micro, README, commit 01a78d0: person detection in 380 ms.
- X-CUBE-AI: MLPerf Tiny v1.2, summary.csv: its four networks on NUCLEO-L4R5ZI (Cortex-M4, 120 MHz), NUCLEO-H7A3ZI-Q
  (M7, 280 MHz) and NUCLEO-U575ZI-Q (M33, 160 MHz). Operators aren't told apart there: what a network takes beside its
  MACs is in the rate.
- microTVM with CMSIS-NN 51263182 of 2022, Zephyr, -O2: MLPerf Tiny v1.0, closed/OctoML/results, commit cc81fd5: the
  four networks on NUCLEO-L4R5ZI (M4, 120 MHz) and nRF5340-DK (M33, 128 MHz).
- ESP32-S3: ESP-NN, README, commits 0798b58 and d45b843: ticks of single kernels, 240 MHz; esp-tflite-micro, as above:
  person detection in 54 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Cycles:
    """Cycles of one library's kernels, in one build, on one core.

    Attributes:
        conv, dense: for a MAC, by depth as in `instruction_rates.DEPTHS`: up to 16, 48, 128, beyond.
        depthwise: for a MAC, at any depth.
        elements: for an element of the input of operators without MACs; None where networks were measured whole, so
            that what these operators take is in the rates of the others.
        operator: for each call of an operator, beside its work.
        source: where the figures are from.
    """

    conv: tuple[Range, ...]
    dense: tuple[Range, ...]
    depthwise: Range
    source: str
    elements: dict[str, Range] | None = None
    operator: Range = (0.0, 0.0)


def _any(least: float, most: float) -> tuple[Range, ...]:
    return ((least, most),) * 4


def _whole(least: float, most: float, board: str) -> Cycles:
    """Of networks that were measured whole: the least and most for a MAC of any of them, 15 % beyond both."""
    ends = (round(least / 1.15, 2), round(most * 1.15, 2))
    source = f"measured on a {board} with X-CUBE-AI 9.0: whole networks, {least:g} to {most:g} cycles a MAC"
    return Cycles(_any(*ends), _any(*ends), ends, f"{source} (MLPerf Tiny v1.2), 15 % beyond both ends")


#: By core, library, build and type.
MEASURED: dict[tuple[str, str, str, str], Cycles] = {
    # 14.6 to 16.3 a MAC depthwise; convolutions 4.2 to 6.0; dense 5.3. Depths up to 16 weren't told apart.
    ("m4", "cmsis-nn", "arduino", "int8"): Cycles(
        conv=((4.0, 20.0), *_any(3.6, 6.9)[1:]),
        dense=((4.6, 12.0), *_any(4.6, 7.0)[1:]),
        depthwise=(12.0, 20.0),
        elements={
            "ADD": (100.0, 140.0),
            "AVERAGE_POOL_2D": (11.0, 18.0),
            "MAX_POOL_2D": (9.0, 18.0),
            "SOFTMAX": (400.0, 1400.0),
        },
        operator=(1_000.0, 2_000.0),
        source="measured on an Arduino Nano 33 BLE, Arduino's build: by operator (mcufit-bench, August 2026)",
    ),
    # Convolutions 13.1 to 14.8, depthwise 21.3 to 23.0; dense layers, whose weights are read once, wait for the flash.
    ("lx6", "esp-nn", "-O2", "int8"): Cycles(
        conv=_any(10.5, 17.0),
        dense=_any(20.0, 51.0),
        depthwise=(17.0, 26.5),
        elements={
            "ADD": (180.0, 240.0),
            "AVERAGE_POOL_2D": (14.0, 40.0),
            "MAX_POOL_2D": (14.0, 40.0),
            "SOFTMAX": (500.0, 1500.0),
        },
        operator=(15_000.0, 40_000.0),
        source="measured on an ESP32 with weights in its flash, -O2: by operator (mcufit-bench, August 2026)",
    ),
    # One whole network: 20.1 a MAC. That is 1.2 times the middle of the instructions that a Cortex-M4 takes for it; by
    # depth as these instructions, and dense layers as those above.
    ("lx6", "reference", "-O2", "int8"): Cycles(
        conv=((16.0, 45.0), (12.0, 32.0), (11.0, 29.0), (9.0, 26.0)),
        dense=_any(22.0, 58.0),
        depthwise=(18.0, 42.0),
        operator=(15_000.0, 40_000.0),
        source="measured on an ESP32, -O2: one whole network (mcufit-bench, August 2026), by depth as a Cortex-M4",
    ),
    ("lx7", "esp-nn", "-O2", "int8"): Cycles(
        conv=((2.3, 6.5), (1.6, 4.5), (0.8, 2.0), (0.7, 1.8)),
        dense=((2.8, 7.0), (2.4, 6.5), (2.0, 6.0), (2.0, 6.0)),
        depthwise=(3.5, 8.0),
        elements={
            "ADD": (40.0, 60.0),
            "MUL": (17.0, 25.0),
            "MAX_POOL_2D": (15.0, 30.0),
            "AVERAGE_POOL_2D": (30.0, 50.0),
        },
        operator=(5_000.0, 15_000.0),
        source="measured on an ESP32-S3, by Espressif: single kernels (ESP-NN, README) and person detection in 54 ms",
    ),
    ("m4", "x-cube-ai", "-O2", "int8"): _whole(1.42, 2.39, "NUCLEO-L4R5ZI"),
    ("m7", "x-cube-ai", "-O2", "int8"): _whole(0.89, 1.3, "NUCLEO-H7A3ZI-Q"),
    ("m33", "x-cube-ai", "-O2", "int8"): _whole(1.27, 2.08, "NUCLEO-U575ZI-Q"),
}

_XTENSA = (
    "a Cortex-M4's instructions of TFLM's reference kernels, 1.0 to 1.6 cycles each: an ESP32 took 1.0 to 1.6 for those"
    " of the one network that was measured (mcufit-bench, August 2026)"
)
#: By core: cycles for an instruction, least and most, and why. Of cores where one isn't a Cortex-M4's instruction, it
#: is those of the reference kernels that are taken.
PER_INSTRUCTION: dict[str, tuple[Range, str]] = {
    "m4": (
        (1.1, 1.5),
        "1.1 to 1.5 cycles an instruction: a NUCLEO-L4R5ZI (flash with wait states and cache) took up to 1.44 for the"
        " upper end of these instructions, and no fewer than 1.5 for the lower one (MLPerf Tiny v1.0, microTVM with"
        " CMSIS-NN, -O2)",
    ),
    "m33": (
        (1.1, 1.35),
        "1.1 to 1.35 cycles an instruction: an nRF5340 took up to 1.25 for the upper end of these instructions, and no"
        " fewer than 1.24 for the lower one (MLPerf Tiny v1.0, microTVM with CMSIS-NN, -O2)",
    ),
    # Of X-CUBE-AI the M7 took 0.54 to 0.63 of the M4's cycles for the same networks.
    "m7": (
        (0.65, 0.95),
        "0.65 to 0.95 cycles an instruction, of which it can do two at once: 0.54 to 0.63 of what a Cortex-M4 takes, by"
        " the four networks of MLPerf Tiny v1.2 on a NUCLEO-H7A3ZI-Q and a NUCLEO-L4R5ZI",
    ),
    "m0": (
        (1.2, 2.0),
        "1.2 to 2 cycles an instruction, not measured on a chip: loads, stores and taken branches take two cycles, a"
        " third to a half of these loops (Arm, Cortex-M0+ TRM, instruction timing), and a flash makes it wait",
    ),
    "m55": (
        (1.25, 1.5),
        "1.25 to 1.5 cycles an instruction, not measured on a chip: one of 128 bits takes two (two beats a cycle), in"
        " the second of which the next one may begin",
    ),
    "lx6": ((1.0, 1.6), _XTENSA),
    "lx7": ((1.0, 1.6), _XTENSA),
}
#: Builds: how many instructions they take for one of -O2.
BUILDS = {"-O2": (1.0, ""), "-Os": (2.0, "built with -Os, which took twice the instructions of -O2")}
