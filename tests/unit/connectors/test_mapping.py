"""From a mutation to the partner's fields."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from relay.connectors.mapping import MappingError, compile_mapping, mutation_context
from relay.domain.connector import Constant
from relay.domain.message import Message, Mutation
from relay.expressions.expression import Surroundings

MUTATION = Mutation(
    index=0,
    direction="left",
    user={"id": "u-1", "email": " Ada@Example.org ", "account.crm": "c-9", "agent.web.eu": "a-7"},
    fields={"Age": 41, "Tags": ["x", "y"], "Score": "inf", "Nested": {"a": {"b": "deep"}}, "Empty": None},
    customer=123,
)
MESSAGE = Message(
    version=1, kind="change", connector="acme", audience="a1.2", request_id="r-1", received_at=1_800_000_000.25,
    fields={"Type": "X"},
)  # fmt: skip
CONTEXT = mutation_context(MESSAGE, MUTATION, audience_name="VIPs", partner_id="p-5")


def mapped(expression: str | Constant) -> Any:
    return compile_mapping({"field": expression}).apply(CONTEXT).get("field")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("user.[id, phone]", ["u-1", None]),
        ("user.id", "u-1"),
        ("user.account.crm", "c-9"),
        ('user."account.crm"', "c-9"),
        ('user.agent."web.eu"', "a-7"),
        ("customer", 123),
        ("direction", "left"),
        ("audience.id", "a1.2"),
        ("audience.name", "VIPs"),
        ("audience.partner_id", "p-5"),
        ("request.id", "r-1"),
        ("request.received_at", "2027-01-15T08:00:00.250Z"),
        ("request.fields.Type", "X"),
        ("fields.Nested.a.b", "deep"),
        ("fields.Tags[1]", "y"),
        ("fields.Tags", ["x", "y"]),
        ("user.phone || user.email", " Ada@Example.org "),
        ("lower(trim(user.email))", "ada@example.org"),
        ("sha256(lower(trim(user.email)))", hashlib.sha256(b"ada@example.org").hexdigest()),
        ("sha256('ü')", hashlib.sha256("ü".encode()).hexdigest()),
        ("join('-', [audience.id, user.id])", "a1.2-u-1"),
        ("to_string(fields.Age)", "41"),
        ("'x'", "x"),
        (Constant("same"), "same"),
        (Constant(0), 0),
    ],
)
def test_an_expression_finds_its_value(expression: str | Constant, expected: object) -> None:
    assert mapped(expression) == expected


@pytest.mark.parametrize(
    "expression",
    ["user.phone", "lower(user.phone)", "trim(user.phone)", "sha256(user.phone)",
     "fields.Empty", "fields.Age.x", "fields.no.such",
     "user.account.shop", "sha256(lower(trim(fields.Empty)))"],
)  # fmt: skip
def test_what_is_not_there_passes_as_null_and_is_left_out(expression: str) -> None:
    assert compile_mapping({"field": expression, "other": "user.id"}).apply(CONTEXT) == {"other": "u-1"}


def test_false_zero_and_empty_are_values() -> None:
    assert compile_mapping({"a": Constant(False), "b": Constant(0), "c": "''"}).apply(CONTEXT) == {"a": False, "b": 0, "c": ""}


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("lower(fields.Age)", "lower() takes text, and was given a number."),
        ("sha256(fields.Tags)", "sha256() takes text, and was given a list."),
        ("trim(fields.Nested)", "trim() takes text, and was given an object."),
        ("join('-', [user.id, fields.Age])", "join() takes a list of texts"),
        ("ceil(to_number(fields.Score))", "cannot be computed"),
        ("to_number(fields.Score)", "not a number"),
    ],
)
def test_a_function_that_meets_a_wrong_type_fails_without_telling_the_value(expression: str, sentence: str) -> None:
    with pytest.raises(MappingError) as caught:
        mapped(expression)
    assert caught.value.field == "field"
    assert sentence in caught.value.sentence
    assert "'field'" in str(caught.value)
    assert not any(value in str(caught.value) for value in ("u-1", "41", "deep", "inf"))


def test_one_users_strange_value_does_not_stop_the_mapping_of_the_next() -> None:
    mapping = compile_mapping({"age": "to_string(ceil(to_number(fields.Score)))"})
    with pytest.raises(MappingError):
        mapping.apply(CONTEXT)
    assert mapping.apply({"fields": {"Score": "1.5"}}) == {"age": "2"}


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("lower(user.email", "ends too early"),
        ("usr.email", "Did you mean 'user'?"),
        ("user.emial", "Did you mean 'email'?"),
        ('user."acount.crm"', "'user' has no 'acount.crm'"),
        ("audience.size", "It has id, name, partner_id."),
    ],
)
def test_an_expression_that_is_wrong_is_named_with_its_field(expression: str, sentence: str) -> None:
    with pytest.raises(MappingError) as caught:
        compile_mapping({"mail": expression})
    assert caught.value.field == "mail"
    assert sentence in caught.value.sentence


SURROUNDINGS = Surroundings(now=1_800_000_300.0, seed="r-1/0/Add", email=str.upper)


def test_what_a_mapping_depends_on_is_passed_in() -> None:
    mapping = compile_mapping({"sent": "now()", "arrived": "request.received_at", "mail": "email(trim(user.email))"})
    assert mapping.apply(CONTEXT, SURROUNDINGS) == {
        "sent": "2027-01-15T08:05:00.000Z",
        "arrived": "2027-01-15T08:00:00.250Z",
        "mail": "ADA@EXAMPLE.ORG",
    }


def test_a_retry_repeats_the_uuids_and_each_field_and_action_has_its_own() -> None:
    mapping = compile_mapping({"event": "uuid()", "session": "uuid()", "id": "user.id"})
    first = mapping.apply(CONTEXT, SURROUNDINGS)
    later = mapping.apply(CONTEXT, msgspec.structs.replace(SURROUNDINGS, now=1_800_003_600.0))
    assert later == first
    other_action = mapping.apply(CONTEXT, msgspec.structs.replace(SURROUNDINGS, seed="r-1/0/Tell"))
    assert len({first["event"], first["session"], other_action["event"], other_action["session"]}) == 4


def test_a_mapping_without_surroundings_has_no_time_and_no_uuids() -> None:
    for expression in ("now()", "uuid()"):
        with pytest.raises(MappingError, match="has no meaning here"):
            compile_mapping({"field": expression}).apply(CONTEXT)


def test_the_context_leaves_the_mutation_as_it_was() -> None:
    assert "account" not in MUTATION.user
    assert CONTEXT["user"]["account"] == {"crm": "c-9"}


@pytest.mark.parametrize(
    ("mapping", "only_user"),
    [
        ({"id": "user.id", "mail": "user.email"}, True),
        ({"id": "user.id", "shop": 'user."account.17"', "kind": Constant("x")}, True),
        ({"id": "user.id", "shops": "user.account"}, False),
        ({"id": "user.id", "audience": "audience.id"}, False),
        ({"id": "upper(user.id)"}, False),
        ({"user": "user"}, False),
        ({"kind": Constant("x")}, True),
    ],
)
def test_a_mapping_of_identifiers_alone_gives_the_same_without_a_context(mapping: dict[str, Any], only_user: bool) -> None:
    compiled = compile_mapping(mapping)
    assert compiled.needs_only_user == only_user
    if only_user:
        users: list[dict[str, str]] = [{"id": "u1", "account.17": "a"}, {"email": "u@example.com"}, {}]
        columns = compiled.of_users(users)
        constants_first = sorted(mapping, key=lambda field: not isinstance(mapping[field], Constant))
        assert list(columns) == constants_first
        for number, user in enumerate(users):
            context = mutation_context(MESSAGE, Mutation(0, user=user), audience_name="", partner_id="")
            found = {field: column[number] for field, column in columns.items() if column[number] is not None}
            assert found == compiled.apply(context)


def test_the_members_of_a_family_are_found_one_by_one_and_together() -> None:
    user = {"id": "u1", "account.17": "a", "account.18": "b", "agent.app": "c", "other.x": "d"}
    seen = mutation_context(MESSAGE, Mutation(0, user=user), audience_name="", partner_id="")["user"]
    assert seen == {**user, "account": {"17": "a", "18": "b"}, "agent": {"app": "c"}}
