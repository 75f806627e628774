"""Trains the seven algorithms of Surkov 2024 at one common budget and puts them side by side.

    python benchmarks/scoreboard.py --data DIR --out runs/scoreboard

Every row trains each of its tasks on the same number of batches of the same sizes, with the same seed, network,
learning rate and schedule; `single` is two rows, one a task. Rows that are done are skipped, so the same command goes
on after an interrupt. OUT gets a run folder a row, and scoreboard.md, scoreboard.json, scoreboard.png and conflict.png.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

#: Overrides of a row. S passes over the scene clips take as many batches as E over the strong event clips; where a step
#: has both tasks, a pass is one over the event clips.
ROWS: dict[str, list[str]] = {
    "single_scenes": ["model.system=cnn", "algorithm=single", "task=scenes", "train.epochs={S}"],
    "single_events": ["model.system=crnn", "algorithm=single", "task=events", "train.epochs={E}"],
    "soft": ["algorithm=soft", "train.epochs={E}", "conflict_every={C}"],
    "hard": ["algorithm=hard", "train.epochs={E}", "conflict_every={D}"],
    "cross_soft": ["algorithm=cross_soft", "train.epochs={E}", "conflict_every={C}"],
    "cross_hard": ["algorithm=cross_hard", "train.epochs={E}", "conflict_every={D}"],
    "freeze_sed_asc": ["algorithm=freeze_sed_asc", "train.epochs={E}", "second_epochs={S}"],
    "freeze_asc_sed": ["algorithm=freeze_asc_sed", "train.epochs={S}", "second_epochs={E}"],
}
_REFERENCES = ("single_scenes", "single_events")
#: Batches of both tasks from one measurement of their gradients' cosine to the next; turns are two steps.
_CONFLICT_EVERY = 20


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with TAU and DESED, or soundscapes[:SEED]")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run folders")
    parser.add_argument("--event-epochs", type=int, default=14, help="passes over the strong event clips (default 14)")
    parser.add_argument(
        "--scene-epochs", type=int, default=84, help="passes over the scene clips: as many batches (default 84)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of every row (default 0)")
    parser.add_argument("--rows", default=",".join(ROWS), help="some of them, comma-separated (default all)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an override of all rows")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for row in options.rows.split(","):
        _train(row, options)
    _compare([options.out / row for row in options.rows.split(",")], options)
    return 0


def _train(row: str, options: argparse.Namespace) -> None:
    out = options.out / row
    if (out / "run.json").exists():
        return
    numbers = {
        "E": options.event_epochs,
        "S": options.scene_epochs,
        "C": _CONFLICT_EVERY,
        "D": 2 * _CONFLICT_EVERY,
    }
    sets = ["second_learning_rate=0.0", f"seed={options.seed}", *(text.format(**numbers) for text in ROWS[row])]
    words = ["train", "--recipe", "real", "--data", options.data, "--out", str(out), "--resume"]
    _run(words + [word for text in [*sets, *options.set] for word in ("--set", text)])


def _compare(runs: list[Path], options: argparse.Namespace) -> None:
    against = [run for run in runs if run.name in _REFERENCES]
    words = ["compare", *map(str, runs), *(word for run in against for word in ("--against", str(run)))]
    words += ["--data", options.data] if against else []
    files = [("--markdown", "scoreboard.md"), ("--plot", "scoreboard.png"), ("--conflict", "conflict.png")]
    words += [word for option, name in files for word in (option, str(options.out / name))]
    text = _run([*words, "--json"])
    (options.out / "scoreboard.json").write_text(text, encoding="utf-8")


def _run(words: list[str]) -> str:
    print(f"$ keras_mtl {shlex.join(words)}", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, "-m", "keras_mtl", *words], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"keras_mtl {words[0]} ended with {done.returncode}; the same command goes on here")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
