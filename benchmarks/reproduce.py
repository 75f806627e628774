"""Trains the rows of table 3 of Surkov 2024 on the user's TAU and DESED folders, at full scale.

    python benchmarks/reproduce.py --data DIR --out runs/table3 --seeds 0,1,2

By the recipe `paper`. The paper does not say how long it trained: a phase takes 150 passes over the scene clips or 200
over the strong event clips, as the public baselines do. Rows that are done are skipped, and a training that was
interrupted goes on, so the same command does. OUT gets a run folder a row and seed, scoreboard.md, .json and .png.
"""

from __future__ import annotations

import sys

import rows

_SCENES, _EVENTS = ["algorithm=single", "task=scenes"], ["algorithm=single", "task=events"]
#: Overrides of a row, with S passes over scene clips and E over strong event clips; its figures in the paper, in per
#: cent: scene accuracy and event F1.
ROWS: dict[str, tuple[list[str], str]] = {
    "baseline_asc": (["model.system=baseline_asc", *_SCENES, "train.epochs={S}"], "42.90 / -"),
    "cp_mobile": (["model.system=cp_mobile", *_SCENES, "train.epochs={S}"], "57.00 / -"),
    "baseline_sed": (["model.system=baseline_sed", *_EVENTS, "train.epochs={E}"], "- / 43.30"),
    "fdy_lka": (["model.system=fdy_lka", *_EVENTS, "train.epochs={E}"], "- / 58.30"),
    "soft": (["algorithm=soft", "train.epochs={E}"], "37.59 / 39.08"),
    "hard": (["algorithm=hard", "train.epochs={E}"], "40.92 / 39.05"),
    "cross_soft": (["algorithm=cross_soft", "train.epochs={E}"], "36.64 / 39.03"),
    "cross_hard": (["algorithm=cross_hard", "train.epochs={E}"], "42.30 / 39.96"),
    "freeze_sed_asc": (["algorithm=freeze_sed_asc", "train.epochs={E}", "second_epochs={S}"], "42.44 / 45.86"),
    "freeze_asc_sed": (["algorithm=freeze_asc_sed", "train.epochs={S}", "second_epochs={E}"], "51.29 / 30.74"),
}


def main() -> int:
    """The command."""
    parser = rows.arguments(__doc__, ROWS)
    parser.add_argument("--event-epochs", type=int, default=200, help="passes over the strong clips (default 200)")
    parser.add_argument("--scene-epochs", type=int, default=150, help="passes over the scene clips (default 150)")
    options = parser.parse_args()
    numbers = {"E": options.event_epochs, "S": options.scene_epochs}
    runs = []
    for name in rows.chosen(options, ROWS):
        sets, figures = ROWS[name]
        print(f"{name}: the paper has {figures} (scene accuracy / event F1, %)", file=sys.stderr)
        runs += rows.train(name, "paper", [text.format(**numbers) for text in sets], options)
    rows.compare(runs, [], options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
