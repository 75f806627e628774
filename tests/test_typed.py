"""Plain values into dataclasses: what is refused, and with which words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from msgspec import Meta

from keras_mtl.core import RunError, read


@dataclass(frozen=True)
class Part:
    size: int


@dataclass(frozen=True)
class Whole:
    name: str
    share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    mode: Literal["fast", "small"] = "fast"
    count: Annotated[int, Meta(ge=1)] | None = None
    parts: dict[str, tuple[Part, ...]] = field(default_factory=dict)


def test_values_get_the_types_of_the_fields():
    whole = read(Whole, {"name": "a", "share": 1, "parts": {"x": [{"size": 3}]}}, "file", RunError)
    assert whole == Whole("a", 1.0, parts={"x": (Part(3),)})
    assert isinstance(whole.share, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a", "mod": "fast"}, "file: no key mod (did you mean mode?)"),
        ({"share": 0.1}, "file: name is missing"),
        ({"name": 3}, "file: name = 3 (it must be a text)"),
        ({"name": "a", "share": 1.5}, "file: share = 1.5 (it must be a number <= 1.0)"),
        ({"name": "a", "share": True}, "file: share = True (it must be a number)"),
        ({"name": "a", "mode": "slow"}, "file: mode = 'slow' (it must be one of fast, small)"),
        ({"name": "a", "count": 1.0}, "file: count = 1.0 (it must be a whole number)"),
        ({"name": "a", "count": 0}, "file: count = 0 (it must be a whole number >= 1)"),
        (
            {"name": "a", "parts": {"x": [{"size": "3"}]}},
            "file: parts = {'x': [{'size': '3'}]} (",
        ),
        ([], "file is not a table of keys and values"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(values, message):
    with pytest.raises(RunError) as caught:
        read(Whole, values, "file", RunError)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_defaults_may_be_wanted_too():
    with pytest.raises(RunError, match=r"train\.share is missing"):
        read(Whole, {"name": "a"}, "file", RunError, "train.", complete=True)
