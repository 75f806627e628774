"""`keras_mtl targets`: what artifacts can be held against, with figures; also checks a target file of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keras_mtl.cli.options import answer, json_option

if TYPE_CHECKING:
    from keras_mtl.firmware_host.target import Target


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
    from keras_mtl.firmware_host.target import load_target, target_names

    found = [load_target(name) for name in targets or target_names()]
    document = {"schema": "keras_mtl.targets/1", "targets": [target.to_dict() for target in found]}
    answer(document, as_json, lambda: _lines(found))


def _lines(targets: list[Target]) -> list[str]:
    head = (
        "target",
        "core",
        ">MHz",
        ">flash bytes",
        ">RAM bytes",
        ">for model",
        ">for arena",
        "kernels",
        ">latency s",
        "",
    )
    rows = [tuple(title.lstrip(">") for title in head), *map(_row, targets)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if title.startswith(">") else cell.ljust(width)
            for cell, width, title in zip(row, widths, head, strict=True)
        ).rstrip()
        for row in rows
    ]


def _row(target: Target) -> tuple[str, ...]:
    if not target.is_board:
        limits = (f"{name} {value:,}" for name, value in target.to_dict().items() if isinstance(value, int))
        return target.name, *("-",) * 8, f"{target.description}: {', '.join(limits)}"
    return (
        target.name,
        str(target.core),
        f"{(target.clock_hz or 0) / 1e6:g}",
        f"{target.flash_bytes:,}",
        f"{target.ram_bytes:,}",
        f"{(target.flash_bytes or 0) - (target.application_flash_bytes or 0):,}",
        f"{(target.arena_ram_bytes or 0) - (target.application_ram_bytes or 0):,}",
        str(target.kernels),
        f"{target.audio_latency_s:g}",
        target.description,
    )
