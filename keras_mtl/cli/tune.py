"""`keras_mtl tune`: chooses threshold, hysteresis, median filter, pauses and shortest events of each class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_mtl.cli import options

if TYPE_CHECKING:
    from keras_mtl.tuning import Tuning


@click.command("tune")
@click.argument("model", type=options.PATH, metavar="RUN_OR_ARTIFACT")
@click.option("--data", metavar="DIR", help="The data that it was trained on, or the word 'soundscapes'.")
@click.option(
    "--by",
    type=click.Choice(["f1", "psds", "false-alarms"]),
    help="What to choose by: event F1, PSDS1 (the median filter alone), or fewest misses within a bound of false "
    "alarms. f1, or with a bound false-alarms.",
)
@click.option(
    "--max-false-alarms-per-hour",
    "most_per_hour",
    type=click.FloatRange(min=0, min_open=True),
    help="The bound for each class, on the audio of --ambient.",
)
@click.option("--ambient", type=options.FOLDER, help="Recordings without events: each detection is a false alarm.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting picked by hand, after what is searched: 'decode.classes.\"Dog\".threshold=0.4'. Repeatable; "
    "without --data nothing is searched.",
)
@click.option("--out", type=options.PATH, help="A new run folder or artifact with the settings.")
@click.option("--write", is_flag=True, help="Write the settings into RUN_OR_ARTIFACT itself.")
@click.option("--page", type=options.FILE, help="Write the curves of all classes as an HTML page to pick from.")
@options.engine_option
@options.cache_option
@options.json_option
def command(
    model: Path,
    data: str | None,
    by: str | None,
    most_per_hour: float | None,
    ambient: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    write: bool,
    page: Path | None,
    engine: str,
    cache: Path,
    as_json: bool,
) -> None:
    """Choose how the events of each class are decoded, on recordings that the training held out.

    Chosen are threshold, hysteresis, median filter, shortest event and gap of each class. No clip of an evaluation
    split is read. What may be a gain by chance is left out: the class keeps its settings. Without --out or --write
    nothing is written but a table, and the command lines that give a class its settings.

    \b
    Examples:
      keras_mtl tune runs/real --data DIR
      keras_mtl tune joint.int8/ --data DIR --by psds --out joint.tuned/
      keras_mtl tune joint.int8/ --data DIR --ambient noise/ --max-false-alarms-per-hour 0.5 --page points.html --write
      keras_mtl tune joint.int8/ --set 'decode.classes."Dog".threshold=0.35' --write
    """
    by = _checked(data, by, most_per_hour, ambient, overrides, out, write, page)
    options.quiet_tensorflow()
    from keras_mtl.predictors import Tunable, ambient_tracks
    from keras_mtl.recipes import override_decoding
    from keras_mtl.tuning import SCHEMA, curves, page_html, set_options, tune

    opened = Tunable.open(model, engine)
    document: dict[str, Any] = {"schema": SCHEMA, "model": str(model)}
    decoding, found = opened.decoding, None
    if data is not None:
        held_out = opened.held_out(data, cache)
        quiet = ambient_tracks(opened.streaming, ambient, engine) if ambient is not None else None
        longest_s, start = opened.longest_median_s, opened.untuned
        found = tune(
            held_out, start, by=by, ambient=quiet, most_per_hour=most_per_hour, longest_s=longest_s, progress=True
        )
        decoding = found.decoding
        document |= {"data": data, "ambient": str(ambient) if ambient else None, **found.to_dict()}
        if page is not None:
            from keras_mtl.core import write_text

            write_text(page, page_html(found, curves(found, held_out, quiet), str(model), _about(document)))
            document["page"] = str(page)
    decoding = override_decoding(decoding, overrides)
    decoding.require_classes(opened.predictor.labels.events)
    chosen = [point for point in found.points if point.changed] if found else []
    document |= {
        "decode": {"classes": decoding.classes},
        "set": [option for point in chosen for option in set_options(point, point.after, decoding)],
        "overrides": list(overrides),
        "written": None,
    }
    if out is not None or write:
        how = {key: document.get(key) for key in ("by", "max_false_alarms_per_hour", "held_out", "ambient_hours")}
        document["written"] = str(opened.write(decoding, {**how, "overrides": list(overrides)}, out))
    options.print_result(document, as_json, lambda: _lines(document, found))


def _checked(
    data: str | None,
    by: str | None,
    most_per_hour: float | None,
    ambient: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    write: bool,
    page: Path | None,
) -> str:
    """What to choose by, of options that go together."""
    if data is None and not overrides:
        raise click.UsageError("--data DIR is what held-out recordings are taken from; or give --set")
    if data is None and (by or most_per_hour or ambient or page):
        raise click.UsageError("without --data nothing is searched or drawn")
    if out is not None and write:
        raise click.UsageError("--out writes a copy, --write in place: give one of them")
    by = by or ("false-alarms" if most_per_hour is not None else "f1")
    if by == "false-alarms" and (ambient is None or most_per_hour is None):
        raise click.UsageError("false alarms need --ambient DIR and --max-false-alarms-per-hour")
    if by != "false-alarms" and most_per_hour is not None:
        raise click.UsageError(f"a bound of false alarms is not what --by {by} chooses by")
    return by


def _about(document: dict[str, Any]) -> list[str]:
    from keras_mtl.metrics import poisson_interval

    held_out, hours = document["held_out"], document["ambient_hours"]
    lines = [f"chosen by {document['by']} on {held_out['clips']} held-out clips ({held_out['hours']:.3g} hours)"]
    if (bound := document["max_false_alarms_per_hour"]) is not None:
        lines[0] += f", at most {bound:g} false alarms per hour of each class"
    if hours:
        _, most = poisson_interval(0, hours)
        lines.append(f"{hours:.3g} hours of ambient audio: even 0 alarms in it allow up to {most:.3g} per hour (95 %)")
        if bound is not None and most > bound:
            lines.append(
                f"to show a rate below {bound:g} takes {hours * most / bound:.3g} hours without an alarm, or more"
            )
    return lines


def _lines(document: dict[str, Any], found: Tuning | None) -> list[str]:
    from keras_mtl.core import Column, Table

    lines: list[str] = []
    if found:
        columns = [
            Column("class", "label"),
            Column("events", "events", "d"),
            *(_change(title, key) for title, key in _SETTINGS),
            Column("misses", lambda row: _arrow([f"{each:.1%}" for each in row.misses]) if row.misses else None),
            Column(
                "gain",
                lambda row: f"{row.gain.value:+.3f} [{row.gain.low:+.3f}, {row.gain.high:+.3f}]" if row.gain else None,
            ),
            *([Column("false alarms per hour", _alarms)] if found.ambient_hours else []),
            Column("why", "why"),
        ]
        lines += [*_about(document), "", *Table(columns, found.points).text()]
    if document["written"]:
        return [*lines, "", f"written  {document['written']}"]
    if document["set"] or document["overrides"]:
        import shlex

        given = [f"--set {shlex.quote(option)}" for option in (*document["set"], *document["overrides"])]
        lines += ["", "nothing is written without --out or --write; these give the settings:", *given]
    return lines


_SETTINGS = (
    ("threshold", "threshold"),
    ("hysteresis", "hysteresis"),
    ("median s", "median_s"),
    ("shortest s", "shortest_s"),
    ("gap s", "gap_s"),
)


def _change(title: str, key: str) -> Any:
    from keras_mtl.core import Column

    return Column(title, lambda row: _arrow([f"{getattr(each, key):g}" for each in (row.before, row.after)]))


def _alarms(row: Any) -> str:
    low, high = row.alarms[1]["interval"]
    rates = _arrow([f"{each['per_hour']:.3g}" for each in row.alarms])
    return f"{rates} [{low:.3g}, {high:.3g}]"


def _arrow(sides: list[str]) -> str:
    return sides[0] if sides[0] == sides[1] else " -> ".join(sides)
