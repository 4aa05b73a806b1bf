"""The request's type, in the query or in the body."""

from __future__ import annotations

import pytest

from tests.unit.mapp.edge import Edge, error_of, user

MUTATIONS = {"Mutations": [user()]}


@pytest.mark.parametrize(
    "query", ["type=ADD_TO_AUDIENCE", "TYPE=add_to_audience", "Type=Add_To_Audience", "x=1&type=ADD_TO_AUDIENCE"]
)
def test_the_query_names_the_type_without_regard_to_case(edge: Edge, query: str) -> None:
    assert edge.post(MUTATIONS, path=f"/?{query}").status_code == 200
    assert [mutation.direction for mutation in edge.queued_mutations()] == ["joined"]


@pytest.mark.parametrize("name", ["Type", "type", "TYPE"])
@pytest.mark.parametrize(
    ("value", "direction"),
    [
        ("ADD_TO_AUDIENCE", "joined"),
        ("REMOVE_FROM_AUDIENCE", "left"),
        ("remove_from_audience", "left"),
        ("REMOVE_TO_AUDIENCE", "left"),
    ],
)
def test_without_one_in_the_query_the_body_names_it(edge: Edge, name: str, value: str, direction: str) -> None:
    for path in ("/", "/?type="):
        assert edge.post({name: value, **MUTATIONS}, path=path).status_code == 200
        messages = edge.queued()
        assert [mutation.direction for message in messages for mutation in message.mutations] == [direction]
        assert messages[0].fields == {}


def test_without_any_it_is_400_and_the_known_ones_are_listed(edge: Edge) -> None:
    for body in (MUTATIONS, {"Type": "", **MUTATIONS}, {"Type": None, **MUTATIONS}):
        answer = edge.post(body)
        assert answer.status_code == 400
        for known in ("VALIDATE", "CREATE_AUDIENCE", "ADD_TO_AUDIENCE", "REMOVE_FROM_AUDIENCE"):
            assert known in error_of(answer)


@pytest.mark.parametrize("value", ["DANCE", 7, ["ADD_TO_AUDIENCE"], {"a": 1}, True])
def test_an_unknown_one_in_the_body_is_400_and_not_repeated(edge: Edge, value: object) -> None:
    answer = edge.post({"Type": value, **MUTATIONS})
    assert answer.status_code == 400
    assert "unknown type" in error_of(answer)
    assert "DANCE" not in error_of(answer)


def test_an_unknown_one_in_the_query_is_400_whatever_the_body_says(edge: Edge) -> None:
    answer = edge.post({"Type": "ADD_TO_AUDIENCE", **MUTATIONS}, type="DANCE")
    assert answer.status_code == 400
    assert "VALIDATE" in error_of(answer)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("type=ADD_TO_AUDIENCE&type=add_to_audience", 200),
        ("type=REMOVE_TO_AUDIENCE&Type=REMOVE_FROM_AUDIENCE", 200),
        ("type=&type=ADD_TO_AUDIENCE", 200),
        ("type=ADD_TO_AUDIENCE&type=REMOVE_FROM_AUDIENCE", 400),
        ("type=ADD_TO_AUDIENCE&TYPE=DANCE", 400),
    ],
)
def test_types_that_are_repeated_in_the_query_must_not_differ(edge: Edge, query: str, status: int) -> None:
    assert edge.post(MUTATIONS, path=f"/?{query}").status_code == status


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("ADD_TO_AUDIENCE", "ADD_TO_AUDIENCE", 200),
        ("REMOVE_TO_AUDIENCE", "REMOVE_FROM_AUDIENCE", 200),
        ("ADD_TO_AUDIENCE", "something new", 200),
        ("ADD_TO_AUDIENCE", 12, 200),
        ("ADD_TO_AUDIENCE", "REMOVE_FROM_AUDIENCE", 400),
        ("REMOVE_FROM_AUDIENCE", "add_to_audience", 400),
        ("CREATE_AUDIENCE", "ADD_TO_AUDIENCE", 400),
        ("VALIDATE", "ADD_TO_AUDIENCE", 400),
        ("VALIDATE", "VALIDATE", 200),
    ],
)
def test_the_unsigned_query_cannot_change_what_the_signed_body_says(edge: Edge, query: str, body: object, status: int) -> None:
    assert edge.post({"Type": body, **MUTATIONS}, type=query).status_code == status


def test_a_validation_queues_nothing(edge: Edge) -> None:
    assert edge.post({"Type": "VALIDATE", **MUTATIONS}).status_code == 200
    assert edge.queued() == []
