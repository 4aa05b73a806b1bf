"""From mutations in order to rows for operations: actions, mapping, net effect. Pure.

Net effect: of set operations on the same set, only the last mutation of each partner row is sent, decided on the keys by which
the partner knows the user, after mapping and normalising. Rows that share only some of their keys may be one member at the
partner: where they go opposite ways, the later begins a new round. So what is sent in one round concerns different members and
may be sent in any order. Events are all sent.
"""

from __future__ import annotations

import fnmatch
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from adapters.contract import Prepared, Rejected, Row
from adapters.normalisation import email_rule
from relay.connectors.mapping import MappingError, mutation_context
from relay.domain.connector import ActionSwitch
from relay.domain.message import Message, Mutation
from relay.domain.outcome import Outcome, Result
from relay.expressions.expression import Surroundings
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
    """A row to be sent. `pending`: number of its mutation in the turn. `size`: bytes of its values as JSON. Rows of different
    `group` never share a call."""

    pending: int
    row: Row
    size: int
    group: str = ""


class PlannedAction(msgspec.Struct, frozen=True):
    """The rows of one action."""

    action: RunningAction
    rows: tuple[PlannedRow, ...]


class Plan(msgspec.Struct, frozen=True):
    """What to send, and what is settled without sending: (number of the mutation, its result).

    rounds: each is sent once the one before is settled; nearly always there is one.
    """

    rounds: tuple[tuple[PlannedAction, ...], ...]
    settled: tuple[tuple[int, Result], ...]


Prepare = Callable[[str, dict[str, Any]], Prepared | Rejected]
"""`Adapter.prepare`."""


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
    prepare: Prepare,
    *,
    now: float,
    audience_id: str,
    audience_name: str,
    partner_id: str,
) -> Plan:
    """The rows to send for these mutations, in order, and the results that are certain already. now: seconds since the epoch."""
    applying = [one for one in running.actions if applies_to(one.action.audiences, audience_id, audience_name)]
    rows = _Rows()
    settled: list[tuple[int, Result]] = []
    email = email_rule(running.description.email_rule)

    for number, pending in enumerate(pendings):
        mutation = pending.mutation
        if mutation.unreadable is not None:
            settled.append((number, pending.result("", "skipped", "unreadable", mutation.unreadable)))
            continue
        context: dict[str, Any] | None = None
        considered = False
        for one in applying:
            action = one.action
            if action.trigger != mutation.direction or (mutation.made and action.name not in mutation.made):
                continue
            considered = True
            if action.name in mutation.done:
                continue
            if not action.enabled or switches.get(action.name) == "skipped":
                settled.append((number, pending.result(action.name, "skipped", "action_off", "The action is switched off.")))
                continue
            if context is None and not mutation.made:
                context = mutation_context(pending.message, mutation, audience_name=audience_name, partner_id=partner_id)
            around = Surroundings(now, f"{pending.message.request_id}/{mutation.index}/{action.name}", email)
            try:
                values = mutation.made[action.name] if context is None else one.mapping.apply(context, around)
            except MappingError as error:
                settled.append((number, pending.result(action.name, "rejected", "mapping_failed", str(error))))
                continue
            prepared = prepare(one.operation.name, values)
            if isinstance(prepared, Rejected):
                settled.append((number, pending.result(action.name, "rejected", prepared.code, prepared.hint)))
                continue
            superseded = rows.add(one, prepared, _row(number, pending, action.name, prepared))
            for earlier_action, earlier_number in superseded:
                settled.append((earlier_number, pendings[earlier_number].result(earlier_action, "superseded")))
        if not considered:
            hint = f"No action of this connector concerns users who {mutation.direction} this audience."
            settled.append((number, pending.result("", "skipped", "no_action", hint)))

    return Plan(rows.rounds(applying), tuple(settled))


_Whole = tuple[str, tuple[str, ...]]


class _Rows:
    """The rows to send, in rounds, as they come together."""

    def __init__(self) -> None:
        self._rounds: list[dict[str, dict[int, PlannedRow]]] = [{}]
        self._latest: dict[_Whole, list[tuple[int, str, int]]] = {}
        """The rows of the newest mutation that has these keys: round, action, number of the mutation."""
        self._sharing: dict[tuple[str, str], dict[_Whole, str | None]] = {}
        """Of the present round: each key by itself → the rows that have it, and which way they go."""

    def add(self, one: RunningAction, prepared: Prepared, row: PlannedRow) -> list[tuple[str, int]]:
        """Takes the row in; returns the actions and numbers of the earlier ones that it takes the place of. Two actions of one
        mutation are both done."""
        name, operation = one.action.name, one.operation
        superseded: list[tuple[str, int]] = []
        if operation.kind == "set":
            whole = (operation.set_name, prepared.keys)
            members = [(each, key) for each in (operation.set_name, *operation.touches) for key in prepared.keys]
            known = self._latest.get(whole, [])
            if any(number != row.pending for _, _, number in known):
                for place, action, number in known:
                    del self._rounds[place][action][number]
                    superseded.append((action, number))
                known = []
                for sharing in self._sharing.values():
                    sharing.pop(whole, None)
            if any(
                effect != operation.effect for member in members for effect in self._sharing.get(member, {}).values()
            ):
                self._rounds.append({})
                self._sharing = {}
            for member in members:
                self._sharing.setdefault(member, {})[whole] = operation.effect
            self._latest[whole] = [*known, (len(self._rounds) - 1, name, row.pending)]
        self._rounds[-1].setdefault(name, {})[row.pending] = row
        return superseded

    def rounds(self, actions: Sequence[RunningAction]) -> tuple[tuple[PlannedAction, ...], ...]:
        """Those with rows, each with its actions in the order of the document."""
        made = (
            tuple(PlannedAction(one, tuple(rows[one.action.name].values())) for one in actions if rows.get(one.action.name))
            for rows in self._rounds
        )
        return tuple(planned for planned in made if planned)


def _row(number: int, pending: Pending, action: str, prepared: Prepared) -> PlannedRow:
    event_id = uuid.uuid5(_EVENT_IDS, f"{pending.message.request_id}/{pending.mutation.index}/{action}")
    row = Row(prepared.values, str(event_id), pending.message.received_at)
    return PlannedRow(number, row, len(msgspec.json.encode(prepared.values)), prepared.group)
