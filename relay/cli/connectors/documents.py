"""`diy connectors validate, apply, publish, rollback, delete`: documents and the version that runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from relay.cli.connectors.journal_loss import ask_about_journals, journal_losses
from relay.cli.known import whole_document
from relay.cli.lazy import WRONG_USE
from relay.cli.output import show_json
from relay.cli.publishing import open_publishing
from relay.cli.session import Session, json_option, with_state
from relay.domain.connector import Connector, DocumentVersion, Notify
from relay.domain.errors import ConfigurationError, DocumentError
from relay.health.wording import count

_MOST_BYTES = 1024 * 1024
"""More than any document may have; protects from a wrong file, not more."""

may_lose = click.option("--yes", is_flag=True, help="Does not ask, should a journal lose something by it.")

document_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))


@click.command()
@document_file
@json_option
def validate(file: Path, as_json: bool) -> None:
    """Lists everything that is wrong with a document. Each problem has its place. Needs no state and changes nothing.

    \b
    Example:
      diy connectors validate connector.yaml
    """
    from adapters.registry import describe
    from relay.connectors.document import expand

    try:
        names = [connector.name for connector in expand(read_file(file), describe=describe)]
    except DocumentError as error:
        if not as_json:
            raise
        problems = [{"path": path, "sentence": sentence} for path, sentence in error.problems]
        show_json({"valid": False, "problems": problems, "connectors": []})
        raise click.exceptions.Exit(WRONG_USE) from None
    if as_json:
        show_json({"valid": True, "problems": [], "connectors": names})
    else:
        click.echo(f"{file} is valid. It makes: {', '.join(names)}")


@click.command()
@document_file
@click.option("--note", default="", help="Why; kept with the version.")
@click.option("--draft", is_flag=True, help="Stores the version without publishing it.")
@may_lose
@with_state(create=True)
def apply(session: Session, file: Path, note: str, draft: bool, yes: bool) -> None:
    """Stores a document as a new version and publishes it. The same document again makes no new version.

    Where it keeps a shorter journal than what runs, or none, it says what that loses, and asks.

    \b
    Examples:
      diy connectors apply connector.yaml --note "larger batches"
      diy connectors apply connector.yaml --draft
    """
    from adapters.registry import describe
    from relay.connectors.completeness import missing
    from relay.connectors.document import expand

    text = read_file(file)
    connectors = expand(text, describe=describe)  # so that a document with errors does not leave a new, empty state behind
    if not draft:
        ask_about_journals(session, connectors[0].document, connectors, yes=yes, typed=str(file) != "-")
    version = open_publishing(session).apply(text, note=note, draft=draft)
    if draft:
        click.echo(f"{version.document} version {version.number} is stored as a draft.")
        session.note(f"To run it: diy connectors publish {version.document} {version.number}")
        return
    _say_running(version)
    lacking: dict[str, list[str]] = {}
    for connector in version.connectors:
        description = describe(connector.adapter, connector.settings)
        for sentence in missing(connector, description, session.backend.secrets) if description else ():
            lacking.setdefault(sentence, []).append(connector.name)
    for sentence, names in lacking.items():
        session.note(f"Before {' and '.join(names)} can run: {sentence}")
    for connector in version.connectors:
        _say_who_is_told(session, connector)
        description = describe(connector.adapter, connector.settings)
        if description is not None and description.connect:
            session.note(f"To allow access: diy connectors connect {connector.name}")


def _say_who_is_told(session: Session, connector: Connector) -> None:
    from relay.connectors.completeness import missing_for_notices

    for sentence in missing_for_notices(connector, session.backend.secrets):
        session.note(f"Before {connector.name} can tell anybody: {sentence}")
    if connector.notify.email and not session.configuration.smtp_url:
        session.note(f"Before {connector.name} can send mails: set SMTP_URL and SMTP_FROM for the worker")
    if connector.notify != Notify():
        session.note(f"To try whether notices arrive: diy connectors notify {connector.name}")


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@may_lose
@with_state()
def publish(session: Session, name: str, version: int, yes: bool) -> None:
    """Makes a version the one that runs. What was gathered is sent right after, with the new version.

    Where it keeps a shorter journal than what runs, or none, it says what that loses, and asks.

    \b
    Example:
      diy connectors publish pangolin 3
    """
    document = whole_document(name)
    ask_about_journals(session, document, session.backend.connectors.version(document, version).connectors, yes=yes)
    _say_running(open_publishing(session).publish(document, version))


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1), required=False)
@may_lose
@with_state()
def rollback(session: Session, name: str, version: int | None, yes: bool) -> None:
    """Publishes an older version again. Without VERSION: the one before.

    Where that keeps a shorter journal than what runs, or none, it says what that loses, and asks.

    \b
    Example:
      diy connectors rollback pangolin
    """
    document = whole_document(name)
    publishing = open_publishing(session)
    older = version if version is not None else publishing.version_before(document)
    ask_about_journals(session, document, session.backend.connectors.version(document, older).connectors, yes=yes)
    _say_running(publishing.rollback(document, older))


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Does not ask.")
@with_state()
def delete(session: Session, name: str, yes: bool) -> None:
    """Removes a document with its versions and connectors. The record of their audiences goes, too, and their journal.

    Refused while batches wait in holds. At the partner, nothing is deleted.

    \b
    Example:
      diy connectors delete pangolin
    """
    number = len(session.backend.connectors.versions(whole_document(name)))
    for sentence in journal_losses(session, name, ()):
        click.echo(sentence, err=True)
    if not yes:
        click.confirm(f"Delete {name} with {count(number, 'version')} and the record of its audiences?", abort=True, err=True)
    open_publishing(session).delete(name)
    click.echo(f"{name} is deleted.")


def read_file(file: Path) -> str:
    """The text in it; `-` is standard input. Raises `ConfigurationError`."""
    try:
        if str(file) == "-":
            raw = sys.stdin.buffer.read(_MOST_BYTES)
        else:
            with file.open("rb") as opened:
                raw = opened.read(_MOST_BYTES)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is not text in UTF-8.") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None


def _say_running(version: DocumentVersion) -> None:
    click.echo(f"{version.document} version {version.number} runs: {', '.join(one.name for one in version.connectors)}")
