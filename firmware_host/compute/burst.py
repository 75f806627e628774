"""The longest burst of computing: what an artifact computes at once when everything is due, and the audio meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from keras_mtl.firmware_host.compute.around import turn_instructions
from keras_mtl.firmware_host.compute.cost import OpRow
from keras_mtl.firmware_host.compute.estimates import estimate
from keras_mtl.firmware_host.compute.row_rates import cycles_per_instruction
from keras_mtl.firmware_host.device import cell_steps
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import Artifact

_BYTES_PER_SAMPLE = 2


@dataclass(frozen=True)
class Burst:
    """The longest stretch for which nothing else is computed.

    Attributes:
        cycles: least and most.
        clock_hz: of the core.
        sample_rate_hz: of the audio that comes meanwhile; None where that is not known.
    """

    cycles: tuple[float, float]
    clock_hz: int
    sample_rate_hz: int | None

    @property
    def seconds(self) -> tuple[float, float]:
        """Least and most."""
        return self.cycles[0] / self.clock_hz, self.cycles[1] / self.clock_hz

    @property
    def kept_bytes(self) -> int:
        """Bytes of int16 samples that come meanwhile and have to be kept, at the lower end; 0 where not known."""
        return math.ceil(self.seconds[0] * (self.sample_rate_hz or 0)) * _BYTES_PER_SAMPLE


def longest_burst(
    artifact: Artifact, rows: Sequence[OpRow], calls_per_second: Sequence[float] | None, target: Target
) -> Burst | None:
    """What is computed at once at the most: an inference of a file; of a stream a step with both decoders due.

    Of an event decoder of both directions a step has as many cells as the C listener invokes with an embedding, the
    dearest ones, the classifiers with them, and the ring may have to be turned.

    Args:
        artifact: what is computed.
        rows: the operators of all members, one member after the other.
        calls_per_second: how often the member of each row runs for one second of audio; None where it is not known.
        target: a board.

    Returns:
        The burst, or None where its cycles are not known.
    """
    each, turn = cycles_per_instruction(target), turn_instructions(artifact)
    steps = [[1.0] * len(rows)]
    if artifact.streams and calls_per_second is not None:
        steps = _steps(artifact, rows, calls_per_second)
    found = [estimate(rows, at_once, target)[0] for at_once in steps]
    ends_of = [compute["cycles_per_second"] for compute in found if compute is not None]
    if not ends_of or None in ends_of or (any(turn) and each is None):
        return None
    least, most = (max(ends) for ends in zip(*ends_of, strict=True))
    known = isinstance(artifact.facts.get("features"), dict)
    rate = artifact.facts.get("features").get("sample_rate_hz") if known else None
    turned = [one * per for one, per in zip(turn, each or (0.0, 0.0), strict=True)]
    ends = least + turned[0], most + turned[1]
    return Burst(ends, int(target.clock_hz or 1), rate if isinstance(rate, int) else None)


def _steps(artifact: Artifact, rows: Sequence[OpRow], calls_per_second: Sequence[float]) -> list[list[float]]:
    """How often each row runs in a step with both decoders due; of both directions for each cell that may run then."""
    wiring, step_s, members = artifact.wiring, artifact.step_s, [row.name.partition("/")[0] for row in rows]
    hops = {wiring.scene_head: wiring.stream.scene_hop}
    usual = [calls * hops.get(name, 1) * step_s for calls, name in zip(calls_per_second, members, strict=True)]
    if not wiring.event_ring:
        return [usual]
    always, count = (wiring.encoder, wiring.scene_head), float(cell_steps(wiring))
    found = []
    for layer in wiring.recurrent:
        for cell in layer.cells:
            last = layer is wiring.recurrent[-1] and cell == layer.forward
            due = {cell, wiring.classifiers} if last else {cell}
            of_cells = [count * (name in due) for name in members]
            one = zip(members, usual, of_cells, strict=True)
            found.append([other if name in always else cells for name, other, cells in one])
    return found
