"""`keras_mtl targets`: what artifacts can be held against, with figures; also checks a target file of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keras_mtl.cli.options import json_option, print_result
from keras_mtl.core import Column, Table

if TYPE_CHECKING:
    from keras_mtl.firmware_host.targets import Target

_COLUMNS = (
    Column("target", 0),
    Column("core", 1),
    Column("MHz", 2, "g"),
    Column("flash bytes", 3, ","),
    Column("RAM bytes", 4, ","),
    Column("for model", 5, ","),
    Column("for arena", 6, ","),
    Column("kernels", 7),
    Column("latency s", 8, "g"),
    Column("", 9),
)


@click.command("targets")
@click.argument("targets", nargs=-1, metavar="[NAME_OR_FILE]...")
@json_option
def command(targets: tuple[str, ...], as_json: bool) -> None:
    """The targets that come with the package, or those given by name or as TOML files, with their figures.

    A board's arena limit is what the application leaves of the region that the arena lies in. A file with a wrong or
    missing field is refused, and the field is named.

    \b
    Examples:
      keras_mtl targets stm32h743 my_board.toml
      keras_mtl targets --json
    """
    from keras_mtl.firmware_host.targets import load_target, target_names

    found = [load_target(name) for name in targets or target_names()]
    document = {"schema": "keras_mtl.targets/1", "targets": [target.to_dict() for target in found]}
    print_result(document, as_json, lambda: Table(_COLUMNS, [_row(target) for target in found]).text())


def _row(target: Target) -> tuple[str | float | None, ...]:
    if not target.is_board:
        limits = (f"{name} {value:,}" for name, value in target.to_dict().items() if isinstance(value, int))
        return target.name, *(None,) * 8, f"{target.description}: {', '.join(limits)}"
    return (
        target.name,
        target.core,
        (target.clock_hz or 0) / 1e6,
        target.flash_bytes,
        target.ram_bytes,
        (target.flash_bytes or 0) - (target.application_flash_bytes or 0),
        (target.arena_ram_bytes or 0) - (target.application_ram_bytes or 0),
        target.library,
        target.audio_latency_s,
        target.description,
    )
