"""Holds, seen from outside of a turn."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import Backend
from relay.domain.audience import ASK_AGAIN_S, HoldReason, HoldRequest, Waiting
from relay.domain.errors import NotFound
from relay.domain.outcome import Rejection
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, ask, held, message, rejection, request, users


def _due(backend: Backend, now: float) -> list[str]:
    return [audience.id for audience in backend.audiences.due(now)]


def _without_rejections(_: Sequence[Waiting]) -> list[Rejection]:
    return []


# what is due
def test_a_hold_is_due_when_its_time_has_come(backend: Backend) -> None:
    held(backend, "soon", why=request(due_at=BEGINNING + 30))
    held(backend, "later", why=request(due_at=BEGINNING + 40))
    held(backend, "when somebody says so", why=request("credentials_refused"))
    backend.audiences.begin_turn("pangolin", "not held", position=1, message_id="m1")
    assert _due(backend, BEGINNING + 29) == []
    assert _due(backend, BEGINNING + 30) == ["soon"]
    assert _due(backend, BEGINNING + 40) == ["soon", "later"]


@pytest.mark.parametrize("reason", ["connector_off", "paused"])
def test_a_hold_whose_reason_may_be_gone_is_always_due(backend: Backend, reason: HoldReason) -> None:
    held(backend, why=request(reason))
    assert _due(backend, BEGINNING) == ["a.1"]


@pytest.mark.parametrize("why", [request("paused"), request(due_at=BEGINNING)], ids=["reason", "time"])
def test_a_hold_that_was_asked_is_not_due_again_for_a_while(backend: Backend, clock: TurnedClock, why: HoldRequest) -> None:
    held(backend, why=why)
    ask(backend, "a.1")
    assert _due(backend, BEGINNING + ASK_AGAIN_S - 1) == []
    assert _due(backend, BEGINNING + ASK_AGAIN_S) == ["a.1"]


def test_the_next_due_time_is_the_earliest_that_was_not_asked(backend: Backend) -> None:
    assert backend.audiences.next_due() is None
    held(backend, "a.1", why=request(due_at=BEGINNING + 30))
    held(backend, "a.2", why=request(due_at=BEGINNING + 40))
    held(backend, "a.3", why=request("crashed"))
    assert backend.audiences.next_due() == BEGINNING + 30
    ask(backend, "a.1")
    assert backend.audiences.next_due() == BEGINNING + 40
    ask(backend, "a.2")
    assert backend.audiences.next_due() is None


def test_asking_where_nothing_is_held_does_nothing(backend: Backend) -> None:
    ask(backend, "unknown")
    assert backend.audiences.get("pangolin", "unknown") is None


# making due
def test_a_hold_is_made_due_even_if_it_was_just_asked(backend: Backend) -> None:
    held(backend, why=request("credentials_refused"))
    ask(backend, "a.1")
    assert backend.audiences.make_due("pangolin", "a.1") == 1
    assert _due(backend, BEGINNING) == ["a.1"]
    assert backend.audiences.next_due() == BEGINNING


def test_holds_of_a_connector_are_made_due_by_reason(backend: Backend) -> None:
    held(backend, "a.1", why=request("credentials_refused"))
    held(backend, "a.2", why=request("misconfigured"))
    held(backend, "a.3", why=request("crashed"))
    held(backend, "a.4", why=request("crashed"), connector="other")
    backend.audiences.begin_turn("pangolin", "not held", position=1, message_id="m1")
    reasons: set[HoldReason] = {"credentials_refused", "misconfigured"}
    assert backend.audiences.make_due("pangolin", reasons=reasons) == 2
    assert _due(backend, BEGINNING) == ["a.1", "a.2"]
    assert backend.audiences.make_due("pangolin") == 3
    assert backend.audiences.make_due("pangolin", "a.3", reasons=reasons) == 0
    assert backend.audiences.make_due("nobody") == 0


# pausing one audience
def test_one_audience_is_paused_and_goes_on(backend: Backend) -> None:
    backend.audiences.begin_turn("pangolin", "a.1", position=1, message_id="m1")
    assert backend.audiences.set_paused("pangolin", "a.1", True).paused
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=2, message_id="m2")
    assert turn.audience.paused
    assert not backend.audiences.set_paused("pangolin", "a.1", False).paused


def test_an_unknown_audience_cannot_be_paused(backend: Backend) -> None:
    with pytest.raises(NotFound):
        backend.audiences.set_paused("pangolin", "a.1", True)


# looking and dropping
def test_looking_into_a_hold_changes_nothing(backend: Backend) -> None:
    held(backend, "a.1", *(message("a.1", f"u{number}") for number in range(3)))
    before = backend.audiences.get("pangolin", "a.1")
    assert users(backend.audiences.peek("pangolin", "a.1", limit=2)) == [["u0"], ["u1"]]
    assert backend.audiences.peek("pangolin", "unknown", limit=2) == []
    assert backend.audiences.get("pangolin", "a.1") == before


def test_dropped_batches_become_the_rejections_made_of_them(backend: Backend) -> None:
    held(backend, "a.1", message("a.1", "u1", received_at=BEGINNING - 9), message("a.1", "u2"), message("a.1", "u3", "u4"))
    seen: list[list[str]] = []

    def reject(batches: Sequence[Waiting]) -> list[Rejection]:
        seen.extend(users(list(batches)))
        return [rejection(index=index) for index, _ in enumerate(batches)]

    assert backend.audiences.drop("pangolin", "a.1", older_than=None, limit=2, reject=reject) == 2
    assert seen == [["u1"], ["u2"]]
    assert [found.index for _, found in backend.reports.rejections("pangolin")] == [0, 1]
    audience = backend.audiences.get("pangolin", "a.1")
    assert audience is not None
    assert audience.hold is not None
    (left,) = backend.audiences.peek("pangolin", "a.1", limit=9)
    assert (audience.hold.batches, audience.hold.items, audience.hold.bytes) == (1, 2, left.bytes)
    assert (audience.hold.reason, audience.hold.oldest_at) == ("partner_unavailable", BEGINNING)


def test_a_hold_from_which_everything_was_dropped_is_lifted(backend: Backend) -> None:
    held(backend)
    assert backend.audiences.drop("pangolin", "a.1", older_than=None, limit=9, reject=_without_rejections) == 1
    audience = backend.audiences.get("pangolin", "a.1")
    assert audience is not None
    assert audience.hold is None


def test_only_batches_that_joined_before_are_dropped(backend: Backend, clock: TurnedClock) -> None:
    for position in (1, 2, 3):
        turn = backend.audiences.begin_turn("pangolin", "a.1", position=position, message_id=f"m{position}")
        backend.audiences.join(turn, message("a.1", f"u{position}"), request())
        clock.advance(10)
    dropped = backend.audiences.drop("pangolin", "a.1", older_than=BEGINNING + 20, limit=9, reject=_without_rejections)
    assert dropped == 2
    assert users(backend.audiences.peek("pangolin", "a.1", limit=9)) == [["u3"]]


def test_nothing_is_dropped_unless_its_rejections_are_stored(backend: Backend) -> None:
    held(backend)
    before = backend.audiences.get("pangolin", "a.1")

    def fail(_: Sequence[Waiting]) -> list[Rejection]:
        raise RuntimeError("no rejections")

    with pytest.raises(RuntimeError):
        backend.audiences.drop("pangolin", "a.1", older_than=None, limit=9, reject=fail)
    assert backend.audiences.get("pangolin", "a.1") == before
    assert len(backend.audiences.peek("pangolin", "a.1", limit=9)) == 1


def test_nothing_can_be_dropped_from_an_unknown_audience(backend: Backend) -> None:
    with pytest.raises(NotFound):
        backend.audiences.drop("pangolin", "a.1", older_than=None, limit=9, reject=_without_rejections)


# asking
def test_a_resume_is_asked_for_once_and_only_for_the_hold_that_was_read(backend: Backend) -> None:
    held(backend, "a.1")
    backend.audiences.make_due("pangolin", "a.1")
    read = backend.audiences.get("pangolin", "a.1")
    assert read is not None
    assert read.hold is not None
    assert backend.audiences.mark_asked(read)
    assert not backend.audiences.mark_asked(read), "another has asked since"
    backend.audiences.make_due("pangolin", "a.1")
    before = backend.audiences.get("pangolin", "a.1")
    assert not backend.audiences.mark_asked(replace(read, hold=replace(read.hold, due_at=0.5)))
    assert backend.audiences.get("pangolin", "a.1") == before


# all of them
def test_audiences_are_listed_by_connector_and_id(backend: Backend) -> None:
    for connector, audience in [("b", "2"), ("a", "9"), ("b", "1")]:
        backend.audiences.begin_turn(connector, audience, position=1, message_id="m1")
    assert [(audience.connector, audience.id) for audience in backend.audiences.all()] == [("a", "9"), ("b", "1"), ("b", "2")]
    assert [audience.id for audience in backend.audiences.all("b")] == ["1", "2"]
    assert backend.audiences.all("unknown") == []
