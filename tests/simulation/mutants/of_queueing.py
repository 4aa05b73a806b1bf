"""The queue, and the creation of audiences."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from relay.backends.embedded import EmbeddedBackend, queue
from relay.backends.embedded.database import Database
from relay.backends.embedded.messages import rows_of as messages_rows_of
from relay.domain import audience as policy
from tests.simulation.mutants.known import mutant
from worker import attempt


@mutant("the publish order within a key", shown_by="the parts of a request keep their order")
def _publish_order() -> AbstractContextManager[Any]:
    return patch.object(queue, "rows_of", lambda messages: messages_rows_of(list(messages)[::-1]))


@mutant("one message of a key at a time")
def _one_at_a_time() -> AbstractContextManager[Any]:
    real = queue.EmbeddedQueue.take

    def take(self: Any, **named: Any) -> Any:
        leased = real(self, **named)
        if leased is not None:
            with self._database.transaction(durable=False) as connection:
                connection.execute("UPDATE keys SET available_at = ? WHERE key = ?", (self._clock.now() + 2, leased.key))
        return leased

    return patch.object(queue.EmbeddedQueue, "take", take)


@mutant("a lease runs out")
def _lease() -> AbstractContextManager[Any]:
    real = EmbeddedBackend.open.__func__  # type: ignore[attr-defined]

    def opened(cls: Any, *given: Any, **named: Any) -> Any:
        return real(cls, *given, **{**named, "lease_s": 1e9})

    return patch.object(EmbeddedBackend, "open", classmethod(opened))


@mutant("an acknowledgement counts while its lease does", shown_by="an acknowledgement that comes too late frees nothing")
def _late_acknowledgement() -> AbstractContextManager[Any]:
    def holds_it(self: Any, connection: sqlite3.Connection, leased: Any) -> bool:
        row = connection.execute("SELECT 1 FROM keys WHERE key = ? AND head = ?", (leased.key, leased.position)).fetchone()
        return row is not None

    return patch.object(queue.EmbeddedQueue, "_holds", holds_it)


_CRASH_WITHIN = "a crash while several messages with one turn are acknowledged, or right after it"


@mutant("what becomes of several messages is one write", shown_by=_CRASH_WITHIN)
def _at_once() -> AbstractContextManager[Any]:
    return patch.object(Database, "at_once", lambda self: nullcontext())


@mutant("several messages are acknowledged with what becomes of them, and not before", shown_by=_CRASH_WITHIN)
def _acknowledged_before() -> AbstractContextManager[Any]:
    real = queue.EmbeddedQueue.finish

    @contextmanager
    def finish(self: Any, *given: Any) -> Iterator[None]:
        with real(self, *given):
            pass
        yield

    return patch.object(queue.EmbeddedQueue, "finish", finish)


@mutant(
    "what several messages have written counts while their lease does",
    shown_by="what several messages have written comes too late, and they are in hand again",
)
def _late_finish() -> AbstractContextManager[Any]:
    real = queue.EmbeddedQueue.finish

    @contextmanager
    def finish(self: Any, *given: Any) -> Iterator[None]:
        with patch.object(self, "_holds", lambda connection, leased: True), real(self, *given):
            yield

    return patch.object(queue.EmbeddedQueue, "finish", finish)


@mutant(
    "what was handed out together comes again one by one",
    shown_by="one of several messages ends its worker every time: it is set aside, and those before it are delivered",
)
def _alone() -> AbstractContextManager[Any]:
    return patch.object(queue, "_TAKEABLE", queue._TAKEABLE.replace("deliveries, keys.messages, alone_to", "0, keys.messages, 0"))


@mutant(
    "what the queue holds twice is not left to its source",
    shown_by="a feed's request is in the queue twice, and trouble comes between the parts of the second time",
)
def _twice() -> AbstractContextManager[Any]:
    def comes_again(self: attempt.Attempt) -> bool:
        return self._turn.let_through or self._audience.went_back_at > 0

    return patch.object(attempt.Attempt, "_comes_again", comes_again)


@mutant("claim on creation: one creator at a time")
def _claim() -> AbstractContextManager[Any]:
    def claim(audience: policy.Audience, *, owner: str, until: float, now: float) -> policy.Audience | None:
        if audience.partner_id is not None or audience.answers_to:
            return None
        return replace(audience, status="creating", claim_by=owner, claim_until=until, created_at=audience.created_at or now)

    return patch.object(policy, "claim", claim)
