"""The table of systems: what the built networks cost, beside what the paper prints."""

from __future__ import annotations

from dataclasses import dataclass

from keras_mtl.cost.layer_work import CONVENTIONS
from keras_mtl.cost.network import Cost, cost
from keras_mtl.models import build
from keras_mtl.recipes import SYSTEMS, System


@dataclass(frozen=True)
class SystemRow:
    """One system, counted.

    Attributes:
        system: what its sources say.
        costs: of the built network, by convention; "default" is the table's.
    """

    system: System
    costs: dict[str, Cost]

    @property
    def params(self) -> int:
        """Trainable parameters; batch normalisation has 2 a channel."""
        return self.costs["default"].params

    @property
    def macs_per_second(self) -> float:
        """MACs for a second of audio in the default convention."""
        return self.costs["default"].macs_per_second

    @property
    def parameter_bytes_16bit(self) -> int:
        """Bytes of the parameters in a 16-bit format, the finest that fits 64 k parameters into 128 kB."""
        return 2 * self.params


def count_systems() -> list[SystemRow]:
    """Builds every system on its own features and counts it. Takes some seconds."""
    return [_count(system) for system in SYSTEMS.values()]


def _count(system: System) -> SystemRow:
    network = build(system.id, frames=system.frames)
    return SystemRow(system, {name: cost(network, system.audio_seconds, name) for name in CONVENTIONS})
