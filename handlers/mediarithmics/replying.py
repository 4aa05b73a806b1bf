"""Waiting for what becomes of messages: the turn that ends one leaves a reply, and the request looks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from handlers.mediarithmics.threads import Threads
from relay.domain.clock import Clock
from relay.domain.errors import StoreUnavailable
from relay.domain.reply import MutationReply, Reply

if TYPE_CHECKING:
    from relay.backends.interfaces import Replies

FIRST_LOOK_S = 0.02
LONGEST_PAUSE_S = 0.25
_GROWTH = 1.5


class Fate(NamedTuple):
    """What became of a request's mutations: by index. left: something of them is not settled, for this reason (a sentence), and
    is worth another try at `due_at`, seconds since the epoch; 0: nobody knows when. note: what an operator may want to know."""

    mutations: dict[int, MutationReply]
    left: bool
    reason: str
    due_at: float
    note: str


async def wait_for(
    replies: Replies, request_id: str, parts: Iterable[int], *, threads: Threads, clock: Clock, seconds: float
) -> list[Reply | None]:
    """The replies to these parts, in order; None for one that did not come in time. A store that cannot be reached has none."""
    found: dict[int, Reply | None] = dict.fromkeys(parts)
    until = clock.monotonic() + seconds
    pause = FIRST_LOOK_S
    while True:
        missing = [part for part, reply in found.items() if reply is None]
        await asyncio.sleep(max(0.0, min(pause, until - clock.monotonic())))
        found |= await threads.store(partial(_find, replies, request_id, missing))
        if all(reply is not None for reply in found.values()) or clock.monotonic() >= until:
            return list(found.values())
        pause = min(pause * _GROWTH, LONGEST_PAUSE_S)


def fate_of(found: Iterable[Reply | None], indexes: Iterable[int]) -> Fate:
    """What the replies say of the mutations with these indexes."""
    mutations: dict[int, MutationReply] = {}
    reasons, due, note = [], [0.0], ""
    for reply in found:
        if reply is None:
            reasons.append("Its turn has not come in time.")
            note = "Its turn has not come in time: much is queued before it, or no worker is running."
            continue
        mutations |= {each.index: each for each in reply.mutations}
        if reply.reason:
            reasons.append(reply.hint or f"It waits ({reply.reason}).")
            due.append(reply.due_at)
    left = bool(reasons) or any(index not in mutations or mutations[index].outcome == "retry" for index in indexes)
    return Fate(mutations, left, reasons[0] if reasons else "Not all of it was delivered.", max(due), note)


def _find(replies: Replies, request_id: str, parts: Iterable[int]) -> dict[int, Reply | None]:
    found: dict[int, Reply | None] = {}
    with suppress(StoreUnavailable):
        for part in parts:
            found[part] = replies.find(request_id, part)
    return found
