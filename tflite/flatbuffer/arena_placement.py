"""Where tensors lie in the arena: the rule of TensorFlow Lite Micro's `GreedyMemoryPlanner`, over plain numbers.

Blocks are placed one after the other, the largest first, each in the lowest gap that it fits in between those that are
alive at the same time. The rule is that of `memory_planner/greedy_memory_planner.cc`. Of blocks of one size, the
planner places the one that was named last first, and so does this.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

#: Bytes that blocks in the arena are aligned to (`MicroArenaBufferAlignment`).
ALIGNMENT_BYTES = 16


@dataclass(frozen=True)
class Block:
    """Memory that is needed for a time.

    Attributes:
        size_bytes: how much; it takes a multiple of `ALIGNMENT_BYTES` in the arena.
        first: the first operator during which it is alive.
        last: the last one.
    """

    size_bytes: int
    first: int
    last: int

    @property
    def taken_bytes(self) -> int:
        """The bytes that it takes."""
        return aligned(self.size_bytes)


def aligned(size_bytes: int) -> int:
    """A size, rounded up to a multiple of the alignment."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def offsets(blocks: Sequence[Block]) -> list[int]:
    """The offset of each block in bytes, in the order in which they were given."""
    found = [0] * len(blocks)
    # Plain lists: the inner loop is quadratic.
    sizes = [block.taken_bytes for block in blocks]
    firsts, lasts = [block.first for block in blocks], [block.last for block in blocks]
    placed: list[int] = []
    for number in sorted(range(len(blocks)), key=lambda n: (-sizes[n], -n)):
        size, first, last, start = sizes[number], firsts[number], lasts[number], 0
        for other in placed:
            if firsts[other] <= last and first <= lasts[other]:
                if found[other] - start >= size:
                    break
                start = max(start, found[other] + sizes[other])
        found[number] = start
        # They stay in the order of their offsets, later ones behind those at the same place.
        insort(placed, number, key=found.__getitem__)
    return found


def extent_bytes(blocks: Sequence[Block]) -> int:
    """The bytes that all blocks are laid out in; 0 for none."""
    return end_of(blocks, offsets(blocks))


def end_of(blocks: Sequence[Block], starts: Sequence[int]) -> int:
    """Where the last byte of blocks at these offsets ends; 0 for none."""
    return max((start + block.taken_bytes for start, block in zip(starts, blocks, strict=True)), default=0)
