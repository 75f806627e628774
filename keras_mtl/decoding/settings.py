"""How scores become events and scenes: the group `decode` of a recipe, and the key `decoding` of a manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_mtl.core import ArtifactError, RecipeError

# The C scene smoother counts calls in 16 bits.
_MOST_CALLS = 65_535


@dataclass(frozen=True)
class DecodeSettings:
    """From probabilities to events, and from the scene logits of a stream to scenes.

    Attributes:
        threshold: an event begins where the filtered probability is above this, 0 to 1.
        median_s: length of the events' median filter in seconds.
        hysteresis: an event lasts as long as the filtered probability is above `threshold - hysteresis`; 0 to
            `threshold`, 0 is off.
        scene_weight: of a stream: weight of the newest call of the scene decoder in the exponential mean of the
            scene probabilities, above 0 and up to 1; 1 is no mean.
        scene_hold_calls: of a stream: calls of the scene decoder in a row for which another scene must have the
            largest mean before the scene changes; 1 is at once.

    Raises:
        RecipeError: a value out of its range.
    """

    threshold: float = 0.5
    median_s: float = 0.45
    hysteresis: float = 0.0
    scene_weight: float = 0.3
    scene_hold_calls: int = 3

    def __post_init__(self) -> None:
        self._require("threshold", 0.0, 1.0)
        self._require("median_s", 0.0, math.inf)
        self._require("hysteresis", 0.0, self.threshold)
        self._require("scene_weight", 0.0, 1.0)
        self._require("scene_hold_calls", 1, _MOST_CALLS)

    @property
    def off_threshold(self) -> float:
        """An event lasts as long as the filtered probability is above this."""
        return self.threshold - self.hysteresis

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> DecodeSettings:
        """The settings that an artifact's manifest holds; what an older one lacks is the default.

        Raises:
            ArtifactError: an unknown key, or a value of another type or out of its range.
        """
        try:
            return cls(**(manifest.get("decoding") or {}))
        except RecipeError as error:
            raise ArtifactError(f"the manifest's {error.message}", hint="convert the run again") from None
        except (LookupError, TypeError, ValueError):
            raise ArtifactError("the manifest's decoding can't be used", hint="convert the run again") from None

    def _require(self, key: str, least: float, most: float) -> None:
        value = getattr(self, key)
        number = isinstance(value, int if key == "scene_hold_calls" else int | float) and not isinstance(value, bool)
        sound = number and least <= value <= most and math.isfinite(value)
        if not sound or (key == "scene_weight" and value == 0.0):
            above = "above 0, up to 1" if key == "scene_weight" else f"{least:g} to {most:g}"
            raise RecipeError(f"decode.{key} = {str(value)[:60]} is out of range", hint=above)
