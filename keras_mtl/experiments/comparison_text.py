"""A comparison as text: lines for people, and a Markdown table or a page with the command that made it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import NamedTuple

from keras_mtl.core import Column, Table, page
from keras_mtl.experiments.comparison import FIGURES, Comparison, Difference, RunRow, Spread, Summary
from keras_mtl.experiments.comparison_rows import algorithm_of

_SHOWN_OF_A_FINGERPRINT = 8


class _Pair(NamedTuple):
    """A run, what it is held against, and how each of its figures differs."""

    run: str
    against: str
    figures: dict[str, Difference]


def comparison_lines(comparison: Comparison) -> list[str]:
    """The tables in columns, and notes."""
    lines: list[str] = []
    for title, table in _tables(comparison):
        lines += ["", title] if lines else []
        lines += table.text()
    notes = comparison_notes(comparison)
    return [*lines, *([""] if notes else []), *(f"note: {note}" for note in notes)]


def comparison_markdown(comparison: Comparison) -> str:
    """The same in Markdown: ready to be put into a document."""
    lines = [f"Made by `{comparison.command}`.", ""] if comparison.command else []
    for index, (title, table) in enumerate(_tables(comparison)):
        lines += ["", title, ""] if index else []
        lines += table.markdown()
    for note in comparison_notes(comparison):
        lines += ["", f"**Note:** {note}"]
    return "\n".join(lines) + "\n"


def comparison_html(comparison: Comparison) -> str:
    """The same as a page."""
    parts = ["<h1>Runs side by side</h1>"]
    if comparison.command:
        parts.append(f"<pre>{escape(comparison.command)}</pre>")
    for title, table in _tables(comparison):
        parts += [f"<h2>{escape(title)}</h2>", table.html()]
    parts += [f'<p class="note">{escape(note)}</p>' for note in comparison_notes(comparison)]
    return page("keras_mtl compare", "\n".join(parts))


def comparison_notes(comparison: Comparison) -> list[str]:
    """What a reader must know: which runs can't be compared, what differences stand on, what is wrong with a run."""
    notes = []
    for mismatch in comparison.mismatches:
        sets = "; ".join(
            f"{', '.join(each['runs'])}: {each['clips']} clips of {each['data']} "
            + " ".join(filter(None, [each["fingerprint"][:_SHOWN_OF_A_FINGERPRINT], each["tool"], each["settings"]]))
            for each in mismatch.sets
        )
        notes.append(f"{mismatch.task}: scored on different data, must not be compared: {sets}")
    if comparison.differences:
        notes.append(f"differences {comparison.difference_method}")
    if any(figure.low is not None for row in comparison.rows for figure in row.figures.values()):
        notes.append("[low, high]: 95 % interval over recordings; it does not cover other seeds")
    return notes + [f"{row.name}: {row.remark}" for row in comparison.rows if row.remark]


def _tables(comparison: Comparison) -> list[tuple[str, Table]]:
    """Each table with its title."""
    tables = [("Runs", _runs(comparison.rows))]
    if comparison.summaries:
        tables.append(("Over seeds: mean ± standard deviation", _seeds(comparison.summaries)))
    if comparison.differences:
        tables.append(("Differences: run less against", _differences(comparison.differences)))
    return tables


def _runs(rows: Sequence[RunRow]) -> Table:
    letters = _letters(rows)
    columns = [
        Column("run", "name"),
        *([Column("data", lambda row: letters[row.fingerprint])] if len(letters) > 1 else []),
        Column("system", "system"),
        *([Column("stage", lambda row: row.scheme or row.stage)] if any(row.scheme for row in rows) else []),
        Column("algorithm", lambda row: algorithm_of(row) or None),
        Column("seed", "seed", ">"),
        Column("epochs", lambda row: "+".join(map(str, row.epochs.values())) or None, ">"),
        Column("params", "params", ","),
        Column("M MACs/s", lambda row: None if row.macs_per_second is None else row.macs_per_second / 1e6, ",.3f"),
        *_figures(rows),
        *([Column("gradient cosine", _cosine, ">")] if any(row.conflict for row in rows) else []),
        Column("minutes", "training_minutes", ".1f"),
    ]
    return Table(columns, rows)


def _letters(rows: Sequence[RunRow]) -> dict[str, str]:
    """A letter for each of the different data, in the order of the rows."""
    prints = dict.fromkeys(row.fingerprint for row in rows)
    return {fingerprint: _letter(place) for place, fingerprint in enumerate(prints)}


def _letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def _seeds(summaries: Sequence[Summary]) -> Table:
    columns = [
        Column("configuration", "name"),
        Column("seeds", lambda each: ", ".join(map(str, each.seeds))),
        Column("n", lambda each: len(each.runs), ">"),
        *_figures(summaries),
    ]
    return Table(columns, summaries)


def _differences(differences: Sequence[Difference]) -> Table:
    pairs: dict[tuple[str, str], _Pair] = {}
    for each in differences:
        pair = pairs.setdefault((each.run, each.against), _Pair(each.run, each.against, {}))
        pair.figures[each.figure] = each
    rows = list(pairs.values())
    return Table([Column("run", "run"), Column("against", "against"), *_figures(rows)], rows)


def _figures(rows: Sequence[RunRow | Summary | _Pair]) -> list[Column]:
    """A column for each figure that any row has."""
    return [
        Column(title, partial(_figure, key), ">")
        for key, (_, title) in FIGURES.items()
        if any(key in row.figures for row in rows)
    ]


def _figure(key: str, row: RunRow | Summary | _Pair) -> str | None:
    """A figure of a run with its interval, one over seeds with its deviation, or a difference with its interval."""
    figure = row.figures.get(key)
    if figure is None:
        return None
    if isinstance(figure, Spread):
        return f"{figure.mean:.3f} ± {figure.std:.3f}"
    sign = "+" if isinstance(figure, Difference) else ""
    if figure.low is None or figure.high is None:
        return f"{figure.value:{sign}.3f}"
    return f"{figure.value:{sign}.3f} [{figure.low:{sign}.2f}, {figure.high:{sign}.2f}]"


def _cosine(row: RunRow) -> str | None:
    return None if row.conflict is None else f"{row.conflict.mean:+.2f}, {row.conflict.share:.0%} below 0"
