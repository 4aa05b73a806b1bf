"""The exact requests that a mutation would cause, without sending any."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from adapters.contract import Adapter, HttpRequest, Target
from relay.domain.connector import Connector
from relay.domain.message import Message
from relay.domain.outcome import Result
from worker.catalog import running
from worker.chunks import chunks
from worker.plan import make_plan, pending_of


class PreviewedCall(msgspec.Struct, frozen=True):
    """One request that would be sent for an action."""

    action: str
    request: HttpRequest


class Preview(msgspec.Struct, frozen=True):
    """The requests, and what would be settled without one (skipped, rejected by the mapping, superseded)."""

    calls: tuple[PreviewedCall, ...]
    settled: tuple[Result, ...]


def preview(
    connector: Connector, adapter: Adapter, messages: Sequence[Message], *, audience_name: str, partner_id: str
) -> Preview:
    """What a turn with these messages of one audience would send. Needs no secret and no partner audience."""
    ready = running(connector)
    audience_id = messages[0].audience
    target = Target(audience_id, audience_name, partner_id, f"{connector.name}/{audience_id}")
    plan = make_plan(
        ready, {}, pending_of(messages), audience_id=audience_id, audience_name=audience_name, partner_id=partner_id
    )
    calls = []
    for planned in plan.actions:
        action, operation = planned.action.action, planned.action.operation
        limits = action.limits or connector.limits.batch
        for chunk in chunks(planned.rows, max_items=min(limits.max_items, operation.max_items), max_bytes=limits.max_bytes):
            requests = adapter.preview(operation.name, target, [row.row for row in chunk])
            calls += [PreviewedCall(action.name, request) for request in requests]
    return Preview(tuple(calls), tuple(result for _, result in plan.settled))
