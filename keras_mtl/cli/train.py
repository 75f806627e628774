"""`keras_mtl train`: trains a network and writes a run folder."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import click

from keras_mtl.cli import options

_SHELLS_ADD = 128  # to a signal's number, as the exit code of what it ended


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which schedulers send: handled as the interrupt of a keyboard is."""


def _terminate(*_: Any) -> None:
    raise _Terminated


def _cores() -> int:
    """Cores that this process may use, where the system tells; else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@click.command("train")
@options.recipe_option
@options.data_option
@click.option("--out", required=True, type=options.PATH, metavar="RUN", help="The run folder to write.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a recipe key; repeatable.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted training in RUN.")
@click.option(
    "--jobs",
    type=click.IntRange(0),
    default=lambda: max(1, _cores() - 1),
    show_default="one less than there are cores, at least 1",
    help="Processes that mix clips anew for the training (data.fresh_mixtures); the run is the same with any number.",
)
@options.cache_option
@options.json_option
def command(
    recipe_name: str,
    data: str,
    out: Path,
    overrides: tuple[str, ...],
    resume: bool,
    jobs: int,
    cache: Path,
    as_json: bool,
) -> None:
    """Train a network and write a run folder: weights, resolved recipe, logs, figures on the evaluation split.

    Shipped recipes: `real` for TAU and DESED folders (an hour for some thousand clips on two cores), `real_causal`
    with a causal event decoder, `own` for small folders of own sounds, `paper` for the paper's schedule at full scale,
    and one for each system, by its id (see `keras_mtl systems`), with settings for the embedded data (minutes).

    \b
    Examples:
      keras_mtl train --recipe mt --data soundscapes --out runs/first
      keras_mtl train --recipe real --data DIR --out runs/real --set train.teacher=yamnet.tflite
      keras_mtl train --recipe cp_mobile --data DIR --out runs/small --set data.scene_subset=5
      keras_mtl train --recipe own --data DIR --out runs/own --set init=runs/real --set encoder_rate=0.1
      keras_mtl train --recipe real --data DIR --out runs/real --resume
    """
    from keras_mtl.recipes import load_recipe

    recipe = load_recipe(recipe_name, overrides)
    options.quiet_tensorflow()
    from keras_mtl.datasets import open_corpus
    from keras_mtl.runs import require_same_data
    from keras_mtl.training import open_strategy, train

    open_strategy(recipe.train.strategy)  # of several workers has to be opened before TensorFlow does anything
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        corpus = open_corpus(
            data,
            cache / "tfds",
            sample_rate_hz=recipe.features.sample_rate_hz,
            settings=recipe.data,
            labels=recipe.labels,
            accept=partial(require_same_data, out) if resume else lambda fingerprint, parts: None,
        )
        run = train(recipe, corpus, out, cache, resume, jobs)
    except KeyboardInterrupt as interrupt:
        click.echo(f"\ninterrupted; the same command with --resume goes on in {out}", err=True)
        number = signal.SIGTERM if isinstance(interrupt, _Terminated) else signal.SIGINT
        raise click.exceptions.Exit(_SHELLS_ADD + number) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    data_of_run, metrics = run.info["data"], run.info["metrics"]
    document = {"schema": "keras_mtl.train/1", "run": str(run.path), "data": data_of_run, "metrics": metrics}
    options.print_result(
        document,
        as_json,
        lambda: [f"run      {run.path}", options.data_line(data_of_run), *options.metric_lines(metrics)],
    )
