"""Rows of a table, each a training, and their comparison; what is done is skipped, so the same command goes on."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def arguments(description: str | None, rows: Mapping[str, object]) -> argparse.ArgumentParser:
    """A parser with what all tables have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with TAU and DESED, or soundscapes[:SEED]")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run folders")
    parser.add_argument("--seeds", default="0", metavar="N,N,...", help="seeds of every row (default 0)")
    parser.add_argument("--rows", default=",".join(rows), help="some of them, comma-separated (default all)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an override of all rows")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, and run none")
    return parser


def chosen(options: argparse.Namespace, rows: Mapping[str, object]) -> list[str]:
    """The rows that are asked for."""
    found = str(options.rows).split(",")
    unknown = [name for name in found if name not in rows]
    if unknown:
        raise SystemExit(f"no row {unknown[0]}; there are: {', '.join(rows)}")
    return found


def seeds_of(options: argparse.Namespace) -> list[str]:
    """The seeds that are asked for, as they are written."""
    found = str(options.seeds).split(",")
    if not all(seed.isdecimal() for seed in found):
        raise SystemExit(f"--seeds {options.seeds}: numbers with commas between them, such as 0,1,2")
    return found


def train(name: str, recipe: str, sets: Sequence[str], options: argparse.Namespace) -> list[Path]:
    """Trains a row with each seed, where that is not done; the run folders."""
    runs = []
    for seed in seeds_of(options):
        runs.append(options.out / f"{name},seed={seed}")
        if not (runs[-1] / "run.json").exists():
            words = ["train", "--recipe", recipe, "--data", options.data, "--out", str(runs[-1]), "--resume"]
            given = [*sets, f"train.seed={seed}", *options.set]
            keras_mtl([*words, *(word for text in given for word in ("--set", text))], options.dry_run)
    return runs


def compare(runs: Sequence[Path], against: Sequence[Path], options: argparse.Namespace) -> None:
    """Writes scoreboard.md, .json and .png, and conflict.png where the tasks' gradients were compared."""
    words = ["compare", *map(str, runs), *(word for run in against for word in ("--against", str(run)))]
    words += ["--data", options.data] if against else []
    files = [("--markdown", "scoreboard.md"), ("--plot", "scoreboard.png")]
    files += [("--conflict", "conflict.png")] if any(any(run.glob("*.conflict.csv")) for run in runs) else []
    words += [word for option, name in files for word in (option, str(options.out / name))]
    text = keras_mtl([*words, "--json"], options.dry_run)
    if not options.dry_run:
        (options.out / "scoreboard.json").write_text(text, encoding="utf-8")


def keras_mtl(words: Sequence[str], dry: bool) -> str:
    """Runs a command and gives what it prints."""
    print(f"$ keras_mtl {shlex.join(words)}", file=sys.stderr, flush=True)
    if dry:
        return ""
    done = subprocess.run([sys.executable, "-m", "keras_mtl", *words], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"keras_mtl {words[0]} ended with {done.returncode}; the same command goes on here")
    return done.stdout
