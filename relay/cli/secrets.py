"""`diy secrets`: the values that connectors only name. A value is never an argument, and never printed here."""

from __future__ import annotations

import sys
from typing import BinaryIO

import click

from adapters.registry import describe
from relay.cli.output import iso, moment, show_json, show_table
from relay.cli.publishing import open_publishing
from relay.cli.session import Session, with_state
from relay.connectors.live import all_live
from relay.connectors.publishing import generate_secret
from relay.connectors.secret_names import notify_secrets, secret_names
from relay.connectors.secret_values import in_one_line, refuse_second_rotation
from relay.domain.malformed import suggestion

file_option = click.option(
    "--file", type=click.File("rb"), help="Read from this file; a private key (PEM) may have several lines."
)


@click.group()
def secrets() -> None:
    """Secrets by name, each with a current and a previous value. Values are typed in or piped, never shown."""


@secrets.command("set")
@click.argument("name")
@click.option("--generate", is_flag=True, help="A random value, made here.")
@file_option
@with_state(create=True)
def set_(session: Session, name: str, generate: bool, file: BinaryIO | None) -> None:
    """Sets a secret, and forgets the value it had. The value is asked for without an echo, or read from standard input or a file.

    To change one that is in use, rotate it: then both values are good until the old one is retired.

    \b
    Examples:
      diy secrets set pangolin-token
      diy secrets set pangolin-token < token.txt
      diy secrets set pangolin-hmac --generate
      diy secrets set acme-signing-key --file key.pem
    """
    value = _value(name, generate, file)
    open_publishing(session).set_secret(name, value)
    click.echo(f"{name} is set.")
    named = {each for connector in all_live(session.backend.connectors) for each in secret_names(connector, describe)}
    if name not in named:
        session.note(f"No connector that runs names it.{suggestion(name, named)}")
    if generate:
        _say_where(session, name)


@secrets.command()
@click.argument("name")
@click.option("--generate", is_flag=True, help="A random value, made here.")
@file_option
@with_state()
def rotate(session: Session, name: str, generate: bool, file: BinaryIO | None) -> None:
    """Gives a secret a new value. The present one stays good as the previous one until it is retired.

    If the command was cut short, repeat it: the same value again changes nothing, and --generate is refused while there is a
    previous value, which the DMP may still use. A generated value is never lost: `diy connectors activation NAME
    --show-secrets` shows the current one. Once the DMP has it, retire the previous one.

    \b
    Example, a whole rotation:
      diy secrets rotate pangolin-hmac --generate
      diy connectors activation pangolin --show-secrets
      diy secrets retire pangolin-hmac
    """
    if generate:
        refuse_second_rotation(session.backend.secrets, name)
    value = _value(name, generate, file)
    open_publishing(session).rotate_secret(name, value)
    click.echo(f"{name} has a new value; the one before is still good. When nobody uses it any more: diy secrets retire {name}")
    if generate:
        _say_where(session, name)


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


@secrets.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Does not ask.")
@with_state()
def delete(session: Session, name: str, yes: bool) -> None:
    """Forgets a secret, for good. Refused while a connector that runs names it.

    \b
    Example:
      diy secrets delete pangolin-tokn
    """
    if not yes:
        click.confirm(f"Forget the secret {name} for good?", abort=True, err=True)
    open_publishing(session).delete_secret(name)
    click.echo(f"{name} is deleted.")


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
        for name in secret_names(connector, describe):
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


def _value(name: str, generate: bool, file: BinaryIO | None) -> str:
    if generate and file:
        raise click.UsageError("Either --generate or --file.")
    if file:
        return _from_file(file)
    if generate:
        return generate_secret()
    if sys.stdin.isatty():
        typed: str = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    content = sys.stdin.buffer.read()
    if not content.strip(b"\r\n"):
        raise click.UsageError(f"Standard input is empty: pipe the value of {name} in, or run this at a terminal.")
    return _one_line(_text(content, "Standard input"), "Standard input")


def _from_file(file: BinaryIO) -> str:
    """One line; the line breaks of a PEM as `\\n`, which whoever signs with it understands."""
    return _one_line(in_one_line(_text(file.read(), file.name)), file.name)


def _text(content: bytes, place: str) -> str:
    try:
        value = content.decode().replace("\r\n", "\n").removesuffix("\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"{place} is not text in UTF-8.") from None
    if not value:
        raise click.UsageError(f"{place} is empty.")
    return value


def _one_line(value: str, place: str) -> str:
    if "\n" in value:
        raise click.UsageError(f"{place} has more than one line; a secret is one line.")
    return value


def _say_where(session: Session, name: str) -> None:
    """How to come by a value that was made here."""
    live = all_live(session.backend.connectors)
    if any(name in notify_secrets(connector.notify) for connector in live):
        session.note("It is shown nowhere. If the webhook is to check signatures, choose a value yourself and set it here, too.")
    else:
        session.note("To see a value that goes into the DMP: diy connectors activation NAME --show-secrets")
