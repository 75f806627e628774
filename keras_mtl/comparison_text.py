"""A comparison as text: lines for people, and a Markdown table with the command that made it."""

from __future__ import annotations

from collections.abc import Sequence

from keras_mtl.comparison import FIGURES, Comparison, Conflict, Difference, Figure, RunRow, Summary
from keras_mtl.comparison_rows import algorithm_of

_NONE = "-"
_SHOWN_OF_A_FINGERPRINT = 8
Table = list[tuple[str, ...]]


def comparison_lines(comparison: Comparison) -> list[str]:
    """The tables in columns, and notes."""
    lines: list[str] = []
    for title, table, words in _tables(comparison):
        lines += ["", title] if lines else []
        lines += _in_columns(table, words)
    notes = comparison_notes(comparison)
    return [*lines, *([""] if notes else []), *(f"note: {note}" for note in notes)]


def comparison_markdown(comparison: Comparison) -> str:
    """The same in Markdown: ready to be put into a document."""
    lines = [f"Made by `{comparison.command}`.", ""] if comparison.command else []
    for index, (title, table, words) in enumerate(_tables(comparison)):
        lines += ["", title, ""] if index else []
        head, *body = ([cell.replace("|", "\\|") for cell in row] for row in table)
        rule = ["---" if place < words else "---:" for place in range(len(head))]
        lines += [f"| {' | '.join(row)} |" for row in (head, rule, *body)]
    for note in comparison_notes(comparison):
        lines += ["", f"**Note:** {note}"]
    return "\n".join(lines) + "\n"


def comparison_notes(comparison: Comparison) -> list[str]:
    """What a reader must know: which runs can't be compared, what differences stand on, what is wrong with a run."""
    notes = []
    for mismatch in comparison.mismatches:
        sets = "; ".join(
            f"{', '.join(each['runs'])}: {each['clips']} clips of {each['data']} "
            + " ".join(filter(None, [each["fingerprint"][:_SHOWN_OF_A_FINGERPRINT], each["tool"]]))
            for each in mismatch.sets
        )
        notes.append(f"{mismatch.task}: scored on different data, must not be compared: {sets}")
    if comparison.differences:
        notes.append(f"differences {comparison.difference_method}")
    if any(figure.low is not None for row in comparison.rows for figure in row.figures.values()):
        notes.append("[low, high]: 95 % interval over recordings; it does not speak of other seeds")
    return notes + [f"{row.name}: {row.remark}" for row in comparison.rows if row.remark]


def _tables(comparison: Comparison) -> list[tuple[str, Table, int]]:
    """Each table's title, its rows with the head first, and how many of its first columns are words."""
    tables = [("Runs", *_runs(comparison))]
    if comparison.summaries:
        tables.append(("Over seeds: mean ± standard deviation", _seeds(comparison.summaries), 2))
    if comparison.differences:
        tables.append(("Differences: run less against", _differences(comparison.differences), 2))
    return tables


def _runs(comparison: Comparison) -> tuple[Table, int]:
    rows = comparison.rows
    quantized = any(row.scheme for row in rows)
    letters = _letters(rows)
    figures = [key for key in FIGURES if any(key in row.figures for row in rows)]
    conflict = any(row.conflict for row in rows)
    words = ["run", *(["data"] if len(letters) > 1 else []), "system", *(["stage"] if quantized else []), "algorithm"]
    numbers = ["seed", "epochs", "params", "M MACs/s", *(FIGURES[key][1] for key in figures)]
    numbers += [*(["gradient cosine"] if conflict else []), "minutes"]
    table: Table = [(*words, *numbers)]
    for row in rows:
        table.append(
            (
                row.name,
                *([letters[row.fingerprint]] if len(letters) > 1 else []),
                row.system,
                *([row.scheme or row.stage] if quantized else []),
                algorithm_of(row) or _NONE,
                str(row.seed),
                "+".join(map(str, row.epochs.values())) or _NONE,
                _NONE if row.params is None else f"{row.params:,}",
                _NONE if row.macs_per_second is None else f"{row.macs_per_second / 1e6:,.3f}",
                *(_figure(row.figures.get(key)) for key in figures),
                *([_cosine(row.conflict)] if conflict else []),
                _NONE if row.training_minutes is None else f"{row.training_minutes:.1f}",
            )
        )
    return table, len(words)


def _letters(rows: Sequence[RunRow]) -> dict[str, str]:
    """A letter for each of the different data, in the order of the rows."""
    prints = dict.fromkeys(row.fingerprint for row in rows)
    return {fingerprint: _letter(place) for place, fingerprint in enumerate(prints)}


def _letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def _figure(figure: Figure | None) -> str:
    if figure is None:
        return _NONE
    return f"{figure.value:.3f}{_between(figure.low, figure.high)}"


def _cosine(conflict: Conflict | None) -> str:
    return _NONE if conflict is None else f"{conflict.mean:+.2f}, {conflict.share:.0%} below 0"


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"


def _seeds(summaries: Sequence[Summary]) -> Table:
    figures = [key for key in FIGURES if any(key in each.figures for each in summaries)]
    table: Table = [("configuration", "seeds", "n", *(FIGURES[key][1] for key in figures))]
    for each in summaries:
        spreads = [each.figures.get(key) for key in figures]
        cells = [_NONE if spread is None else f"{spread.mean:.3f} ± {spread.std:.3f}" for spread in spreads]
        table.append((each.name, ", ".join(map(str, each.seeds)), str(len(each.runs)), *cells))
    return table


def _differences(differences: Sequence[Difference]) -> Table:
    figures = [key for key in FIGURES if any(each.figure == key for each in differences)]
    table: Table = [("run", "against", *(FIGURES[key][1] for key in figures))]
    for run, against in dict.fromkeys((each.run, each.against) for each in differences):
        found = {d.figure: d for d in differences if (d.run, d.against) == (run, against)}
        cells = [f"{found[k].value:+.3f}{_signed(found[k])}" if k in found else _NONE for k in figures]
        table.append((run, against, *cells))
    return table


def _signed(difference: Difference) -> str:
    if difference.low is None or difference.high is None:
        return ""
    return f" [{difference.low:+.2f}, {difference.high:+.2f}]"


def _in_columns(table: Table, words: int) -> list[str]:
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
