"""`diy actions`: single actions of a connector, on and off without a new version."""

from __future__ import annotations

import click

from relay.cli.publishing import open_publishing
from relay.cli.session import Session, with_state


@click.group()
def actions() -> None:
    """Single actions of a connector, on and off. That needs no new version."""


@actions.command()
@click.argument("connector")
@click.argument("action")
@with_state()
def enable(session: Session, connector: str, action: str) -> None:
    """Switches an action on again.

    \b
    Example:
      diy actions enable pangolin "Remove"
    """
    open_publishing(session).set_action(connector, action, None)
    click.echo(f"The action {action!r} of {connector} is on.")


@actions.command()
@click.argument("connector")
@click.argument("action")
@click.option("--pause", is_flag=True, help="The connector's audiences wait until it is on again.")
@click.option("--skip", is_flag=True, help="Its mutations are skipped, for good.")
@with_state()
def disable(session: Session, connector: str, action: str, pause: bool, skip: bool) -> None:
    """Switches an action off. What comes in meanwhile either waits or is skipped for good; asks which, unless told.

    \b
    Example:
      diy actions disable pangolin "Remove" --pause
    """
    if pause and skip:
        raise click.UsageError("What comes in meanwhile either waits (--pause) or is skipped for good (--skip), not both.")
    if not (pause or skip):
        answer = click.prompt(
            "What comes in meanwhile: pause (it waits) or skip (it is dropped)?",
            type=click.Choice(["pause", "skip"]),
            err=True,
            show_choices=False,
        )
        pause = answer == "pause"
    open_publishing(session).set_action(connector, action, "paused" if pause else "skipped")
    effect = "what comes in waits" if pause else "its mutations are skipped"
    click.echo(f"The action {action!r} of {connector} is off; {effect}.")
