"""The classes of both tasks, in the order of a network's outputs: data, not a constant of the package."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_mtl.core.errors import KerasMtlError, RecipeError

#: Classes of one task at most: what the firmware's decoders are tested with.
MOST_CLASSES = 100
_LONGEST_BYTES = 100
#: What a label track marks a scene with, and what `predict` writes behind a name.
SCENE_PREFIX = "scene: "
#: Controls of the direction of writing, which make a line look like another one.
_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_SCORE = re.compile(r" \(\d\.\d\d\)$")


@dataclass(frozen=True)
class Labels:
    """The names of the classes, of the scenes and of the events, in the order of the outputs.

    Names may hold spaces, commas and letters of any script. They are compared as they are, in Unicode's composed form
    (NFC), as `normal` gives it.

    Attributes:
        scenes, events: none of a task that is not there.

    Raises:
        RecipeError: a name that tables, label tracks or C can't carry, one that occurs twice (also in other case), one
            scene alone, or more than 100 classes of a task.
    """

    scenes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Holds the names to what everything that carries them can hold."""
        for task, names in self.by_task().items():
            for name in names:
                if why := refusal(name):
                    raise RecipeError(f"labels.{task}: {name[:60]!r} {why}", hint="rename the class")
            twice = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
            if twice:
                same = [name for name in names if name.casefold() == twice[0]]
                raise RecipeError(
                    f"labels.{task}: {' and '.join(map(repr, same))} are one name", hint="they differ in case at most"
                )
            if len(names) > MOST_CLASSES:
                raise RecipeError(f"labels.{task}: {len(names)} classes, and {MOST_CLASSES} are the most")
        if len(self.scenes) == 1:
            raise RecipeError(f"labels.scenes: {self.scenes[0]!r} alone", hint="a scene needs another to differ from")

    @property
    def digest(self) -> str:
        """sha256 of names and order: part of every key of prepared data that hold class numbers."""
        return hashlib.sha256(json.dumps(self.to_dict()).encode()).hexdigest()

    def of(self, tasks: Iterable[str]) -> Labels:
        """Those of some tasks."""
        return Labels(**{task: names for task, names in self.by_task().items() if task in set(tasks)})

    def or_else(self, other: Labels) -> Labels:
        """These; of a task without any, the other's."""
        return Labels(self.scenes or other.scenes, self.events or other.events)

    def by_task(self) -> dict[str, tuple[str, ...]]:
        """The names by task: "scenes" and "events"."""
        return {"scenes": self.scenes, "events": self.events}

    def to_dict(self) -> dict[str, list[str]]:
        """As plain values, for JSON: the tasks that are there, in the order of their names."""
        return {task: list(names) for task, names in sorted(self.by_task().items()) if names}

    @classmethod
    def from_dict(cls, values: Mapping[str, Sequence[str]]) -> Labels:
        """What `to_dict` gave."""
        return cls(**{task: tuple(values.get(task, ())) for task in ("scenes", "events")})

    def require_same(
        self, other: Labels, tasks: Iterable[str], mine: str, others: str, error: type[KerasMtlError], hint: str = ""
    ) -> None:
        """Raises where the classes of a task differ, in names or in order.

        Args:
            other: the labels to compare with.
            tasks: the tasks that count.
            mine: whose labels these are, for the message.
            others: whose the others are.
            error: what to raise.
            hint: what to try.
        """
        compared = set(tasks)
        for task, ours in self.by_task().items():
            theirs = other.by_task()[task]
            if task in compared and ours != theirs:
                raise error(f"{mine} and {others} have other {task}: {difference(ours, theirs)}", hint=hint)


def normal(name: str) -> str:
    """A name in the form that labels have: composed (NFC), since file systems differ in that."""
    return unicodedata.normalize("NFC", name)


def is_one_line(text: str) -> bool:
    """Whether a text is one line that steers no terminal: no control characters, no halves of characters.

    Joiners, as in some emoji and scripts, are letters here; so is what a newer Unicode than Python's may have.
    """
    return text.isprintable() or not any(
        unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(letter) in _TURNING
        for letter in text
    )


def refusal(name: str) -> str:
    """Why a name can't be a label; empty where it can."""
    if not name or name != name.strip():
        return "is empty, or begins or ends with a space"
    if not is_one_line(name):
        return "holds a tab, a line break, or another letter that no table can hold"
    if len(name.encode()) > _LONGEST_BYTES:
        return f"is longer than {_LONGEST_BYTES} bytes"
    if name != normal(name):
        return "is not in Unicode's composed form"
    if name.startswith(SCENE_PREFIX) or _SCORE.search(name):
        return "would be read as something else in a label track"
    return ""


def without_score(name: str) -> str:
    """The name of a class in a label track, without the score that `predict` writes behind it."""
    return _SCORE.sub("", name)


def difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """What sets two lists of classes apart, in a few words."""
    if set(ours) == set(theirs):
        return "the same names in another order"
    parts = []
    for some, others, words in ((ours, theirs, "only the first has"), (theirs, ours, "only the second has")):
        only = [name for name in some if name not in set(others)]
        if only:
            parts.append(f"{words} {', '.join(only[:3])}{f' and {len(only) - 3} more' if len(only) > 3 else ''}")
    return ", ".join(parts)


def read_labels(values: Any) -> Labels:
    """The labels of a run or manifest; of one from before labels were kept, those of DCASE."""
    return Labels.from_dict(values) if values else DCASE


#: The classes of TAU Urban Acoustic Scenes 2022 Mobile (DCASE task 1) and of DESED (DCASE task 4).
DCASE = Labels(
    scenes=(
        "airport",
        "bus",
        "metro",
        "metro_station",
        "park",
        "public_square",
        "shopping_mall",
        "street_pedestrian",
        "street_traffic",
        "tram",
    ),
    events=(
        "Alarm_bell_ringing",
        "Blender",
        "Cat",
        "Dishes",
        "Dog",
        "Electric_shaver_toothbrush",
        "Frying",
        "Running_water",
        "Speech",
        "Vacuum_cleaner",
    ),
)
