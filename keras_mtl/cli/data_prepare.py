"""`keras_mtl data prepare`: reads and resamples recordings and computes log-mel, once."""

from __future__ import annotations

from pathlib import Path

import click

from keras_mtl.cli.options import cache_option, json_option, print_result, quiet_tensorflow
from keras_mtl.core import Column, Table

_COLUMNS = (
    Column("features of", "name"),
    Column("clips", "clips", ","),
    Column("seconds", "seconds", ",.0f"),
    Column("shards", "shards", ","),
    Column("computed now", "computed", ","),
)


@click.command("prepare")
@click.argument("data", metavar="DIR")
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    default=("mt",),
    metavar="NAME_OR_FILE",
    help="Prepare the features of this recipe (a system's id is one, too); repeatable.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of them all; repeatable.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Processes that do the work.")
@click.option(
    "--beam_pipeline_options",
    metavar="OPTIONS",
    help="Let an Apache Beam pipeline do it: its flags without dashes, comma-separated, as TFDS takes them.",
)
@cache_option
@json_option
def command(
    data: str,
    recipes: tuple[str, ...],
    overrides: tuple[str, ...],
    jobs: int,
    beam_pipeline_options: str | None,
    cache: Path,
    as_json: bool,
) -> None:
    """Prepare a data folder: what the first training on it would do, ahead of time and on as many cores as you like.

    Recordings are resampled to the rate of the features, and log-mel is computed from them. Both are kept in the cache,
    where trainings and evaluations find them. An interrupt costs seconds of work: the same command goes on.

    \b
    Examples:
      keras_mtl data prepare DIR --jobs 4
      keras_mtl data prepare DIR --recipe mt --recipe cp_mobile
      keras_mtl data prepare DIR --recipe cp_mobile --set data.scene_subset=5
      keras_mtl data prepare DIR --beam_pipeline_options runner=DirectRunner,direct_num_workers=2
    """
    from keras_mtl.recipes import load_recipe

    loaded = [load_recipe(name, overrides) for name in recipes]
    quiet_tensorflow()
    from keras_mtl.features import prepare

    try:
        document = prepare(data, loaded, cache, jobs, beam_pipeline_options)
    except KeyboardInterrupt:
        click.echo("\ninterrupted; the same command goes on from here", err=True)
        raise click.exceptions.Exit(130) from None
    print_result(
        document,
        as_json,
        lambda: [
            *Table(_COLUMNS, document["splits"]).text(),
            f"{document['wall_s']:.1f} s; in {document['cache']}",
        ],
    )
