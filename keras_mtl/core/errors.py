"""The exceptions that the package raises on purpose, and the exit code that each one gives a command.

    KerasMtlError            exit 2: wrong use or bad input
    ├── RecipeError          a recipe or a `--set`: unknown key, value out of range
    ├── DataError            a data folder, a table or a recording that can't be used
    ├── RunError             a run folder that is missing, unfinished or of another version
    ├── TrainingError        a training that can't go on: a loss that is not a number
    ├── ArtifactError        a `.tflite` file or its manifest that can't be read
    │   └── FeatureMismatch  features of one kind offered to a network trained on another
    ├── ConversionError      the converter refused, crashed, or left what is not allowed in the file
    ├── TargetError          an unknown target, or a target file with a wrong or missing field
    ├── EngineError          an interpreter could not run a model
    │   ├── EngineRefused    it said why: an operator or a type that it does not have
    │   ├── EngineCrash      it died (a signal, an abort)
    │   └── EngineTimeout    it did not come back in time
    └── VerdictFailed        exit 1: the work was done, and what was checked is over its limit

Every message is one line that says what happened and where; `hint` says what to try.
"""

from __future__ import annotations


class KerasMtlError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: one line: what happened, and where.
        hint: one line: what to try. Optional.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class RecipeError(KerasMtlError):
    """A recipe or an override with an unknown key or a value that can't be used."""


class DataError(KerasMtlError):
    """A data folder, a table or a recording that can't be used."""


class RunError(KerasMtlError):
    """A run folder that is missing, unfinished or of another version."""


class TrainingError(KerasMtlError):
    """A training that can't go on."""


class ArtifactError(KerasMtlError):
    """A `.tflite` file or its manifest that can't be read."""


class FeatureMismatch(ArtifactError):
    """Features of one kind offered to a network trained on another."""


class ConversionError(KerasMtlError):
    """The converter refused, crashed, or left in the file what is not allowed there."""


class TargetError(KerasMtlError):
    """An unknown target, or a target file with a wrong or missing field."""


class EngineError(KerasMtlError):
    """An interpreter could not run a model."""


class EngineRefused(EngineError):
    """An interpreter said that it can't run a model, and why."""


class EngineCrash(EngineError):
    """A native process died."""


class EngineTimeout(EngineError):
    """A native process did not come back in time."""


class VerdictFailed(KerasMtlError):
    """The work was done, and what was checked is over its limit."""

    exit_code = 1


def by_name(name: str) -> type[KerasMtlError]:
    """The error class of that name, so that an error can cross from one process to another."""
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, KerasMtlError) else KerasMtlError
