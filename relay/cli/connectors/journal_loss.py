"""What goes of a journal once a version runs that keeps it for fewer days, said and asked before it does."""

from __future__ import annotations

from collections.abc import Iterable

import click

from relay.cli.session import Session
from relay.connectors.live import document_of, live
from relay.domain.connector import Connector, ConnectorState
from relay.health.wording import count, moment


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
    """A sentence for each connector whose journal has something that it is not to hold any more."""
    days = {connector.name: connector.retention.journal_days for connector in connectors}
    losses = []
    for state in session.backend.connectors.states():
        if document_of(state.name) != document or not state.live or not state.journal_since:
            continue
        running = live(session.backend.connectors, state.name)
        if days.get(state.name, 0) < running.retention.journal_days:
            losses.append(_loss(session, running, state, days.get(state.name, 0)))
    return [sentence for sentence in losses if sentence]


def _loss(session: Session, running: Connector, state: ConnectorState, days: int) -> str:
    """Empty where there is nothing to lose."""
    if session.configuration.backend == "google":
        return out_of_reach(running, state, days, session.now)  # not counted: each look reads all that the bucket has
    everything = session.backend.journal.sizes(running.name, since=0.0)
    staying = session.backend.journal.sizes(running.name, since=session.now - days * 86_400) if days else []
    batches = sum(one.batches for one in everything) - sum(one.batches for one in staying)
    if batches <= 0:
        return ""
    mutations = sum(one.items for one in everything) - sum(one.items for one in staying)
    first_at = min(one.first_at for one in everything)
    return (
        f"{_shorter(running, days)}: {count(batches, 'batch', 'batches')} with {count(mutations, 'mutation')}, accepted since "
        f"{moment(first_at)}, would be deleted."
    )


def out_of_reach(running: Connector, state: ConnectorState, days: int, now: float) -> str:
    """The same where what is not to be kept any more stays until its age, and no replay reaches it: empty if all stays in reach.

    days: for which it is kept from now on; 0: it is switched off.
    """
    begins, kept_from = max(state.journal_since, now - running.retention.journal_s), now - days * 86_400
    if begins >= kept_from:
        return ""
    until = f" and before {moment(kept_from)}" if days else ""
    return f"{_shorter(running, days)}: what was accepted since {moment(begins)}{until} could not be sent again any more."


def _shorter(running: Connector, days: int) -> str:
    how = f"would keep {count(days, 'day')} instead of {running.retention.journal_days}" if days else "would be switched off"
    return f"The journal of {running.name} {how}"
