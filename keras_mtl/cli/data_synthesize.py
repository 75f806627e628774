"""`keras_mtl data synthesize`: labelled soundscapes from isolated events and backgrounds, in DESED's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keras_mtl.cli.options import FOLDER, json_option, print_result
from keras_mtl.core import DataError

_count = click.IntRange(min=0)


@click.command("synthesize")
@click.option("--foreground", type=FOLDER, required=True, help="Isolated events: a folder for each event class.")
@click.option("--background", type=FOLDER, required=True, help="Backgrounds, in folders of any names.")
@click.option("--out", type=FOLDER, required=True, help="The folder to write; must be new or empty.")
@click.option("--clips", type=_count, default=1000, help="Clips with strong labels.")
@click.option("--weak", type=_count, default=0, help="Clips with the names of their classes only.")
@click.option("--unlabelled", type=_count, default=0, help="Clips without labels.")
@click.option("--validation", type=_count, default=0, help="Clips for evaluation.")
@click.option("--validation-foreground", type=FOLDER, help="Isolated events that these are made from.")
@click.option("--validation-background", type=FOLDER, help="Their backgrounds; else those of training.")
@click.option("--seed", type=_count, default=0, help="The same seed gives the same bytes.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Processes at once.")
@json_option
def command(
    foreground: Path,
    background: Path,
    out: Path,
    clips: int,
    weak: int,
    unlabelled: int,
    validation: int,
    validation_foreground: Path | None,
    validation_background: Path | None,
    seed: int,
    jobs: int,
    as_json: bool,
) -> None:
    """Make soundscapes of 10 s from isolated events and backgrounds, by Scaper.

    The folders are in Scaper's layout, the events' named as DESED's classes. What is written has DESED's layout, so
    that --data takes it. Levels, times and numbers of events are those of DESED's synthetic set. An interrupted
    call goes on when it is made again.

    \b
    Examples:
      keras_mtl data synthesize --foreground bank/foreground --background bank/background --out DIR
      keras_mtl data synthesize --foreground bank/train/foreground --background bank/train/background \\
          --clips 5000 --weak 1000 --unlabelled 5000 --validation 500 \\
          --validation-foreground bank/test/foreground --jobs 8 --out DIR
    """
    from keras_mtl.datasets.mixing import open_soundbank
    from keras_mtl.datasets.soundscapes.mixtures import require_scaper
    from keras_mtl.datasets.soundscapes.synthesis import SCHEMA, Order, synthesise

    counts = {"strong_synthetic": clips, "weak": weak, "unlabelled": unlabelled, "validation": validation}
    wanted = {split: count for split, count in counts.items() if count}
    if not wanted:
        raise DataError("no clips are asked for", hint="--clips N")
    if validation and validation_foreground is None:
        raise DataError(
            "--validation needs recordings of its own: --validation-foreground DIR",
            hint="a network recognises a recording that it was trained on",
        )
    require_scaper()
    banks = dict.fromkeys(wanted, open_soundbank(foreground, background))
    if validation_foreground is not None:
        banks["validation"] = open_soundbank(validation_foreground, validation_background or background)
    try:
        done = synthesise(Order(wanted, banks, seed), out, jobs)
    except KeyboardInterrupt:
        click.echo("\ninterrupted; the same command goes on from here", err=True)
        raise click.exceptions.Exit(130) from None
    document = {"schema": SCHEMA, "out": str(out), "seed": seed, **done}
    print_result(document, as_json, lambda: _lines(document))


def _lines(document: dict[str, Any]) -> list[str]:
    lines = []
    for split in document["splits"]:
        events = ", ".join(f"{label} {count}" for label, count in split["events"].items())
        lines.append(
            f"{split['split']:<17}{split['clips']:>6} clips   {sum(split['events'].values())} events: {events}"
        )
        if split["scaled"]:
            lines.append(f"{'':<17}{split['scaled']:>6} of them made softer as a whole, to fit")
    return [*lines, f"written to {document['out']}"]
