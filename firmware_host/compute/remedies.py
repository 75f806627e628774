"""What would make an artifact fit: changes to it, its firmware or the board, each with the load that it would give.

Each is the estimate of the changed thing: hops by how often members run, types and widths by the rows of the changed
layers, kernels, builds and memory by the target's fields. None is listed that does not lessen the load.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from keras_mtl.firmware_host.compute.around import FRONT_END, around_networks, front_end_path
from keras_mtl.firmware_host.compute.cost import OpRow
from keras_mtl.firmware_host.compute.estimates import estimate
from keras_mtl.firmware_host.compute.row_rates import work_of
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import Artifact

#: Narrower networks `mt`: part of the width, channels of the encoder, recurrent units, and M MACs of a second of audio
#: with an event decoder of both directions and with a causal one, ten classes each, as its builder makes them.
WIDTHS: dict[float, tuple[tuple[int, ...], int, float, float]] = {
    0.75: ((6, 6, 18, 24, 42, 42), 96, 24.490, 19.776),
    0.5: ((4, 4, 12, 16, 28, 28), 64, 11.075, 8.970),
    0.25: ((2, 2, 6, 8, 14, 14), 32, 2.912, 2.378),
}
#: Kernels and runtimes that another one may be exchanged for.
_RUNTIMES = ("cmsis-nn", "c99", "x-cube-ai")
#: Microcontrollers with these cores are not faster.
_FASTEST_MHZ = 1_000
_CHANNELS = ("CONV_2D", "TRANSPOSE_CONV", "DEPTHWISE_CONV_2D")


@dataclass(frozen=True)
class _Case:
    """An artifact on a board, and what is changed of it."""

    artifact: Artifact
    target: Target
    rows: tuple[OpRow, ...]
    calls: tuple[float, ...]

    def load(self) -> list[float] | None:
        around = around_networks(self.artifact, self.target)
        compute, _ = estimate(self.rows, self.calls, self.target, around)
        return compute["load"] if compute else None

    def member(self, row: OpRow) -> str:
        return row.name.partition("/")[0] if self.artifact.streams else ""

    def mapped(self, change: Callable[[OpRow], OpRow]) -> _Case:
        return replace(self, rows=tuple(map(change, self.rows)))


def remedies_for(
    artifact: Artifact, rows: Sequence[OpRow], calls_per_second: Sequence[float] | None, target: Target, free_bytes: int
) -> list[dict[str, Any]]:
    """What would lessen the load of an artifact on a board.

    Args:
        artifact: what is computed.
        rows: the operators of all members, one member after the other.
        calls_per_second: how often the member of each row runs for one second of audio; None where it is not known.
        target: the board.
        free_bytes: RAM of the board that neither the artifact nor the application takes.

    Returns:
        Plain values, one for each change: `change` in words, `load` [least, most], and `fits`: "yes", "maybe" (its
        range lies across the target's share of the core) or "no". Empty where there is no load to lessen.
    """
    if calls_per_second is None:
        return []
    case = _Case(artifact, target, tuple(rows), tuple(calls_per_second))
    now, found = case.load(), []
    if now is None:
        return []
    for words, changed in _changes(case, free_bytes):
        load = changed.load()
        if load is not None and load[0] < now[0] and load[1] <= now[1]:
            share = target.compute_share
            fits = "yes" if load[1] <= share else "maybe" if load[0] <= share else "no"
            found.append({"change": words, "load": load, "fits": fits})
    clock_mhz = math.ceil(now[1] * (target.clock_hz or 0) / target.compute_share / 1e6)
    if clock_mhz <= _FASTEST_MHZ:
        load = [round(end * (target.clock_hz or 0) / clock_mhz / 1e6, 4) for end in now]
        found.append({"change": f"such a core at {clock_mhz} MHz", "load": load, "fits": "yes"})
    return found


def _changes(case: _Case, free_bytes: int) -> Iterator[tuple[str, _Case]]:
    if case.artifact.streams:
        yield from _of_hops(case)
    yield from _of_types(case)
    yield from _of_widths(case)
    yield from _of_firmware(case, free_bytes)


def _of_hops(case: _Case) -> Iterator[tuple[str, _Case]]:
    """Decoders that run less often, and an event decoder that goes forwards only."""
    wiring = case.artifact.wiring
    stream = wiring.stream
    if wiring.scene_ring > stream.scene_hop:
        slower = stream.scene_hop / wiring.scene_ring
        seconds = wiring.scene_ring * case.artifact.step_s
        words = f"the scene decoder every {seconds:g} s (--scene-hop {wiring.scene_ring})"
        yield words, _slower(case, {wiring.scene_head}, slower)
    cells = {name for layer in wiring.recurrent for name in layer.cells}
    if not wiring.event_ring:
        return
    longest = wiring.streaming(stream).stream.event_hop
    if longest > stream.event_hop:
        words = f"the event decoder every {longest * case.artifact.step_s:g} s (--event-hop {longest})"
        yield words, _slower(case, cells, stream.event_hop / longest)
    backward = {layer.backward for layer in wiring.recurrent if layer.backward}
    kept = [(row, calls) for row, calls in zip(case.rows, case.calls, strict=True) if case.member(row) not in backward]
    causal = replace(case, rows=tuple(row for row, _ in kept), calls=tuple(calls for _, calls in kept))
    later = {layer.forward for layer in wiring.recurrent[1:]} | {wiring.classifiers}
    causal = causal.mapped(lambda row: _of_one_direction(row) if case.member(row) in later else row)
    yield "a causal event decoder (recipe real_causal)", _slower(causal, cells, stream.event_hop / wiring.event_ring)


def _slower(case: _Case, members: set[str], by: float) -> _Case:
    calls = zip(case.rows, case.calls, strict=True)
    return replace(case, calls=tuple(rate * by if case.member(row) in members else rate for row, rate in calls))


def _of_one_direction(row: OpRow) -> OpRow:
    """A dense layer that took the states of both directions, with those of one."""
    if row.op != "FULLY_CONNECTED" or not row.input_shapes[0][-1:] or row.input_shapes[0][-1] % 2:
        return row
    first, second, *others = row.input_shapes
    both = row.input_shapes[0][-1] > row.output_shape[-1]
    halves = ((*first[:-1], first[-1] // 2), (*second[:-1], second[-1] // 2), *others)
    if not both:
        return row
    return replace(row, macs=(row.macs or 0) // 2, weight_bytes=row.weight_bytes // 2, input_shapes=halves)


def _of_types(case: _Case) -> Iterator[tuple[str, _Case]]:
    """8 bits where there are 16."""
    wiring = case.artifact.wiring
    cells = {*(name for layer in wiring.recurrent for name in layer.cells), wiring.classifiers} - {""}
    wide = {case.member(row) in cells for row in case.rows if row.data_dtype == "int16" and row.macs}
    if not wide:
        return
    words = "int8 instead of int16x8" if False in wide else "cells in int8 (quantize --cells int8)"
    yield words, case.mapped(_narrow)


def _narrow(row: OpRow) -> OpRow:
    return replace(row, input_dtypes=tuple("int8" if dtype == "int16" else dtype for dtype in row.input_dtypes))


def _of_widths(case: _Case) -> Iterator[tuple[str, _Case]]:
    """Narrower networks of the same kind."""
    if case.artifact.facts.get("system") != "mt":
        return
    causal = not case.artifact.wiring.event_ring
    for part, (channels, units, both_m, causal_m) in WIDTHS.items():
        words = f"mt with channels {', '.join(map(str, channels))} and {units} recurrent units: "
        words += f"{causal_m if causal else both_m:g} M MACs a second of audio with both decoders"
        yield words, case.mapped(partial(_narrower, case, part))


def _narrower(case: _Case, part: float, row: OpRow) -> OpRow:
    """The row of a network of a part of the width: what it reads, and what it writes where that isn't classes."""
    wiring = case.artifact.wiring
    cells = {name for layer in wiring.recurrent for name in layer.cells}
    reads = 1.0 if row.op in _CHANNELS and row.input_shapes[0][-1:] == (1,) else part
    writes = part if row.op in _CHANNELS or case.member(row) in cells else 1.0
    inputs = tuple(_scaled(shape, reads) for shape in row.input_shapes)
    output = _scaled(row.output_shape, writes)
    both = reads * writes
    macs = None if row.macs is None else round(row.macs * both)
    return replace(
        row, macs=macs, weight_bytes=round(row.weight_bytes * both), input_shapes=inputs, output_shape=output
    )


def _scaled(shape: tuple[int, ...], part: float) -> tuple[int, ...]:
    return (*shape[:-1], max(1, round(shape[-1] * part))) if shape else shape


def _of_firmware(case: _Case, free_bytes: int) -> Iterator[tuple[str, _Case]]:
    """Other kernels, a faster build, another front end, weights where they are read faster."""
    target = case.target

    def on(**fields: Any) -> _Case:
        return replace(case, target=replace(target, **fields))

    for name in _RUNTIMES:
        other = target.with_kernels(name)
        if name != target.kernels and all(not isinstance(work_of(row, other), str) for row in case.rows):
            yield f"{name} instead of {target.kernels}", replace(case, target=other)
    if target.kernels_build not in (None, "-O2"):
        yield f"kernels built with -O2 instead of {target.kernels_build}", on(kernels_build="-O2")
    if front_end_path(target) == "float" and any(path == "fixed" for path, _ in FRONT_END):
        yield 'the log-mel in fixed point (front_end = "fixed")', on(front_end="fixed")
    if target.flash_cycles_per_byte and case.artifact.parameter_bytes <= free_bytes:
        yield f"weights in RAM ({case.artifact.parameter_bytes:,} bytes)", on(flash_cycles_per_byte=None)
