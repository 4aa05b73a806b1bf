"""Batches to the partner: the plan carried out, every outcome noted, and what is left put together for the hold."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from adapters.contract import Delivered, NotYet, Rejected, RowResult, Target
from relay.domain.audience import Hold, HoldRequest
from relay.domain.clock import Clock
from relay.domain.connector import ActionSwitch
from relay.domain.errors import Misconfigured, PartnerError, TryAgain
from relay.domain.message import Message
from relay.domain.outcome import Result
from worker.calls import Caller, Postponed
from worker.catalog import Running
from worker.chunks import chunks
from worker.holds import after_error
from worker.isolation import isolate
from worker.plan import Pending, PlannedAction, PlannedRow, make_plan, pending_of


class Delivery(msgspec.Struct, frozen=True):
    """What came of it.

    results  one per mutation and action; `retry` for what is left
    rest     for each batch what is not settled of it, None where nothing is
    hold     the hold that the rest must join; None if nothing is left
    problem  code of the trouble, empty if there was none
    progress whether the partner took anything
    """

    results: tuple[tuple[Pending, Result], ...]
    rest: tuple[Message | None, ...]
    hold: HoldRequest | None
    problem: str
    progress: bool

    @property
    def counts(self) -> dict[str, int]:
        """outcome → number."""
        return dict(Counter(result.outcome for _, result in self.results))


class _Trouble(msgspec.Struct, frozen=True):
    error: PartnerError | Postponed
    stops_all: bool

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
    clock: Clock,
    chance: random.Random,
) -> Delivery:
    """Delivers the messages' mutations, in order. Never raises a `PartnerError`: trouble becomes the hold of what is left."""
    pendings = pending_of(messages)
    plan = make_plan(
        running, switches, pendings, audience_id=target.id, audience_name=target.name, partner_id=target.partner_id
    )
    results = list(plan.settled)
    trouble: _Trouble | None = None
    for planned in plan.actions:
        if trouble and trouble.stops_all:
            outcomes: dict[int, RowResult] = {}
        else:
            outcomes, met = _carry_out(planned, running, target, caller, chance, proven=bool(standing and standing.proven))
            trouble = trouble or met
            if met and met.stops_all:
                trouble = met
        name = planned.action.action.name
        results += [(row.pending, _result(pendings[row.pending], name, outcomes.get(row.pending))) for row in planned.rows]
    progress = any(result.outcome == "delivered" for _, result in results)
    hold = None
    if trouble is not None:
        probes = standing.probes if standing and not progress else 0
        hold = replace(after_error(trouble.error, probes, clock, chance), proven=progress)
    return Delivery(
        results=tuple((pendings[number], result) for number, result in results),
        rest=_rest(messages, pendings, results),
        hold=hold,
        problem=trouble.code if trouble else "",
        progress=progress,
    )


def _carry_out(
    planned: PlannedAction, running: Running, target: Target, caller: Caller, chance: random.Random, *, proven: bool
) -> tuple[dict[int, RowResult], _Trouble | None]:
    """number of the mutation → its result, for the rows that are resolved, and the trouble that left others unresolved.

    `proven`: the partner has taken others of this audience since the trouble began, so refusals are the users' own.
    """
    action, operation = planned.action.action, planned.action.operation
    limits = action.limits or running.connector.limits.batch
    outcomes: dict[int, RowResult] = {}
    not_yet: list[NotYet] = []
    trouble: _Trouble | None = None

    def send(part: Sequence[PlannedRow]) -> Sequence[RowResult]:
        return caller.send(operation.name, target, [row.row for row in part])

    def settle(row: PlannedRow, result: RowResult) -> None:
        if isinstance(result, NotYet):
            not_yet.append(result)
        else:
            outcomes[row.pending] = result

    try:
        for chunk in chunks(
            planned.rows, max_items=min(limits.max_items, operation.max_items), max_bytes=limits.max_bytes
        ):
            if isolate(chunk, send, settle, chance):
                searching = Postponed(
                    "The partner refuses whole calls; the users it refuses are being found.",
                    due_at=caller.now(),
                    reason="partner_unavailable",
                )
                trouble = _Trouble(searching, stops_all=False)
    except (PartnerError, Postponed) as error:
        trouble = _Trouble(error, stops_all=not isinstance(error, Misconfigured))
    if not_yet and trouble is None:
        waits = [one.after_s for one in not_yet if one.after_s is not None]
        trouble = _Trouble(TryAgain(not_yet[0].hint, after_s=max(waits, default=None)), stops_all=False)
    if not proven and (refused := _all_refused_alike(list(outcomes.values()))):
        outcomes = {}
        hint = f"The partner refuses every user of the batch alike: {refused.hint}"
        alike = _Trouble(Misconfigured(hint, code=refused.code), stops_all=False)
        if trouble is None or isinstance(trouble.error, Postponed):
            trouble = alike
    return outcomes, trouble


def _all_refused_alike(outcomes: Sequence[RowResult]) -> Rejected | None:
    """Two or more rows, none taken, all that are known refused with one code: then it is the connector that seems to be wrong and
    not the users. Where the search for bad users was cut short, it goes on another way at the next turn."""
    refused = [one for one in outcomes if isinstance(one, Rejected)]
    if len(refused) < 2 or len(refused) != len(outcomes) or len({one.code for one in refused}) > 1:
        return None
    return refused[0]


def _result(pending: Pending, action: str, outcome: RowResult | None) -> Result:
    match outcome:
        case Delivered():
            return pending.result(action, "delivered")
        case Rejected(code=code, hint=hint):
            return pending.result(action, "rejected", code, hint)
        case _:
            return pending.result(action, "retry")


def _rest(
    messages: Sequence[Message], pendings: Sequence[Pending], results: Sequence[tuple[int, Result]]
) -> tuple[Message | None, ...]:
    settled: dict[int, list[str]] = {}
    unsettled: set[int] = set()
    for number, result in results:
        if result.outcome == "retry":
            unsettled.add(number)
        elif result.action:
            settled.setdefault(number, []).append(result.action)
    left: list[list[int]] = [[] for _ in messages]
    for number in sorted(unsettled):
        left[pendings[number].place].append(number)
    rest: list[Message | None] = []
    for message, numbers in zip(messages, left, strict=True):
        mutations = tuple(
            replace(pendings[number].mutation, done=(*pendings[number].mutation.done, *settled.get(number, ())))
            for number in numbers
        )
        rest.append(replace(message, mutations=mutations) if mutations else None)
    return tuple(rest)
