"""The API of the test platform."""

from __future__ import annotations

import pytest
import requests

from relay.pangolin.server import InThread
from tests.clock import TurnedClock
from tests.unit.pangolin.conftest import Customer


def test_a_new_reference_makes_an_audience_and_the_same_again_finds_it(customer: Customer) -> None:
    first = customer.call("POST", "/api/audiences", {"name": "Spring", "reference": "ours/a.b"})
    again = customer.call("POST", "/api/audiences", {"name": "Summer", "reference": "ours/a.b"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert first.json() == {"id": first.json()["id"], "name": "Spring", "reference": "ours/a.b", "size": 0}


def test_without_a_reference_every_creation_makes_another_audience(customer: Customer) -> None:
    ids = {customer.call("POST", "/api/audiences", {"name": "Same"}).json()["id"] for _ in range(2)}
    assert len(ids) == 2


def test_audiences_are_listed_page_by_page_oldest_first(customer: Customer) -> None:
    made = [customer.create(f"ours/{number}") for number in range(5)]

    seen, after = [], ""
    while after is not None:
        page = customer.call("GET", f"/api/audiences?limit=2&after={after}").json()
        seen.append([one["id"] for one in page["audiences"]])
        after = page["next"]

    assert seen == [made[0:2], made[2:4], made[4:]]


def test_a_deleted_audience_is_gone_with_its_members_and_its_reference_is_free(customer: Customer) -> None:
    gone = customer.create("ours/1")
    customer.add(gone, "a")

    assert customer.call("DELETE", f"/api/audiences/{gone}").status_code == 200
    assert customer.call("DELETE", f"/api/audiences/{gone}").status_code == 404
    assert customer.add(gone, "b").status_code == 404
    made = customer.create("ours/1")
    assert made != gone
    assert customer.call("GET", f"/api/audiences/{made}/users").json()["users"] == []


def test_adding_and_removing_are_set_operations(customer: Customer) -> None:
    audience = customer.create("ours/1")

    assert customer.add(audience, "b", "a", "a").json() == {"accepted": 3, "rejected": []}
    assert customer.add(audience, "a", "c").json() == {"accepted": 2, "rejected": []}
    assert customer.remove(audience, "b", "unknown", "b").json() == {"accepted": 3, "rejected": []}

    assert customer.members(audience) == ["a", "c"]
    assert customer.size(audience) == 2


def test_members_are_listed_page_by_page_in_the_order_of_their_ids(customer: Customer) -> None:
    audience = customer.create("ours/1")
    customer.add(audience, *[f"u{number}" for number in (3, 1, 5, 2, 4)])

    seen, after = [], ""
    while after is not None:
        page = customer.call("GET", f"/api/audiences/{audience}/users?limit=2&after={after}").json()
        seen.append([user["id"] for user in page["users"]])
        after = page["next"]

    assert seen == [["u1", "u2"], ["u3", "u4"], ["u5"]]


def test_members_of_one_audience_are_none_of_another(customer: Customer) -> None:
    one, other = customer.create("ours/1"), customer.create("ours/2")
    customer.add(one, "a")
    customer.remove(other, "a")
    assert (customer.members(one), customer.members(other)) == (["a"], [])


def test_a_hundred_users_fit_in_a_call_and_one_more_does_not(customer: Customer) -> None:
    audience = customer.create("ours/1")
    users = [f"u{number}" for number in range(101)]

    refused = customer.add(audience, *users)

    assert refused.status_code == 413
    assert customer.size(audience) == 0
    assert customer.add(audience, *users[:100]).json()["accepted"] == 100


def test_an_id_that_is_empty_or_too_long_is_rejected_by_itself(customer: Customer) -> None:
    audience = customer.create("ours/1")
    answer = customer.add(audience, "good", "", "x" * 513).json()
    assert answer["accepted"] == 1
    assert [(one["index"], one["code"]) for one in answer["rejected"]] == [(1, "invalid_id"), (2, "invalid_id")]


@pytest.mark.parametrize("user", ["nul\x00inside", "Ünïcödé", "🦎", "a/b?c=d&e", "x" * 512, " "])
def test_any_text_can_be_an_id(standing: Customer, user: str) -> None:
    audience = standing.create(f"ours/any text {len(user)} {user[:20]}")
    standing.add(audience, user)
    assert standing.members(audience) == [user]


def test_fields_that_are_not_known_do_no_harm(customer: Customer) -> None:
    audience = customer.create("ours/1")
    body = {"users": [{"id": "a", "plan": "gold"}], "trace": 7}
    assert customer.call("POST", f"/api/audiences/{audience}/users", body).json()["accepted"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/audiences", b"{", 400),
        ("POST", "/api/audiences", b"", 400),
        ("POST", "/api/audiences", b"[]", 400),
        ("POST", "/api/audiences", b'{"reference": "r"}', 400),
        ("POST", "/api/audiences", b'{"name": " "}', 400),
        ("POST", "/api/audiences", b'{"name": 5}', 400),
        ("POST", "/api/audiences", b'{"name": "n", "reference": 5}', 400),
        ("POST", "/api/audiences", b'{"name": "' + b"n" * 1_001 + b'"}', 400),
        ("POST", "/api/audiences", b'{"name": "\xff"}', 400),
        ("POST", "/api/audiences", b'{"name": "\\ud800"}', 400),
        ("POST", "/api/audiences", b"[" * 50_000, 400),
        ("POST", "/api/audiences", b" " * (1024 * 1024 + 1), 413),
        ("GET", "/api/audiences?limit=0", b"", 400),
        ("GET", "/api/audiences?limit=many", b"", 400),
        ("GET", "/api/audiences?after=nowhere", b"", 400),
        ("GET", "/api/audiences/nowhere", b"", 404),
        ("GET", "/api/audiences/nowhere/users", b"", 404),
        ("POST", "/api/audiences/nowhere/users", b'{"users": []}', 404),
        ("DELETE", "/api/audiences/nowhere/users", b'{"users": []}', 404),
        ("POST", "/api/audiences/{audience}/users", b"null", 400),
        ("POST", "/api/audiences/{audience}/users", b'{"users": {"id": "a"}}', 400),
        ("POST", "/api/audiences/{audience}/users", b'{"users": ["a"]}', 400),
        ("POST", "/api/audiences/{audience}/users", b'{"users": [{"id": "a"}, {"id": 5}]}', 400),
        ("POST", "/api/audiences/{audience}/users", b'{"users": [{"id": "a"}, {}]}', 400),
        ("PATCH", "/api/audiences", b"", 405),
        ("GET", "/api/nothing", b"", 404),
        ("GET", "/api/calls?limit=-1", b"", 400),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(
    standing: Customer, method: str, path: str, body: bytes, status: int
) -> None:
    audience = standing.create("ours/unreadable")
    answer = standing.call(method, path.replace("{audience}", audience), data=body)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)
    assert standing.members(audience) == []


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", "Basic a-token-for-tests", "Bearer a-token-for-testsé"])
@pytest.mark.parametrize("path", ["/api/audiences", "/api/calls", "/api/faults"])
def test_every_call_needs_the_token(standing: Customer, path: str, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given.encode("latin-1")}
    answer = requests.get(standing.server.url + path, headers=headers, timeout=30)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["error"]


def test_calls_are_listed_oldest_first_without_users(customer: Customer, clock: TurnedClock) -> None:
    audience = customer.create("ours/1")
    began = clock.now()
    clock.advance(5)
    customer.add(audience, "secret-user-1", "secret-user-2")
    customer.call("GET", f"/api/audiences/{audience}/users?after=secret-user-1")
    customer.call("GET", "/api/audiences/nowhere")

    calls = customer.calls()

    users = f"/api/audiences/{audience}/users"
    assert calls == [
        {"time": began, "method": "POST", "path": "/api/audiences", "count": 0, "status": 201},
        {"time": began + 5, "method": "POST", "path": users, "count": 2, "status": 200},
        {"time": began + 5, "method": "GET", "path": users, "count": 0, "status": 200},
        {"time": began + 5, "method": "GET", "path": "/api/audiences/nowhere", "count": 0, "status": 404},
    ]
    assert customer.call("GET", "/api/calls?limit=2").json() == calls[-2:]


def test_calls_about_calls_and_faults_are_not_listed(customer: Customer) -> None:
    customer.break_it(latency_ms=0)
    customer.mend()
    customer.calls()
    assert customer.calls() == []


def test_its_state_survives_a_restart(customer: Customer, server: InThread) -> None:
    audience = customer.create("ours/1")
    customer.add(audience, "a", "b")
    customer.break_it(reject_users=["c"])
    before = customer.calls()

    server.restart()

    assert customer.calls() == before
    assert customer.members(audience) == ["a", "b"]
    assert customer.create("ours/1") == audience
    assert customer.call("GET", "/api/faults").json() == {"reject_users": ["c"]}
