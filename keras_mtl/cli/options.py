"""Options that several commands share, and how they print their results."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_mtl.core import UNUSED_PACKAGES, Column, Table, to_json

if TYPE_CHECKING:
    from keras_mtl.tflite.artifact import Artifact

#: A file or a folder, a file, and a folder, as `Path`.
PATH = click.Path(path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

run_argument = click.argument("run", type=PATH, metavar="RUN")

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; all else on stderr.")

data_option = click.option(
    "--data",
    required=True,
    metavar="DIR",
    help="Folder that holds the TAU and DESED folders, or the word 'soundscapes': the embedded data.",
)

#: As `data_option` and in its place, of commands that take a .keras file with any functional model as well as a run.
run_data_option = click.option(
    "--data",
    metavar="DIR",
    help="Of a run: folder that holds the TAU and DESED folders, or the word 'soundscapes': the embedded data.",
)

calibration_option = click.option(
    "--calibration",
    type=FILE,
    metavar="NPZ",
    help="Of a .keras file: examples, an array for each input by its name, or one.",
)

cache_option = click.option(
    "--cache",
    type=FOLDER,
    callback=lambda _context, _option, folder: folder.expanduser(),
    envvar="KERAS_MTL_CACHE",
    default=Path("~/.cache/keras_mtl"),
    help="Where prepared data are kept (also KERAS_MTL_CACHE).",
)


engine_option = click.option(
    "--engine",
    type=click.Choice(["litert", "litert-reference", "tflm", "tflite-runtime", "numpy", "c99"]),
    default="litert",
    help="Interpreter of an artifact; c99: its C, compiled here. Integer artifacts: the same within the last place.",
)


def _each_engine(_context: click.Context, _option: click.Parameter, names: Sequence[str]) -> tuple[str, ...]:
    from keras_mtl.firmware_host.engines import ENGINES

    return tuple(dict.fromkeys(each for name in names for each in (ENGINES if name == "all" else (name,))))


engines_option = click.option(
    "--engine",
    "engines",
    type=click.Choice(("tflm", "litert", "litert-reference", "tflite-runtime", "numpy", "c99", "all")),
    multiple=True,
    callback=_each_engine,
    default=("all",),
    help="Interpreter to run; repeatable. A board runs tflm in any case: it measures the arena. c99, the C of a bundle "
    "of that runtime, is not among all.",
)

runtime_option = click.option(
    "--runtime",
    type=click.Choice(("tflm", "c99")),
    default="tflm",
    show_default=True,
    help="What runs the networks on the board: TensorFlow Lite Micro, or nothing, as they are plain C99.",
)

timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.001),
    default=120.0,
    metavar="SECONDS",
    help="For each interpreter.",
)

recipe_option = click.option(
    "--recipe", "recipe_name", required=True, metavar="NAME_OR_FILE", help="A shipped recipe or a TOML file."
)


_hop_option = click.option(
    "--hop-s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="From one inference of a file to the next; a manifest beside it may state it, too.",
)
_signature_option = click.option(
    "--signature", metavar="NAME", help="Of a file with several networks the one to take; by default the first."
)


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of a command that takes files of others, for `load_network`."""
    return _hop_option(_signature_option(command))


def load_network(path: str, hop_s: float | None, signature: str | None) -> Artifact:
    """Reads an artifact with what the options of `network_options` say of it.

    Raises:
        ArtifactError: it can't be read, or is a streaming one, which takes neither.
    """
    from keras_mtl.tflite.artifact import Artifact

    artifact = Artifact.load(path, signature)
    return artifact if hop_s is None else artifact.every(hop_s)


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its start-up chatter, which it writes to file descriptor 2 whatever its log level.

    Its Python warnings are silenced too: they are about tracing, for those who develop this package.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    unused = [name for name in UNUSED_PACKAGES if name not in sys.modules]
    for name in unused:
        sys.modules[name] = None  # type: ignore[assignment]
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            for name in unused:
                del sys.modules[name]
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Of a network with one event, whose share of the events' attention is 1.
    warnings.filterwarnings("ignore", "You are using a softmax over axis")


def print_result(document: dict[str, Any], as_json: bool, lines: Callable[[], list[str]]) -> None:
    """Prints a command's result: JSON for programs, lines for people."""
    if as_json:
        click.echo(to_json(document), nl=False)
    else:
        for line in lines():
            click.echo(line)
    sys.stdout.flush()


def data_line(data: dict[str, str]) -> str:
    """What figures belong to, for people: the data's name and the beginning of their fingerprint."""
    return f"data     {data['name']}   ({data['fingerprint'][:12]})"


def metric_lines(metrics: dict[str, Any]) -> list[str]:
    """The figures of `evaluate` as lines for people, with their intervals where there are any."""
    lines = [] if metrics else ["no figures: the data have no evaluation split"]
    if "scenes" in metrics:
        scenes = metrics["scenes"]
        names = (("accuracy", "accuracy"), ("macro", "macro_accuracy"), ("log loss", "log_loss"))
        lines.append(f"scenes   {_figures(scenes, names)}   ({scenes['clips']} clips)")
        groups = [(word, scenes[f"{word}_devices"]) for word in ("seen", "unseen") if f"{word}_devices" in scenes]
        if groups:
            lines.append("  devices    " + "  ".join(f"{word} {group['accuracy']:.3f}" for word, group in groups))
        if scenes["per_device"]:
            lines.append("  by device  " + "  ".join(f"{k} {v:.3f}" for k, v in scenes["per_device"].items()))
    if "events" in metrics:
        events = metrics["events"]
        names = (("event F1", "event_f1_macro"), ("PSDS1", "psds1"), ("PSDS2", "psds2"))
        more = (("segment F1", "segment_f1_macro"), ("weak F1", "weak_f1_macro"))
        lines.append(f"events   {_figures(events, names)}   ({events['clips']} clips, {events['tool']})")
        lines.append(f"         {_figures(events, more)}")
    return lines


def false_alarm_lines(ambient: dict[str, Any]) -> list[str]:
    """The figures of `false_alarms` as lines for people."""
    columns = [
        Column("  class", lambda row: f"  {row[0]}"),
        Column("false alarms", lambda row: row[1]["false_alarms"], "d"),
        Column("per hour", lambda row: row[1]["per_hour"], ".3g"),
        Column("95 %", lambda row: "[{:.3g}, {:.3g}]".format(*row[1]["interval"])),
    ]
    head = f"ambient  {ambient['hours']:.3g} hours in {ambient['recordings']} recordings, none of them with an event"
    return [head, *Table(columns, list(ambient["classes"].items())).text()]


def _figures(metrics: dict[str, Any], names: Sequence[tuple[str, str]]) -> str:
    """Such as "accuracy 0.366 [0.33, 0.40]", for each (what to call it, key) that is there."""
    shown = []
    for word, key in names:
        if key in metrics:
            interval = metrics.get("intervals", {}).get(key)
            between = f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
            shown.append(f"{word} {metrics[key]:.3f}{between}")
    return "   ".join(shown)
