"""Predictions as other programs take them: a table, label tracks for Audacity, JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_mtl.core import SCENE_PREFIX, DataError, files

if TYPE_CHECKING:
    from keras_mtl.inference.prediction import Prediction

#: File name endings by which a format is known.
SUFFIXES = {".tsv": "tsv", ".json": "json", ".txt": "audacity"}
FORMATS = tuple(SUFFIXES.values())

_COLUMNS = ("filename", "onset", "offset", "event_label", "scene_label", "score")


def document(predictions: Sequence[Prediction], failed: Mapping[str, str] | None = None) -> dict[str, Any]:
    """All of it as plain values, for JSON; `failed` says by recording why there is no prediction."""
    return {
        "schema": "keras_mtl.prediction/1",
        "files": [each.to_dict() for each in predictions],
        "failed": [{"file": path, "error": error} for path, error in (failed or {}).items()],
    }


def tsv(predictions: Sequence[Prediction]) -> str:
    """One table: a row for each event, and one for each stretch of a scene; times in seconds.

    The columns are those of DESED's tables, with TAU's for scenes and the score behind them. As in DESED, a recording
    without any finding has an empty row; a reader of events passes over the rows without an event.

    Raises:
        DataError: a file name that no TAB-separated table can hold.
    """
    rows = ["\t".join(_COLUMNS)]
    for each in predictions:
        name = str(each.path)
        if any(character in name for character in "\t\r\n"):
            raise DataError(f"a table can't hold the name {name!r}", hint="rename the file, or take JSON")
        found = [(event, event.label, "", score) for event, score in each.events]
        found += [(scene, "", scene.label, score) for scene, score in each.scenes]
        rows += [
            f"{name}\t{at.onset_s:.3f}\t{at.offset_s:.3f}\t{event}\t{scene}\t{score:.4f}"
            for at, event, scene, score in sorted(found, key=lambda row: row[0][:2])
        ]
        if not found:
            rows.append(name + "\t" * (len(_COLUMNS) - 1))
    return "\n".join(rows) + "\n"


def audacity(prediction: Prediction) -> str:
    """A label track (File > Import > Labels): events by their names, scenes as "scene: park"."""
    scenes = [(at._replace(label=f"{SCENE_PREFIX}{at.label}"), score) for at, score in prediction.scenes]
    found = sorted([*prediction.events, *scenes])
    return "".join(f"{at.onset_s:.6f}\t{at.offset_s:.6f}\t{at.label} ({score:.2f})\n" for at, score in found)


def text(predictions: Sequence[Prediction], form: str) -> str:
    """Predictions in a format.

    Raises:
        DataError: label tracks are of one recording each, or as of `tsv`.
    """
    if form == "audacity":
        if len(predictions) != 1:
            raise DataError(f"a label track is of one recording, not of {len(predictions)}", hint="--out DIR")
        return audacity(predictions[0])
    return tsv(predictions) if form == "tsv" else files.to_json(document(predictions))


def label_tracks(recordings: Sequence[Path], out: Path) -> list[Path]:
    """The label tracks of recordings in a folder, `NAME.txt` each.

    Raises:
        DataError: two recordings have one name and would share a label track, or a file is there already: labels of
            that name may be somebody's work.
    """
    places = [out / f"{recording.stem}.txt" for recording in recordings]
    twice = sorted({place.name for place in places if places.count(place) > 1})
    if twice:
        raise DataError(f"several recordings would get the label track {twice[0]}", hint="take TSV or JSON")
    for place in places:
        if place.exists():
            raise DataError(f"{place} is there already", hint="move it, or name another folder")
    return places


def write(predictions: Sequence[Prediction], form: str, out: Path) -> list[Path]:
    """Writes predictions: one file, or label tracks of several recordings as `NAME.txt` each into a folder.

    Returns:
        What was written.

    Raises:
        DataError: as of `label_tracks` or `text`.
    """
    if form != "audacity" or (len(predictions) == 1 and not out.is_dir()):
        return [files.write_text(out, text(predictions, form))]
    places = label_tracks([each.path for each in predictions], out)
    return [files.write_text(place, audacity(each)) for place, each in zip(places, predictions, strict=True)]
