"""The longest burst of computing: what an artifact computes at once when everything is due, and the audio meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from keras_mtl.firmware_host.compute.around import turn_instructions
from keras_mtl.firmware_host.compute.cost import OpRow
from keras_mtl.firmware_host.compute.estimates import estimate
from keras_mtl.firmware_host.compute.row_rates import cycles_per_instruction
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

    A turn of an event decoder of both directions is one: all cells over the whole ring, and the classifiers for what is
    kept of it.

    Args:
        artifact: what is computed.
        rows: the operators of all members, one member after the other.
        calls_per_second: how often the member of each row runs for one second of audio; None where it is not known.
        target: a board.

    Returns:
        The burst, or None where its cycles are not known.
    """
    at_once, each = [1.0] * len(rows), cycles_per_instruction(target)
    turn = turn_instructions(artifact)
    if artifact.streams and calls_per_second is not None:
        at_once = [calls * period for calls, period in zip(calls_per_second, _periods(artifact, rows), strict=True)]
    compute, _ = estimate(rows, at_once, target)
    if compute is None or compute["cycles_per_second"] is None or (any(turn) and each is None):
        return None
    least, most = compute["cycles_per_second"]
    known = isinstance(artifact.facts.get("features"), dict)
    rate = artifact.facts.get("features").get("sample_rate_hz") if known else None
    turned = [one * per for one, per in zip(turn, each or (0.0, 0.0), strict=True)]
    ends = least + turned[0], most + turned[1]
    return Burst(ends, int(target.clock_hz or 1), rate if isinstance(rate, int) else None)


def _periods(artifact: Artifact, rows: Sequence[OpRow]) -> list[float]:
    """For each row the seconds from one burst of its member to the next: a step, or a hop of its decoder."""
    wiring, step_s = artifact.wiring, artifact.step_s
    hops = {wiring.encoder: 1, wiring.scene_head: wiring.stream.scene_hop}
    periods = {name: hops.get(name, wiring.stream.event_hop) * step_s for name in wiring.members}
    return [periods[row.name.partition("/")[0]] for row in rows]
