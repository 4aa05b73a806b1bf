"""What the worker does often costs about the same however much waits: counted in steps of SQLite's machine, not in time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relay.backends.embedded import EmbeddedBackend, audience_rows
from relay.domain import audience as policy
from relay.domain.connector import RateLimits
from relay.domain.message import encode
from tests.contract.backends.given import BEGINNING, message, rejection, request

MANY = 3_000
_GRAIN = 10


def _steps(backend: EmbeddedBackend, work: Callable[[], object]) -> int:
    number = 0

    def count() -> int:
        nonlocal number
        number += _GRAIN
        return 0

    connection = backend.database.connection()
    connection.set_progress_handler(count, _GRAIN)
    work()
    connection.set_progress_handler(None, 0)
    return number


def _take_and_acknowledge(backend: EmbeddedBackend) -> None:
    leased = backend.queue.take()
    assert leased is not None
    assert backend.queue.acknowledge(leased)


def test_a_long_line_behind_one_leased_key_is_not_walked_along(backend: EmbeddedBackend) -> None:
    backend.queue.publish([message("large")] * MANY)
    assert backend.queue.take() is not None
    backend.queue.publish([message("small")])
    assert _steps(backend, lambda: _take_and_acknowledge(backend)) < MANY / 4


def test_a_long_line_of_one_key_is_worked_off_from_its_head(backend: EmbeddedBackend) -> None:
    backend.queue.publish([message("large")] * MANY)
    assert _steps(backend, lambda: _take_and_acknowledge(backend)) < MANY / 4


def test_the_keys_of_a_busy_connector_are_not_walked_along(backend: EmbeddedBackend) -> None:
    backend.queue.publish([message(f"a.{number}", connector="busy") for number in range(MANY)])
    backend.queue.publish([message("a.1", connector="free")])
    leased = None

    def take() -> None:
        nonlocal leased
        leased = backend.queue.take(busy=("busy",))

    assert _steps(backend, take) < MANY / 4
    assert leased is not None


def test_the_next_call_of_a_turn_is_one_look_at_the_store(backend: EmbeddedBackend) -> None:
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=1, message_id="m1")
    statements: list[str] = []
    backend.database.connection().set_trace_callback(statements.append)
    assert backend.connectors.admit("pangolin", RateLimits(), items=1, turn=turn) == 0
    assert len(statements) == 1


def test_an_idle_look_at_the_queue_writes_nothing(backend: EmbeddedBackend) -> None:
    statements: list[str] = []
    backend.queue.publish([message()])
    assert backend.queue.take() is not None
    backend.database.connection().set_trace_callback(statements.append)
    assert backend.queue.take() is None
    assert "BEGIN IMMEDIATE" not in statements


@pytest.mark.parametrize(
    ("connector", "audience", "user_hash"),
    [
        (None, None, None),
        ("one", None, None),
        ("one", "a.2", None),
        (None, "a.2", None),
        ("one", None, "beef"),
        (None, None, "beef"),
    ],
)
def test_the_newest_rejections_are_found_without_walking_along_all(
    backend: EmbeddedBackend, connector: str | None, audience: str | None, user_hash: str | None
) -> None:
    wanted = [rejection("one", index=index, audience="a.2", user_hash="beef") for index in range(5)]
    backend.reports.add_rejections(rejection("one", index=1_000_000 + index) for index in range(MANY))
    backend.reports.add_rejections(wanted)
    backend.reports.add_rejections(rejection("other", index=index) for index in range(MANY if connector else 0))
    later = range(2_000_000, 2_000_000 + (MANY if audience or user_hash else 0))
    backend.reports.add_rejections(rejection("one", index=index) for index in later)

    def newest() -> None:
        found = backend.reports.rejections(connector, audience=audience, user_hash=user_hash, limit=5, newest_first=True)
        assert [one.index for _, one in found] == [4, 3, 2, 1, 0]

    assert _steps(backend, newest) < MANY / 4


def _with_a_large_hold(backend: EmbeddedBackend) -> None:
    batch = message("a.1", "u1")
    body = encode(batch)
    audience = backend.audiences.begin_turn("pangolin", "a.1", position=1, message_id="first").audience
    with backend.database.transaction() as connection:
        for number in range(MANY):
            audience, place = policy.join(audience, batch, len(body), request(), now=BEGINNING)
            audience_rows.add_batch(connection, place, f"m{number}", batch, body, now=BEGINNING)
        audience_rows.save(connection, audience)


def test_joining_and_settling_do_not_walk_along_the_hold(backend: EmbeddedBackend) -> None:
    _with_a_large_hold(backend)

    def join_and_settle() -> None:
        turn = backend.audiences.begin_turn("pangolin", "a.1", position=2, message_id="newest")
        backend.audiences.join(turn, message("a.1", "u2"), request())
        first = backend.audiences.waiting(turn, max_items=2, max_bytes=1_000_000)
        assert len(first) == 2
        settled = backend.audiences.settle(turn, taken=first, rest=(), request=None, progress=True)
        assert settled.hold is not None
        assert (settled.hold.batches, settled.hold.items) == (MANY - 1, MANY - 1)

    assert _steps(backend, join_and_settle) < MANY / 2


def test_dropping_the_first_batches_does_not_walk_along_the_hold(backend: EmbeddedBackend) -> None:
    _with_a_large_hold(backend)

    def drop() -> None:
        for older_than, dropped in [(BEGINNING, 0), (BEGINNING + 1, 3)]:
            number = backend.audiences.drop("pangolin", "a.1", older_than=older_than, limit=3, reject=lambda _: [])
            assert number == dropped

    assert _steps(backend, drop) < MANY / 2


def test_a_look_at_the_holds_does_not_walk_along_those_that_wait_for_later(backend: EmbeddedBackend) -> None:
    with backend.database.transaction() as connection:
        for number in range(MANY):
            audience = policy.Audience(version=policy.VERSION, connector="pangolin", id=f"a.{number}")
            reason: policy.HoldReason = "paused" if number == 7 else "partner_unavailable"
            due_at = None if reason == "paused" else BEGINNING + (number != 5)
            held, _ = policy.join(audience, message(audience.id), 1, request(reason, due_at=due_at), now=BEGINNING)
            audience_rows.save(connection, held)

    def look() -> None:
        assert [one.id for one in backend.audiences.due(BEGINNING)] == ["a.7", "a.5"]
        assert backend.audiences.next_due() == BEGINNING

    assert _steps(backend, look) < MANY / 4


def test_an_attempt_is_found_by_its_id_along_an_index(backend: EmbeddedBackend) -> None:
    connection = backend.database.connection()
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    assert backend.reports.attempt_by_id("an attempt") is None
    connection.set_trace_callback(None)

    (statement,) = asked
    plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))
    assert "USING INDEX attempts_by_id" in plan
