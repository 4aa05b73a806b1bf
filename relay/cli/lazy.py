"""Groups of commands whose verbs are imported only when they are called, and what an error of ours looks like to the caller."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from relay.cli.output import printable
from relay.domain.errors import ConfigurationError, DocumentError, RelayError

SOMEONE_MUST_ACT = 1
WRONG_USE = 2


class LazyGroup(click.Group):
    """A group made from a table: verb → `module:attribute`. The verbs are listed in the order of the table."""

    def __init__(self, *arguments: Any, table: Mapping[str, str], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click passes it
        if cmd_name not in self._table:
            return None
        module, attribute = self._table[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


class RootGroup(LazyGroup):
    """The outermost group: an error of ours ends the command with its sentence and an exit code, never with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RelayError as error:
            for line in _lines(error):
                click.echo(line, err=True)
            ctx.exit(WRONG_USE if isinstance(error, ConfigurationError | DocumentError) else SOMEONE_MUST_ACT)


def _lines(error: RelayError) -> list[str]:
    if isinstance(error, DocumentError):
        return [printable(f"{path or '(document)'}: {sentence}") for path, sentence in error.problems]
    return [printable(f"Error: {error}")]
