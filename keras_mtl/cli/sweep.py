"""`keras_mtl sweep`: trains every combination of listed values, and compares them."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Any

import click

from keras_mtl.cli import options
from keras_mtl.core import VerdictFailed
from keras_mtl.experiments import expand, take_up

_INTERRUPTED = 130  # as shells count it: 128 + SIGINT


@click.command("sweep")
@options.recipe_option
@options.data_option
@click.option("--out", required=True, type=options.PATH, metavar="DIR", help="The folder to write.")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE,VALUE,...",
    help="Values of a recipe key; one value is an override of all runs. Repeatable.",
)
@click.option("--seeds", metavar="N,N,...", help="Seeds: the same as --set train.seed=N,N,...")
@click.option("--resume", is_flag=True, help="Go on with a sweep in DIR: skip what is done, retry what failed.")
@click.option("--dry-run", is_flag=True, help="List what would be run, and write nothing.")
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Run by Ray Tune on a cluster: its address, 'auto', or 'local' for several at a time on this machine.",
)
@click.option("--ray-cpus", type=click.FloatRange(min=0), default=2.0, help="Cores for a training.")
@click.option("--ray-gpus", type=click.FloatRange(min=0), default=0.0, help="GPUs for a training.")
@options.cache_option
@options.json_option
def command(
    recipe_name: str,
    data: str,
    out: Path,
    sets: tuple[str, ...],
    seeds: str | None,
    resume: bool,
    dry_run: bool,
    ray: str | None,
    ray_cpus: float,
    ray_gpus: float,
    cache: Path,
    as_json: bool,
) -> None:
    """Train every combination of listed values, each in a process of its own, and compare the runs.

    DIR gets a run folder for each combination, named after it, a log of each, sweep.json, and at the end comparison.md,
    comparison.json and comparison.png. Commas outside of brackets and quotes separate values. A training that fails
    does not stop the others; the exit status is then 1.

    \b
    Examples:
      keras_mtl sweep --recipe mt --data soundscapes --out runs/s --set algorithm=soft,single --seeds 0,1,2
      keras_mtl sweep --recipe real --data DIR --out runs/rates --set train.learning_rate=1e-3,3e-3 --resume
      keras_mtl sweep --recipe real --data DIR --out runs/seeds --seeds 0,1,2 --dry-run
    """
    from keras_mtl.datasets.audio import require_folder
    from keras_mtl.experiments import plan_sweep, run_sweep

    if data.partition(":")[0] != "soundscapes":
        require_folder(Path(data))
    planned = plan_sweep(recipe_name, sets, data, seeds)
    if dry_run:
        listed = take_up(planned, out, resume)
        options.print_result(listed.to_dict(), as_json, lambda: [f"{run.state:<8} {run.name}" for run in listed.runs])
        return
    runner = None
    if ray is not None:
        from keras_mtl.experiments import with_ray

        runner = with_ray(ray, out.absolute(), ray_cpus, ray_gpus)
    try:
        sweep = run_sweep(planned, out, cache, resume, partial(click.echo, err=True), runner)
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; the same command with --resume goes on in {out}", err=True)
        raise click.exceptions.Exit(_INTERRUPTED) from None
    compared, lines = _compare(out) if any(run.state == "done" for run in sweep.runs) else (None, [])
    options.print_result({**sweep.to_dict(), "folder": str(out), "comparison": compared}, as_json, lambda: lines)
    if sweep.failed:
        reasons = "; ".join(f"{run.name}: {run.reason}" for run in sweep.failed)
        raise VerdictFailed(f"{len(sweep.failed)} of {len(sweep.runs)} runs failed: {reasons}")


def _compare(out: Path) -> tuple[dict[str, Any], list[str]]:
    """Puts the finished runs side by side, in three files too."""
    options.quiet_tensorflow()
    from keras_mtl.core import files
    from keras_mtl.experiments import compare, comparison_lines, comparison_markdown, plot_comparison

    compared = compare(expand([out]), command=shlex.join(["keras_mtl", "compare", str(out)]))
    compared.save(out / "comparison.json")
    files.write_text(out / "comparison.md", comparison_markdown(compared))
    plot_comparison(compared, out / "comparison.png")
    return compared.to_dict(), comparison_lines(compared)
