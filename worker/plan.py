"""From mutations in order to rows for operations: actions, mapping, net effect. Pure.

What is done alike for all mutations of an action is done for them together, by column: most users have the same fields.
"""

from __future__ import annotations

import fnmatch
import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from adapters.contract import Mapped, Prepared, Rejected
from adapters.normalisation import email_rule
from relay.connectors.mapping import MappingError, mutation_context
from relay.domain.connector import ActionSwitch
from relay.domain.message import Message, Mutation
from relay.domain.outcome import Outcome, Result
from relay.expressions.expression import NONE, Surroundings
from worker.catalog import Running, RunningAction
from worker.rounds import PlannedAction, PlannedRow, in_rounds, net_effect

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


class Plan(msgspec.Struct, frozen=True):
    """What to send, and what is settled without sending: (number of the mutation, its result).

    rounds: each is sent once the one before is settled; nearly always there is one.
    """

    rounds: tuple[tuple[PlannedAction, ...], ...]
    settled: tuple[tuple[int, Result], ...]


Prepare = Callable[[str, Mapped], list[Prepared | Rejected]]
"""`Adapter.prepare`."""


class Pendings:
    """The mutations of a turn, in order. Hardly one is ever asked for by itself, and only then it is put together.

    mutations    of all of them
    received_at  when each was, seconds since the epoch
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._places: list[int] = []
        self.mutations: list[Mutation] = []
        self.received_at: list[float] = []
        for place, message in enumerate(messages):
            self._places += [place] * len(message.mutations)
            self.mutations += message.mutations
            self.received_at += [message.received_at] * len(message.mutations)

    def __getitem__(self, number: int) -> Pending:
        place = self._places[number]
        return Pending(place, self._messages[place], self.mutations[number])

    def __iter__(self) -> Iterator[Pending]:
        return map(self.__getitem__, range(len(self.mutations)))


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
    pendings: Pendings,
    prepare: Prepare,
    *,
    now: float,
    audience_id: str,
    audience_name: str,
    partner_id: str,
) -> Plan:
    """The rows to send for these mutations, in order, and the results that are certain already. now: seconds since the epoch."""
    applying = [_Applying(one) for one in running.actions if applies_to(one.action.audiences, audience_id, audience_name)]
    settled = _divide(pendings, applying)
    mapping = _Mapping(pendings, now, email_rule(running.description.email_rule), audience_name, partner_id)
    planned: list[PlannedAction] = []
    for one in applying:
        if not one.action.enabled or switches.get(one.name) == "skipped":
            hint = "The action is switched off."
            settled += [(number, pendings[number].result(one.name, "skipped", "action_off", hint)) for number in one.numbers]
        elif one.numbers:
            prepared, failed = mapping.prepared(one, prepare)
            rows, refused = _rows(one, pendings, prepared)
            planned.append(PlannedAction(one.running, rows))
            settled += failed
            settled += refused
    kept, superseded = net_effect(planned)
    settled += [(number, pendings[number].result(action, "superseded")) for action, number in superseded]
    settled.sort(key=itemgetter(0))  # a report has room for the first ones
    return Plan(in_rounds(kept), tuple(settled))


class _Applying:
    """An action that concerns the audience. numbers: of the mutations that it is to be done for; made: some come with the fields
    that its mapping made of them."""

    def __init__(self, running: RunningAction) -> None:
        self.running = running
        self.action = running.action
        self.name = running.action.name
        self.operation = running.operation.name
        self.numbers: list[int] = []
        self.made = False


def _divide(pendings: Pendings, applying: Sequence[_Applying]) -> list[tuple[int, Result]]:
    """Gives each mutation to its actions; returns the results of those that none concerns."""
    settled: list[tuple[int, Result]] = []
    whole: dict[str, list[int]] = {"joined": [], "left": []}
    others: list[int] = []
    for number, mutation in enumerate(pendings.mutations):
        if mutation.unreadable is None and not mutation.done and not mutation.made:
            whole[mutation.direction].append(number)
        else:
            others.append(number)
    for direction, numbers in whole.items():
        concerned = [one for one in applying if one.action.trigger == direction]
        for one in concerned:
            one.numbers += numbers
        if not concerned:
            settled += [(number, _no_action(pendings[number])) for number in numbers]
    for number in others:
        pending, mutation = pendings[number], pendings.mutations[number]
        if mutation.unreadable is not None:
            settled.append((number, pending.result("", "skipped", "unreadable", mutation.unreadable)))
            continue
        concerned = [
            one
            for one in applying
            if one.action.trigger == mutation.direction and (not mutation.made or one.name in mutation.made)
        ]
        for one in concerned:
            if one.name not in mutation.done:
                one.numbers.append(number)
                one.made = one.made or bool(mutation.made)
        if not concerned:
            settled.append((number, _no_action(pending)))
    for one in applying:
        one.numbers.sort()
    return settled


def _no_action(pending: Pending) -> Result:
    hint = f"No action of this connector concerns users who {pending.mutation.direction} this audience."
    return pending.result("", "skipped", "no_action", hint)


class _Mapping:
    """The mappings of actions, applied to the mutations of a turn."""

    def __init__(
        self, pendings: Pendings, now: float, email: Callable[[str], str | None], audience_name: str, partner_id: str
    ) -> None:
        self._pendings = pendings
        self._now = now
        self._email = email
        self._audience_name = audience_name
        self._partner_id = partner_id

    def prepared(
        self, one: _Applying, prepare: Prepare
    ) -> tuple[Sequence[Prepared | Rejected], list[tuple[int, Result]]]:
        """What the action sends for each user that it is to be done for, without those whose mapping fails: their results, and
        their numbers are taken away."""
        pendings, mapping = self._pendings, one.running.mapping
        if mapping.needs_only_user and not one.made:
            users = [pendings.mutations[number].user for number in one.numbers]
            return prepare(one.operation, Mapped(len(users), mapping.of_users(users))), []
        values: list[dict[str, Any]] = []
        failed: list[tuple[int, Result]] = []
        for number in one.numbers:
            try:
                values.append(self._values(one, pendings[number]))
            except MappingError as error:
                failed.append((number, pendings[number].result(one.name, "rejected", "mapping_failed", str(error))))
        if failed:
            without = {number for number, _ in failed}
            one.numbers = [number for number in one.numbers if number not in without]
        return _prepared_by_fields(one.operation, values, prepare), failed

    def _values(self, one: _Applying, pending: Pending) -> dict[str, Any]:
        if pending.mutation.made:
            return pending.mutation.made[one.name]
        context = mutation_context(
            pending.message, pending.mutation, audience_name=self._audience_name, partner_id=self._partner_id
        )
        around = NONE
        if one.running.mapping.needs_surroundings:
            around = Surroundings(self._now, _name_of_event(pending, one.name), self._email)
        return one.running.mapping.apply(context, around)


def _prepared_by_fields(
    operation: str, values: Sequence[dict[str, Any]], prepare: Prepare
) -> Sequence[Prepared | Rejected]:
    """Users with the same fields together. There can be others for each, where a source gives back what was made of them: a
    column of all users for each of those would be much larger than what came."""
    places: dict[tuple[str, ...], list[int]] = {}
    for place, made in enumerate(values):
        places.setdefault(tuple(made), []).append(place)
    prepared: dict[int, Prepared | Rejected] = {}
    for fields, alike in places.items():
        users = Mapped.of([values[place] for place in alike], fields)
        prepared.update(zip(alike, prepare(operation, users), strict=True))
    return [prepared[place] for place in range(len(values))]


def _rows(
    one: _Applying, pendings: Pendings, prepared: Sequence[Prepared | Rejected]
) -> tuple[tuple[PlannedRow, ...], list[tuple[int, Result]]]:
    """Those that can be sent, and the results of the others."""
    event, received_at = _EventIds(pendings, one.name), pendings.received_at
    rows = [
        PlannedRow(made.values, event, received_at[number], number, made.keys, made.group)
        for number, made in zip(one.numbers, prepared, strict=True)
        if isinstance(made, Prepared)
    ]
    if len(rows) == len(prepared):
        return tuple(rows), []
    refused = [
        (number, pendings[number].result(one.name, "rejected", made.code, made.hint))
        for number, made in zip(one.numbers, prepared, strict=True)
        if isinstance(made, Rejected)
    ]
    return tuple(rows), refused


class _EventIds(msgspec.Struct, frozen=True):
    """What computes the IDs of what an action does for its rows."""

    pendings: Pendings
    action: str

    def __call__(self, row: PlannedRow) -> str:
        """`str(uuid.uuid5(_EVENT_IDS, …))` in a third of its time: some partners are told that of every row."""
        name = _name_of_event(self.pendings[row.pending], self.action)
        digits = hashlib.sha1(_EVENT_IDS.bytes + name.encode(), usedforsecurity=False).hexdigest()
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def _name_of_event(pending: Pending, action: str) -> str:
    return f"{pending.message.request_id}/{pending.mutation.index}/{action}"
