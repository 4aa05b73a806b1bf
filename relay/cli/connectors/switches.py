"""`diy connectors enable, disable, default`: what changes without a new version."""

from __future__ import annotations

import click

from relay.cli.known import whole_document
from relay.cli.output import show_json
from relay.cli.publishing import open_publishing
from relay.cli.session import Session, with_state


@click.command()
@click.argument("name")
@with_state()
def enable(session: Session, name: str) -> None:
    """Switches a connector on. What waited while it was off is sent.

    \b
    Example:
      diy connectors enable pangolin
    """
    open_publishing(session).set_enabled(name, True)
    click.echo(f"{name} is on.")


@click.command()
@click.argument("name")
@with_state()
def disable(session: Session, name: str) -> None:
    """Switches a connector off. Changes are still accepted; they wait until it is on again.

    \b
    Example:
      diy connectors disable pangolin
    """
    open_publishing(session).set_enabled(name, False)
    click.echo(f"{name} is off; what comes in waits.")


@click.command()
@click.argument("name", required=False)
@with_state(json=True)
def default(session: Session, name: str | None) -> None:
    """Shows or chooses the connector that answers at /. That is the address without a path.

    \b
    Examples:
      diy connectors default
      diy connectors default pangolin
    """
    if name is not None:
        open_publishing(session).set_default(whole_document(name))
    chosen = session.backend.connectors.default()
    if session.as_json:
        show_json({"default": chosen or None})
    else:
        click.echo(f"{chosen} answers at /." if chosen else "There is no connector yet: diy connectors apply FILE")
