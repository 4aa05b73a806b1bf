"""`diy connectors activation`: what to paste into the DMP."""

from __future__ import annotations

import click
import msgspec

from relay.cli.output import show_json
from relay.cli.session import Session, with_state
from relay.connectors.activation import activation_sheet, place_of
from relay.connectors.live import live


@click.command()
@click.argument("name")
@click.option("--show-secrets", is_flag=True, help="Shows the values of the secrets. They stay in the terminal's history.")
@with_state(json=True)
def activation(session: Session, name: str, show_secrets: bool) -> None:
    """Field by field, what to paste into the DMP. The address is PUBLIC_URL's.

    \b
    Example:
      PUBLIC_URL=https://relay.example.com diy connectors activation pangolin
    """
    connector = live(session.backend.connectors, name)
    url = session.configuration.receiver_url
    sheet = activation_sheet(connector, url, session.backend.secrets, show_secrets=show_secrets)
    if show_secrets:
        session.backend.audit.add(by=session.by, what="show secrets", subject=name)
    if session.as_json:
        show_json({"place": place_of(connector), "fields": [msgspec.to_builtins(line) for line in sheet]})
        return
    click.echo(f"In the DMP: {place_of(connector)}\n")
    width = max(len(line.field) for line in sheet)
    for line in sheet:
        click.echo(f"{line.field.ljust(width)}  {line.value}")
        if line.help:
            click.echo(f"{'':{width}}    {line.help}")
    if not show_secrets:
        session.note(f"\nWith the secrets: diy connectors activation {name} --show-secrets")
