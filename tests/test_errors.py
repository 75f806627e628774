"""The exceptions: one tree, one line each, and the exit codes that the command line promises."""

from __future__ import annotations

import inspect

import pytest

from keras_mtl.core import errors

_CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]


def test_message_and_hint_make_one_line() -> None:
    assert str(errors.DataError("no clips in a.csv", hint="is it the right folder?")) == (
        "no clips in a.csv (is it the right folder?)"
    )
    assert str(errors.DataError("no clips in a.csv")) == "no clips in a.csv"


@pytest.mark.parametrize("error", _CLASSES)
def test_only_a_verdict_exits_with_1(error: type[errors.KerasMtlError]) -> None:
    assert issubclass(error, errors.KerasMtlError)
    assert error("what").exit_code == (1 if error is errors.VerdictFailed else 2)


@pytest.mark.parametrize("error", _CLASSES)
def test_errors_are_found_by_name(error: type[errors.KerasMtlError]) -> None:
    assert errors.by_name(error.__name__) is error


@pytest.mark.parametrize("name", ["ValueError", "by_name", "annotations", "no such name"])
def test_unknown_names_give_the_base(name: str) -> None:
    assert errors.by_name(name) is errors.KerasMtlError
