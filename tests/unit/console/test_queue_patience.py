"""How long a test through the queue waits for what is on hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.domain.audience import HoldRequest
from relay.domain.message import Mutation, decode
from relay.domain.outcome import Report
from relay.operating.queue_test import QueueTest
from tests.clock import TurnedClock

PATIENCE_S = 30.0


class Waking(TurnedClock):
    """Does something when so many seconds have been slept."""

    def __init__(self, after_s: float, wake: Callable[[], None]) -> None:
        super().__init__()
        self._left_s, self._wake = after_s, wake

    def sleep(self, seconds: float) -> None:
        before, self._left_s = self._left_s, self._left_s - seconds
        super().sleep(seconds)
        if self._left_s <= 0 < before:
            self._wake()


def put_on_hold(backend: EmbeddedBackend, why: HoldRequest) -> None:
    """As a worker does with the message that waits in the queue."""
    leased = backend.queue.take()
    assert leased is not None
    turn = backend.audiences.begin_turn("shop", "seven", position=leased.position, message_id=leased.message_id)
    backend.audiences.join(turn, decode(leased.body), why)
    backend.queue.acknowledge(leased)


def deliver(backend: EmbeddedBackend, clock: TurnedClock, request_id: str) -> None:
    """The resumed hold, as the worker reports it."""
    report = Report(1, "attempt", "shop", 1, "seven", "resume", (request_id,), clock.now(), 5.0, {"delivered": 1})
    backend.reports.attempt(report, [])


INCOMPLETE = HoldRequest(reason="connector_off", due_at=None, detail="The connector is incomplete: …")


def test_a_secret_that_was_set_a_moment_ago_is_waited_for_until_the_worker_knows_it(
    backend: EmbeddedBackend, publishing: Publishing
) -> None:
    sent: list[str] = []
    clock = Waking(8, lambda: deliver(backend, clock, sent[0]))
    trial = QueueTest(backend, clock, publishing.live("shop"), "seven")
    sent.append(trial.send(Mutation(0, user={"id": "u"}), "joined"))
    put_on_hold(backend, INCOMPLETE)

    (step,) = trial.wait(sent[0], "joined", PATIENCE_S)

    assert step.outcome == "delivered"


@pytest.mark.parametrize("switched_off", [True, False])
def test_what_waits_for_somebody_is_told_at_once_and_all_else_when_the_patience_is_at_its_end(
    backend: EmbeddedBackend, publishing: Publishing, switched_off: bool
) -> None:
    clock = TurnedClock()
    trial = QueueTest(backend, clock, publishing.live("shop"), "seven")
    sent = trial.send(Mutation(0, user={"id": "u"}), "joined")
    put_on_hold(backend, INCOMPLETE)
    if switched_off:
        publishing.set_enabled("shop", False)
    began = clock.monotonic()

    (step,) = trial.wait(sent, "joined", PATIENCE_S)

    assert step.outcome == "waiting"
    assert clock.monotonic() - began == (0 if switched_off else pytest.approx(PATIENCE_S, abs=1))
