"""`keras_mtl compare`: runs side by side."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keras_mtl.cli.options import FILE, PATH, cache_option, json_option, print_result, quiet_tensorflow
from keras_mtl.core import DataError, write_text
from keras_mtl.experiments import SORTS, Comparison, RunRow

if TYPE_CHECKING:
    from keras_mtl.experiments import Draws


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option("--sort", type=click.Choice(list(SORTS)), default="given", help="What the rows are in order of.")
@click.option(
    "--against",
    multiple=True,
    type=PATH,
    metavar="RUN",
    help="Also each run's difference to this one, task by task; repeatable.",
)
@click.option(
    "--data", metavar="DIR", help="For --against: score the runs again on these data, for intervals of the differences."
)
@click.option("--plot", type=FILE, metavar="FILE", help="Also draw scene accuracy against event F1.")
@click.option(
    "--conflict",
    type=FILE,
    metavar="FILE",
    help="Also draw the cosine between the tasks' gradients over each training.",
)
@click.option("--markdown", type=FILE, metavar="FILE", help="Also write a Markdown table.")
@click.option("--html", type=FILE, metavar="FILE", help="Also write a page with tables that sort.")
@cache_option
@json_option
def command(
    runs: tuple[Path, ...],
    sort: str,
    against: tuple[Path, ...],
    data: str | None,
    plot: Path | None,
    conflict: Path | None,
    markdown: Path | None,
    html: Path | None,
    cache: Path,
    as_json: bool,
) -> None:
    """Runs side by side: system, algorithm, cost, and each figure with its 95 % interval.

    Runs that differ in their seed alone are summarised too. Runs that were scored on different data are marked:
    they must not be compared. A sweep's folder stands for its finished runs. Nothing is trained or scored, but with
    --against and --data.

    Whether two tasks learnt in one network get in each other's way: --against the runs of each task alone says what
    each task lost or won, and for runs trained with train.conflict_every a column and --conflict say how far the tasks'
    gradients agreed on the encoder.

    \b
    Examples:
      keras_mtl compare runs/soft runs/hard --sort event_f1
      keras_mtl compare runs/sweep --plot sweep.png --markdown sweep.md --html sweep.html
      keras_mtl compare runs/soft --against runs/scenes --against runs/events --data DIR --conflict conflict.png
    """
    if data is not None and not against:
        raise click.UsageError("--data is for --against: nothing else is scored again")
    quiet_tensorflow()
    from keras_mtl.experiments import compare, comparison_html, comparison_lines, comparison_markdown, expand

    paths, references = expand([*runs, *against]), {path.resolve() for path in expand(against)}
    compared = compare(paths, sort, _command(runs, sort, against, data))
    if against:
        chosen = [row for row in compared.rows if Path(row.path).resolve() in references]
        compared = _with_differences(compared, chosen, data, cache)
    for path, made in ((markdown, comparison_markdown), (html, comparison_html)):
        if path is not None:
            write_text(path, made(compared))
    if plot is not None:
        from keras_mtl.experiments import plot_comparison

        plot_comparison(compared, plot)
    if conflict is not None:
        from keras_mtl.experiments import plot_conflict

        plot_conflict({row.name: row.path for row in compared.rows}, conflict)
    print_result(compared.to_dict(), as_json, lambda: comparison_lines(compared))


def _command(runs: Sequence[Path], sort: str, against: Sequence[Path], data: str | None) -> str:
    """What makes the same table again; where it goes to is no part of it."""
    words = ["keras_mtl", "compare", *map(str, runs)]
    words += ["--sort", sort] if sort != "given" else []
    words += [word for path in against for word in ("--against", str(path))]
    return shlex.join([*words, *(["--data", data] if data is not None else [])])


def _with_differences(compared: Comparison, against: Sequence[RunRow], data: str | None, cache: Path) -> Comparison:
    from keras_mtl.experiments import EveryDraw, draws_of, with_differences

    if data is None:
        return with_differences(compared, against)
    from keras_mtl.metrics import evaluate
    from keras_mtl.predictors import open_for_scoring, open_predictor

    def draws(row: RunRow) -> Draws:
        click.echo(f"scoring {row.name}", err=True)
        predictor = open_predictor(Path(row.path))
        corpus = open_for_scoring(predictor, data, cache)
        if corpus.fingerprint != row.fingerprint:
            raise DataError(f"{row.path} was scored on other data than {data}", hint=f"on those named {row.data!r}")
        return draws_of(evaluate(predictor, corpus, cache, EveryDraw()), row)

    return with_differences(compared, against, draws)
