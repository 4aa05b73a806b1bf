"""Faults on demand."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests

from relay.pangolin.faults import CallLimit, Faults, InvalidFaults, parse
from relay.pangolin.server import InThread
from tests.clock import TurnedClock
from tests.unit.pangolin.conftest import Chance, Customer


@pytest.mark.parametrize(
    ("faults", "status", "headers"),
    [
        ({"status": 503}, 503, {}),
        ({"status": 404}, 404, {}),
        ({"status": 204}, 204, {}),
        ({"status": 503, "retry_after": 7}, 503, {"Retry-After": "7"}),
        ({"retry_after": 1.0}, 429, {"Retry-After": "1"}),
        ({"retry_after": "12"}, 429, {"Retry-After": "12"}),
        ({"retry_after": 999_999_999}, 429, {"Retry-After": "999999999"}),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        ({"unauthorized": True}, 401, {"WWW-Authenticate": "Bearer"}),
        ({"html": True}, 200, {"Content-Type": "text/html; charset=utf-8"}),
        ({"error_rate": 1}, 500, {}),
    ],
)
def test_a_fault_of_the_whole_call_is_answered_and_nothing_is_applied(
    customer: Customer, faults: dict[str, Any], status: int, headers: dict[str, str]
) -> None:
    audience = customer.create("ours/1")
    customer.break_it(**faults)

    answer = customer.add(audience, "a")

    assert answer.status_code == status
    assert {name: answer.headers[name] for name in headers} == headers
    customer.mend()
    assert customer.members(audience) == []
    assert customer.add(audience, "a").status_code == 200


def test_faults_concern_every_call_to_audiences_and_none_to_calls_and_faults(customer: Customer) -> None:
    customer.break_it(unauthorized=True)
    assert customer.call("GET", "/api/audiences").status_code == 401
    assert [call["status"] for call in customer.calls()] == [401]
    assert customer.call("GET", "/api/faults").json() == {"unauthorized": True}


def test_rejected_users_are_named_by_index_and_the_others_are_applied(customer: Customer) -> None:
    audience = customer.create("ours/1")
    customer.add(audience, "stays")
    customer.break_it(reject_users=["bad", "stays"])

    answer = customer.add(audience, "a", "bad", "b", "bad").json()
    removal = customer.remove(audience, "a", "stays").json()

    assert answer["accepted"] == 2
    assert [one["index"] for one in answer["rejected"]] == [1, 3]
    assert all(one["code"] and one["message"] for one in answer["rejected"])
    assert [one["index"] for one in removal["rejected"]] == [1]
    assert customer.members(audience) == ["b", "stays"]


def test_a_poisonous_user_costs_the_whole_call_without_being_named(customer: Customer) -> None:
    audience = customer.create("ours/1")
    customer.break_it(poison_users=["poison"])

    refused = customer.add(audience, "a", "poison", "b")

    assert refused.status_code == 400
    assert set(refused.json()) == {"error"}
    assert "poison" not in refused.text
    assert customer.members(audience) == []
    assert customer.add(audience, "a", "b").json()["accepted"] == 2


def test_latency_waits_first_and_then_applies_even_if_the_client_has_gone(customer: Customer) -> None:
    audience = customer.create("ours/1")
    customer.break_it(latency_ms=400, calls=1)
    body = {"users": [{"id": "late"}]}

    with pytest.raises(requests.ReadTimeout):
        customer.call("POST", f"/api/audiences/{audience}/users", body, timeout=0.05)

    assert customer.members(audience) == []
    wait_until(lambda: customer.members(audience) == ["late"])


def test_a_call_that_hangs_is_neither_applied_nor_answered(customer: Customer, server: InThread) -> None:
    audience = customer.create("ours/1")
    customer.break_it(hang=True)
    with pytest.raises(requests.ReadTimeout):
        customer.call("POST", f"/api/audiences/{audience}/users", {"users": [{"id": "never"}]}, timeout=0.2)
    assert customer.calls()[-1]["status"] == 0

    ended: list[Exception] = []

    def hang() -> None:
        try:
            requests.get(server.url + "/api/audiences", headers=dict(customer.session.headers), timeout=60)
        except requests.ConnectionError as error:
            ended.append(error)

    calls = len(customer.calls())
    waiting = threading.Thread(target=hang)
    waiting.start()
    wait_until(lambda: len(customer.calls()) > calls)
    customer.mend()
    server.restart()
    waiting.join(30)

    assert len(ended) == 1, "a restart breaks the connection instead of answering"
    assert customer.members(audience) == []


def test_the_error_rate_is_a_matter_of_chance(customer: Customer, chance: Chance) -> None:
    customer.break_it(error_rate=0.25)
    statuses = {}
    for drawn in (0.0, 0.24, 0.25, 0.99):
        chance.next = lambda drawn=drawn: drawn  # type: ignore[misc]
        statuses[drawn] = customer.call("GET", "/api/audiences").status_code
    assert statuses == {0.0: 500, 0.24: 500, 0.25: 200, 0.99: 200}


def test_calls_beyond_the_limit_are_told_when_to_come_back(customer: Customer, clock: TurnedClock) -> None:
    customer.break_it(limit_per_s=2)

    answers = [customer.call("GET", "/api/audiences") for _ in range(3)]
    clock.advance(1)
    later = customer.call("GET", "/api/audiences")

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] == "1"
    assert later.status_code == 200


def test_the_limit_holds_in_any_second_and_refused_calls_do_not_count() -> None:
    limit = CallLimit()
    assert [limit.take(2, now) for now in (0.0, 0.5)] == [0, 0]
    assert limit.take(2, 0.75) == 0.25
    assert limit.take(2, 1.0) == 0
    assert limit.take(2, 1.25) == 0.25
    assert limit.take(0.5, 2.0) == 0
    assert limit.take(0.5, 3.0) == 1.0


def test_faults_can_end_by_themselves_after_some_calls(customer: Customer, server: InThread) -> None:
    customer.break_it(status=500, calls=2)
    first = customer.call("GET", "/api/audiences").status_code
    assert customer.call("GET", "/api/faults").json() == {"status": 500, "calls": 1}
    server.restart()
    rest = [customer.call("GET", "/api/audiences").status_code for _ in range(2)]
    assert [first, *rest] == [500, 500, 200]
    assert customer.call("GET", "/api/faults").json() == {}


def test_new_faults_replace_the_old_ones(customer: Customer) -> None:
    customer.break_it(status=500, reject_users=["a"])
    customer.break_it(latency_ms=1)
    assert customer.call("GET", "/api/faults").json() == {"latency_ms": 1}


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ("{", "JSON"),
        ("[]", "JSON object"),
        ('{"latancy_ms": 5}', "latancy_ms"),
        ('{"latency_ms": -1}', "latency_ms"),
        ('{"latency_ms": "5"}', "latency_ms"),
        ('{"hang": 1}', "hang"),
        ('{"error_rate": 1.5}', "error_rate"),
        ('{"status": 99}', "status"),
        ('{"retry_after": "soon"}', "retry_after"),
        ('{"retry_after": -1}', "retry_after"),
        ('{"retry_after": true}', "retry_after"),
        ('{"retry_after": ""}', "retry_after"),
        ('{"retry_after": "\u0661\u0662"}', "retry_after"),
        ('{"retry_after": "7\\r\\nX-More: 1"}', "retry_after"),
        ('{"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT\\r\\nX-More: 1"}', "retry_after"),
        ('{"retry_after": "Wed, 21 Oct 2026\\r\\n 07:28:00 GMT"}', "retry_after"),
        ('{"retry_after": "Wed, \u0662\u0661 Oct 2026 07:28:00 GMT"}', "retry_after"),
        ('{"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT (\u00fcber)"}', "retry_after"),
        ('{"retry_after": "Wed, 41 Oct 2026 07:28:00 GMT"}', "retry_after"),
        ('{"retry_after": 1000000000}', "retry_after"),
        ('{"retry_after": 1e300}', "retry_after"),
        ('{"reject_users": "a"}', "reject_users"),
        ('{"poison_users": [5]}', "poison_users"),
        ('{"limit_per_s": 0}', "limit_per_s"),
        ('{"calls": 0}', "calls"),
    ],
)
def test_faults_that_make_no_sense_are_refused_by_name(document: str, named: str) -> None:
    with pytest.raises(InvalidFaults) as refusal:
        parse(document)
    assert named in str(refusal.value)


@pytest.mark.parametrize("retry_after", ["\u0661\u0662", "Wed, 21 Oct 2026 07:28:00 GMT\r\nX-More: 1"])
def test_a_retry_after_that_no_header_can_carry_is_refused_and_the_calls_go_on(customer: Customer, retry_after: str) -> None:
    assert customer.call("PUT", "/api/faults", {"retry_after": retry_after}).status_code == 400
    assert customer.call("GET", "/api/audiences").status_code == 200


def test_faults_that_make_no_sense_change_nothing(customer: Customer) -> None:
    customer.break_it(status=500)
    refused = customer.call("PUT", "/api/faults", {"status": "high"})
    assert (refused.status_code, "status" in refused.json()["error"]) == (400, True)
    assert customer.call("GET", "/api/faults").json() == {"status": 500}


def test_a_fault_that_is_null_is_not_there() -> None:
    assert parse('{"status": null, "hang": true}') == Faults(hang=True)


def wait_until(condition: Any) -> None:
    pause = threading.Event()
    for _ in range(600):
        if condition():
            return
        pause.wait(0.05)
    raise AssertionError("it never came about")
