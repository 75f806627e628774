"""Trains the algorithms of Surkov 2024, and `distil_freeze`, at one common budget and puts them side by side.

    python benchmarks/scoreboard.py --data DIR --out runs/scoreboard --seeds 0,1,2 --teacher yamnet.tflite

Every row trains each of its tasks on the same number of batches of the same sizes, with the same network, learning rate
and schedule; `single` is two rows, one a task. With a teacher, rows ending in `_taught` learn from it, too. Rows that
are done are skipped, so the same command goes on after an interrupt. OUT gets a run folder a row and seed, and
scoreboard.md, scoreboard.json, scoreboard.png and conflict.png.
"""

from __future__ import annotations

import sys

import rows

_TAUGHT = ["train.teacher={T}", "embedding_weight=5"]
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
    "distil_freeze": ["algorithm=distil_freeze", "train.epochs={S}", "second_epochs={E}"],
    "soft_taught": ["algorithm=soft", "train.epochs={E}", *_TAUGHT],
    "freeze_asc_sed_taught": ["algorithm=freeze_asc_sed", "train.epochs={S}", "second_epochs={E}", *_TAUGHT],
    "distil_freeze_taught": ["algorithm=distil_freeze", "train.epochs={S}", "second_epochs={E}", *_TAUGHT],
}
_REFERENCES = ("single_scenes", "single_events")
#: Batches of both tasks from one measurement of their gradients' cosine to the next; turns are two steps.
_CONFLICT_EVERY = 20
#: On some thousand clips twice as many steps serve better than more unlabelled clips in each.
_BATCH = ["weak_batch=6", "unlabelled_batch=6"]


def main() -> int:
    """The command."""
    parser = rows.arguments(__doc__, ROWS)
    parser.add_argument("--event-epochs", type=int, default=14, help="passes over the strong event clips (default 14)")
    parser.add_argument(
        "--scene-epochs", type=int, default=84, help="passes over the scene clips: as many batches (default 84)"
    )
    parser.add_argument("--teacher", default="", help="a teacher from outside, for the rows that have one")
    options = parser.parse_args()
    names = rows.chosen(options, ROWS)
    if not options.teacher:
        names = [name for name in names if not name.endswith("_taught")]
    numbers = {
        "E": options.event_epochs,
        "S": options.scene_epochs,
        "C": _CONFLICT_EVERY,
        "D": 2 * _CONFLICT_EVERY,
        "T": options.teacher,
    }
    runs = {
        name: rows.train(name, "paper", [*_BATCH, *(text.format(**numbers) for text in ROWS[name])], options)
        for name in names
    }
    against = [run for name in _REFERENCES for run in runs.get(name, [])[:1]]
    rows.compare([run for each in runs.values() for run in each], against, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
