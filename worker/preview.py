"""The exact requests that a mutation would cause, without sending any."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec

from adapters.contract import Adapter, HttpRequest, Target
from adapters.partner import AUDIENCE
from relay.domain.connector import Connector
from relay.domain.errors import BatchRefused
from relay.domain.message import Message
from relay.domain.outcome import Result
from worker.catalog import running
from worker.chunks import chunks
from worker.plan import Pendings, make_plan
from worker.rounds import PlannedRow


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
    """What a turn with these messages of one audience would send. Needs no secret, and no partner audience: a mapping that uses
    its ID sees the placeholder. Raises the `PartnerError` of what cannot be sent at all."""
    ready = running(connector)
    audience_id = messages[0].audience
    target = Target(audience_id, audience_name, partner_id, f"{connector.name}/{audience_id}")
    pendings = Pendings(messages)
    plan = make_plan(
        ready,
        {},
        pendings,
        adapter.prepare,
        now=messages[-1].received_at,
        audience_id=audience_id,
        audience_name=audience_name,
        partner_id=partner_id or AUDIENCE,
    )
    calls: list[PreviewedCall] = []
    settled = [result for _, result in plan.settled]
    for planned in itertools.chain.from_iterable(plan.rounds):
        action, operation = planned.action.action, planned.operation
        limits = action.limits or connector.limits.batch
        for chunk in chunks(planned.rows, max_items=min(limits.max_items, operation.max_items), max_bytes=limits.max_bytes):
            for rows, requests in _requests(adapter, operation.name, target, chunk):
                if isinstance(requests, BatchRefused):
                    code, hint = requests.code, requests.hint
                    settled += [pendings[row.pending].result(action.name, "rejected", code, hint) for row in rows]
                else:
                    calls += [PreviewedCall(action.name, request) for request in requests]
    return Preview(tuple(calls), tuple(settled))


def _requests(
    adapter: Adapter, operation: str, target: Target, rows: Sequence[PlannedRow]
) -> Iterator[tuple[Sequence[PlannedRow], list[HttpRequest] | BatchRefused]]:
    """As it is sent: where no call can be made of these rows, they are halved until the one to blame is found."""
    try:
        requests = adapter.preview(operation, target, rows)
    except BatchRefused as error:
        if len(rows) == 1:
            yield rows, error
            return
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            yield from _requests(adapter, operation, target, half)
    else:
        yield rows, requests


def preview_creation(connector: Connector, adapter: Adapter, audience_id: str, *, audience_name: str) -> Preview:
    """What making this audience would send. Needs no secret."""
    target = Target(audience_id, audience_name, "", f"{connector.name}/{audience_id}")
    calls: list[PreviewedCall] = []
    settled: list[Result] = []
    actions = [action for action in connector.actions if action.trigger == "created"]
    for action in actions:
        if not action.enabled:
            settled.append(Result("", 0, action.name, "skipped", "action_off", "The action is switched off."))
            continue
        try:
            calls += [PreviewedCall(action.name, request) for request in adapter.preview(action.operation, target, [])]
        except BatchRefused as error:
            settled.append(Result("", 0, action.name, "rejected", error.code, error.hint))
    if not actions:
        hint = "No action of this connector runs when an audience is created."
        settled.append(Result("", 0, "", "skipped", "no_action", hint))
    return Preview(tuple(calls), tuple(settled))
