"""What a README says of the time that the networks take: the emulator's estimate, and what is not in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from keras_mtl.firmware_host.bundle.text.c_source import filled
from keras_mtl.firmware_host.device import cell_steps, pass_embeddings
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.views import compute_lines
from keras_mtl.tflite.artifact import Artifact

_NONE = "There is no estimate for this core and these operators: measure the time on your device."
_ASKED = "The target asks for the log-mel in {} point: define `KMTL_LOG_MEL_FIXED={}` for all files."


def computing_section(name: str, report: Report, front_end: bool) -> str:
    """The section of a README, with the estimate as `emulate` prints it."""
    made = "\n".join(f"    {line}".rstrip() for line in compute_lines(report.compute)) if report.compute else _NONE
    parts = filled("README_computing.md.in", name=name, estimate=made).rstrip("\n").split("\n%%\n")
    asked = report.target.get("front_end")
    words = [_ASKED.format(asked, int(asked == "fixed"))] if asked else []
    return "\n\n".join([parts[0], *([*parts[1:], *words] if front_end else ())])


def turn_words(artifact: Artifact, compute: Mapping[str, Any] | None) -> dict[str, Any]:
    """Words on the passes of an event decoder of both directions: how they are spread, and the longest push.

    `compute`: a report's estimate; None without one.

    Returns:
        `ring` and `hop` in embeddings, `hop_s`, `cells` that go with a step, `spread_s` from a pass's first step to its
        last, and `work`: a sentence on what the longest push takes, by the estimate, or that there is none.
    """
    wiring, work = artifact.wiring, "How long a push takes is not known: measure it."
    if compute and compute["burst_s"]:
        clock_hz, (least_s, most_s) = compute["clock_hz"], compute["burst_s"]
        samples = math.ceil(most_s * artifact.facts.features.sample_rate_hz)
        work = (
            f"The longest push is {_millions(least_s * clock_hz)} to {_millions(most_s * clock_hz)} M\n"
            f"   cycles by the estimate, at the most {most_s:.2g} s at {clock_hz / 1e6:g} MHz: "
            f"{samples:,} samples come meanwhile."
        )
    return {
        "ring": wiring.event_ring,
        "hop": wiring.stream.event_hop,
        "hop_s": f"{wiring.stream.event_hop * artifact.step_s:g}",
        "cells": cell_steps(wiring),
        "spread_s": f"{(pass_embeddings(wiring) + 1) * artifact.step_s:.3g}",
        "work": work,
    }


def _millions(value: float) -> str:
    return f"{value / 1e6:,.0f}" if value >= 1e8 else f"{value / 1e6:.3g}"
