"""Plain values, as TOML and JSON give them, into frozen dataclasses by their annotations; what does not fit is named.

Conversion is strict: a whole number becomes a float where one is wanted, and nothing else becomes another kind.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from keras_mtl.core.errors import KerasMtlError

T = TypeVar("T")
_WORDS = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false", "object": "a table"}


def read(
    kind: type[T], values: Any, where: str, error: type[KerasMtlError], prefix: str = "", complete: bool = False
) -> T:
    """A dataclass of plain values.

    Args:
        kind: the dataclass; `Literal` and the limits of `Annotated[..., msgspec.Meta]` are kept to.
        values: its fields by name.
        where: what they were read from, for messages.
        error: what to raise.
        prefix: what a field's name begins with in messages, such as "train.".
        complete: whether fields with a default must be given, too.

    Raises:
        KerasMtlError: of the class `error`: a key is missing or unknown (the nearest is named), or a value is wrong.
    """
    if not isinstance(values, Mapping):
        raise error(f"{where} is not a table of keys and values")
    found = {key: field_value(kind, key, value, where, error, prefix) for key, value in values.items()}
    for field in fields(kind):  # type: ignore[arg-type]
        needed = complete or (field.default is MISSING and field.default_factory is MISSING)
        if needed and field.name not in found:
            raise error(f"{where}: {prefix}{field.name} is missing")
    return kind(**found)


def field_value(kind: type, name: str, value: Any, where: str, error: type[KerasMtlError], prefix: str = "") -> Any:
    """The value of one field, converted; arguments and errors as of `read`."""
    hints = get_type_hints(kind, include_extras=True)
    if name not in hints:
        raise error(f"{where}: no key {prefix}{name}", hint=nearest(name, hints))
    try:
        return msgspec.convert(value, hints[name])
    except msgspec.ValidationError as refusal:
        raise error(f"{where}: {prefix}{name} = {value!r}", hint=_hint(str(refusal), hints[name])) from None


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint: which of the known names was meant, or all of them."""
    leaves = {name.rpartition(".")[2]: name for name in known} | {name: name for name in known}
    close = difflib.get_close_matches(word, leaves, n=1, cutoff=0.5)
    return f"did you mean {leaves[close[0]]}?" if close else f"known: {', '.join(known)}"


def _hint(refusal: str, hint: Any) -> str:
    """What it must be, from words such as "Expected `int | null`, got `str` - at `$.sizes[...]`"."""
    wanted = re.match(r"Expected `([^`]*)`( [<>]=? [-\d.e]+)?", refusal)
    if wanted:
        kinds = [_WORDS.get(word, word) for word in wanted[1].split(" | ") if word != "null"]
        return f"it must be {' or '.join(kinds)}{wanted[2] or ''}"
    choices = [choice for part in (hint, *get_args(hint)) if get_origin(part) is Literal for choice in get_args(part)]
    return f"it must be one of {', '.join(map(str, choices))}" if choices else refusal
