"""Compares reports with an older one of the same artifacts, for continuous integration: what grew, and by how much.

Each report is held against the baseline's of the same part, schedule, format and target and, where there are several of
these, of the same file (by its hash) or the same name. Sizes and work may grow by a
percentage, parity by a part of a step, and an engine that ran must run still.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from keras_mtl.core import ArtifactError, Labels, RecipeError, read_bytes
from keras_mtl.firmware_host.report.report import MOST_BYTES, SCHEMA, Report
from keras_mtl.tflite.artifact import UNKNOWN

REPORTS_SCHEMA = "keras_mtl.reports/1"
_MAKE = "make one by `keras_mtl emulate ... --report FILE`"
#: Default for `Tolerance.lsb`: half a step. It lets no integer file through that is a whole step worse; of float files,
#: whose parity is no whole number, it lets the rounding of another processor be.
TOLERANCE_LSB = 0.5
#: Event probabilities of a stream may differ by as much more. The check itself allows 0.01 in all, or what the
#: target says.
TOLERANCE_PROBABILITY = 0.001
#: What is compared: its name, its unit, and which tolerance it has.
_COMPARED = (
    ("file_bytes", "bytes", "percent"),
    ("parameter_bytes", "bytes", "percent"),
    ("macs_per_second", "MAC/s", "percent"),
    ("macs", "MACs", "percent"),
    ("arena_bytes", "bytes", "percent"),
    ("parity_lsb", "LSB", "lsb"),
    ("parity_probability", "", "probability"),
    ("events_differ", "events", "none"),
)


@dataclass(frozen=True)
class Tolerance:
    """What may be worse without being a regression.

    Attributes:
        percent: of the old figure, for bytes, arena and MACs.
        lsb: steps of the output, for parity.
    """

    percent: float = 0.0
    lsb: float = TOLERANCE_LSB

    def allowed(self, old: float, kind: str) -> float:
        """The most that a new figure may be."""
        more = {"percent": old * self.percent / 100, "lsb": self.lsb, "probability": TOLERANCE_PROBABILITY}
        return old + more.get(kind, 0.0)


#: What a report is known by: part, schedule ("clip" or "stream"), format, name of the target.
Key = tuple[Any, Any, Any, Any]


@dataclass(frozen=True)
class Baseline:
    """Older reports to hold new ones against.

    Attributes:
        path: the file that they are from.
        reports: as plain values.
    """

    path: str
    reports: tuple[dict[str, Any], ...]

    @classmethod
    def load(cls, path: str | Path) -> Baseline:
        """Reads what `keras_mtl emulate --report`, `--json` or `Report.save` wrote, of one artifact or of several.

        Raises:
            ArtifactError: missing, not JSON, or of another schema.
        """
        try:
            document = json.loads(read_bytes(path, MOST_BYTES))
        except OSError as error:
            raise ArtifactError(f"can't read the baseline {path}: {error.strerror}", hint=_MAKE) from None
        except (ValueError, RecursionError):
            raise ArtifactError(f"the baseline {path} is not JSON", hint=_MAKE) from None
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema not in (SCHEMA, REPORTS_SCHEMA):
            raise ArtifactError(
                f"the baseline {path} has schema {schema}, not {SCHEMA} or {REPORTS_SCHEMA}", hint=_MAKE
            )
        reports = document.get("reports") if schema == REPORTS_SCHEMA else [document]
        sound = isinstance(reports, list) and all(isinstance(one, dict) for one in reports)
        ends = ("artifact", "target")
        if not sound or not all(isinstance(one.get(end), dict) for one in reports for end in ends):
            raise ArtifactError(f"the baseline {path} is not a whole report", hint=_MAKE)
        return cls(str(path), tuple(reports))

    def require(self, reports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The older report of each one, in their order: by its key, and where several have it by hash, then by name.

        Args:
            reports: as plain values. What was not emulated yet may have no more than `target` with its `name` and, as
                `artifact`, its manifest with `path` and `sha256`.

        Raises:
            ArtifactError: one without an older report or with other labels, one of which it is not known which of
                several older ones is meant, or an older report that is left over.
        """
        found = self._matched(reports)
        taken = [id(old) for old in found.values()]
        waiting = [old for old in self.reports if id(old) not in taken]
        for number, report in enumerate(reports):
            key = report_key(report)
            if number not in found:
                alike = sum(report_key(old) == key for old in waiting)
                if alike > 1:
                    raise ArtifactError(
                        f"the baseline {self.path} has {alike} reports on {key_text(key)}, none of {file_name(report)}",
                        hint=f"name the files as they were, or {_MAKE}",
                    )
                held = ", ".join(key_text(report_key(old), file_name(old)) for old in waiting) or "nothing else"
                unclear = key[1] == "stream" in [report_key(old)[0] for old in waiting]  # older ones have no schedule
                hint = "its stream may be of scenes, of events or of both" if unclear else "emulate the same artifacts"
                raise ArtifactError(
                    f"the baseline {self.path} has no report on {key_text(key, file_name(report))}; it has {held}",
                    hint=f"{hint}, or {_MAKE}",
                )
            self._require_same_labels(report, found[number])
        if waiting:
            old = key_text(report_key(waiting[0]), file_name(waiting[0]))
            raise ArtifactError(
                f"the baseline {self.path} has a report on {old}, which is missing now",
                hint="emulate the same artifacts, or make the baseline anew",
            )
        return [found[number] for number in range(len(reports))]

    def _matched(self, reports: Sequence[Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
        """The older report of each one by its number, of those that have one for sure."""
        found: dict[int, dict[str, Any]] = {}
        waiting = list(self.reports)
        # By the file itself, by its name, and what is left where one is.
        for way in (_digest, file_name, lambda report: ""):
            keys = {i: (report_key(each), way(each)) for i, each in enumerate(reports) if i not in found}
            for number, key in keys.items():
                alike = [old for old in waiting if (report_key(old), way(old)) == key]
                # Copies of one file are alike whichever is taken.
                sure = way is _digest or len(alike) == [*keys.values()].count(key) == 1
                if key[1] is not None and alike and sure:
                    found[number] = alike[0]
                    waiting = [old for old in waiting if old is not alike[0]]
        return found

    def _require_same_labels(self, report: Mapping[str, Any], old: dict[str, Any]) -> None:
        """Of the tasks that both have labels of: older reports say nothing of labels."""
        try:
            now, then = (Labels.from_dict(each["artifact"].get("labels") or {}) for each in (report, old))
        except (AttributeError, TypeError, RecipeError):
            raise ArtifactError(f"the baseline {self.path} is not a whole report", hint=_MAKE) from None
        both = now.to_dict().keys() & then.to_dict().keys()
        now.require_same(then, sorted(both), "the artifact", f"the baseline {self.path}", ArtifactError, _MAKE)

    def compare(self, reports: Sequence[Report], tolerance: Tolerance = Tolerance()) -> dict[str, Any]:
        """Holds new reports against the older ones.

        Returns:
            Plain values: `path`, `tolerance_percent`, `tolerance_lsb`, `artifacts`: [{`name`, `part`, `schedule`,
            `format`, `target`, `target_changed` (its fields), `differences`: [{`name`, `unit`, `old`, `new`, `change`,
            `allowed`, `change_percent`, `regression`}], `engines`: [{`engine`, `old`, `new`, `regression`}],
            `regressions`}], `verdict`.

        Raises:
            ArtifactError: reports on other artifacts, labels or another target, or an older one that is not whole.
        """
        new = [report.to_dict() for report in reports]
        pairs = zip(self.require(new), new, strict=True)
        try:
            artifacts = [_compared(old, report, tolerance) for old, report in pairs]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            raise ArtifactError(f"the baseline {self.path} is not a whole report", hint=_MAKE) from None
        return {
            "path": self.path,
            "tolerance_percent": tolerance.percent,
            "tolerance_lsb": tolerance.lsb,
            "artifacts": artifacts,
            "verdict": "failed" if any(artifact["regressions"] for artifact in artifacts) else "passed",
        }


def report_key(report: Mapping[str, Any]) -> Key:
    """What a report, as plain values, is known by; a manifest under "artifact" serves as well.

    Without the key `schedule`, which older ones lack, only the part "stream" is one.
    """
    about, part = report["artifact"], report["artifact"].get("part")
    schedule = about.get("schedule") or ("stream" if part == "stream" else "clip")
    return part, schedule, about.get("format"), report["target"].get("name")


def file_name(report: Mapping[str, Any]) -> str | None:
    """Name of the file or folder that a report is on; None where it does not say."""
    path = report["artifact"].get("path")
    return PurePath(path).name if isinstance(path, str) and path else None


def _digest(report: Mapping[str, Any]) -> str | None:
    return report["artifact"].get("sha256")


def key_text(key: Key, name: str | None = None) -> str:
    """The artifact and the target of a report, for people; `name`: of the file, which tells those of others apart."""
    part, schedule, fmt, target = key
    words = [part, *([schedule] if schedule == "stream" != part else []), *([fmt] if fmt else [])]
    if part == UNKNOWN and name:
        words = [name]
    return f"{' '.join(map(str, words))} for {target}"


def _compared(old: dict[str, Any], new: dict[str, Any], tolerance: Tolerance) -> dict[str, Any]:
    before, after = _figures(old), _figures(new)
    # Of a file of which it is not known how often it runs, or was not, those of one inference.
    unknown = None in (before["macs_per_second"], after["macs_per_second"]) and before["macs"] is not None
    for figures in (before, after):
        del figures["macs_per_second" if unknown else "macs"]
    differences = [
        _difference(name, unit, before.get(name), after.get(name), kind, tolerance)
        for name, unit, kind in _COMPARED
        if before.get(name) is not None or after.get(name) is not None
    ]
    engines = _engines(old, new)
    part, schedule, fmt, target = report_key(new)
    fields = sorted({*old["target"], *new["target"]})
    worse = [found["name"] for found in differences if found["regression"]]
    return {
        "name": file_name(new),
        "part": part,
        "schedule": schedule,
        "format": fmt,
        "target": target,
        "target_changed": [field for field in fields if old["target"].get(field) != new["target"].get(field)],
        "differences": differences,
        "engines": engines,
        "regressions": worse + [found["engine"] for found in engines if found["regression"]],
    }


def _figures(report: dict[str, Any]) -> dict[str, float | None]:
    """The figures of a report by name; without the check, a budget's arena is that of the engine which measured it."""
    checks = {check["name"]: check["value"] for check in report["checks"]}
    arenas = [engine["arena_bytes"] for engine in report["engines"] if engine.get("arena_bytes") is not None]
    keys = ("file_bytes", "parameter_bytes", "macs_per_second", "macs")
    found = {key: report["artifact"].get(key) for key in keys} | {"arena_bytes": arenas[0] if arenas else None}
    found |= {name: checks[name] for name, _, _ in _COMPARED if name in checks and name not in keys}
    figures = {key: None if value is None else float(value) for key, value in found.items()}
    # Every comparison with a figure that is no number comes out false, so that nothing would be a regression.
    if not all(value is None or math.isfinite(value) for value in figures.values()):
        raise ValueError("a figure is not finite")
    return figures


def _difference(
    name: str, unit: str, old: float | None, new: float | None, kind: str, tolerance: Tolerance
) -> dict[str, Any]:
    allowed = None if old is None else tolerance.allowed(old, kind)
    known = old is not None and new is not None
    change = _whole(new - old) if old is not None and new is not None else None
    return {
        "name": name,
        "unit": unit,
        "old": _whole(old),
        "new": _whole(new),
        "change": change,
        "change_percent": round(100 * change / old, 3) if known and old and change is not None else None,
        "allowed": _whole(allowed),
        # What was measured and now can't be is worse than any figure.
        "regression": allowed is not None and (new is None or new > allowed),
    }


def _engines(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Engines that differ: in what they are, or in whether they ran. One that was not asked now is no regression.

    Nor is one that is not installed: that says something about the machine, and nothing about the artifact.
    """
    before = {engine["engine"]: engine for engine in old["engines"]}
    found = []
    for engine in new["engines"]:
        was = before.get(engine["engine"])
        ends = [_state(was), _state(engine)]
        if was is not None and ends[0] != ends[1]:
            lost = bool(was["ran"]) and not engine["ran"] and not engine.get("missing")
            found.append({"engine": engine["engine"], "old": ends[0], "new": ends[1], "regression": lost})
    return found


def _state(engine: dict[str, Any] | None) -> str:
    return "" if engine is None else f"{engine['version']} ran" if engine["ran"] else f"did not run: {engine['reason']}"


def _whole(value: float | None) -> float | None:
    """Whole figures without a point; others to six places, so that a sum of thousandths reads as it was meant."""
    return value if value is None else int(value) if float(value).is_integer() else round(value, 6)
