"""One call of a kernel in generated C: its constants, what it reads and writes, and its text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_mtl.firmware_host.reference import Multipliers, Node, Tensor

#: Bits that the short ways of scaling leave of a sum: see kmtl_nn_arithmetic.h.
_MOST_32, _MOST_16 = 1 << 30, 1 << 31
_LARGEST_REDUCED = 0x7FFF0000
#: The order of four packed weights, and of the channels that lie together: see kmtl_nn_dot.h.
_FOUR = (0, 2, 1, 3)


@dataclass(frozen=True)
class Source:
    """Rows of a tensor that a layer reads.

    Attributes:
        tensor: it.
        first, rows: which rows, of its second dimension; all where `rows` is None.
    """

    tensor: Tensor
    first: int = 0
    rows: int | None = None


@dataclass(frozen=True, eq=False)
class Layer:
    """One call.

    Attributes:
        node: the operator, or the last of those that it computes.
        call: its text, with `{self}` for its description, `{a}`, `{b}` for the sources, `{out}` for the output,
            `{scratch}` for its own memory, and the names of its arrays.
        sources: what it reads.
        outputs: what it writes.
        kind: type of its description; empty for none.
        fields: of its description: numbers, names of `arrays`, or texts.
        arrays: constants by name.
        scratch_bytes: memory of its own while it runs.
        in_place: numbers of the sources that its output may lie over.
        functions: C of functions of its own, before and behind its description; `{n}` is its number.
    """

    node: Node
    call: str
    sources: tuple[Source, ...]
    outputs: tuple[Tensor, ...]
    kind: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    scratch_bytes: int = 0
    in_place: tuple[int, ...] = ()
    functions: tuple[str, str] = ("", "")

    @property
    def title(self) -> str:
        """The operator and its layer, for a comment."""
        return f"{self.node.op} {layer_name(self.node)}"


def layer_name(node: Node) -> str:
    """What a layer is called: the name of its output, without those of what the converter fused into it."""
    return node.output.name.partition(";")[0]


def element_bytes(tensor: Tensor) -> int:
    """Bytes of one element."""
    return np.dtype(tensor.dtype).itemsize


def elements(tensor: Tensor) -> int:
    """Number of elements."""
    return math.prod(tensor.shape)


def size_bytes(tensor: Tensor) -> int:
    """Bytes of all elements."""
    return elements(tensor) * element_bytes(tensor)


def zero_point(tensor: Tensor) -> int:
    """The integer that stands for 0."""
    return tensor.zero_points[0] if tensor.zero_points else 0


def packed(weights: np.ndarray, group: int) -> np.ndarray:
    """Weights [channels, segments, length] in the order of kmtl_nn_dot.h: groups of channels, then smaller ones."""
    channels, segments, length = weights.shape
    fours = np.zeros((channels, segments, -(-length // 4) * 4), np.int8)
    fours[..., :length] = weights
    fours = fours.reshape(channels, segments, -1, 4)[..., _FOUR]
    parts, first = [], 0
    while first < channels:
        while group > channels - first:
            group //= 2
        parts.append(fours[first : first + group].transpose(1, 2, 0, 3).reshape(-1))
        first += group
    return np.concatenate(parts)


def output_fields(
    node: Node,
    accumulator: Any,
    weights: np.ndarray | None,
    bias: np.ndarray | None,
    channels: int,
    most: int,
    always_wide: bool = False,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description `kmtl_nn_output_t` of a layer's sums, and its arrays.

    Args:
        node: the layer.
        accumulator: of the reference: bits of the sums, multipliers, range.
        weights: [channels, all of a channel]; None where they are computed.
        bias: [channels] or None.
        channels: how many.
        most: of the sums of a layer without constant weights; else the largest size of an input without its zero point.
        always_wide: whether the kernel adds up in 64 bits in any case.
    """
    offsets = np.zeros(channels, np.int64) if bias is None else bias.reshape(-1).astype(np.int64)
    node.require(bool((abs(offsets) < _MOST_16).all()), "a bias beyond 32 bits")
    sums = np.full(channels, most) if weights is None else np.abs(weights.astype(np.int64)).sum(axis=1) * most
    sums = sums + np.abs(offsets)
    multipliers, shifts, narrow = scaled(accumulator.bits, accumulator.multipliers)
    if accumulator.bits == 32:
        sums = sums << np.maximum(shifts, 0)
        most_sum = _MOST_32
    else:
        most_sum = _MOST_16
    node.require(narrow, "a factor between its steps that the kernel has no shift for")
    wide, scale = always_wide or bool((sums >= most_sum).any()), f"KMTL_NN_SCALE_{32 if accumulator.bits == 32 else 16}"
    if accumulator.bits == 32 and not wide and bool((shifts < 0).all()):
        scale, shifts = "KMTL_NN_SCALE_RIGHT", -shifts
    arrays: dict[str, np.ndarray] = {
        "bias": offsets.astype(np.int32),
        "multipliers": multipliers.astype(np.int32),
        "shifts": shifts.astype(np.int8),
    }
    return {
        **{name: name for name in arrays},
        "each": int(len(multipliers) > 1),
        "scale": scale,
        "wide": int(wide),
        "bytes": np.dtype(accumulator.dtype).itemsize,
        "zero": accumulator.output_offset,
        "lowest": accumulator.low,
        "highest": accumulator.high,
    }, arrays


def scaled(bits: int, by: Multipliers) -> tuple[np.ndarray, np.ndarray, bool]:
    """Multipliers and shifts as the kernels take them, and whether these have such shifts."""
    if bits == 32:
        return np.atleast_1d(by.values), np.atleast_1d(by.shifts), bool((by.shifts <= 30).all())
    reduced = np.where(by.values < _LARGEST_REDUCED, (by.values + (1 << 15)) >> 16, 0x7FFF)
    return np.atleast_1d(reduced), np.atleast_1d(15 - by.shifts), bool((by.shifts <= 14).all())


def largest(tensor: Tensor) -> int:
    """The largest size of a tensor's integers without its zero point."""
    information = np.iinfo(tensor.dtype)
    return max(int(information.max) - zero_point(tensor), zero_point(tensor) - int(information.min))


def four(values: Sequence[int], fill: int) -> list[int]:
    """Numbers of up to four dimensions as those of four, with `fill` before them."""
    return [*[fill] * (4 - len(values)), *map(int, values)]


def strides_of(shape: Sequence[int]) -> list[int]:
    """Elements from one place of each dimension to the next."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
