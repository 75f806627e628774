"""What was found in a split's tables and recordings: counted by the preparation and by `keras_mtl data check` alike."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from keras_mtl.core import DataError

#: Names of each kind that are kept with prepared data and shown by default.
NAMED = 5

_WORDS = {
    "unnamed": "recordings that no table names",
    "hidden": "hidden files passed over",
    "repeated": "rows repeated",
    "mixed": "clips mixed down to one channel",
    "upsampled": "clips recorded at a lower rate",
    "padded": "clips padded",
    "cut": "clips cut",
    "loud": "clips beyond full scale",
    "cancelling": "clips whose channels cancel",
    "clipped_events": "events clipped",
    "lost_events": "events lost",
}


@dataclass
class Census:
    """What was found in one split. Kept in the prepared data.

    Attributes:
        clips: clips that are there and can be read; of prepared data those that were stored.
        missing: clips that a table names and that are not on disk; they are passed over.
        missing_rows: rows of the split's table for such clips.
        unnamed: recordings in the split's folder that no table names. TAU's splits have one folder; what is in it and
            not in `meta.csv` counts for the first of them.
        hidden: hidden files that are called as recordings are, as macOS' `._NAME.wav`: they are passed over. Those of a
            folder that several splits have count for the first of them.
        repeated: rows that repeat an earlier row; the first one counts.
        padded: recordings shorter than the nominal length, filled up with zeros.
        mixed: recordings of several channels, mixed down to one.
        upsampled: recordings of a lower rate than the clips': nothing above half of theirs is in them.
        cut: recordings longer than the nominal length, cut there.
        loud: recordings with samples beyond full scale, which are cut to it.
        cancelling: recordings whose channels cancel each other when they are mixed down.
        clipped_events: events that reached beyond the clip, and end with it now.
        lost_events: events that lay wholly beyond the clip.
        unreadable: recordings that are there and can't be read. These and all that follows are refused.
        unknown_labels: labels that are not in the list.
        backward_events: events that do not end after they begin.
        bad_times: events whose onset or offset is not a number.
        contradictions: rows that contradict another row or table.
        names: names of the clips of each kind, in the order in which they were found.
        refusals: why the split can't be prepared, one for each thing that is wrong.
    """

    clips: int = 0
    missing: int = 0
    missing_rows: int = 0
    unnamed: int = 0
    hidden: int = 0
    repeated: int = 0
    padded: int = 0
    mixed: int = 0
    upsampled: int = 0
    cut: int = 0
    loud: int = 0
    cancelling: int = 0
    clipped_events: int = 0
    lost_events: int = 0
    unreadable: int = 0
    unknown_labels: int = 0
    backward_events: int = 0
    bad_times: int = 0
    contradictions: int = 0
    names: dict[str, list[str]] = field(default_factory=dict)
    refusals: list[DataError] = field(default_factory=list, repr=False, compare=False)

    def count(self, kind: str, name: str) -> None:
        """Counts something of a kind, an attribute's name, in the clip of this name."""
        setattr(self, kind, getattr(self, kind) + 1)
        shown, names = printable(name), self.names.setdefault(kind, [])
        if not names or names[-1] != shown:  # several events of one clip
            names.append(shown)

    def refuse(self, kind: str, name: str, why: DataError) -> None:
        """Counts something that keeps the split from being prepared."""
        self.count(kind, name)
        self.refusals.append(why)

    @property
    def listed(self) -> int:
        """Clips that the tables name; of unlabelled data, those in the folder."""
        return self.clips + self.missing + self.unreadable

    def changes(self) -> dict[str, int]:
        """Counts, other than zero, of what was changed or passed over in the clips that are there."""
        return {words: getattr(self, kind) for kind, words in _WORDS.items() if getattr(self, kind)}

    def counts(self) -> dict[str, int]:
        """Every count by its name, with those that are zero."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("names", "refusals")}

    def first_names(self, most: int | None = NAMED) -> dict[str, list[str]]:
        """The first names of each kind; all of them where `most` is None."""
        return {kind: names[:most] for kind, names in self.names.items()}

    def saved(self) -> dict[str, Any]:
        """What is kept with prepared data, and passed from one process to another, as plain values."""
        saved = {**self.counts(), "names": self.first_names()}
        if self.refusals:  # prepared data have none, but a part of a preparation may
            saved["refusals"] = [[error.message, error.hint] for error in self.refusals]
        return saved

    @classmethod
    def load(cls, saved: dict[str, Any]) -> Census:
        """Reads what `saved` gave, in this version or another one."""
        known = {each.name for each in fields(cls)} - {"refusals"}
        refusals = [DataError(message, hint) for message, hint in saved.get("refusals", ())]
        return cls(**{key: value for key, value in saved.items() if key in known}, refusals=refusals)

    def add(self, more: Census) -> None:
        """Adds what was found in other clips of the split, after what was found so far."""
        for kind, count in more.counts().items():
            setattr(self, kind, getattr(self, kind) + count)
        for kind, names in more.names.items():
            self.names.setdefault(kind, []).extend(names)
        self.refusals.extend(more.refusals)

    def take(self) -> Census:
        """What was found so far, as a census of its own; this one begins anew."""
        taken = replace(self)
        vars(self).update(vars(Census()))
        return taken


def printable(name: str) -> str:
    """A file name as text that can be written: bytes that are not UTF-8 as their numbers."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
