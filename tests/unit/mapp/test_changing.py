"""Additions and removals: grouped, queued, confirmed, answered."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from handlers.batches import MAX_AUDIENCES
from handlers.mapp.changing import MAX_CHANGES
from handlers.mapp.field_names import DEFAULT_IDENTIFIERS
from handlers.publishing import publish
from relay.backends.interfaces import Publisher
from relay.domain.message import MAX_MUTATIONS, Message
from tests.unit.mapp.edge import AUDIENCE, Edge, connector, error_of, user


def test_a_change_is_queued_as_it_was_meant(edge: Edge) -> None:
    before = time.time()
    answer = edge.add(user("u1", Customer=7, Score=3), user("u2", Type="REMOVE_FROM_AUDIENCE"), Customer=123, Batch="b-1")
    [message] = edge.queued()
    assert (answer.status_code, answer.json()) == (200, {"accepted": 2, "unreadable": 0})
    assert (message.kind, message.connector, message.audience, message.part) == ("change", "pangolin", AUDIENCE, 0)
    assert message.request_id == answer.headers["X-Request-Id"]
    assert before <= message.received_at <= time.time()
    assert message.fields == {"Batch": "b-1"}
    one, other = message.mutations
    assert (one.index, one.direction, one.user, one.customer, one.fields) == (0, "joined", {"id": "u1"}, 7, {"Score": 3})
    assert (other.index, other.direction, other.user, other.customer, other.fields) == (1, "left", {"id": "u2"}, 123, {})


@pytest.mark.parametrize("name", ["Mutations", "Mutation", "mutations", "MUTATION"])
def test_the_array_has_either_name(edge: Edge, name: str) -> None:
    assert edge.post({name: [user()]}, type="ADD_TO_AUDIENCE").json()["accepted"] == 1


def test_of_both_names_the_first_that_is_an_array_counts(edge: Edge) -> None:
    edge.post({"Mutation": [user("second")], "Mutations": [user("first")]}, type="ADD_TO_AUDIENCE")
    edge.post({"Mutation": [user("second")], "Mutations": None}, type="ADD_TO_AUDIENCE")
    assert [mutation.user["id"] for mutation in edge.queued_mutations()] == ["first", "second"]


@pytest.mark.parametrize(
    "body", [{}, {"Mutations": None}, {"Mutations": {}}, {"Mutations": "u1"}, {"Mutation": 7}, {"Users": []}]
)
def test_without_an_array_it_is_400_and_says_which(edge: Edge, body: dict[str, Any]) -> None:
    answer = edge.post(body, type="REMOVE_FROM_AUDIENCE")
    assert answer.status_code == 400
    assert "Mutations" in error_of(answer)


def test_the_connectors_own_name_of_the_array_is_the_one_asked_for(edge: Edge) -> None:
    edge.serve(connector(fields={"mutations": ("Changes",)}))
    assert "field Changes" in error_of(edge.add(user()))
    assert edge.post({"CHANGES": [user()]}, type="ADD_TO_AUDIENCE").status_code == 200


def test_an_empty_array_is_nothing_to_do(edge: Edge) -> None:
    assert edge.add().json() == {"accepted": 0, "unreadable": 0}
    assert edge.queued() == []


# --- limits ---------------------------------------------------------------------------------------------------------


def test_more_changes_than_can_be_taken_at_once_are_413_and_nothing_is_queued(edge: Edge) -> None:
    body = b'{"Type": "ADD_TO_AUDIENCE", "Mutations": [' + b"{}," * MAX_CHANGES + b"{}]}"
    answer = edge.post(body)
    assert answer.status_code == 413
    assert error_of(answer) == (
        "The request holds 100,001 changes; at most 100,000 can be taken at once. Please send it in smaller parts."
    )
    assert edge.queued() == []


def test_so_many_can_be_taken(edge: Edge) -> None:
    body = b'{"Type": "ADD_TO_AUDIENCE", "Audience": "a.1", "Mutations": [' + b'{"User":1},' * (MAX_CHANGES - 1) + b'{"User":1}]}'
    edge.set_deadlines(store_s=20)
    assert edge.post(body).json() == {"accepted": MAX_CHANGES, "unreadable": 0}


def test_more_audiences_than_can_be_stored_in_time_are_413_and_nothing_is_queued(edge: Edge) -> None:
    answer = edge.add(*({"Audience": f"a{n}", "User": "u"} for n in range(MAX_AUDIENCES + 1)))
    assert answer.status_code == 413
    assert "20,001 audiences" in error_of(answer)
    assert edge.queued() == []


@pytest.mark.parametrize(
    "body",
    [
        {"Mutations": [{"Audience": f"a{n}", "User": "u"} for n in range(5_000)], "Other": "x" * 15_000},
        {"Mutations": [{"User": "u"}] * 60_000, "Audience": "a.1", "Customer": "\x01" * 256},
        {"Mutations": [{"User": 1e-300, **dict.fromkeys(DEFAULT_IDENTIFIERS, 1e-300)}] * 30_000, "Audience": "a.1"},
    ],
    ids=["a field repeated for every audience", "a customer repeated for every change", "numbers written out"],
)
def test_a_small_request_that_would_fill_the_disk_is_413_and_nothing_is_queued(edge: Edge, body: dict[str, Any]) -> None:
    answer = edge.post(body, type="ADD_TO_AUDIENCE")
    assert answer.status_code == 413
    assert "64 MB" in error_of(answer)
    assert edge.queued() == []


# --- grouping -------------------------------------------------------------------------------------------------------


def test_mutations_are_grouped_by_audience_in_their_order(edge: Edge) -> None:
    edge.add(
        {"Audience": "b.1", "User": "1"},
        {"Audience": "a.1", "User": "2"},
        {"User": "3"},
        {"Audience": "b.1", "User": "4"},
        Audience="c.1",
    )
    found = [(message.audience, [mutation.index for mutation in message.mutations]) for message in edge.queued()]
    assert found == [("b.1", [0, 3]), ("a.1", [1]), ("c.1", [2])]


def test_a_large_group_is_queued_in_parts_of_a_thousand(edge: Edge) -> None:
    assert edge.add(*(user(f"u{n}") for n in range(2_500))).json()["accepted"] == 2_500
    messages = edge.queued()
    assert [(message.part, len(message.mutations)) for message in messages] == [(0, MAX_MUTATIONS), (1, MAX_MUTATIONS), (2, 500)]
    assert [mutation.index for message in messages for mutation in message.mutations] == list(range(2_500))


def test_the_same_bytes_twice_are_queued_twice(edge: Edge) -> None:
    assert [edge.add(user()).status_code for _ in range(2)] == [200, 200]
    assert len(edge.queued()) == 2


# --- unreadable -----------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_travels_along_and_the_others_go_on(edge: Edge) -> None:
    answer = edge.add(user("u1"), {"Audience": AUDIENCE}, "nonsense", {"User": "u2"})
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "unreadable": 3})
    found = {(m.audience, mutation.index): mutation.unreadable for m in edge.queued() for mutation in m.mutations}
    assert found == {
        (AUDIENCE, 0): None,
        (AUDIENCE, 1): "It names no user.",
        ("", 2): "It is not an object.",
        ("", 3): "It names no audience.",
    }


def test_where_none_can_be_read_it_is_400_with_the_reasons_and_nothing_is_queued(edge: Edge) -> None:
    answer = edge.add({"User": "someone@example.com"}, {"Audience": "a.1"}, {"Audience": "a.1"})
    assert answer.status_code == 400
    assert error_of(answer) == (
        "None of the 3 changes in the request can be read. It names no user. (2 ×) It names no audience. (1 ×)"
    )
    assert edge.queued() == []


def test_a_mutation_too_large_for_the_queue_is_unreadable(edge: Edge) -> None:
    answer = edge.add(user("u1"), user("u2", Blob="x" * 600_000))
    assert answer.json() == {"accepted": 1, "unreadable": 1}
    assert [mutation.unreadable for mutation in edge.queued_mutations()] == [None, "It is larger than 512 KB."]


@pytest.mark.parametrize("value", ["x" * 513, "a\u0000b", [], {"a": 1}, True])
def test_an_audience_of_the_body_that_cannot_be_one_is_400(edge: Edge, value: object) -> None:
    answer = edge.add({"User": "u1"}, Audience=value)
    assert answer.status_code == 400
    assert "audience" in error_of(answer)


# --- customers ------------------------------------------------------------------------------------------------------


def test_a_customer_that_is_not_served_is_400(edge: Edge) -> None:
    edge.serve(connector(customers=(123, "acme")))
    for value in (124, "ACME", True, [123]):
        answer = edge.add(user(), Customer=value)
        assert answer.status_code == 400
        assert "customer" in error_of(answer)
    assert [edge.add(user(), Customer=value).status_code for value in (123, "123", "acme", None)] == [200] * 4


def test_a_mutations_own_customer_that_is_not_served_concerns_that_one_only(edge: Edge) -> None:
    edge.serve(connector(customers=(123,)))
    assert edge.add(user("u1"), user("u2", Customer=9), Customer=123).json() == {"accepted": 1, "unreadable": 1}


def test_a_customer_of_a_new_shape_breaks_nothing(edge: Edge) -> None:
    assert edge.add(user(), Customer={"Id": 1}).status_code == 200
    [message] = edge.queued()
    assert (message.fields, message.mutations[0].customer) == ({"Customer": {"Id": 1}}, None)


# --- confirmed ------------------------------------------------------------------------------------------------------


def test_what_cannot_be_stored_in_time_is_503(edge: Edge) -> None:
    assert edge.add(user("before")).status_code == 200
    edge.set_deadlines(publish_s=0.05, store_s=0)
    database = next(edge.state_dir.glob("*.db"))
    with sqlite3.connect(database, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = edge.add(user("while locked"))
        other.execute("ROLLBACK")
    other.close()
    assert answer.status_code == 503
    assert "not accepted" in error_of(answer)
    assert "send it again" in error_of(answer)


def test_what_was_answered_503_while_the_database_was_locked_is_not_queued_afterwards(edge: Edge) -> None:
    assert edge.add(user("before")).status_code == 200
    edge.set_deadlines(publish_s=0.05, store_s=0)
    other = sqlite3.connect(next(edge.state_dir.glob("*.db")), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert [edge.add(user(f"while locked {n}")).status_code for n in range(3)] == [503, 503, 503]
    other.execute("ROLLBACK")
    other.close()
    edge.set_deadlines()
    assert edge.add(user("after")).status_code == 200
    assert [mutation.user["id"] for mutation in edge.queued_mutations()] == ["before", "after"]


def test_a_request_that_took_all_its_time_to_read_is_stored_all_the_same(edge: Edge) -> None:
    edge.set_deadlines(publish_s=0, store_s=20)
    assert edge.add(user("u1")).status_code == 200
    assert [mutation.user["id"] for mutation in edge.queued_mutations()] == ["u1"]


class SlowToEncode:
    """Takes longer to encode than the store may take, and stores within that time."""

    async def publish(self, messages: Sequence[Message]) -> None:
        time.sleep(0.1)
        await asyncio.sleep(0.01)


def test_the_time_for_encoding_is_not_taken_from_the_store() -> None:
    asyncio.run(publish(cast(Publisher, SlowToEncode()), [], within_s=0.05))


def test_where_the_store_is_gone_it_is_503(edge: Edge) -> None:
    assert edge.add(user()).status_code == 200
    for file in edge.state_dir.glob("*.db*"):
        file.unlink()
    (edge.state_dir / "relay.db").mkdir()
    answer = edge.add(user())
    assert answer.status_code == 503
    assert "send it again" in error_of(answer)
