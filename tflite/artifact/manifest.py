"""Reads manifests, which others may have made or damaged: strict JSON, with what stages rely on in its type.

What a manifest repeats of its `.tflite` file must be what the file says: a scale or a count that is another one would
make every figure after it wrong.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from keras_mtl.core import ArtifactError

#: Manifests hold some thousand bytes.
MOST_BYTES = 4 << 20
_MOST_NUMBER = 1 << 63
_AGAIN = "convert the run again"


class _Refused(ValueError):
    """JSON that Python would take and that must not go on from here; the message says what."""


def parse_json(content: bytes) -> Any:
    """A JSON document without what only makes trouble later: numbers that none are, and texts of more than one line.

    Raises:
        ValueError: too large or too deep, not UTF-8, not JSON, NaN or infinities, whole numbers beyond 64 bits, texts
            with control characters or half characters.
    """
    if len(content) > MOST_BYTES:
        raise _Refused(f"it holds more than {MOST_BYTES:,} bytes")
    try:
        document = json.loads(content.decode("utf-8"), parse_constant=_constant, parse_int=_whole, parse_float=_real)
        _require_plain(document)
    except RecursionError:
        raise _Refused("it is nested too deep") from None
    return document


def require_same(manifest: Mapping[str, Any], known: Mapping[str, Any], by: str) -> None:
    """Refuses a manifest that says otherwise than what it describes.

    Args:
        manifest: of an artifact or a member.
        known: what is so.
        by: where it is from, as "the file says".

    Raises:
        ArtifactError: naming the key.
    """
    for key, value in known.items():
        if key not in manifest:
            raise ArtifactError(f"its manifest lacks {key}", hint=_AGAIN)
        if manifest[key] != value:
            raise ArtifactError(f"its manifest's {key} is not what {by}", hint=_AGAIN)


def _constant(name: str) -> NoReturn:
    raise _Refused(f"it holds {name}")


def _whole(digits: str) -> int:
    value = int(digits) if len(digits) < 30 else _MOST_NUMBER
    if abs(value) >= _MOST_NUMBER:
        raise _Refused("it holds a whole number beyond 64 bits")
    return value


def _real(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise _Refused("it holds a number that is too large")
    return value


def _require_plain(value: Any) -> None:
    if isinstance(value, str):
        # Half characters can't be printed, and control characters would steer the terminal.
        if not value.isprintable():
            raise _Refused("it holds a text with characters that can't be printed")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _require_plain(key)
            _require_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            _require_plain(inner)
