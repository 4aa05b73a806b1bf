"""Which of a feed's mutations a connector can use, and as what rows: decided before they are queued, without asking anybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from adapters.contract import Adapter, Rejected
from adapters.normalisation import email_rule
from adapters.partner import AUDIENCE
from adapters.preparing import prepare_one
from relay.connectors.mapping import MappingError, mutation_context
from relay.domain.audience import Audience
from relay.domain.connector import Connector
from relay.domain.feed import FeedRow
from relay.domain.message import Message, Mutation
from relay.expressions.expression import Surroundings
from worker.catalog import Running, RunningAction
from worker.plan import applies_to
from worker.recent import Recent

_MOST_ADAPTERS = 200


class FeedRows:
    """The rows of mutations, by connectors as feeds use them. open_for_preview: see `Partners`."""

    def __init__(self, open_for_preview: Callable[[Connector], Adapter]) -> None:
        self._open = open_for_preview
        self._adapters: Recent[int, tuple[Connector, Adapter]] = Recent(_MOST_ADAPTERS)

    def made_of(self, running: Running, message: Message, audience: Audience | None, *, now: float) -> list[dict[str, FeedRow]]:
        """For each mutation: action → the row. Actions that are switched off count: whether they are is decided when the rows are
        sent. audience: its record; needed only where `looks_at_audience`."""
        name = audience.name if audience else ""
        partner_id = (audience.partner_id if audience else None) or AUDIENCE
        applying = [one for one in running.actions if applies_to(one.action.audiences, message.audience, name)]
        adapter = self._adapter(running.connector)
        email = email_rule(running.description.email_rule)
        found = []
        for mutation in message.mutations:
            rows: dict[str, FeedRow] = {}
            actions = [one for one in applying if one.action.trigger == mutation.direction] if not mutation.unreadable else []
            context = mutation_context(message, mutation, audience_name=name, partner_id=partner_id) if actions else {}
            for one in actions:
                row = _row(one, adapter, context, Surroundings(now, _seed(message, mutation, one), email))
                if row is not None:
                    rows[one.action.name] = row
            found.append(rows)
        return found

    def _adapter(self, connector: Connector) -> Adapter:
        known = self._adapters.find(id(connector))
        if known is not None and known[0] is connector:
            return known[1]
        adapter = self._open(connector)
        self._adapters.keep(id(connector), (connector, adapter))
        return adapter


def looks_at_audience(actions: Sequence[RunningAction]) -> bool:
    """Whether what these do can depend on the audience's name, or on its ID at the partner."""
    return any(
        one.action.audiences is not None
        or any(isinstance(value, str) and "audience" in value for value in one.action.mapping.values())
        for one in actions
    )


def looks_at_partner_id(actions: Sequence[RunningAction]) -> bool:
    """Whether what these send can depend on the audience's ID at the partner."""
    return any(isinstance(value, str) and "partner_id" in value for one in actions for value in one.action.mapping.values())


def _seed(message: Message, mutation: Mutation, one: RunningAction) -> str:
    return f"{message.request_id}/{mutation.index}/{one.action.name}"


def _row(one: RunningAction, adapter: Adapter, context: dict[str, Any], around: Surroundings) -> FeedRow | None:
    """None where the mapping, or the adapter, cannot use the mutation."""
    try:
        values = one.mapping.apply(context, around)
    except MappingError:
        return None
    prepared = prepare_one(adapter, one.operation.name, values)
    if isinstance(prepared, Rejected):
        return None
    return FeedRow(values, prepared.values)
