"""A bank of isolated events and backgrounds in Scaper's layout: `foreground/<label>/*` and `background/<label>/*`.

DESED's has that layout, and lies in `audio/train/soundbank/`. There may be `distractor/<label>/*`, too: sounds that are
no event.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keras_mtl.core import DCASE, DataError, normal
from keras_mtl.datasets.audio import audio_format, files_in, is_hidden, is_recording

#: Shorter sounds have no room for the fades at their ends.
SHORTEST_S = 0.05

_NO_ONSET, _NO_OFFSET = "_nOn", "_nOff"  # how DESED names folders of recordings that begin or end within the event


@dataclass(frozen=True)
class Source:
    """One recording of the bank.

    Attributes:
        path: the file.
        folder: name of the folder that it lies in.
        seconds: its length.
        rate_hz: its samples per second.
    """

    path: Path
    folder: str
    seconds: float
    rate_hz: int

    @property
    def has_onset(self) -> bool:
        """Whether the event begins in this recording."""
        return _NO_ONSET not in self.folder

    @property
    def has_offset(self) -> bool:
        """Whether the event ends in this recording."""
        return _NO_OFFSET not in self.folder


@dataclass(frozen=True)
class Soundbank:
    """What soundscapes are made from.

    Attributes:
        foreground: the folder of the events.
        background: the folder of the backgrounds.
        events: recordings by class, in the order of the classes, each class by folder and name.
        backgrounds: recordings, by folder and name.
        fingerprint: sha256 over folders, names and sizes, the same wherever the bank lies.
        distractors: recordings of sounds that are no event, by folder and name.
    """

    foreground: Path
    background: Path
    events: Mapping[str, tuple[Source, ...]]
    backgrounds: tuple[Source, ...]
    fingerprint: str
    distractors: tuple[Source, ...] = ()

    @property
    def sources(self) -> list[Source]:
        """All recordings."""
        return [*(source for group in self.events.values() for source in group), *self.backgrounds, *self.distractors]


def open_soundbank(
    foreground: Path, background: Path, classes: Sequence[str] = DCASE.events, distractor: Path | None = None
) -> Soundbank:
    """Lists a bank and reads its recordings' headers.

    Args:
        foreground: a folder of folders named as the classes. Those that end in `_nOn`, `_nOff` or `_nOn_nOff`, as in
            DESED's bank, hold recordings without the event's begin, end, or both.
        background: a folder of folders with any names.
        classes: the event classes.
        distractor: a folder of folders with any names, too; None where there is none.

    Raises:
        DataError: a folder is missing or holds nothing, a label is no event class, or a file is no recording or
            shorter than 0.05 s.
    """
    events: dict[str, list[Source]] = defaultdict(list)
    for source in _sources(foreground):
        label = normal(source.folder.replace(_NO_ONSET, "").replace(_NO_OFFSET, ""))
        if label not in classes:
            where = source.path.parent
            raise DataError(f'{where}: "{label}" is not an event class', hint=f"classes: {', '.join(classes)}")
        events[label].append(source)
    ordered = {label: tuple(events[label]) for label in classes if label in events}
    backgrounds = tuple(_sources(background))
    bank = Soundbank(
        foreground, background, ordered, backgrounds, "", tuple(_sources(distractor)) if distractor else ()
    )
    content = hashlib.sha256()
    for source in [source for group in events.values() for source in group] + list(backgrounds):
        content.update(f"\n{source.folder}/{source.path.name}\t{source.path.stat().st_size}".encode())
    return replace(bank, fingerprint=content.hexdigest())


def open_desed_soundbank(root: Path, classes: Sequence[str] = DCASE.events) -> Soundbank:
    """Opens DESED's bank: `foreground`, `background` and, where it is there, `distractor` of this folder.

    Raises:
        DataError: as of `open_soundbank`.
    """
    distractor = root / "distractor"
    return open_soundbank(
        root / "foreground", root / "background", classes, distractor if distractor.is_dir() else None
    )


def _sources(root: Path) -> Iterator[Source]:
    if not root.is_dir():
        raise DataError(f"no folder at {root}", hint="a folder with a folder of recordings for each label")
    found = False
    for folder in sorted(entry for entry in root.iterdir() if entry.is_dir() and not is_hidden(entry.name)):
        for name in sorted(filter(is_recording, files_in(folder)[0])):
            found = True
            yield _source(folder / name)
    if not found:
        raise DataError(f"no recordings in the folders of {root}", hint=f"they lie in folders: {root}/LABEL/NAME.wav")


def _source(path: Path) -> Source:
    found = audio_format(path)
    if found.seconds < SHORTEST_S:
        raise DataError(f"{path} is {found.seconds:.3f} s long, and {SHORTEST_S} s is the least", hint="remove it")
    return Source(path, path.parent.name, found.seconds, found.rate_hz)
