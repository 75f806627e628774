"""`keras_mtl data check`: a census of a data folder as it lies on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keras_mtl.cli.options import PATH, cache_option, json_option, print_result, quiet_tensorflow
from keras_mtl.core import Column, DataError, Table, VerdictFailed, files

if TYPE_CHECKING:
    from keras_mtl.datasets import FolderCensus, SplitCensus
    from keras_mtl.datasets.own import OwnCensus

_COLUMNS = (
    Column("data set", "name"),
    Column("split", "split"),
    Column("listed", lambda each: each.census.listed, ","),
    Column("clips", lambda each: each.census.clips, ","),
    Column("missing", lambda each: each.census.missing, ","),
    Column("unreadable", lambda each: each.census.unreadable, ","),
    Column("hours", lambda each: each.seconds / 3600, ".2f"),
    Column(
        "rates in Hz",
        lambda each: ", ".join(f"{rate}: {count:,}" for rate, count in sorted(each.rates.items())) or None,
    ),
)

_OWN_COLUMNS = (
    Column("folder", "folder"),
    Column("class", lambda row: row.label or None),
    Column("train", "train", ","),
    Column("test", "test", ","),
    Column("seconds", "seconds", ",.1f"),
    Column("clips or events", "clips", ","),
)

#: What to call each kind that is listed by name, those that are refused last.
_KINDS = {
    "missing": "clips are missing, and passed over",
    "unnamed": "recordings are named by no table, and passed over",
    "hidden": "hidden files are passed over",
    "repeated": "rows are repeated; the first one counts",
    "padded": "recordings are too short, and filled up with zeros",
    "cut": "recordings are too long, and cut",
    "mixed": "recordings have several channels, and are mixed down",
    "cancelling": "recordings have channels that cancel each other when they are mixed down",
    "loud": "recordings go beyond full scale, and are cut to it",
    "upsampled": "recordings have a lower rate than {rate_hz} Hz, and no treble",
    "clipped_events": "events reach beyond the clip, and end with it",
    "lost_events": "events lie beyond the clip, and are left out",
    "unreadable": "recordings can't be read",
    "unknown_labels": "labels are not in the list",
    "backward_events": "events do not end after they begin",
    "bad_times": "onsets or offsets are not numbers",
    "contradictions": "rows contradict others",
}
#: Of a clip, as a recipe may have it.
_LONGEST_CLIP_S = 60.0


@click.command("check")
@click.argument("folder", type=PATH, metavar="DIR")
@click.option(
    "--names",
    type=click.IntRange(min=0),
    default=5,
    metavar="N",
    help="How many names of each kind to list; 0 lists all.",
)
@click.option(
    "--quick", is_flag=True, help="Tables and headers only: no fingerprint, for which every byte is read once."
)
@click.option(
    "--recipe",
    "recipe",
    default="mt",
    metavar="NAME_OR_FILE",
    help="Count for the clips of this recipe: their rate, lengths and split.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of it; repeatable.")
@click.option(
    "--write-split",
    type=PATH,
    metavar="FILE",
    help="Write the split of a folder of own sounds as a table; as DIR/split.tsv it stays.",
)
@cache_option
@json_option
def command(
    folder: Path,
    names: int,
    quick: bool,
    recipe: str,
    overrides: tuple[str, ...],
    write_split: Path | None,
    cache: Path,
    as_json: bool,
) -> None:
    """Census of DIR, own sounds or the TAU and DESED folders: what is there, what is missing, what is wrong, by name.

    What is missing or had to be changed (mixed down, padded, cut ...) is counted. What can't be read or contradicts
    itself is refused, here as by the preparation: exit status 1. Nothing in DIR is changed.

    The fingerprint stands for the content of all tables and recordings; runs and scores carry it. Every file is read
    once for it, and its digest is remembered in the cache.

    \b
    Examples:
      keras_mtl data check DIR
      keras_mtl data check DIR --quick
      keras_mtl data check DIR --names 0 --json
      keras_mtl data check DIR --set data.event_clip_s=5
      keras_mtl data check DIR --recipe own --write-split DIR/split.tsv
    """
    from keras_mtl.recipes import load_recipe

    loaded, most = load_recipe(recipe, overrides), names or None
    quiet_tensorflow()
    from keras_mtl.datasets import check_folder

    rate_hz = loaded.features.sample_rate_hz
    census = check_folder(folder, cache / "tfds", sample_rate_hz=rate_hz, hashed=not quick, settings=loaded.data)
    if write_split is not None:
        _write_split(census, write_split)
    print_result(census.to_dict(most), as_json, lambda: _lines(census, most))
    if not census.usable:
        wrong = len(census.problems) + len(census.refusals)
        raise VerdictFailed(
            f"{folder} can't be prepared as it is: {wrong} {'thing is' if wrong == 1 else 'things are'} wrong in it",
            hint="mend or remove what is named; missing files are passed over",
        )


def _write_split(census: FolderCensus, path: Path) -> None:
    if census.own is None:
        raise DataError(f"{census.folder} is no folder of own sounds", hint="TAU and DESED have splits of their own")
    if path.exists():
        raise DataError(f"{path} is there already", hint="name another file")
    sides = {name: side for name, side in census.own.folder.sides.items() if not name.startswith("unlabelled/")}
    rows = [f"{name}\t{'test' if side == 'test' else 'train'}\n" for name, side in sides.items()]
    files.write_text(path, "file\tsplit\n" + "".join(rows))


def _own_lines(census: OwnCensus, most: int | None) -> list[str]:
    """A folder of own sounds: its classes, and what may not be meant."""
    lines = Table(_OWN_COLUMNS, census.rows).text()
    lines += ["", f"recordings   {', '.join(f'{count:,} of {kind}' for kind, count in census.formats.items())}"]
    split = "split.tsv" if census.folder.table else f"drawn (data.split_seed = {census.folder.settings.split_seed})"
    lines += [f"split        {split}"]
    for what, names in census.notes:
        more = " ..." if most is not None and len(names) > most else ""
        lines.append(f"{len(names):,} {what}: {', '.join(names[:most])}{more}")
    lines += [f"  {error}" for error in census.refusals[:most]]
    left = len(census.refusals) - len(census.refusals[:most])
    return [*lines, *([f"  ... and {left:,} more"] if left else [])]


def _lines(census: FolderCensus, most: int | None) -> list[str]:
    found = [line for each in census.splits for line in _findings(each, census.sample_rate_hz, most)]
    print_of = census.fingerprint or "not made (--quick)"
    space = [""] if found or census.problems else []
    unread = [f"not read: {each}" for each in census.unread[:most]]
    left = len(census.unread) - len(unread)
    end = [*([""] if unread else []), *unread, *([f"  ... and {left:,} more"] if left else [])]
    end += ["", f"fingerprint  {print_of}"]
    if census.own is not None:
        return [*_own_lines(census.own, most), *end]
    return [*Table(_COLUMNS, census.splits).text(), *space, *found, *census.problems, *end]


def _findings(each: SplitCensus, rate_hz: int, most: int | None) -> list[str]:
    """What was found in a split, a line a kind, and then the reasons of what is refused."""
    where, lines = f"{each.name}/{each.split}", []
    named = each.census.first_names(most)
    for kind, words in _KINDS.items():
        count = getattr(each.census, kind)
        if count:
            more = " ..." if len(each.census.names[kind]) > len(named[kind]) else ""
            lines.append(f"{where}: {count:,} {words.format(rate_hz=rate_hz)}: {', '.join(named[kind])}{more}")
    if each.census.cut and each.census.cut == each.census.clips:
        mean_s, key = each.seconds / each.census.clips, "event" if each.name == "desed" else "scene"
        way = f"--set data.{key}_clip_s={mean_s:.3g}" if mean_s <= _LONGEST_CLIP_S else "cut them into clips"
        lines.append(f"{where}: of {mean_s:.3g} s only the first {each.clip_s:g} s of each are used: {way}")
    reasons = each.census.refusals[:most]
    more_reasons = len(each.census.refusals) - len(reasons)
    lines += [f"  {error.message}" for error in reasons]
    return [*lines, *([f"  ... and {more_reasons:,} more"] if more_reasons else [])]
