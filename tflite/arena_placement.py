"""Where tensors lie in the arena: the rule of TensorFlow Lite Micro's `GreedyMemoryPlanner`, over plain numbers.

Blocks are placed one after the other, the largest first, each in the lowest gap that it fits in between those that are
alive at the same time. The rule is that of `memory_planner/greedy_memory_planner.cc`. Of blocks of one size, the
planner places the one that was named last first, and so does this.
"""

from __future__ import annotations

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

    def meets(self, other: Block) -> bool:
        """Whether both are alive at some time."""
        return self.first <= other.last and other.first <= self.last


def aligned(size_bytes: int) -> int:
    """A size, rounded up to a multiple of the alignment."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def offsets(blocks: Sequence[Block]) -> list[int]:
    """The offset of each block in bytes, in the order in which they were given."""
    found = [0] * len(blocks)
    placed: list[int] = []
    for number in sorted(range(len(blocks)), key=lambda n: (-blocks[n].taken_bytes, -n)):
        block, start = blocks[number], 0
        for other in sorted(placed, key=lambda n: found[n]):
            if block.meets(blocks[other]):
                if found[other] - start >= block.taken_bytes:
                    break
                start = max(start, found[other] + blocks[other].taken_bytes)
        found[number] = start
        placed.append(number)
    return found


def extent_bytes(blocks: Sequence[Block]) -> int:
    """The bytes that all blocks are laid out in; 0 for none."""
    return max((start + block.taken_bytes for start, block in zip(offsets(blocks), blocks, strict=True)), default=0)
