"""Options that several commands share, and how they print their answers."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from keras_mtl.files import to_json

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; all else on stderr.")

data_option = click.option(
    "--data",
    required=True,
    metavar="DIR",
    help="Folder that holds the TAU and DESED folders, or the word 'soundscapes': the embedded data.",
)

cache_option = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="KERAS_MTL_CACHE",
    default=Path("~/.cache/keras_mtl"),
    show_default=True,
    help="Where prepared data are kept (also KERAS_MTL_CACHE).",
)


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its start-up chatter, which it writes to file descriptor 2 whatever its log level.

    Its Python warnings are silenced too: they speak of tracing, which is for those who develop this package.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def answer(document: dict[str, Any], as_json: bool, lines: Callable[[], list[str]]) -> None:
    """Prints a command's answer: JSON for programs, lines for people."""
    if as_json:
        click.echo(to_json(document), nl=False)
    else:
        for line in lines():
            click.echo(line)
    sys.stdout.flush()


def metric_lines(metrics: dict[str, Any]) -> list[str]:
    """The figures of `evaluate` as lines for people."""
    lines = []
    if "scenes" in metrics:
        scenes = metrics["scenes"]
        lines.append(
            f"scenes   accuracy {scenes['accuracy']:.3f}   macro {scenes['macro_accuracy']:.3f}   "
            f"log loss {scenes['log_loss']:.3f}   ({scenes['clips']} clips)"
        )
        lines.append("  by device  " + "  ".join(f"{k} {v:.3f}" for k, v in scenes["per_device"].items()))
    if "events" in metrics:
        events = metrics["events"]
        lines.append(
            f"events   event F1 {events['event_f1_macro']:.3f}   PSDS1 {events['psds1']:.3f}   "
            f"PSDS2 {events['psds2']:.3f}   weak F1 {events['weak_f1_macro']:.3f}   "
            f"({events['clips']} clips, {events['tool']})"
        )
    return lines
