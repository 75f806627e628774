"""A group of commands, one module a command, each imported only when it is used."""

from __future__ import annotations

import importlib
from typing import Any

import click


class LazyGroup(click.Group):
    """Knows its commands by name and short help; a module is imported when its command is called.

    Args:
        listed: every command with its short help, so that the group's own help need not import any of them.
        modules: what stands before a command's name in the name of its module, whose `command` it is.
        **kwargs: see `click.Group`.
    """

    def __init__(self, *args: Any, listed: dict[str, str], modules: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.listed = listed
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in their order."""
        return list(self.listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command; None where there is none of this name."""
        return importlib.import_module(self._modules + cmd_name).command if cmd_name in self.listed else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Names the commands that there are when another one is asked for."""
        if args and args[0] not in self.listed:
            ctx.fail(f"No command {args[0]!r}; there are: {', '.join(self.listed)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.listed.items()))
