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
from relay.connectors.mapping import CompiledMapping, MappingError, mutation_context
from relay.domain.connector import ActionSwitch
from relay.domain.message import Message, Mutation
from relay.domain.outcome import Outcome, Result
from relay.expressions.expression import NONE, Surroundings
from worker.catalog import Running, RunningAction

_EVENT_IDS = uuid.UUID("7d0f6d0e-6f0b-5a55-9a0c-6b1b4f6f6c11")
"""Name space of the event IDs that we derive, so that a retry repeats them."""


class Pending(msgspec.Struct, frozen=True, gc=False):
    """One mutation with the message that brought it. `place`: which of the turn's batches it belongs to, from 0."""

    place: int
    message: Message
    mutation: Mutation

    def result(self, action: str, outcome: Outcome, code: str = "", hint: str = "") -> Result:
        """The outcome of this mutation for this action."""
        return Result(self.message.request_id, self.mutation.index, action, outcome, code, hint)


class PlannedRow(Row, frozen=True, gc=False):
    """A row to be sent. `pending`: number of its mutation in the turn. `keys`, `group`: see `Prepared`."""

    pending: int
    keys: tuple[str, ...] = ()
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
    by_trigger: dict[str, list[tuple[RunningAction, str, bool, str, CompiledMapping]]] = {}
    for one in applying:
        name, is_off = one.action.name, not one.action.enabled or switches.get(one.action.name) == "skipped"
        by_trigger.setdefault(one.action.trigger, []).append((one, name, is_off, one.operation.name, one.mapping))
    rows = _Rows(applying)
    settled: list[tuple[int, Result]] = []
    email = email_rule(running.description.email_rule)

    for number, pending in enumerate(pendings):
        mutation = pending.mutation
        if mutation.unreadable is not None:
            settled.append((number, pending.result("", "skipped", "unreadable", mutation.unreadable)))
            continue
        made, done = mutation.made, mutation.done
        context: dict[str, Any] | None = None
        considered = False
        for one, name, is_off, operation, mapping in by_trigger.get(mutation.direction, ()):
            if made and name not in made:
                continue
            considered = True
            if done and name in done:
                continue
            if is_off:
                settled.append((number, pending.result(name, "skipped", "action_off", "The action is switched off.")))
                continue
            if made:
                values = made[name]
            elif mapping.needs_only_user:
                values = mapping.of_user(mutation.user)
            else:
                if context is None:
                    context = mutation_context(pending.message, mutation, audience_name=audience_name, partner_id=partner_id)
                around = NONE
                if mapping.needs_surroundings:
                    around = Surroundings(now, _name_of_event(pending, name), email)
                try:
                    values = mapping.apply(context, around)
                except MappingError as error:
                    settled.append((number, pending.result(name, "rejected", "mapping_failed", str(error))))
                    continue
            prepared = prepare(operation, values)
            if not isinstance(prepared, Prepared):  # asked this way round it costs a tenth
                settled.append((number, pending.result(name, "rejected", prepared.code, prepared.hint)))
                continue
            event, at = _Event(pending, name), pending.message.received_at
            superseded = rows.add(one, PlannedRow(prepared.values, event, at, number, prepared.keys, prepared.group))
            if superseded:
                settled += [(earlier, pendings[earlier].result(action, "superseded")) for action, earlier in superseded]
        if not considered:
            hint = f"No action of this connector concerns users who {mutation.direction} this audience."
            settled.append((number, pending.result("", "skipped", "no_action", hint)))

    return Plan(rows.rounds(), tuple(settled))


_Whole = tuple[str, tuple[str, ...]]

_Round = dict[str, dict[int, PlannedRow]]
"""Action → number of the mutation → row."""

_Entry = tuple[_Round, RunningAction, int]
"""Where a row is."""

_BOTH = "both"


