"""Ways to damage a manifest, each the same for the same generator."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

Random = np.random.Generator
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 0.5, -0.0, 1e308, 1 << 62, 1 << 70, 10**400, [], {}, [[]], "", "../../etc/passwd",
    "/dev/zero", "NaN", "\x1b[2J", "\ud800", "two\nlines", "<script>alert(1)</script>", "x" * 100_000, [0] * 10_000,
    {"a": {"b": {}}}, float("nan"), float("inf"), "int8", "../artifact.json", ".", "artifact.json", "\x00",
)  # fmt: skip


def _places(document: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key and index, as the path that leads to it."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path for key, value in items for path in ((*before, key), *_places(value, (*before, key)))]


def _holder(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def _tree(change: Callable[[Any, list[tuple[Any, ...]], Random], Any]) -> Callable[[bytes, Random], bytes]:
    def mutate(content: bytes, random: Random) -> bytes:
        document = json.loads(content)
        document = change(document, _places(document), random) or document
        return json.dumps(document).encode()

    mutate.__name__ = change.__name__.lstrip("_")
    return mutate


def _any(random: Random, listed: Any) -> Any:
    return listed[int(random.integers(len(listed)))]


def _value(document: Any, places: list[tuple[Any, ...]], random: Random) -> None:
    path = _any(random, places)
    _holder(document, path)[path[-1]] = _any(random, _VALUES)


def _top_value(document: Any, places: list[tuple[Any, ...]], random: Random) -> None:
    document[_any(random, list(document))] = _any(random, _VALUES)


def _lost(document: Any, places: list[tuple[Any, ...]], random: Random) -> None:
    path = _any(random, places)
    del _holder(document, path)[path[-1]]


def _swapped(document: Any, places: list[tuple[Any, ...]], random: Random) -> None:
    a, b = _any(random, list(document)), _any(random, list(document))
    document[a], document[b] = document[b], document[a]


def _number(document: Any, places: list[tuple[Any, ...]], random: Random) -> None:
    """A number that is another one: what is read from the files must not be believed from here."""

    def at(path: tuple[Any, ...]) -> Any:
        return _holder(document, path)[path[-1]]

    path = _any(random, [p for p in places if isinstance(at(p), int | float)])
    _holder(document, path)[path[-1]] = at(path) * _any(random, (-1, 0, 2, 0.5, 1000, 1e-9)) + _any(random, (0, 1))


def _another_kind(document: Any, places: list[tuple[Any, ...]], random: Random) -> Any:
    return _any(random, [[], [document], "text", 3, {"schema": document["schema"]}, {"members": document}, [None]])


def flip(content: bytes, random: Random) -> bytes:
    damaged = bytearray(content)
    for place in random.integers(0, len(content), random.integers(1, 6)):
        damaged[place] ^= 1 << int(random.integers(8))
    return bytes(damaged)


def cut(content: bytes, random: Random) -> bytes:
    return content[: int(random.integers(0, len(content)))]


def garbage(content: bytes, random: Random) -> bytes:
    place = int(random.integers(0, len(content)))
    parts = (b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", random.bytes(40), b"1" * 10_000, b" " * (5 << 20), b"{}")
    return content[:place] + _any(random, parts) + content[place:]


def twice(content: bytes, random: Random) -> bytes:
    """Lines of it once more, so that keys appear twice."""
    lines = content.splitlines(keepends=True)
    first, last = sorted(int(i) for i in random.integers(0, len(lines), 2))
    return b"".join([*lines[:last], *lines[first:]])


#: All ways.
MUTATIONS: dict[str, Callable[[bytes, Random], bytes]] = {
    mutate.__name__: mutate
    for mutate in (
        *map(_tree, (_value, _top_value, _lost, _swapped, _number, _another_kind)), flip, cut, garbage, twice,
    )
}  # fmt: skip
