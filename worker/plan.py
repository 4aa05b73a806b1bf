"""From mutations in order to rows for operations: actions, mapping, net effect. Pure.

Net effect: of set operations on the same set, only the last mutation of each partner row is sent, decided on the keys by which
the partner knows the user, after mapping and normalising. Rows that share only some of their keys may be one member at the
partner: where they go opposite ways, the later begins a new round. So what is sent in one round concerns different members and
may be sent in any order. Events are all sent.
"""

from __future__ import annotations

import fnmatch
import hashlib
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from adapters.contract import Operation, Prepared, Rejected, Row
from adapters.normalisation import email_rule
from relay.connectors.mapping import MappingError, mutation_context
from relay.domain.connector import ActionSwitch
from relay.domain.message import Message, Mutation
from relay.domain.outcome import Outcome, Result
from relay.expressions.expression import NONE, Surroundings
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
    by_trigger: dict[str, list[RunningAction]] = {}
    for one in applying:
        by_trigger.setdefault(one.action.trigger, []).append(one)
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
        for one in by_trigger.get(mutation.direction, ()):
            action = one.action
            if mutation.made and action.name not in mutation.made:
                continue
            considered = True
            if action.name in mutation.done:
                continue
            if not action.enabled or switches.get(action.name) == "skipped":
                settled.append((number, pending.result(action.name, "skipped", "action_off", "The action is switched off.")))
                continue
            if mutation.made:
                values = mutation.made[action.name]
            elif one.mapping.needs_only_user:
                values = one.mapping.of_user(mutation.user)
            else:
                if context is None:
                    context = mutation_context(pending.message, mutation, audience_name=audience_name, partner_id=partner_id)
                around = NONE
                if one.mapping.needs_surroundings:
                    around = Surroundings(now, f"{pending.message.request_id}/{mutation.index}/{action.name}", email)
                try:
                    values = one.mapping.apply(context, around)
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
        self._members = _Members()

    def add(self, one: RunningAction, prepared: Prepared, row: PlannedRow) -> Sequence[tuple[str, int]]:
        """Takes the row in; returns the actions and numbers of the earlier ones that it takes the place of. Two actions of one
        mutation are both done."""
        name, operation = one.action.name, one.operation
        superseded: Sequence[tuple[str, int]] = ()
        if operation.kind == "set":
            whole = (operation.set_name, prepared.keys)
            known = self._latest.get(whole)
            if known is not None and any(number != row.pending for _, _, number in known):
                for place, action, number in known:
                    del self._rounds[place][action][number]
                superseded = [(action, number) for _, action, number in known]
                known = None
                self._members.leave(whole)
            if self._members.go_another_way(whole, operation):
                self._rounds.append({})
                self._members = _Members()
            self._members.join(whole, operation)
            entry = (len(self._rounds) - 1, name, row.pending)
            self._latest[whole] = [entry] if known is None else [*known, entry]
        rows = self._rounds[-1].get(name)
        if rows is None:
            rows = self._rounds[-1][name] = {}
        rows[row.pending] = row
        return superseded

    def rounds(self, actions: Sequence[RunningAction]) -> tuple[tuple[PlannedAction, ...], ...]:
        """Those with rows, each with its actions in the order of the document."""
        made = (
            tuple(PlannedAction(one, tuple(rows[one.action.name].values())) for one in actions if rows.get(one.action.name))
            for rows in self._rounds
        )
        return tuple(planned for planned in made if planned)


class _Members:
    """Who may be one member at the partner, among the rows of a round: those that share a key of a set.

    Most rounds go one way, and then nobody asks who shares what: the keys are looked at one by one from the first row on that
    goes the other way.
    """

    def __init__(self) -> None:
        self._effect: str | None = None
        """The way that all go, as long as they do."""
        self._joined: dict[_Whole, tuple[Operation, ...]] | None = {}
        """The rows and the operations they are there by, as long as all go one way."""
        self._sharing: dict[tuple[str, str], dict[_Whole, str | None]] = {}
        """After that: each key by itself → the rows that have it, and which way they go."""

    def leave(self, whole: _Whole) -> None:
        """The row is not sent."""
        if self._joined is not None:
            self._joined.pop(whole, None)
            return
        for sharing in self._sharing.values():
            sharing.pop(whole, None)

    def go_another_way(self, whole: _Whole, operation: Operation) -> bool:
        """Whether any that shares a key with this row does."""
        if self._joined is not None:
            if not self._joined or operation.effect == self._effect:
                return False
            self._look_at_keys(self._joined)
        return any(
            operation.effect != effect
            for member in _keys_of(whole, operation)
            for effect in self._sharing.get(member, {}).values()
        )

    def join(self, whole: _Whole, operation: Operation) -> None:
        """The row is sent, by this operation."""
        if self._joined is None:
            self._share(whole, operation)
            return
        self._effect = operation.effect
        known = self._joined.get(whole)
        self._joined[whole] = (operation,) if known is None else (*known, operation)

    def _look_at_keys(self, joined: dict[_Whole, tuple[Operation, ...]]) -> None:
        self._joined = None
        for whole, operations in joined.items():
            for operation in operations:
                self._share(whole, operation)

    def _share(self, whole: _Whole, operation: Operation) -> None:
        for member in _keys_of(whole, operation):
            self._sharing.setdefault(member, {})[whole] = operation.effect


def _keys_of(whole: _Whole, operation: Operation) -> list[tuple[str, str]]:
    """Each key by itself, in each set that the operation changes."""
    return [(each, key) for each in (operation.set_name, *operation.touches) for key in whole[1]]


def _row(number: int, pending: Pending, action: str, prepared: Prepared) -> PlannedRow:
    message = pending.message
    event_id = _event_id(f"{message.request_id}/{pending.mutation.index}/{action}")
    row = Row(prepared.values, event_id, message.received_at)
    return PlannedRow(number, row, len(_encode(prepared.values)), prepared.group)


def _event_id(name: str) -> str:
    """`str(uuid.uuid5(_EVENT_IDS, name))` in a third of its time: every row has one."""
    digits = hashlib.sha1(_EVENT_IDS.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


_encode = msgspec.json.Encoder().encode
