"""The exceptions that the package raises on purpose. `exit_code` is a command's: 2 for wrong use or bad input.

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
    """An interpreter refused a model, with its reason."""


class EngineMissing(EngineRefused):
    """The package of an interpreter is not installed."""


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
