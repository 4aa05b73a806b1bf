"""`diy connectors options, check`: questions to the partner."""

from __future__ import annotations

import click
import msgspec

from relay.cli.output import show_json, show_table
from relay.cli.session import Session, with_state
from relay.connectors.live import live
from relay.domain.errors import Conflict


@click.command()
@click.argument("name")
@click.argument("field")
@click.option("--set", "chosen", multiple=True, metavar="FIELD=VALUE", help="A value chosen before; may be repeated.")
@with_state(json=True)
def options(session: Session, name: str, field: str, chosen: tuple[str, ...]) -> None:
    """Asks the partner which values a field can take. The settings of the connector count as chosen.

    \b
    Example:
      diy connectors options pangolin list --set account=42
    """
    from worker.partners import Partners

    connector = live(session.backend.connectors, name)
    values = {**connector.settings, **dict(_pair(text) for text in chosen)}
    found = Partners(session.backend, session.clock).open(connector).options(field, values)
    if session.as_json:
        show_json([msgspec.to_builtins(option) for option in found])
    else:
        show_table(["value", "label"], [[option.value, option.label] for option in found], empty="The partner offers no value.")


@click.command()
@click.argument("name")
@with_state()
def check(session: Session, name: str) -> None:
    """Asks the partner whether it accepts the credentials.

    \b
    Example:
      diy connectors check pangolin
    """
    from adapters.registry import describe
    from relay.connectors.completeness import missing
    from worker.partners import Partners

    connector = live(session.backend.connectors, name)
    description = describe(connector.adapter)
    if description is not None and (lacking := missing(connector, description, session.backend.secrets)):
        raise Conflict(f"{name} is incomplete: {' '.join(lacking)}")
    Partners(session.backend, session.clock).open(connector).check_credentials()
    click.echo(f"The partner accepts the credentials of {name}.")


def _pair(text: str) -> tuple[str, str]:
    field, separator, value = text.partition("=")
    if not separator or not field:
        raise click.BadParameter(f"{text!r} does not look like FIELD=VALUE.", param_hint="--set")
    return field, value
