"""The emulator's report: what was checked on an artifact for a target, and what came out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from keras_mtl.core import ArtifactError, read_bytes, to_json, write_text
from keras_mtl.firmware_host.compute import OpRow

SCHEMA = "keras_mtl.report/1"
#: Reports of large networks hold some hundred thousand bytes.
MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Check:
    """One property held against its limit.

    Attributes:
        name: as `arena_bytes`.
        value: what was found; None when it could not be found.
        limit: the most that is allowed.
        unit: of value and limit.
        ok: whether it passed.
        why: one line: where the figure comes from, or what is wrong.
        certain: whether all of the figure's range passes, or all of it fails; False where it passed by its lower end
            only.
    """

    name: str
    value: int | float | None
    limit: int | float
    unit: str
    ok: bool
    why: str
    certain: bool = True


def at_most(name: str, value: float, limit: float, unit: str, why: str) -> Check:
    """A check of a value that may be the limit at most."""
    ok = value <= limit
    return Check(name, value, limit, unit, ok, why if ok else f"{value:,} {unit} is over {limit:,}: {why}")


@dataclass(frozen=True)
class EngineResult:
    """What came of one engine.

    Attributes:
        engine: its name.
        version: of its package; empty when it did not run.
        ran: whether it gave outputs.
        reason: why it did not.
        arena_bytes: tensor arena used; None for engines without one.
        from_base_lsb: largest difference from the base of the comparison (the reference forward pass when the artifact
            has one, else the first engine that ran).
        missing: whether it was not asked, since it is not installed.
    """

    engine: str
    version: str
    ran: bool
    reason: str = ""
    arena_bytes: int | None = None
    from_base_lsb: float | None = None
    missing: bool = False


@dataclass(frozen=True)
class Report:
    """The verdict on one artifact for one target, with all that led to it.

    Attributes:
        artifact: what was checked: path, sha256, file_bytes, part, format and totals of the file.
        target: the target's fields.
        checks: in the order in which they were made.
        ops: the operators of the file.
        engines: the engines that were tried.
        notes: what a reader should know and no check has.
        compute: an estimate of the target's work, as plain values; None where there is nothing to estimate for.
        arena: what lies in the tensor arena and when, as plain values; None for a file that can't be planned.
        parity: how the engines' outputs differ, as plain values; None where nothing was compared.
        compatibility: what the target's TFLM, its kernels or the host's runtimes lack, layer by layer, as plain values.
        remedies: what would make it fit the time there is, with the load that each would give, as plain values; empty
            where it fits.
    """

    artifact: dict[str, Any]
    target: dict[str, Any]
    checks: tuple[Check, ...]
    ops: tuple[OpRow, ...]
    engines: tuple[EngineResult, ...]
    notes: tuple[str, ...] = ()
    compute: dict[str, Any] | None = None
    arena: dict[str, Any] | None = None
    parity: dict[str, Any] | None = None
    compatibility: tuple[dict[str, Any], ...] = ()
    remedies: tuple[dict[str, Any], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)

    @property
    def verdict(self) -> str:
        """The word `passed` or `failed`."""
        return "passed" if self.passed else "failed"

    @property
    def verdict_line(self) -> str:
        """The verdict, and the engines that it does without because they are not installed."""
        missing = ", ".join(engine.engine for engine in self.engines if engine.missing)
        return f"{self.verdict}; not asked, since not installed: {missing}" if missing else self.verdict

    def failures(self) -> str:
        """The checks that failed, in one line."""
        return "; ".join(f"{check.name}: {check.why}" for check in self.checks if not check.ok)

    def check(self, name: str) -> Check | None:
        """The check of that name, if it was made."""
        return next((check for check in self.checks if check.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "schema": SCHEMA,
            "artifact": self.artifact,
            "target": self.target,
            "checks": [asdict(check) for check in self.checks],
            "ops": [row.to_dict() for row in self.ops],
            "engines": [asdict(engine) for engine in self.engines],
            "notes": list(self.notes),
            "compute": self.compute,
            "arena": self.arena,
            "parity": self.parity,
            "compatibility": list(self.compatibility),
            "remedies": list(self.remedies),
            "verdict": self.verdict,
        }

    def to_json(self) -> str:
        """As a JSON document."""
        return to_json(self.to_dict())

    def save(self, path: str | Path) -> Path:
        """Writes the JSON document, whole or not at all. Returns the path."""
        return write_text(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Reads what `save` wrote.

        Raises:
            ArtifactError: missing, not JSON, or not a report of this schema.
        """
        try:
            document = json.loads(read_bytes(path, MOST_BYTES))
            if document["schema"] != SCHEMA:
                raise ArtifactError(f"{path} has schema {document['schema']}, not {SCHEMA}")
            return msgspec.convert(document, cls)
        except OSError as error:
            raise ArtifactError(f"can't read the report {path}: {error.strerror}") from None
        except (msgspec.ValidationError, ValueError, KeyError, TypeError, RecursionError):
            raise ArtifactError(f"{path} is not a report of schema {SCHEMA}") from None
