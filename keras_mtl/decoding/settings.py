"""How scores become events and scenes: the group `decode` of a recipe, and the key `decoding` of a manifest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from keras_mtl.core import ArtifactError, RecipeError, nearest
from keras_mtl.decoding.timeline import Event

#: Stands in `median_s` for what the training data give.
AUTO = "auto"
#: The length of a median filter that no events of a class suggest, in seconds.
MEDIAN_S = 0.45
#: The part of an event that its filter is long, of the median event of a class.
_PART_OF_EVENT = 3
#: What may differ from class to class.
_OF_A_CLASS = ("threshold", "hysteresis", "median_s", "shortest_s", "gap_s")
# The C scene smoother counts calls in 16 bits.
_MOST_CALLS = 65_535
_AGAIN = "convert the run again"


@dataclass(frozen=True)
class DecodeSettings:
    """From probabilities to events, and from the scene logits of a stream to scenes.

    Attributes:
        threshold: an event begins where the filtered probability is above this, 0 to 1.
        median_s: length of the events' median filter in seconds; or "auto": a third of the median duration of a class's
            events in the training data, which `resolved` puts into `classes`.
        hysteresis: an event lasts as long as the filtered probability is above `threshold - hysteresis`; 0 to
            `threshold`, 0 is off.
        scene_weight: of a stream: weight of the newest call of the scene decoder in the exponential mean of the
            scene probabilities, above 0 and up to 1; 1 is no mean.
        scene_hold_calls: of a stream: calls of the scene decoder in a row for which another scene must have the
            largest mean before the scene changes; 1 is at once.
        shortest_s: an event shorter than this, in seconds, is dropped; 0 is off.
        gap_s: two events of one class with a pause between them no longer than this, in seconds, are one; 0 is off.
            They are joined before the shortest are dropped.
        classes: what holds for one class instead, by its name: a table of any of `threshold`, `hysteresis`,
            `median_s`, `shortest_s`, `gap_s`.

    Raises:
        RecipeError: a value out of its range, or an unknown key of a class; class and key are named.
    """

    threshold: float = 0.5
    median_s: float | str = MEDIAN_S
    hysteresis: float = 0.0
    scene_weight: float = 0.3
    scene_hold_calls: int = 3
    shortest_s: float = 0.0
    gap_s: float = 0.0
    classes: dict[str, dict[str, Any]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        own = {key: value for key, value in vars(self).items() if key != "classes"}
        _require(own, "decode")
        if not isinstance(self.classes, Mapping):
            raise RecipeError(f"decode.classes = {str(self.classes)[:60]} is no table", hint="a table for each class")
        for name, table in self.classes.items():
            where = f"decode.classes.{name[:60]!r}"
            if not isinstance(table, Mapping):
                raise RecipeError(f"{where} = {str(table)[:60]!r} is no table", hint=f"of {', '.join(_OF_A_CLASS)}")
            for key in table:
                if key not in _OF_A_CLASS:
                    raise RecipeError(f"{where}: no key {key[:60]!r}", hint=nearest(key, _OF_A_CLASS))
            _require(own | dict(table), where)

    @property
    def off_threshold(self) -> float:
        """An event lasts as long as the filtered probability is above this."""
        return self.threshold - self.hysteresis

    def of(self, label: str) -> DecodeSettings:
        """What holds for one class, without any overrides."""
        return replace(self, classes={}, **self.classes.get(label, {}))

    def median_of(self, label: str) -> float:
        """Length of the median filter of one class in seconds.

        Raises:
            RecipeError: it is still to be found from training data.
        """
        found = self.classes.get(label, {}).get("median_s", self.median_s)
        if isinstance(found, str):
            raise RecipeError(f"decode.median_s of {label!r} is {found!r}", hint="a training finds the number for it")
        return float(found)

    def longest_median_s(self, labels: Iterable[str]) -> float:
        """Length of the longest median filter of these classes in seconds; 0 of none."""
        return max(map(self.median_of, labels), default=0.0)

    def resolved(self, medians_s: Mapping[str, float]) -> DecodeSettings:
        """The same with numbers for "auto": they go into `classes`.

        Args:
            medians_s: the number for each class, as of `auto_medians`.
        """
        classes = {name: dict(table) for name, table in self.classes.items()}
        for name, seconds in medians_s.items():
            if self.of(name).median_s == AUTO:
                classes.setdefault(name, {})["median_s"] = seconds
        found = replace(self, median_s=MEDIAN_S if self.median_s == AUTO else self.median_s, classes=classes)
        if found == self:
            return self
        object.__setattr__(found, "_asked", self)  # no field: a recipe holds numbers only
        return found

    @property
    def asked(self) -> DecodeSettings:
        """The settings as they were before `resolved` put numbers into them; a copy by `replace` does not know them."""
        return getattr(self, "_asked", self)

    def require_classes(self, labels: Sequence[str]) -> None:
        """Refuses a table for a class that is not there.

        Raises:
            RecipeError: there is one.
        """
        for name in self.classes:
            if name not in labels:
                hint = nearest(name, labels) if labels else "there are no classes of events"
                raise RecipeError(f"decode.classes: {name[:60]!r} is no class of the events", hint=hint)

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> DecodeSettings:
        """The settings that an artifact's manifest holds; what an older one lacks is the default.

        Raises:
            ArtifactError: an unknown key, a value of another type or out of its range, or a median filter without a
                number.
        """
        try:
            found = cls(**(manifest.get("decoding") or {}))
            found.longest_median_s(["", *found.classes])
            return found
        except RecipeError as error:
            raise ArtifactError(f"the manifest's {error.message}", hint=_AGAIN) from None
        except (LookupError, TypeError, ValueError):
            raise ArtifactError("the manifest's decoding can't be used", hint=_AGAIN) from None


def auto_medians(events: Iterable[Sequence[Event]], labels: Sequence[str]) -> dict[str, float]:
    """Length of the median filter of each class by its events: a third of their median duration.

    Args:
        events: the events of each clip of the training data.
        labels: the classes.

    Returns:
        Seconds by class, to the millisecond; 0.45 for one without events.
    """
    durations: dict[str, list[float]] = {label: [] for label in labels}
    for clip in events:
        for onset_s, offset_s, label in clip:
            durations[label].append(offset_s - onset_s)
    return {label: round(median(each) / _PART_OF_EVENT, 3) if each else MEDIAN_S for label, each in durations.items()}


def _require(values: Mapping[str, Any], where: str) -> None:
    """Refuses a value out of its range: of the settings, or of a class with what it does not override."""

    def require(key: str, least: float, most: float) -> None:
        value = values[key]
        number = isinstance(value, int if key == "scene_hold_calls" else int | float) and not isinstance(value, bool)
        sound = number and least <= value <= most and math.isfinite(value)
        if not sound or (key == "scene_weight" and value == 0.0):
            above = "above 0, up to 1" if key == "scene_weight" else f"{least:g} to {most:g}"
            above += f", or {AUTO}" if key == "median_s" else ""
            raise RecipeError(f"{where}.{key} = {str(value)[:60]} is out of range", hint=above)

    require("threshold", 0.0, 1.0)
    if values["median_s"] != AUTO:
        require("median_s", 0.0, math.inf)
    require("hysteresis", 0.0, values["threshold"])
    require("shortest_s", 0.0, math.inf)
    require("gap_s", 0.0, math.inf)
    require("scene_weight", 0.0, 1.0)
    require("scene_hold_calls", 1, _MOST_CALLS)
