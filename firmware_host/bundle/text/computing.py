"""What a README says of the time that the networks take: the emulator's estimate, and what is not in it."""

from __future__ import annotations

import math
from typing import Any

from keras_mtl.firmware_host.bundle.text.c_source import filled
from keras_mtl.firmware_host.compute import estimate, op_rows
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import Target
from keras_mtl.firmware_host.views import compute_lines
from keras_mtl.tflite.artifact import Artifact

_NONE = "There is no estimate for this core and these operators: measure the time on your device."
_ASKED = "The target asks for the log-mel in {} point: define `KMTL_LOG_MEL_FIXED={}` for all files."
_BYTES_PER_SAMPLE = 2


def computing_section(name: str, report: Report, front_end: bool) -> str:
    """The section of a README, with the estimate as `emulate` prints it."""
    made = "\n".join(f"    {line}".rstrip() for line in compute_lines(report.compute)) if report.compute else _NONE
    parts = filled("README_computing.md.in", name=name, estimate=made).rstrip("\n").split("\n%%\n")
    asked = report.target.get("front_end")
    words = [_ASKED.format(asked, int(asked == "fixed"))] if asked else []
    return "\n\n".join([parts[0], *([*parts[1:], *words] if front_end else ())])


def turn_words(artifact: Artifact, target: Target) -> dict[str, Any]:
    """Words on a turn of an event decoder of both directions: its length, and the audio that comes meanwhile.

    Returns:
        `ring` and `hop` in embeddings, `hop_s`, and `work`: a sentence on what a turn takes, by the estimate, or that
        there is none.
    """
    wiring = artifact.wiring
    hop_s = wiring.stream.event_hop * artifact.step_s
    cells = [name for layer in wiring.recurrent for name in layer.cells]
    calls = artifact.calls_per_second or {}
    found = [
        (row, calls[name]) for name in (*cells, wiring.classifiers) for row in op_rows(artifact.members[name].model)
    ]
    compute, _ = estimate([row for row, _ in found], [rate for _, rate in found], target)
    work = "How long that takes is not known: measure it."
    if compute and compute["cycles_per_second"]:
        least, most = (end * hop_s for end in compute["cycles_per_second"])
        longest_s = most / compute["clock_hz"]
        samples = math.ceil(longest_s * artifact.facts.features.sample_rate_hz)
        work = (
            f"A turn is {_millions(least)} to {_millions(most)} M cycles by the\n"
            f"   estimate, at the most {longest_s:.2g} s at {compute['clock_hz'] / 1e6:g} MHz: "
            f"{samples:,} samples, {samples * _BYTES_PER_SAMPLE:,} bytes."
        )
    return {"ring": wiring.event_ring, "hop": wiring.stream.event_hop, "hop_s": f"{hop_s:g}", "work": work}


def _millions(value: float) -> str:
    return f"{value / 1e6:,.0f}" if value >= 1e8 else f"{value / 1e6:.3g}"
