"""The data of a run that is under way: stamped as it begins, and compared when it is taken up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_mtl import files
from keras_mtl.datasets.corpus import Corpus
from keras_mtl.errors import DataError

SCHEMA = "keras_mtl.run_data/1"
_NAME = "data.json"
_TOLD = 4  # splits that a message names


def stamp_data(out: Path, corpus: Corpus) -> None:
    """Writes into a run folder what data its training is on: name, fingerprint and the clips of each split."""
    files.write_json(out / _NAME, {"schema": SCHEMA, **corpus.stamp, "clips": _counts(corpus)})


def require_same_data(out: Path, corpus: Corpus) -> None:
    """Raises where a run was begun on other data. One that says nothing of its data is taken as it is.

    Args:
        out: the run folder, finished or not; it need not be there.
        corpus: the data now.

    Raises:
        DataError: the data are other ones; it says what differs.
    """
    then = _stamped(out)
    if not then or then.get("fingerprint") == corpus.fingerprint:
        return
    raise DataError(
        f"{out} was begun on the data {then.get('name')} ({str(then.get('fingerprint'))[:12]}), now it is "
        f"{corpus.name} ({corpus.fingerprint[:12]}): {_difference(then.get('clips'), _counts(corpus))}",
        hint="give --data as it was then, or train anew in another folder",
    )


def _counts(corpus: Corpus) -> dict[str, int]:
    return {clips.name: clips.count for splits in (corpus.scenes, corpus.events) for clips in splits.values()}


def _stamped(out: Path) -> dict[str, Any]:
    for path in (out / _NAME, out / "run.json"):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found = document.get("data") if path.name == "run.json" else document
        if found:
            return found
    return {}


def _difference(then: dict[str, int] | None, now: dict[str, int]) -> str:
    if then is None:
        return "other tables or recordings"
    differ = [
        f"{name} has {now.get(name, 'no')} clips, then {then.get(name, 'none')}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    if not differ:
        return "as many clips, but other tables or recordings"
    more = f", and {len(differ) - _TOLD} more splits differ" if len(differ) > _TOLD else ""
    return ", ".join(differ[:_TOLD]) + more
