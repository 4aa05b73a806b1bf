"""From mutations in order to rows for operations: actions, mapping, net effect. Pure.

Net effect: of set operations on the same set, only the last mutation of each partner row is sent, decided after mapping on the
key fields that the adapter names; so what is sent together concerns different rows and may be sent in any order. Events are all
sent.
"""

from __future__ import annotations

import fnmatch
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from adapters.contract import Operation, Row
from relay.connectors.mapping import MappingError, mutation_context
from relay.domain.connector import ActionSwitch
from relay.domain.message import Message, Mutation
from relay.domain.outcome import Outcome, Result
from worker.catalog import Running, RunningAction

_EVENT_IDS = uuid.UUID("7d0f6d0e-6f0b-5a55-9a0c-6b1b4f6f6c11")
"""Name space of the event IDs that we derive, so that a retry repeats them."""


class Pending(msgspec.Struct, frozen=True):
    """One mutation with the message that brought it. `place`: which of the turn's batches it belongs to, from 0."""

    place: int
    message: Message
    mutation: Mutation

    def result(self, action: str, outcome: Outcome, code: str = "", hint: str = "") -> Result:
        """The outcome of this mutation for this action."""
        return Result(self.message.request_id, self.mutation.index, action, outcome, code, hint)


class PlannedRow(msgspec.Struct, frozen=True):
    """A row to be sent. `pending`: number of its mutation in the turn. `size`: bytes of its values as JSON."""

    pending: int
    row: Row
    size: int


class PlannedAction(msgspec.Struct, frozen=True):
    """The rows of one action."""

    action: RunningAction
    rows: tuple[PlannedRow, ...]


class Plan(msgspec.Struct, frozen=True):
    """What to send, and what is settled without sending: (number of the mutation, its result)."""

    actions: tuple[PlannedAction, ...]
    settled: tuple[tuple[int, Result], ...]


def pending_of(messages: Sequence[Message]) -> list[Pending]:
    """The mutations of these messages, in order."""
    return [Pending(place, message, mutation) for place, message in enumerate(messages) for mutation in message.mutations]


def applies_to(patterns: Sequence[str] | None, audience_id: str, audience_name: str) -> bool:
    """Whether an action limited to these audiences concerns this one, by ID or name. `*` and `?` stand for anything; an ID or
    name that is written out matches itself, whatever signs it holds."""
    if patterns is None:
        return True
    return any(
        pattern in (audience_id, audience_name)
        or fnmatch.fnmatchcase(audience_id, _only_wildcards(pattern))
        or (bool(audience_name) and fnmatch.fnmatchcase(audience_name, _only_wildcards(pattern)))
        for pattern in patterns
    )


def _only_wildcards(pattern: str) -> str:
    return pattern.replace("[", "[[]")


def make_plan(
    running: Running,
    switches: dict[str, ActionSwitch],
    pendings: Sequence[Pending],
    *,
    audience_id: str,
    audience_name: str,
    partner_id: str,
) -> Plan:
    """The rows to send for these mutations, in order, and the results that are certain already."""
    applying = [one for one in running.actions if applies_to(one.action.audiences, audience_id, audience_name)]
    rows: dict[str, dict[int, PlannedRow]] = {one.action.name: {} for one in applying}
    settled: list[tuple[int, Result]] = []
    latest: dict[tuple[Any, ...], tuple[str, int]] = {}

    for number, pending in enumerate(pendings):
        mutation = pending.mutation
        if mutation.unreadable is not None:
            settled.append((number, pending.result("", "skipped", "unreadable", mutation.unreadable)))
            continue
        context: dict[str, Any] | None = None
        considered = False
        for one in applying:
            action = one.action
            if action.trigger != mutation.direction:
                continue
            considered = True
            if action.name in mutation.done:
                continue
            if not action.enabled or switches.get(action.name) == "skipped":
                settled.append((number, pending.result(action.name, "skipped", "action_off", "The action is switched off.")))
                continue
            if context is None:
                context = mutation_context(pending.message, mutation, audience_name=audience_name, partner_id=partner_id)
            try:
                values = one.mapping.apply(context)
            except MappingError as error:
                settled.append((number, pending.result(action.name, "rejected", "mapping_failed", str(error))))
                continue
            if lacking := _lacking(one.operation, values):
                hint = f"This user has no value for {lacking}, which {running.description.title} needs."
                settled.append((number, pending.result(action.name, "rejected", "missing_field", hint)))
                continue
            if one.operation.kind == "set":
                key = (one.operation.set_name, *(_comparable(values.get(field)) for field in one.operation.key_fields))
                if earlier := latest.get(key):
                    earlier_action, earlier_number = earlier
                    del rows[earlier_action][earlier_number]
                    settled.append((earlier_number, pendings[earlier_number].result(earlier_action, "superseded")))
                latest[key] = (action.name, number)
            rows[action.name][number] = _row(number, pending, action.name, values)
        if not considered:
            hint = f"No action of this connector concerns users who {mutation.direction} this audience."
            settled.append((number, pending.result("", "skipped", "no_action", hint)))

    planned = tuple(PlannedAction(one, tuple(rows[one.action.name].values())) for one in applying if rows[one.action.name])
    return Plan(planned, tuple(settled))


def _lacking(operation: Operation, values: dict[str, Any]) -> str:
    for field in operation.fields:
        if field.required and values.get(field.name) in (None, ""):
            return field.title or field.name
    if operation.key_fields and all(values.get(field) in (None, "") for field in operation.key_fields):
        return " or ".join(operation.key_fields)
    return ""


def _comparable(value: Any) -> str | bytes | None:
    """The value as partners compare it: a number and its digits as text are the same row."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    return msgspec.json.encode(value, order="deterministic")


def _row(number: int, pending: Pending, action: str, values: dict[str, Any]) -> PlannedRow:
    event_id = uuid.uuid5(_EVENT_IDS, f"{pending.message.request_id}/{pending.mutation.index}/{action}")
    row = Row(values, str(event_id), pending.message.received_at)
    return PlannedRow(number, row, len(msgspec.json.encode(values)))
