"""`keras_mtl teach`: what a pretrained network gives for the clips, and how well probes on it do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from keras_mtl.cli import options
from keras_mtl.core import Column, RecipeError, Table

_COLUMNS = (
    Column("probe", "probe"),
    Column("figure", "figure"),
    Column("cross-fitted, training", "cross_fitted", ".3f"),
    Column("evaluation", "evaluation", ".3f"),
)
_FIGURES = {
    "scenes": (("accuracy", "accuracy"),),
    "events": (("event F1", "event_f1_macro"), ("PSDS1", "psds1"), ("PSDS2", "psds2")),
}


@click.command("teach")
@click.argument("teacher", type=options.PATH, metavar="TEACHER")
@options.data_option
@click.option("--model", type=options.FILE, metavar="FILE", help="The model, instead of the one that TEACHER names.")
@click.option(
    "--recipe",
    "recipe_name",
    default="real",
    metavar="NAME_OR_FILE",
    help="Whose clips, labels, seed and decoding these are.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a recipe key; repeatable.")
@click.option("--out", type=options.PATH, metavar="FOLDER", help="Also write the targets of the training clips.")
@options.cache_option
@options.json_option
def command(
    teacher: Path,
    data: str,
    model: Path | None,
    recipe_name: str,
    overrides: tuple[str, ...],
    out: Path | None,
    cache: Path,
    as_json: bool,
) -> None:
    """Run a pretrained network on all clips, and fit and score probes: scenes and events from its embeddings.

    TEACHER is a small TOML that describes the model (`yamnet.toml` comes with the package, the model does not), or
    YAMNet's .tflite file itself. Outputs are computed once, a shard at a time, and kept in the cache, where trainings
    find them. Probes are cross-fitted: no clip has targets of a model that saw its recording.

    \b
    Examples:
      keras_mtl teach yamnet.toml --model yamnet.tflite --data DIR
      keras_mtl teach yamnet.tflite --data DIR --out targets/yamnet
      keras_mtl teach mine.toml --data DIR --recipe own --json
    """
    from keras_mtl.core import files
    from keras_mtl.recipes import load_recipe

    if teacher.is_dir():
        raise RecipeError(
            f"{teacher} is a folder", hint="a .toml or a model; targets need no teaching: train with them"
        )
    if out is not None and not files.is_free(out):
        raise RecipeError(f"{out} holds something", hint="name a new folder")
    recipe, began = load_recipe(recipe_name, overrides), time.monotonic()
    options.quiet_tensorflow()
    from keras_mtl.datasets import open_corpus
    from keras_mtl.teachers import FileTeacher, read_teacher, teach

    settings = read_teacher(teacher, model)
    try:
        corpus = open_corpus(
            data,
            cache / "tfds",
            sample_rate_hz=settings.sample_rate_hz,
            settings=recipe.data,
            labels=recipe.labels,
        )
        document = teach(FileTeacher(settings, corpus, cache, recipe.train.seed), recipe.decode, out)
    except KeyboardInterrupt:
        click.echo("\ninterrupted; the same command goes on from here", err=True)
        raise click.exceptions.Exit(130) from None
    wall_s = round(time.monotonic() - began, 1)
    options.print_result({**document, "wall_s": wall_s}, as_json, lambda: _lines(document, out, wall_s))


def _lines(document: dict[str, Any], out: Path | None, wall_s: float) -> list[str]:
    rows = [
        {
            "probe": task if not place else "",
            "figure": word,
            "cross_fitted": figures.get(f"cross_fitted_{key}"),
            "evaluation": figures.get(key),
        }
        for task, figures in document["figures"].items()
        for place, (word, key) in enumerate(_FIGURES[task])
    ]
    folds = [
        f"{task}: {found['clips']:,} clips in folds by {found['folds_by']}; {found['evaluation_clips']:,} to score on"
        for task, found in document["figures"].items()
    ]
    written = [f"targets of {sum(document['clips'].values()):,} clips in {out}"] if out is not None else []
    head = [options.data_line(document["data"]), f"teacher  {document['teacher']['model']}", ""]
    return [*head, *Table(_COLUMNS, rows).text(), "", *folds, *written, f"{wall_s:.1f} s"]
