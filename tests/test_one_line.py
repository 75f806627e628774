"""What a name of a class may hold is what a manifest may hold: nothing that is trained on is refused in the end."""

from __future__ import annotations

import json

import pytest

from keras_mtl.core import Labels, RecipeError
from keras_mtl.tflite.artifact.member import parse_json

PLAIN = (
    "кашель",
    "咳嗽",
    "\N{DOG FACE}\N{ZERO WIDTH JOINER}\N{CAT FACE}\N{VARIATION SELECTOR-16}",
    "\U0001fae8",  # an emoji that Python 3.11 does not know
    "no\N{NO-BREAK SPACE}break",
    "می\N{ZERO WIDTH NON-JOINER}خواهم",
)
STEERING = (
    "a\tb",
    "a\nb",
    "a\x1b[2Kb",
    "a\N{LINE SEPARATOR}b",
    "a\N{RIGHT-TO-LEFT OVERRIDE}b",
    "a\N{FIRST STRONG ISOLATE}b",
)


@pytest.mark.parametrize("name", PLAIN)
def test_letters_of_any_script_are_carried(name: str) -> None:
    document = {"labels": Labels(events=(name,)).to_dict()}
    assert parse_json(json.dumps(document, ensure_ascii=False).encode()) == document


@pytest.mark.parametrize("name", STEERING)
def test_what_steers_a_terminal_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match="no table can hold"):
        Labels(events=(name,))
    with pytest.raises(ValueError, match="can't be printed"):
        parse_json(json.dumps([name]).encode())
