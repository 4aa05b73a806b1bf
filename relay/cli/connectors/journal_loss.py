"""What goes of a journal once a version runs that keeps it for fewer days, said and asked before it does."""

from __future__ import annotations

from collections.abc import Iterable

import click

from relay.cli.session import Session
from relay.domain.connector import Connector
from relay.health import journal_loss


def ask_about_journals(
    session: Session, document: str, connectors: Iterable[Connector], *, yes: bool, typed: bool = True
) -> None:
    """Says what the journals of the document lose where these connectors run from now on, and asks; nothing where they lose
    nothing. yes: it is said, and not asked.

    typed: whether standard input is there for the answer. Raises `UsageError` where it is not, `Abort` where the answer is no.
    """
    losses = journal_losses(session, document, connectors)
    for sentence in losses:
        click.echo(sentence, err=True)
    if not losses or yes:
        return
    if not typed:
        raise click.UsageError("Where the document comes from standard input, nobody can be asked: add --yes.")
    click.confirm("Let that go for good?", abort=True, err=True)


def journal_losses(session: Session, document: str, connectors: Iterable[Connector]) -> list[str]:
    """As `health.journal_loss`; counted where that is cheap."""
    counted = session.configuration.backend != "google"
    return journal_loss.journal_losses(session.backend, document, connectors, now=session.now, counted=counted)
