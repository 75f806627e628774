"""The data of a run that is under way: stamped as it begins, and compared when it is taken up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_mtl.core import DataError, files
from keras_mtl.datasets import Corpus

SCHEMA = "keras_mtl.run_data/1"
_NAME = "data.json"


def stamp_data(out: Path, corpus: Corpus) -> None:
    """Writes into a run folder what data its training is on: name, fingerprints and the clips of each split."""
    clips = {each.name: each.count for splits in (corpus.scenes, corpus.events) for each in splits.values()}
    files.write_json(out / _NAME, {"schema": SCHEMA, **corpus.stamp, "parts": corpus.parts, "clips": clips})


def require_same_data(out: Path, fingerprint: str, parts: dict[str, str]) -> None:
    """Raises where a run was begun on other data. One that says nothing of its data is taken as it is.

    Args:
        out: the run folder, finished or not; it need not be there.
        fingerprint: of the data now.
        parts: that of each data set in them.

    Raises:
        DataError: the data are other ones; it says what differs.
    """
    then = _stamped(out)
    if not then or then.get("fingerprint") == fingerprint:
        return
    raise DataError(
        f"{out} was begun on other data ({then.get('name')}, {str(then.get('fingerprint'))[:12]}) than these "
        f"({fingerprint[:12]}){_difference(then.get('parts') or {}, parts)}",
        hint="give --data as it was then, or train anew in another folder",
    )


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


def _difference(then: dict[str, str], now: dict[str, str]) -> str:
    """What of two data sets differs, as far as both are known."""
    if not then or not now:
        return ""
    differ = [
        f"{name} is {'not there now' if name not in now else 'new' if name not in then else 'not as it was'}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    same = [f"{name} is the same" for name in sorted(then.keys() & now.keys()) if then[name] == now[name]]
    return ": " + ", ".join(differ + same)
