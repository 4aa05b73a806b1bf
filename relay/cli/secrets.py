"""`diy secrets`: the values that connectors only name. A value is never an argument, and never printed here."""

from __future__ import annotations

import sys

import click

from relay.cli.output import iso, moment, show_json, show_table
from relay.cli.publishing import open_publishing
from relay.cli.session import Session, with_state
from relay.connectors.live import all_live
from relay.connectors.publishing import generate_secret
from relay.domain.connector import Connector


@click.group()
def secrets() -> None:
    """Secrets by name, each with a current and a previous value. Values are typed in or piped, never shown."""


@secrets.command("set")
@click.argument("name")
@click.option("--generate", is_flag=True, help="A random value, made here.")
@with_state(create=True)
def set_(session: Session, name: str, generate: bool) -> None:
    """Sets a secret, and forgets the value it had. The value is asked for without an echo, or read from standard input.

    To change one that is in use, rotate it: then both values are good until the old one is retired.

    \b
    Examples:
      diy secrets set pangolin-token
      diy secrets set pangolin-token < token.txt
      diy secrets set pangolin-hmac --generate
    """
    value = _value(name, generate)
    open_publishing(session).set_secret(name, value)
    click.echo(f"{name} is set.")
    if generate:
        _say_where(session)


@secrets.command()
@click.argument("name")
@click.option("--generate", is_flag=True, help="A random value, made here.")
@with_state()
def rotate(session: Session, name: str, generate: bool) -> None:
    """Gives a secret a new value. The present one stays good as the previous one until it is retired.

    \b
    Example:
      diy secrets rotate pangolin-hmac --generate
    """
    value = _value(name, generate)
    open_publishing(session).rotate_secret(name, value)
    click.echo(f"{name} has a new value; the one before is still good. When nobody uses it any more: diy secrets retire {name}")
    if generate:
        _say_where(session)


@secrets.command()
@click.argument("name")
@with_state()
def retire(session: Session, name: str) -> None:
    """Forgets the previous value of a secret.

    \b
    Example:
      diy secrets retire pangolin-hmac
    """
    open_publishing(session).retire_secret(name)
    click.echo(f"Only the current value of {name} is good now.")


@secrets.command("list")
@with_state(json=True)
def list_(session: Session) -> None:
    """The secrets that are set, and those that are not. Those, too, that a running connector only names. No values.

    \b
    Example:
      diy secrets list
    """
    known = {info.name: info for info in session.backend.secrets.all()}
    users: dict[str, list[str]] = {}
    for connector in all_live(session.backend.connectors):
        for name in _named_by(connector):
            users.setdefault(name, []).append(connector.name)
    rows = [(name, known.get(name), users.get(name, [])) for name in sorted(known.keys() | users.keys())]
    if session.as_json:
        show_json(
            [
                {
                    "name": name,
                    "set": info is not None,
                    "changed_at": iso(info.changed_at) if info else None,
                    "has_previous": bool(info and info.has_previous),
                    "used_by": used_by,
                }
                for name, info, used_by in rows
            ]
        )
        return
    show_table(
        ["name", "set", "changed", "previous value", "used by"],
        [
            [
                name,
                info is not None,
                moment(info.changed_at, session.now) if info else None,
                "still good" if info and info.has_previous else None,
                ", ".join(used_by),
            ]
            for name, info, used_by in rows
        ],
        empty="No secrets are set, and no connector names any.",
    )


def _named_by(connector: Connector) -> list[str]:
    inbound = connector.inbound
    named = {inbound.hmac_secret, *connector.secrets.values(), *([inbound.basic_auth] if inbound.basic_auth else [])}
    return sorted(named)


def _value(name: str, generate: bool) -> str:
    if generate:
        return generate_secret()
    if sys.stdin.isatty():
        typed: str = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    try:
        value = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.UsageError("Standard input is not text in UTF-8.") from None
    if not value:
        raise click.UsageError(f"Standard input is empty: pipe the value of {name} in, or run this at a terminal.")
    if "\n" in value:
        raise click.UsageError("Standard input has more than one line; a secret is one line.")
    return value


def _say_where(session: Session) -> None:
    session.note("To see a value that goes into the DMP: diy connectors activation NAME --show-secrets")
