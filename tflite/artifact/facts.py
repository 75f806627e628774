"""What is known of an artifact beside its files: part, format, features, labels, decoding, origin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_mtl.core import ArtifactError, Labels, LogMelSettings, RecipeError
from keras_mtl.decoding import DecodeSettings

#: The part of a file that this project did not make.
UNKNOWN = "unknown"
_AGAIN = "convert the run again"
#: What may be stated about a file of others in a manifest beside it.
STATED = ("hop_s", "audio_seconds", "part", "format", "system", "features", "labels", "decoding", "output")


@dataclass(frozen=True)
class Facts:
    """The facts of an artifact or of one of its members, checked.

    Attributes:
        values: plain values as they stand in the manifest, in its order. Any of them may be missing: a file of others
            has none. `seed`, `git_revision`, `data`, `recipe` (name, sha256 of its file) and `metrics` are those of the
            run that it was made from.
    """

    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses facts of another type than they are read as (ArtifactError, naming the key)."""
        for key in ("part", "format", "system", "output", "cells", "schedule"):
            self._require(self.values.get(key) is None or isinstance(self.values[key], str), key, "a text")
        for key in ("audio_seconds", "hop_s"):
            seconds = self.values.get(key, 1.0)
            self._require(_is_number(seconds) and seconds > 0, key, "a positive number")
        for key in ("features", "labels", "decoding", "data"):
            self._require(self.values.get(key) is None or isinstance(self.values[key], dict), key, "a table")
        for task, names in (self.values.get("labels") or {}).items():
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ArtifactError(f"its manifest's labels of {task} are no list of texts", hint=_AGAIN)
        decoding = DecodeSettings.from_manifest(self.values)
        try:
            decoding.require_classes(self.labels.events)  # labels: refuses names that nothing can carry, too
        except RecipeError as error:
            raise ArtifactError(f"its manifest's {error.message}", hint=_AGAIN) from None

    @property
    def part(self) -> str:
        """The part of the network: "scenes", "events", "joint" or "encoder"; "unknown" of a file of others."""
        return self.values.get("part") or UNKNOWN

    @property
    def format(self) -> str | None:
        """The number format: "float32", "float16", "int8" or "int16x8"; None where it is not known."""
        return self.values.get("format")

    @property
    def audio_seconds(self) -> float | None:
        """Seconds of audio of one inference, or of a stream 1; None where it is not known."""
        seconds = self.values.get("audio_seconds")
        return None if seconds is None else float(seconds)

    @property
    def hop_s(self) -> float | None:
        """Seconds from one inference to the next: the audio's of one, where no other is stated; None: not known."""
        hop_s = self.values.get("hop_s")
        return self.audio_seconds if hop_s is None else float(hop_s)

    @property
    def labels(self) -> Labels:
        """The classes of each task; none of a file that says nothing of them."""
        return Labels.from_dict(self.values.get("labels") or {})

    @property
    def decoding(self) -> DecodeSettings:
        """How events are decoded and scenes are smoothed; what an older manifest lacks is the default."""
        return DecodeSettings.from_manifest(self.values)

    @property
    def features(self) -> LogMelSettings:
        """The settings of the log-mel.

        Raises:
            ArtifactError: they are not known.
            FeatureMismatch: settings that are none of this version.
        """
        if not isinstance(self.values.get("features"), dict):
            raise ArtifactError("the file does not hold which features it takes", hint="keras_mtl convert makes one")
        return LogMelSettings.from_dict(self.values["features"])

    def get(self, key: str) -> Any:
        """A fact as it stands in the manifest; None where it is missing."""
        return self.values.get(key)

    def _require(self, sound: bool, key: str, wanted: str) -> None:
        if not sound:
            raise ArtifactError(f"the manifest's {key} is {self.values.get(key)!r:.60}, not {wanted}", hint=_AGAIN)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
