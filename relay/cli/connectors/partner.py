"""`diy connectors options, check`: questions to the partner."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from adapters.contract import Description
from relay.cli.connectors.chosen import connector_to_ask, file_option, require_may_call
from relay.cli.output import show_json, show_table
from relay.cli.session import Session, with_state
from relay.domain.errors import Conflict, Unsupported


@click.command()
@click.argument("words", nargs=-1, metavar="NAME FIELD")
@click.option("--set", "chosen", multiple=True, metavar="FIELD=VALUE", help="A value chosen before; may be repeated.")
@file_option
@with_state(json=True)
def options(session: Session, words: tuple[str, ...], chosen: tuple[str, ...], file: Path | None) -> None:
    """Asks the partner which values a field can take. The settings of the connector count as chosen.

    Where no version of the connector is published, the newest draft counts. With --file, only FIELD is needed, and the document
    may lack it; its secrets must be set under the names that it gives them.

    \b
    Examples:
      diy connectors options meta account_id
      diy connectors options meta audience --set account_id=42
      diy connectors options account_id --file meta.yaml
    """
    from adapters.registry import describe
    from relay.connectors.completeness import in_a_row, missing_secrets
    from worker.partners import Partners

    name, field = _name_and_field(words, file)
    pairs = dict(_pair(text) for text in chosen)
    connector = connector_to_ask(session.backend, name, file, asked=field)
    description = describe(connector.adapter, connector.settings)
    if description is not None and (lacking := list(missing_secrets(connector, description, session.backend.secrets))):
        raise Conflict(f"Without its secrets {connector.name} cannot ask the partner. {in_a_row(lacking)}")
    require_may_call(session.backend, connector.name, session.now)
    adapter = Partners(session.backend, session.clock).open_unfinished(connector)
    try:
        found = adapter.options(field, {**connector.settings, **pairs})
    except Unsupported as error:
        raise Unsupported(f"{error}{_askable(adapter.description)}") from None
    if session.as_json:
        show_json([msgspec.to_builtins(option) for option in found])
    else:
        show_table(["value", "label"], [[option.value, option.label] for option in found], empty="The partner offers no value.")


@click.command()
@click.argument("name", default="")
@file_option
@with_state()
def check(session: Session, name: str, file: Path | None) -> None:
    """Asks the partner whether it accepts the credentials.

    Where no version of the connector is published, the newest draft counts.

    \b
    Examples:
      diy connectors check pangolin
      diy connectors check --file connector.yaml
    """
    from relay.operating.checking import check_credentials

    if not name and file is None:
        raise click.UsageError("Name the connector, or its document with --file.")
    connector = connector_to_ask(session.backend, name, file)
    check_credentials(session.backend, session.clock, connector)
    click.echo(f"The partner accepts the credentials of {connector.name}.")


def _askable(description: Description) -> str:
    """A sentence about the fields whose values the partner offers, for behind another; empty if there is none."""
    fields = (*description.settings, *(field for operation in description.operations for field in operation.fields))
    names = dict.fromkeys(field.name for field in fields if field.dynamic)
    return f" It has some for: {', '.join(names)}." if names else ""


def _name_and_field(words: tuple[str, ...], file: Path | None) -> tuple[str, str]:
    if len(words) == 2:
        return words[0], words[1]
    if file is None or len(words) != 1:
        raise click.UsageError("Name the connector and the field; or the field only, and the document with --file.")
    return "", words[0]


def _pair(text: str) -> tuple[str, str]:
    field, separator, value = text.partition("=")
    if not separator or not field:
        raise click.BadParameter(f"{text!r} does not look like FIELD=VALUE.", param_hint="--set")
    return field, value