class _Rows:
    """The rows to send, in rounds, as they come together.

    Rows that share a key of a set may be one member at the partner. Most rounds go one way, and then nobody asks who shares what:
    the keys are looked at one by one from the first row on that goes the other way.
    """

    def __init__(self, actions: Sequence[RunningAction]) -> None:
        self._actions = actions
        self._newest: _Round = {}
        self._rounds = [self._newest]
        self._latest: dict[_Whole, tuple[_Entry, ...]] = {}
        """The rows of the newest mutation that has these keys."""
        self._effect: str | None = ""
        """The way that all rows of the newest round go; `_BOTH`: the keys have been looked at."""
        self._sharing: dict[tuple[str, str], dict[_Whole, str | None]] = {}
        """Then: each key by itself → the rows of the newest round that have it, and which way they go."""

    def add(self, one: RunningAction, row: PlannedRow) -> Sequence[tuple[str, int]]:
        """Takes the row in; returns the actions and numbers of the earlier ones that it takes the place of. Two actions of one
        mutation are both done."""
        operation, number, name = one.operation, row.pending, one.action.name
        superseded: Sequence[tuple[str, int]] = ()
        if operation.kind == "set":
            whole = (operation.set_name, row.keys)
            known = self._latest.get(whole, ())
            if known and any(earlier != number for _, _, earlier in known):
                superseded = self._take_back(whole, known)
                known = ()
            if operation.effect != self._effect:
                self._keep_apart(whole, operation)
            entry = (self._newest, one, number)
            self._latest[whole] = (*known, entry) if known else (entry,)
        if name in self._newest:
            self._newest[name][number] = row
        else:
            self._newest[name] = {number: row}
        return superseded

    def rounds(self) -> tuple[tuple[PlannedAction, ...], ...]:
        """Those with rows, each with its actions in the order of the document."""
        made = (
            tuple(PlannedAction(one, tuple(rows[one.action.name].values())) for one in self._actions if rows.get(one.action.name))
            for rows in self._rounds
        )
        return tuple(planned for planned in made if planned)

    def _take_back(self, whole: _Whole, known: Sequence[_Entry]) -> list[tuple[str, int]]:
        """These rows are not sent."""
        for together, one, number in known:
            del together[one.action.name][number]
            if self._sharing:
                for member in _keys_of(whole, one.operation):
                    self._sharing.get(member, {}).pop(whole, None)
        return [(one.action.name, number) for _, one, number in known]

    def _keep_apart(self, whole: _Whole, operation: Operation) -> None:
        """Begins a new round for this row where one that shares a key with it goes another way."""
        if self._effect != _BOTH:
            for one in self._actions:
                if one.operation.kind == "set":
                    for row in self._newest.get(one.action.name, {}).values():
                        self._share((one.operation.set_name, row.keys), one.operation)
        for member in _keys_of(whole, operation):
            there = self._sharing.get(member)
            if there and any(effect != operation.effect for effect in there.values()):
                self._newest = {}
                self._rounds.append(self._newest)
                self._sharing = {}
                break
        if self._sharing:
            self._effect = _BOTH
            self._share(whole, operation)
        else:
            self._effect = operation.effect

    def _share(self, whole: _Whole, operation: Operation) -> None:
        for member in _keys_of(whole, operation):
            if member in self._sharing:
                self._sharing[member][whole] = operation.effect
            else:
                self._sharing[member] = {whole: operation.effect}


def _keys_of(whole: _Whole, operation: Operation) -> list[tuple[str, str]]:
    """Each key by itself, in each set that the operation changes."""
    return [(each, key) for each in (operation.set_name, *operation.touches) for key in whole[1]]


class _Event(msgspec.Struct, frozen=True, gc=False):
    """What an action does for a mutation; called, its ID."""

    pending: Pending
    action: str

    def __call__(self) -> str:
        """`str(uuid.uuid5(_EVENT_IDS, …))` in a third of its time: some partners are told that of every row."""
        name = _name_of_event(self.pending, self.action)
        digits = hashlib.sha1(_EVENT_IDS.bytes + name.encode(), usedforsecurity=False).hexdigest()
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def _name_of_event(pending: Pending, action: str) -> str:
    return f"{pending.message.request_id}/{pending.mutation.index}/{action}"
