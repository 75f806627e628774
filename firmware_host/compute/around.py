"""What an artifact takes beside its networks: the front end, from samples to log-mel, and the decoders; as data.

Instructions were counted under QEMU on whole programs of a bundle's C (benchmarks/results/firmware_c.md, made by `make
test-firmware`), arm-none-eabi-gcc 12.2.1, -O2. A range goes 15 % beyond, as for kernels. `FRONT_END` has one figure for
each core and each way of computing; a core without one has none counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from keras_mtl.core import FeatureMismatch, LogMelSettings
from keras_mtl.firmware_host.compute.cores import core_of
from keras_mtl.firmware_host.compute.cycle_rates import Range
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import Artifact

#: Instructions for a second of audio, of the features of `mt` (100 frames of 2,048 points, 128 bands), by how they are
#: computed ("float" or "fixed") and by core.
FRONT_END: dict[tuple[str, str], float] = {
    ("float", "m4f"): 10_510_640,
    ("float", "m55"): 11_139_656,
    ("fixed", "m4f"): 8_926_840,
    ("fixed", "m55"): 9_163_218,
    ("fixed", "m0"): 43_169_680,
}
_WITHOUT_FPU = ("m0", "m4 without FPU")
#: The features that these figures are of.
_FRAMES_PER_SECOND, _POINTS = 100.0, 2048
#: Listener, event decoder and driver of cells, for 25 steps a second; the same on a core without a figure, and up to
#: 2.5 times that on an M0+.
_LISTENER = {"m4f": 201_560.0, "m55": 176_062.0, "m0": 391_840.0}
_STEPS_PER_SECOND, _ON_OTHERS = 25.0, 2.5
#: One call of the scene smoother: 1,920 on an M4F, 1,312 on an M55.
_SMOOTHER = (1_300.0, 60_000.0)
#: Turning the ring of an event decoder of both directions, for a byte of it: 1.75 (M4F) and 2.25 (M0+) where it turns
#: words, 6 and 8 where it turns bytes. How often depends on where the ring begins, so the least is none.
_TURNED_BYTE = 8.0
_BEYOND = 1.15


@dataclass(frozen=True)
class Around:
    """A part of a second of audio that is no network.

    Attributes:
        name: "front end" or "decoders".
        instructions: least and most for a second of audio; None where none were counted.
        basis: what they are, in words.
    """

    name: str
    instructions: Range | None
    basis: str


def front_end_path(target: Target) -> str:
    """How a target computes the log-mel: as it says; else in fixed point on cores that are known to have no FPU."""
    return target.front_end or ("fixed" if core_of(target).unit in _WITHOUT_FPU else "float")


def around_networks(artifact: Artifact, target: Target) -> tuple[Around, ...]:
    """Front end and decoders of an artifact on a board; nothing of a file whose features are not known."""
    features = _features(artifact)
    if features is None or not target.is_board:
        return ()
    return _front_end(features, target), _decoders(artifact, target)


def turn_instructions(artifact: Artifact) -> Range:
    """Instructions to turn the ring once, beside the networks; none without a ring."""
    if not artifact.wiring.streams or not artifact.wiring.event_ring:
        return 0.0, 0.0
    return 0.0, _TURNED_BYTE * artifact.manifest["buffers"]["ring"] * _BEYOND


def _features(artifact: Artifact) -> LogMelSettings | None:
    if not isinstance(artifact.facts.get("features"), dict):
        return None
    try:
        return artifact.facts.features
    except FeatureMismatch:
        return None


def _front_end(features: LogMelSettings, target: Target) -> Around:
    path, unit = front_end_path(target), core_of(target).unit
    known = FRONT_END.get((path, unit))
    if known is None:
        return Around("front end", None, f"{path} point on a {target.core} was not measured")
    # By frames and the butterflies of an FFT, which is two thirds of the work.
    points = features.fft * math.log2(max(2, features.fft)) / (_POINTS * math.log2(_POINTS))
    amount = known * points / features.hop_s / _FRAMES_PER_SECOND
    basis = f"{'float32' if path == 'float' else 'fixed point'}, counted under QEMU"
    if unit == "m4f" and not str(target.core).lower().startswith("cortex-m4"):
        basis += " on a Cortex-M4F"
    return Around("front end", (amount / _BEYOND, amount * _BEYOND), basis)


def _decoders(artifact: Artifact, target: Target) -> Around:
    if not artifact.wiring.streams:
        calls = sum((artifact.calls_per_second or {}).values())
        return Around("decoders", (calls * _SMOOTHER[0], calls * _SMOOTHER[1]), "the scene smoother")
    unit = core_of(target).unit
    known = _LISTENER.get(unit, _LISTENER["m4f"])
    most = _BEYOND if unit in _LISTENER else _ON_OTHERS
    steps = 1 / artifact.step_s / _STEPS_PER_SECOND
    turns = 1 / (artifact.wiring.stream.event_hop * artifact.step_s)
    turned = turn_instructions(artifact)[1] * turns
    ends = known * steps / _BEYOND, known * steps * most + turned
    return Around("decoders", ends, "listener, decoders and driver of cells, counted under QEMU on a Cortex-M")
