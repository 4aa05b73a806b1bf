"""Whether the command `diy` takes these words: its own parser says so. Nothing is run.

`python -m tests.deploy.diy_words WORDS`: exit code 0, or 2 and the parser's sentence.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from relay.cli import main as diy


def parse(words: Sequence[str]) -> None:
    """Raises `click.UsageError` where `diy` would refuse the words. A file that they name must be there."""
    command: click.Command = diy
    context = click.Context(diy, info_name="diy")
    left = list(words)
    while isinstance(command, click.Group):
        if not left:
            raise click.UsageError("There is no verb.", context)
        name, found, left = command.resolve_command(context, left)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    command.make_context(command.name, left, parent=context.parent)


def main(words: Sequence[str]) -> int:
    """The program."""
    try:
        parse(words)
    except click.UsageError as error:
        error.show()
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
