"""What an attempt keeps of its calls to the partner: masked, of every kind, and bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from adapters import masking
from adapters.contract import HttpAnswer, HttpRequest, Row, Target
from adapters.registry import open_adapter
from relay.domain.clock import SystemClock
from relay.domain.connector import Connector
from relay.domain.exchange import Exchange
from tests.contract.adapters.harness import NoTokens
from tests.contract.backends.given import connector
from tests.promise.world import TOKEN, World
from tests.unit.worker.given import THREE, warm
from worker.exchanges import KEPT, KEPT_OF_TROUBLE, MOST_BYTES, Recording, Sent

REQUEST = HttpRequest("POST", "http://127.0.0.1/api/audiences/pg_1/users", body={"users": [{"id": "ann-77"}]})


def exchanges(world: World) -> list[Exchange]:
    """Of the newest attempt."""
    [newest] = world.backend.reports.attempts(limit=1)
    found = world.backend.reports.exchanges(newest.attempt_id)
    return list(found.kept) if found else []


def test_an_attempt_keeps_what_was_sent_and_answered_without_who_it_was(world: World) -> None:
    warm(world)
    world.accept(THREE)
    world.work()

    [one] = exchanges(world)

    assert (one.method, one.status, one.operation, one.items, one.problem) == ("POST", 200, "add", 3, "")
    assert one.url.startswith("http://127.0.0.1:")
    assert one.url.endswith("/users")
    assert msgspec.json.decode(one.sent.masked) == {"users": [{"id": f"‹user {number}: id›"} for number in (1, 2, 3)]}
    assert msgspec.json.decode(one.answered.masked) == {"accepted": 3, "rejected": []}
    assert [place for _, place in one.users] == [0, 1, 2], "where they are in the DMP's request"
    assert len({request_id for request_id, _ in one.users}) == 1


def test_the_calls_that_make_the_audience_are_kept_too(world: World) -> None:
    world.accept([("a.1", "u0", "joined")])
    world.work()

    assert [(one.method, one.operation, bool(one.users)) for one in exchanges(world)] == [
        ("POST", "", False),
        ("GET", "", False),
        ("POST", "add", True),
    ]


def test_calls_before_a_rate_was_used_up_are_kept_though_no_user_was_sent(make_world: Callable[..., World]) -> None:
    world = make_world(rate="{calls: 2, per: 60s}")
    world.accept([("a.1", "u0", "joined")])
    world.work()

    [report] = world.backend.reports.attempts("pangolin")
    assert (report.problem, report.counts, report.calls) == ("postponed", {"retry": 1}, ())
    assert [(one.method, one.status, one.operation) for one in exchanges(world)] == [("POST", 201, ""), ("GET", 200, "")]

    world.work()
    world.tick(1)
    assert len(world.backend.reports.attempts("pangolin")) == 1, "a turn that made no call is no attempt"


@pytest.mark.parametrize(
    ("fault", "status", "problem", "note"),
    [
        ({"status": 500}, 500, "", ""),
        ({"html": True}, 200, "", "nothing of it is kept"),
        ({"hang": True}, 0, "timeout", ""),
        ({"unauthorized": True}, 401, "", ""),
    ],
)
def test_calls_that_went_wrong_are_kept(
    make_world: Callable[..., World], fault: dict[str, Any], status: int, problem: str, note: str
) -> None:
    world = make_world(answer="500ms")
    warm(world)
    world.faults(**fault)
    world.accept(THREE)
    world.work()

    found = exchanges(world)

    assert {(one.status, one.problem) for one in found} == {(status, problem)}
    assert all(note in one.answered.note for one in found)
    assert all("‹user 1: id›" in one.sent.masked for one in found)


# the bounds
@pytest.fixture
def recording() -> Recording:
    one: Connector = connector()
    adapter = open_adapter(one, {"token": TOKEN}, clock=SystemClock(), tokens=NoTokens(), complete=False)
    return Recording(one, adapter, ["a.1", "Buyers"])


def reply(status: int = 200, body: Any = None) -> HttpAnswer:
    return HttpAnswer(status, {}, msgspec.json.encode(body), 1.0)


def test_the_first_calls_are_kept_and_some_with_trouble_and_the_others_counted(recording: Recording) -> None:
    for _ in range(100):
        recording(REQUEST, reply(), 1.0, "")
    for _ in range(50):
        recording(REQUEST, reply(500), 1.0, "")
        recording(REQUEST, None, 1.0, "timeout")

    found = recording.exchanges

    assert found is not None
    assert [one.status for one in found.kept] == [200] * KEPT + [500, 0, 500, 0, 500]
    assert len(found.kept) == KEPT + KEPT_OF_TROUBLE
    assert found.left_out == 200 - len(found.kept)


def test_of_an_operation_that_went_well_for_all_no_further_calls_are_kept(recording: Recording) -> None:
    target = Target("a.1", "a.1", "pg_1", "pangolin/a.1")

    def send(operation: str, *replies: HttpAnswer) -> None:
        with recording.sending(operation, target, [Row({"id": "ann-77"}, "event", 0.0)]):
            for one in replies:
                recording(REQUEST, one, 1.0, "")

    send("add", reply(), reply(202))
    recording.carried_out("add", for_all=True)
    send("add", reply(), reply(500))
    send("remove", reply(201))
    kept = recording.exchanges
    assert kept is not None
    assert [(one.operation, one.status) for one in kept.kept] == [("add", 200), ("add", 202), ("add", 500), ("remove", 201)]
    assert kept.left_out == 1


def test_a_later_call_of_it_that_did_not_go_well_for_all_is_kept(make_world: Callable[..., World]) -> None:
    world = make_world(max_items=3)
    warm(world)
    world.faults(reject_users=["u5"])
    world.accept([("a.1", f"u{number}", "joined") for number in range(9)])
    world.work()

    found = exchanges(world)
    assert [(one.operation, one.status, one.items) for one in found] == [("add", 200, 3), ("add", 200, 3)]
    assert [place for _, place in found[1].users] == [3, 4, 5]
    assert "\"index\":2" in found[1].answered.masked
    [newest] = world.backend.reports.attempts(limit=1)
    kept = world.backend.reports.exchanges(newest.attempt_id)
    assert kept is not None
    assert kept.left_out == 1


def test_an_attempt_of_many_calls_keeps_the_first(make_world: Callable[..., World]) -> None:
    world = make_world(max_items=1)
    warm(world)
    world.accept(THREE)
    world.work()

    assert [(one.operation, one.status) for one in exchanges(world)] == [("add", 200)]


def test_the_bodies_of_an_attempt_are_bounded_together(recording: Recording) -> None:
    large = {"results": [{"errors": [{"message": "x" * 90, "code": 1}] * 3, "data": list(range(10))}] * 3}
    for _ in range(20):
        recording(msgspec.structs.replace(REQUEST, body=large), reply(500, large), 1.0, "")

    found = recording.exchanges

    assert found is not None
    assert sum(len(content.masked.encode()) for one in found.kept for content in (one.sent, one.answered)) <= MOST_BYTES
    assert len(msgspec.json.encode(found)) < 2 * MOST_BYTES


def test_without_any_call_there_is_nothing(recording: Recording) -> None:
    assert recording.exchanges is None


def test_what_cannot_be_masked_is_not_kept_and_costs_nothing(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("ann-77")

    monkeypatch.setattr(masking, "masked_url", fail)
    target = Target("a.1", "Buyers", "pg_1", "pangolin/a.1")
    with recording.sending("add", target, [Row({"id": "ann-77"}, "event", 0.0)] * 2, [("request", 4), ("request", 5)]):
        recording(REQUEST, reply(), 1.0, "")

    assert recording.exchanges is not None
    [one] = recording.exchanges.kept
    assert one.sent.note == "It could not be masked: nothing of it is kept."
    assert (one.operation, one.items, one.users) == ("add", 2, (("request", 4), ("request", 5))), "which are no part of it"
    assert "ann-77" not in msgspec.json.encode(one).decode()


def test_a_user_of_ten_thousand_whose_id_is_a_word_is_masked_in_the_answer(recording: Recording) -> None:
    rows = [Row({"id": f"u{number}"}, "event", 0.0) for number in range(9_999)] + [Row({"id": "Buyers"}, "event", 0.0)]
    target = Target("a.1", "Buyers", "pg_1", "pangolin/a.1")
    with recording.sending("add", target, rows, [("request", 0)] * 3):
        recording(REQUEST, reply(200, {"name": "Buyers", "accepted": 9_999, "id": "pg_1"}), 1.0, "")

    assert recording.exchanges is not None
    [one] = recording.exchanges.kept
    assert msgspec.json.decode(one.answered.masked) == {"name": "‹text, 6 characters›", "accepted": 9_999, "id": "pg_1"}
    assert (one.items, len(one.users)) == (10_000, 3)


@pytest.mark.parametrize("others", [[], ["ann", "bo 1b"], ["ann\n", "\n", "x\n\ny"], [7], [["a", "b"]]])
@pytest.mark.parametrize("written", ["0005551", "+5551", " 5551\n", "5551.0", "55-51", "5\n551", "\n\n5551", "५५५१"])
def test_a_number_is_told_of_any_of_the_rows_whatever_they_are(written: str, others: list[Any]) -> None:
    values = [*others, written, *others]

    for rows in ([{"id": one} for one in values], [{f"f{number}": one} for number, one in enumerate(values)]):
        is_sent = Sent([Row(row, "event", 0.0) for row in rows])
        digits = "५५५१" if written == "५५५१" else "5551"
        assert is_sent(written)
        assert is_sent(digits)
        assert is_sent(f"+{digits}.0")
        assert not is_sent("551")
        assert not is_sent("buyers")
        assert all(is_sent(one) for one in others if isinstance(one, str))
        assert [one for one in others if isinstance(one, list) and not is_sent(one[0])] == []
