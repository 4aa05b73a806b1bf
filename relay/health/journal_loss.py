"""What goes of a journal once a version runs that keeps it for fewer days, in sentences for whoever is about to publish it."""

from __future__ import annotations

from collections.abc import Iterable

from relay.backends.interfaces import Backend
from relay.connectors.live import document_of, live
from relay.domain.connector import Connector, ConnectorState
from relay.health.wording import count, moment


def journal_losses(
    backend: Backend, document: str, connectors: Iterable[Connector], *, now: float, counted: bool
) -> list[str]:
    """A sentence for each connector of the document whose journal has something that it is not to hold any more, where these
    connectors run from now on. counted: the batches are counted, which reads all that the journal has of them."""
    days = {connector.name: connector.retention.journal_days for connector in connectors}
    losses = []
    for state in backend.connectors.states():
        if document_of(state.name) != document or not state.live or not state.journal_since:
            continue
        running = live(backend.connectors, state.name)
        staying = days.get(state.name, 0)
        if staying < running.retention.journal_days:
            loss = _counted(backend, running, staying, now) if counted else out_of_reach(running, state, staying, now)
            losses.append(loss)
    return [sentence for sentence in losses if sentence]


def _counted(backend: Backend, running: Connector, days: int, now: float) -> str:
    """Empty where there is nothing to lose."""
    everything = backend.journal.sizes(running.name, since=0.0)
    staying = backend.journal.sizes(running.name, since=now - days * 86_400) if days else []
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
