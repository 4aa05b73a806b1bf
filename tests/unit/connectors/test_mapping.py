"""From a mutation to the partner's fields."""

from __future__ import annotations

import hashlib
import string
from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.connectors.expression import compile_expression
from relay.connectors.mapping import MappingError, compile_mapping, mutation_context
from relay.domain.connector import Constant
from relay.domain.message import Message, Mutation

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


def test_an_expression_is_compiled_once() -> None:
    assert compile_expression("lower(user.cookie_id)") is compile_expression("lower(user.cookie_id)")


def test_an_expression_that_is_wrong_is_named_with_its_field() -> None:
    with pytest.raises(MappingError, match=r"'mail'.*ends too early"):
        compile_mapping({"mail": "lower(user.email"})


@pytest.mark.parametrize("expression", ["(" * 900 + "user", "!" * 900 + "user", "[" * 900, "x" * 2_000])
def test_an_expression_made_to_exhaust_is_refused(expression: str) -> None:
    with pytest.raises(MappingError):
        compile_mapping({"field": expression})


keys = st.sampled_from(["id", "email", "a", "b"])
trees = st.recursive(
    st.none() | st.integers() | st.text(string.ascii_letters, max_size=3),
    lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=10,
)


@given(st.lists(keys, min_size=0, max_size=3), trees)
def test_the_short_way_for_plain_paths_finds_what_jmespath_finds(path: list[str], tree: Any) -> None:
    expression = ".".join(["fields", *path])
    assert compile_expression(expression).search({"fields": tree}) == jmespath.search(expression, {"fields": tree})


def test_the_context_leaves_the_mutation_as_it_was() -> None:
    assert "account" not in MUTATION.user
    assert CONTEXT["user"]["account"] == {"crm": "c-9"}
