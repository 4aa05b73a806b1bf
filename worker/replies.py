"""What becomes of a message that somebody waits for (`Message.answer_by`), put into words for whoever asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relay.domain.audience import Hold, HoldRequest
from relay.domain.message import Message
from relay.domain.outcome import Outcome, Result
from relay.domain.reply import HINT_LENGTH, VERSION, MutationReply, Reply
from worker.plan import Pending

_WEIGHT: dict[Outcome, int] = {"rejected": 4, "retry": 3, "delivered": 2, "superseded": 1, "skipped": 0}
"""Which of the outcomes of a mutation's actions counts for the mutation: the heaviest."""


_SOONEST_S = 1.0
"""What is left of a delivery that was tried is worth another one no sooner."""

_HELD_S = 5.0
"""Neither is what found its audience held: what waits there goes first, and takes some time where it is due."""


def reply_to(
    message: Message, results: Iterable[tuple[Pending, Result]], left: HoldRequest | None, *, at: float
) -> Reply:
    """The reply where these are the outcomes; `left`: the hold that what is left would have joined."""
    heaviest: dict[int, Result] = {}
    for pending, result in results:
        known = heaviest.get(pending.mutation.index)
        if known is None or _WEIGHT[result.outcome] > _WEIGHT[known.outcome]:
            heaviest[pending.mutation.index] = result
    mutations = tuple(
        _short(heaviest.get(mutation.index) or Result("", mutation.index, "", "retry")) for mutation in message.mutations
    )
    return _reply(message, mutations, left, at, _SOONEST_S)


def untouched(message: Message, standing: HoldRequest | Hold, *, at: float) -> Reply:
    """The reply where nothing was tried, since the audience is held or must be."""
    left = tuple(MutationReply(one.index, "retry") for one in message.mutations)
    return _reply(message, left, standing, at, _HELD_S)


def _reply(
    message: Message, mutations: Sequence[MutationReply], left: HoldRequest | Hold | None, at: float, soonest_s: float
) -> Reply:
    return Reply(
        version=VERSION,
        request_id=message.request_id,
        part=message.part,
        at=at,
        mutations=tuple(mutations),
        reason=left.reason if left else "",
        hint=left.detail[:HINT_LENGTH] if left else "",
        due_at=max(left.due_at, at + soonest_s) if left and left.due_at is not None else 0,
    )


def _short(result: Result) -> MutationReply:
    return MutationReply(result.index, result.outcome, result.code, result.hint[:HINT_LENGTH])
