"""Batches to the partner: the plan carried out, every outcome noted, and what is left put together for the hold."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from adapters.contract import DELIVERED, Delivered, NotYet, Rejected, RowResult, Target
from adapters.masking import USERS
from relay.domain.audience import Hold, HoldRequest, Proof
from relay.domain.clock import Clock
from relay.domain.connector import ActionSwitch
from relay.domain.errors import BatchRefused, Misconfigured, PartnerError, TryAgain
from relay.domain.message import Message
from relay.domain.outcome import Result
from worker.calls import Caller, Postponed
from worker.catalog import Running
from worker.chunks import chunks
from worker.holds import after_error, vain_probes
from worker.isolation import isolate
from worker.plan import Pending, Pendings, make_plan
from worker.retries import least_s
from worker.rounds import PlannedAction, PlannedRow


class Delivery(msgspec.Struct, frozen=True):
    """What came of it.

    undelivered  one result per mutation and action that was not delivered; `retry` for what is left
    delivered    the action, and the numbers of the mutations that it delivered, of `pendings`
    rest     for each batch what is not settled of it: the same message where nothing is settled, None where everything is
    hold     the hold that the rest must join; None if nothing is left
    problem  code of the trouble, empty if there was none
    progress whether the partner took anything
    proof    by which actions it did, during this hold
    """

    undelivered: tuple[tuple[Pending, Result], ...]
    rest: tuple[Message | None, ...]
    hold: HoldRequest | None
    problem: str
    progress: bool
    proof: Proof | None = None
    delivered: tuple[tuple[str, Sequence[int]], ...] = ()
    pendings: Pendings = Pendings(())

    @property
    def results(self) -> list[tuple[Pending, Result]]:
        """All of them: one per mutation and action."""
        taken = [(self.pendings[number], action) for action, numbers in self.delivered for number in numbers]
        return [*self.undelivered, *((pending, pending.result(action, "delivered")) for pending, action in taken)]

    @property
    def counts(self) -> dict[str, int]:
        """outcome → number, over mutations and actions."""
        taken = sum(len(numbers) for _, numbers in self.delivered)
        others = Counter[str](result.outcome for _, result in self.undelivered)
        return {**({"delivered": taken} if taken else {}), **others}


class _Trouble(msgspec.Struct, frozen=True):
    """`at_most`: most rows in a call at the next turn, see `Hold`."""

    error: PartnerError | Postponed
    stops_all: bool
    at_most: int = 0

    @property
    def code(self) -> str:
        return self.error.code if isinstance(self.error, PartnerError) else "postponed"


def deliver(
    messages: Sequence[Message],
    running: Running,
    switches: dict[str, ActionSwitch],
    target: Target,
    caller: Caller,
    *,
    standing: Hold | None,
    final: bool = False,
    clock: Clock,
    chance: random.Random,
) -> Delivery:
    """Delivers the messages' mutations, in order. Never raises a `PartnerError`: trouble becomes the hold of what is left.
    Raises `TurnLost`.

    final: what is refused is told to the source at once, so that a refusal counts even where all users are refused alike.
    """
    pendings = Pendings(messages)
    plan = make_plan(
        running,
        switches,
        pendings,
        caller.prepare,
        now=clock.now(),
        audience_id=target.id,
        audience_name=target.name,
        partner_id=target.partner_id,
    )
    if final:
        results, trouble = list(plan.settled), None
    else:
        results, trouble = _unless_mapped_wrongly(plan.settled, plan.rounds, pendings, running, standing)
    delivered: list[tuple[str, list[int]]] = []
    left = False
    for sent_together in plan.rounds:
        stopped = left  # what is left of a round must come before the next
        for planned in sent_together:
            outcomes = _Outcomes()
            if not stopped and (trouble is None or not trouble.stops_all):
                met = _carry_out(planned, outcomes, pendings, running, target, caller, chance, standing, final=final)
                trouble = met if met and met.stops_all else trouble or met
                left = left or met is not None
            name = planned.name
            if outcomes.delivered:
                delivered.append((name, outcomes.delivered))
            results += outcomes.of_others(planned, pendings)
    progress = bool(delivered)
    proof = _proof(standing, running.connector.document_version, {action for action, _ in delivered})
    hold = None
    if trouble is not None:
        in_vain = bool(caller.reports) and not progress and not any(one.outcome == "rejected" for _, one in results)
        hold = _hold(trouble, None if progress else standing, clock, chance, in_vain=in_vain)
        hold = replace(hold, proof=proof, at_most=trouble.at_most)
    return Delivery(
        undelivered=tuple((pendings[number], result) for number, result in results),
        rest=_rest(messages, pendings, results, delivered),
        hold=hold,
        problem=trouble.code if trouble else "",
        progress=progress,
        proof=proof,
        delivered=tuple(delivered),
        pendings=pendings,
    )


_MAPPED_WRONGLY = frozenset({"mapping_failed", "already_hashed", "not_sha256", "not_text"})
"""Refusals of ours that say more about a mapping than about a user. To lack a field says nothing of the kind: many users do."""


def _unless_mapped_wrongly(
    settled: Sequence[tuple[int, Result]],
    rounds: Sequence[Sequence[PlannedAction]],
    pendings: Pendings,
    running: Running,
    standing: Hold | None,
) -> tuple[list[tuple[int, Result]], _Trouble | None]:
    """What the plan has settled. Where an action refuses all of two or more users alike, it is the mapping that is wrong, and not
    the users: they wait."""
    planned = {one.name for together in rounds for one in together}
    refused: dict[str, list[tuple[int, str]]] = {}
    for number, result in settled:
        if result.outcome == "rejected":
            refused.setdefault(result.action, []).append((number, result.code))
    wrong = {
        action
        for action, alike in refused.items()
        if action not in planned
        and len({code for _, code in alike}) == 1
        and alike[0][1] in _MAPPED_WRONGLY
        and _are_several([number for number, _ in alike], pendings, standing)
        and not _is_proven(standing, running, action)
    }
    if not wrong:
        return list(settled), None
    first = next(result for _, result in settled if result.action in wrong and result.outcome == "rejected")
    hint = f"The mapping of {first.action!r} makes the same mistake with every user of the batch: {first.hint}"
    kept = [
        (number, replace(result, outcome="retry", code="", hint=""))
        if result.action in wrong and result.outcome == "rejected"
        else (number, result)
        for number, result in settled
    ]
    return kept, _Trouble(Misconfigured(hint, code=first.code), stops_all=False)


def _hold(
    trouble: _Trouble, standing: Hold | None, clock: Clock, chance: random.Random, *, in_vain: bool
) -> HoldRequest:
    """The hold for what is left.

    What could go on at once waits a little, longer each time, where calls were made in vain: a partner that is slow to refuse
    would else be called without a pause.
    """
    hold = after_error(trouble.error, standing, clock, chance)
    if not in_vain or hold.due_at is None or hold.due_at > clock.now():
        return hold
    return replace(hold, due_at=clock.now() + least_s(vain_probes(standing, hold.reason)), probe=True)


def _proof(standing: Hold | None, document_version: int, taken: set[str]) -> Proof | None:
    known = standing.proof if standing and standing.proof else None
    if known and known.document_version == document_version:
        taken = taken | set(known.actions)
    return Proof(document_version, tuple(sorted(taken))) if taken else None


class _Outcomes:
    """Of the rows of an action, by the numbers of their mutations. What is in neither is to be sent again."""

    def __init__(self) -> None:
        self.delivered: list[int] = []
        self.rejected: dict[int, Rejected] = {}

    def settle(self, rows: Sequence[PlannedRow], results: Sequence[RowResult]) -> list[NotYet]:
        """Takes in what became of these rows, and returns why some are to be sent again."""
        if results.count(DELIVERED) == len(rows) == len(results):
            self.delivered += [row.pending for row in rows]
            return []
        not_yet: list[NotYet] = []
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, Delivered):
                self.delivered.append(row.pending)
            elif isinstance(result, NotYet):
                not_yet.append(result)
            else:
                self.rejected[row.pending] = result
        return not_yet

    def of_others(self, planned: PlannedAction, pendings: Pendings) -> list[tuple[int, Result]]:
        """The results of all rows that were not delivered."""
        if len(self.delivered) == len(planned.rows):
            return []
        action, delivered = planned.name, set(self.delivered)
        return [
            (row.pending, _result(pendings[row.pending], action, self.rejected.get(row.pending)))
            for row in planned.rows
            if row.pending not in delivered
        ]


def _carry_out(
    planned: PlannedAction,
    outcomes: _Outcomes,
    pendings: Pendings,
    running: Running,
    target: Target,
    caller: Caller,
    chance: random.Random,
    standing: Hold | None,
    *,
    final: bool,
) -> _Trouble | None:
    """Sends the rows and notes their outcomes; returns the trouble that left some unresolved."""
    action, operation = planned.action.action, planned.operation
    limits = action.limits or running.connector.limits.batch
    at_most = standing.at_most if standing else 0
    not_yet: list[NotYet] = []
    refused_sizes: list[int] = []
    trouble: _Trouble | None = None

    def send(part: Sequence[PlannedRow]) -> Sequence[RowResult]:
        first = (pendings[row.pending] for row in part[:USERS])
        places = [(pending.message.request_id, pending.mutation.index) for pending in first]
        try:
            return caller.send(operation.name, target, part, places)
        except BatchRefused:
            refused_sizes.append(len(part))
            raise

    def settle(part: Sequence[PlannedRow], results: Sequence[RowResult]) -> None:
        not_yet.extend(outcomes.settle(part, results))

    max_items = min(limits.max_items, operation.max_items, at_most or limits.max_items)
    parts = list(chunks(planned.rows, max_items=max_items, max_bytes=limits.max_bytes))
    if at_most:
        chance.shuffle(parts)  # a turn may be too short for more than one of them
    try:
        for part in parts:
            if isolate(part, send, settle, chance):
                searching = Postponed(
                    "The partner refuses whole calls; the users it refuses are being found.",
                    due_at=caller.now(),
                    reason="partner_unavailable",
                )
                trouble = _Trouble(searching, stops_all=False)
    except (PartnerError, Postponed) as error:
        trouble = _Trouble(error.with_traceback(None), stops_all=not isinstance(error, Misconfigured))
    if not_yet and trouble is None:
        waits = [one.after_s for one in not_yet if one.after_s is not None]
        trouble = _Trouble(TryAgain(not_yet[0].hint, after_s=max(waits, default=None)), stops_all=False)
    if trouble is not None and refused_sizes and not outcomes.delivered and not outcomes.rejected:
        trouble = replace(trouble, at_most=max(1, min(refused_sizes) // 2))
    if not final and not _is_proven(standing, running, action.name):
        refused = _all_refused_alike(outcomes)
        if refused and _are_several([row.pending for row in planned.rows], pendings, standing):
            # Whose fault it is cannot be told yet.
            says_something = _are_several(list(outcomes.rejected), pendings, standing)
            if says_something and (trouble is None or isinstance(trouble.error, Postponed)):
                hint = f"The partner refuses every user of the batch alike: {refused.hint}"
                trouble = _Trouble(Misconfigured(hint, code=refused.code), stops_all=False)
            if trouble is not None:
                trouble = replace(trouble, at_most=trouble.at_most or at_most)
            outcomes.rejected.clear()
    return trouble


def _are_several(numbers: Sequence[int], pendings: Pendings, standing: Hold | None) -> bool:
    """Whether so many refusals can say something of the connector: two of one batch, or in a hold. Batches of single users that
    happen to wait one behind the other are refused as they would be one by one."""
    if standing is not None:
        return len(numbers) > 1
    places = [pendings[number].place for number in numbers]
    return len(set(places)) < len(places)


def _is_proven(standing: Hold | None, running: Running, action: str) -> bool:
    """Whether the partner has taken others of this audience by this action since the trouble began."""
    proof = standing.proof if standing else None
    return proof is not None and proof.document_version == running.connector.document_version and action in proof.actions


def _all_refused_alike(outcomes: _Outcomes) -> Rejected | None:
    """None taken, and all that are known refused with one code: then it may be the connector that is wrong and not the users.

    Where the search for bad users was cut short, it goes on another way at the next turn.
    """
    refused = list(outcomes.rejected.values())
    if not refused or outcomes.delivered or len({one.code for one in refused}) > 1:
        return None
    return refused[0]


def _result(pending: Pending, action: str, refused: Rejected | None) -> Result:
    if refused is None:
        return pending.result(action, "retry")
    return pending.result(action, "rejected", refused.code, refused.hint)


def _rest(
    messages: Sequence[Message],
    pendings: Pendings,
    others: Sequence[tuple[int, Result]],
    delivered: Sequence[tuple[str, Sequence[int]]],
) -> tuple[Message | None, ...]:
    unsettled = {number for number, result in others if result.outcome == "retry"}
    if not unsettled:
        return (None,) * len(messages)
    settled: dict[int, list[str]] = {}
    for number, result in others:
        if result.outcome != "retry" and result.action:
            settled.setdefault(number, []).append(result.action)
    for action, numbers in delivered:
        for number in numbers:
            settled.setdefault(number, []).append(action)
    left: list[list[int]] = [[] for _ in messages]
    for number in sorted(unsettled):
        left[pendings[number].place].append(number)
    rest: list[Message | None] = []
    for message, numbers in zip(messages, left, strict=True):
        if len(numbers) == len(message.mutations) and settled.keys().isdisjoint(numbers):
            rest.append(message if numbers else None)
            continue
        mutations = tuple(
            replace(pendings[number].mutation, done=(*pendings[number].mutation.done, *settled.get(number, ())))
            for number in numbers
        )
        rest.append(replace(message, mutations=mutations) if mutations else None)
    return tuple(rest)
