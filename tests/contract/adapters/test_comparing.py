"""The suite notices what is otherwise than a case file says."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.contract.adapters.case_file import Answer, Case, Given
from tests.contract.adapters.comparing import call_differences, outcome_differences
from tests.contract.adapters.expected import Patterns, mentioned
from tests.contract.adapters.scripted_partner import Call, ScriptedPartner

ANN = hashlib.sha256(b"ann@example.com").hexdigest()
CALL = Call("POST", "/users", {"v": "2"}, {"x-key": "k"}, '{"users":[{"id":"a"}]}', {"users": [{"id": "a"}]})
DELIVERED = {"outcome": "delivered", "code": "", "hint": ""}
REJECTED = {"outcome": "rejected", "code": "bad", "hint": "It is bad."}
WAITING = {"outcome": "waiting", "code": "", "hint": "Slow.", "reason": "come_back_later", "due_in": 120.0}


@pytest.mark.parametrize(("expected", "actual"), [
    ({"a": 1}, {"a": 1}),
    ([1, "{any}"], [1, {"x": None}]),
    ("{sha256:ann@example.com}", ANN),
    (["{key}", "{key}"], [7, 7]),
    ({"id": "{one}", "other": "{two}"}, {"id": 1, "other": 2}),
])  # fmt: skip
def test_what_is_as_expected_is_no_difference(expected: Any, actual: Any) -> None:
    assert Patterns().differences(expected, actual, "it") == []


@pytest.mark.parametrize(("expected", "actual"), [
    ({"a": 1}, {"a": 1, "b": 2}),
    ({"a": 1, "b": 2}, {"a": 1}),
    ({"a": 1}, {"a": "1"}),
    ({"a": 1}, {"a": True}),
    ([1], [1, 2]),
    ([1, 2], [2, 1]),
    ({"a": 1}, None),
    ("{sha256:ann@example.com}", "ann@example.com"),
    (["{key}", "{key}"], [7, 8]),
])  # fmt: skip
def test_what_is_otherwise_is_one(expected: Any, actual: Any) -> None:
    assert Patterns().differences(expected, actual, "it") != []


@pytest.mark.parametrize(("expected", "actual"), [
    ("delivered", DELIVERED),
    ("rejected", REJECTED),
    ({"rejected": "bad", "hint": "is bad"}, REJECTED),
    ({"waiting": "come_back_later", "due_in": 120}, WAITING),
    ({"waiting": "come_back_later", "due_in": [100, 120]}, WAITING),
    ({"Add": {"rejected": "bad"}}, REJECTED),
])  # fmt: skip
def test_an_outcome_as_expected_is_no_difference(expected: Any, actual: dict[str, Any]) -> None:
    assert outcome_differences(case(outcomes=(expected,)), [{"Add": actual}]) == []


@pytest.mark.parametrize(("expected", "actual"), [
    ("delivered", REJECTED),
    ({"rejected": "other"}, REJECTED),
    ({"rejected": "bad", "hint": "fine"}, REJECTED),
    ({"waiting": "partner_unavailable"}, WAITING),
    ({"waiting": "come_back_later", "due_in": 60}, WAITING),
    ({"waiting": "come_back_later", "due_in": [121, 130]}, WAITING),
    ({"waiting": "come_back_later", "due_in": 60}, {**WAITING, "due_in": None}),
    ({"Add": "delivered"}, REJECTED),
    ({"Add": "delivered", "Send event": "delivered"}, DELIVERED),
])  # fmt: skip
def test_another_outcome_is_one(expected: Any, actual: dict[str, Any]) -> None:
    assert len(outcome_differences(case(outcomes=(expected,)), [{"Add": actual}])) == 1


def test_an_outcome_too_many_or_too_few_is_a_difference() -> None:
    assert outcome_differences(case(outcomes=("delivered",)), [{"Add": DELIVERED}] * 2)


@pytest.mark.parametrize(("expected", "fits"), [
    (("POST /users",), False),  # its query is not expected
    (({"call": "POST /users", "query": {"v": "2"}},), True),
    (({"call": "POST /users", "query": {"v": "2"}, "json": {"users": [{"id": "a"}]}},), True),
    (({"call": "POST /users", "query": {"v": "2"}, "count": 1, "headers": {"X-Key": "k"}},), True),
    (({"call": "POST /users", "query": {"v": "2"}, "json": {"users": []}},), False),
    (({"call": "POST /users", "query": {"v": "2"}, "count": 2},), False),
    (({"call": "POST /users", "query": {"v": "2"}, "headers": {"X-Key": "other"}},), False),
    (({"call": "POST /users", "query": {"v": "2"}, "jsn": {}},), False),
    (({"call": "PUT /users", "query": {"v": "2"}},), False),
    ((), False),
    ({"at_most": 1}, True),
    ({"at_most": 0}, False),
])  # fmt: skip
def test_a_call_is_compared_with_all_that_is_said_of_it(expected: Any, fits: bool) -> None:
    with ScriptedPartner((), "length(body.users)") as partner:
        assert (call_differences(expected, [CALL], partner) == []) is fits


def test_somebody_is_found_in_a_text_as_a_word_of_its_own() -> None:
    assert mentioned(["Ann", "bob@example.com"], 'a hint about "ann", who cannot') == ["Ann"]
    assert mentioned(["ann"], "This cannot be.") == []


def case(**changes: Any) -> Case:
    return Case(**{"title": "a case", "given": Given(), "answers": (Answer(),), "calls": (), "outcomes": (), **changes})
