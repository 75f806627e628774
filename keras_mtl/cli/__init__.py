"""The command line `keras_mtl`: one module a command, imported only when that command is used."""

from __future__ import annotations

import codecs
import errno
import io
import sys

import click

from keras_mtl import __version__
from keras_mtl.cli.lazy_group import LazyGroup
from keras_mtl.core import KerasMtlError

#: Every command with its short help, so that `keras_mtl --help` need not import any of them.
COMMANDS = {
    "demo": "The whole pipeline on the embedded data, in minutes.",
    "data": "Own sounds, TAU and DESED as they lie on disk.",
    "systems": "The networks: parameters and MACs, against the paper.",
    "train": "Train a network; writes a run folder.",
    "teach": "What a pretrained network gives for the clips, and how well it does.",
    "sweep": "Train every combination of listed values; compare the runs.",
    "evaluate": "Score a run or an artifact on the evaluation split.",
    "tune": "Choose thresholds and filters of each class on held-out recordings.",
    "compare": "Runs side by side: cost, figures with intervals, seeds.",
    "quantize": "Quantization-aware fine-tuning of a run.",
    "sensitivity": "What each layer costs when it alone is quantized.",
    "convert": "Convert a run to a .tflite artifact.",
    "emulate": "Run an artifact on real interpreters; hold it against a target's limits.",
    "targets": "The boards and budgets to hold artifacts against, with figures.",
    "deploy": "From a run to a board's firmware folder: quantize, convert, emulate, bundle.",
    "bundle": "Write the firmware folder of artifacts that pass.",
    "predict": "Scene and events of recordings.",
    "listen": "Scenes and events of streaming sound: sound card, file, stdin.",
}


@click.group(
    cls=LazyGroup,
    listed=COMMANDS,
    modules="keras_mtl.cli.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
)
@click.version_option(__version__, prog_name="keras_mtl")
def group() -> None:
    """Acoustic scenes and sound events from one compact network, down to the microcontroller.

    \b
    recordings -> train -> quantize -> convert -> emulate -> bundle

    Exit status: 0 done (and passed), 1 a verdict failed, 2 wrong use or bad input.
    """


def main() -> None:
    """Entry point: an error raised on purpose becomes one line and its exit status."""
    codecs.register_error(_ESCAPED, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not so in some programs that call this
            stream.reconfigure(errors=_ESCAPED)
    try:
        group(prog_name="keras_mtl")
    except KerasMtlError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if not error.errno:
            raise
        where = f" ({error.filename})" if error.filename else ""
        full = error.errno in _DISK_IS_FULL
        hint = "make room, or write to another disk" if full else "name another file or folder"
        click.echo(f"error: {error.strerror}{where} ({hint})", err=True)
        sys.exit(2)
    except MemoryError:
        click.echo("error: not enough memory (free some, or give it less at once)", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA_MODULES:
            raise
        click.echo(f"error: {error.name} is not installed (pip install 'keras_mtl[train]')", err=True)
        sys.exit(2)


_ESCAPED = "keras_mtl.escaped"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Letters that the output's encoding lacks, as JSON writes them: a document stays one."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True)), error.end


#: No space left, none left for this user, and a file larger than is allowed.
_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_EXTRA_MODULES = {
    "keras",
    "tensorflow",
    "tensorflow_datasets",
    "librosa",
    "matplotlib",
    "pandas",
    "scipy",
    "sed_scores_eval",
    "sklearn",
    "soundfile",
    "soxr",
    "tomli_w",
    "tqdm",
}
