"""What an expression can be, and how it finds its value."""

from __future__ import annotations

import string
from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.malformed import Malformed
from relay.expressions.expression import MAX_LENGTH, Surroundings, compile_expression

ROOTS = {"audience": frozenset({"id", "name", "tag.*"}), "fields": None}


def test_a_text_is_compiled_once_whatever_it_can_begin_with() -> None:
    assert compile_expression("lower(audience.id)") is compile_expression("lower(audience.id)", ROOTS)


@pytest.mark.parametrize(
    "text",
    ["audience", "audience.name", "audience.id.x", 'audience."tag.x"', "fields.anything.at.all", "'VIPs'", "`1`", "@",
     "fields[*].x", "lower(audience.name) || fields.x", "fields.x | whatever", "map(&whatever, fields.list)", "now()"],
)  # fmt: skip
def test_an_expression_begins_with_what_the_place_offers(text: str) -> None:
    assert compile_expression(text, ROOTS) is compile_expression(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("audiense.id", "'audiense' is none of them. Did you mean 'audience'?"),
        ("lower(user.id)", "An expression here begins with one of audience, fields; 'user' is none of them."),
        ("audience.id && user", "'user' is none of them."),
        ("audience.nmae", "'audience' has no 'nmae'. Did you mean 'name'?"),
        ("audience.[id, name].x || audience.reference", "'audience' has no 'reference'. It has id, name."),
        ('audience."id.x"', "'audience' has no 'id.x'. Did you mean 'id'?"),
    ],
)
def test_an_expression_that_begins_with_anything_else_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(Malformed) as caught:
        compile_expression(text, ROOTS)
    assert sentence in str(caught.value)
    assert compile_expression(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("lower(x", "ends too early, at character 7"),
        ("x ; 1", "trouble at character 3"),
        ("lowr(x)", "There is no function lowr(). Did you mean 'lower'?"),
        ("lower(x, y)", "lower() takes 1 argument, not 2."),
        ("e164(x)", "e164() takes 2 arguments, not 1."),
        ("now(x)", "now() takes no arguments, not 1."),
        ("not_null()", "not_null() takes at least 1 argument, not 0."),
        ("&x", "only for functions that take one"),
        ("[&x]", "only for functions that take one"),
        ("not_null(&x)", "only for functions that take one"),
        ("sort_by(x, &(&y))", "only for functions that take one"),
        ('`"\\ud800"`', "half a character"),
        ('x."\\ud800"', "half a character"),
        ('{"\\ud800": x}', "half a character"),
        ("x" * (MAX_LENGTH + 1), "longer than 1,000 characters"),
    ],
)
def test_an_expression_that_cannot_be_meant_is_refused_with_the_reason(text: str, sentence: str) -> None:
    with pytest.raises(Malformed) as caught:
        compile_expression(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("text", ["(" * 900 + "x", "!" * 900 + "x", "[" * 900, "lower(" * 60 + "x" + ")" * 60])
def test_an_expression_made_to_exhaust_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        compile_expression(text)


@pytest.mark.parametrize(
    ("text", "needs"),
    [("x.y", set()), ("lower(x)", set()), ("now()", {"now"}), ("map(&join('-', [@, uuid()]), x)", {"uuid"}),
     ("email(x) || now()", {"email", "now"})],
)  # fmt: skip
def test_an_expression_knows_what_its_surroundings_must_give(text: str, needs: set[str]) -> None:
    assert compile_expression(text).needs == needs


def test_one_evaluation_leaves_nothing_to_the_next() -> None:
    expression = compile_expression("uuid()")
    assert expression.search({}, Surroundings(seed="a")) == expression.search({}, Surroundings(seed="a"))
    assert expression.search({}, Surroundings(seed="a")) != expression.search({}, Surroundings(seed="b"))


keys = st.sampled_from(["id", "email", "a", "b"])
trees = st.recursive(
    st.none() | st.integers() | st.text(string.ascii_letters, max_size=3),
    lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=10,
)


@given(st.lists(keys, min_size=0, max_size=3), trees)
def test_the_short_way_for_plain_paths_finds_what_jmespath_finds(path: list[str], tree: Any) -> None:
    expression = ".".join(["fields", *path])
    assert compile_expression(expression).path == ("fields", *path)
    assert compile_expression(expression).search({"fields": tree}) == jmespath.search(expression, {"fields": tree})
