"""`keras_mtl data`: the commands about data sets as they lie on disk."""

from __future__ import annotations

import click

from keras_mtl.cli.lazy_group import LazyGroup

COMMANDS: dict[str, str] = {
    "check": "What is there, what is missing, what is wrong.",
    "prepare": "Resample recordings and compute log-mel, once, ahead of trainings.",
    "synthesize": "Labelled soundscapes from isolated events and backgrounds.",
    "listen": "One recording: format, level, labels, and a picture.",
}


@click.group("data", cls=LazyGroup, listed=COMMANDS, modules="keras_mtl.cli.data_")
def command() -> None:
    """Own sounds, TAU and DESED as they lie on disk."""
