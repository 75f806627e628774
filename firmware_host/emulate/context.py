"""What the checks of a report look at: the artifact, the target, and all that came of running one for the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_mtl.core import LogMelSettings
from keras_mtl.firmware_host.compute import Burst, Finding, OpRow
from keras_mtl.firmware_host.emulate.parity import Parity, wrong_kernels
from keras_mtl.firmware_host.engines import EngineRun
from keras_mtl.firmware_host.report import EngineResult
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.flatbuffer import float_islands


@dataclass(frozen=True, eq=False)
class Context:
    """All that is known of an artifact for a target.

    Attributes:
        artifact: what is checked.
        target: what it is held against.
        rows: the operators of all members.
        calls_per_second: how often the member of each row runs for one second of audio, one for each row; None where
            it is not known.
        runs: what the engines that ran gave, by their names.
        engines: a row for each engine that was tried.
        parities: how the outputs differ: "outputs" of clips and "in_a_row" of those that keep a state, "scenes" and
            "events" of a stream, where they were compared.
        arena: the plan and what was measured, see `report`; None for files that can't be planned.
        memory: the RAM of a streaming artifact, see `stream_memory`; None of another, or without a plan.
        findings: what the target's kernels or the runtimes lack.
        features: settings of a run's features, to be compared with the artifact's; None for no comparison.
        compute: the estimate of the target's work, see `compute.estimate`; None where there is none.
        no_compute: why there is no estimate.
        burst: the longest burst of computing; None where it is not known.
        plain: what the networks take as C99, see `plain.plain_sizes`; None for TensorFlow Lite Micro.
    """

    artifact: Artifact
    target: Target
    rows: tuple[OpRow, ...]
    calls_per_second: tuple[float, ...] | None
    runs: Mapping[str, EngineRun]
    engines: tuple[EngineResult, ...]
    parities: Mapping[str, Parity]
    arena: dict[str, Any] | None
    memory: dict[str, Any] | None
    findings: tuple[Finding, ...]
    features: LogMelSettings | None = None
    compute: dict[str, Any] | None = None
    no_compute: str = ""
    burst: Burst | None = None
    plain: Mapping[str, int] | None = None

    @property
    def tflm(self) -> EngineResult | None:
        """The row of TensorFlow Lite Micro; None where it was not tried."""
        return next((result for result in self.engines if result.engine == "tflm"), None)

    @property
    def integer(self) -> bool:
        """Whether it is an integer artifact: by its format, or a quantized input, or since nothing is in float."""
        if self.artifact.streams:
            return True
        if self.artifact.facts.format:
            return self.artifact.facts.format.startswith("int")
        network = self.artifact.network
        quantized = any(port.scale is not None and not port.dtype.startswith("float") for port in network.inputs)
        return quantized or not float_islands(network.model)

    @property
    def wrong_kernels(self) -> dict[str, str]:
        """Engines that compute an operator of the artifact wrongly, and that operator."""
        return wrong_kernels(self.rows)

    @property
    def members(self) -> dict[str, Any]:
        """Object trees of the files by what stands before the names of their layers."""
        members = self.artifact.members.items()
        return {name if self.artifact.streams else "": member.model for name, member in members}
