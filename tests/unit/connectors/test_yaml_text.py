"""YAML text becomes plain values, or an error that says where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.connectors.yaml_text import MAX_BYTES, load
from relay.domain.errors import DocumentError


def sentence(text: str) -> str:
    with pytest.raises(DocumentError) as caught:
        load(text)
    ((path, found),) = caught.value.problems
    assert path == ""
    return found


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("yes", "yes"), ("on", "on"), ("012", "012"), ("2024-01-31", "2024-01-31"), ("10:30", "10:30"), ("1_000", "1_000"),
        ("12", 12), ("-3", -3), ("0.5", 0.5), ("1e3", 1000.0), ("true", True), ("~", None), ("", None), ("'5'", "5"),
        ("1234567890123456789", "1234567890123456789"), (".inf", ".inf"), ("0x1F", "0x1F"), ('""', ""),
    ],
)  # fmt: skip
def test_a_scalar_is_what_it_looks_like(scalar: str, value: object) -> None:
    found = load(f"key: {scalar}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_aliases_and_merge_keys_are_written_out() -> None:
    found = load("a: &a {id: user.id}\nb: *a\nc: {<<: *a, id: user.email, x: 1}\n")
    assert found["b"] == {"id": "user.id"}
    assert found["c"] == {"id": "user.email", "x": 1}


BOMB = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", "Line 3, column 2: "),
        ("a: 1\n\ta: 1\n", "Line 2, column 1: "),
        ("a: 1\nb: 2\na: 3\n", "Line 3, column 1: the key 'a' is there twice."),
        ("a: {b: 1, b: 2}", "Line 1, column 11: the key 'b' is there twice."),
        ("a: 1\n---\nb: 1\n", "Line 2, column 1: a second document begins here"),
        ("- a\n- b\n", "The document must be a mapping"),
        ("just text", "The document must be a mapping"),
        ("", "The document must be a mapping"),
        ("# only a comment\n", "The document must be a mapping"),
        ("5: a", "Line 1, column 1: a key must be text"),
        ("true: a", "Line 1, column 1: a key must be text"),
        ("? [a]\n: b", "Line 1, column 3: a key must be text"),
        ("a: !!python/object:os.system x", "Line 1, column 4: a tag (!) is not allowed"),
        ("a: !!binary aGk=", "Line 1, column 4: a tag (!) is not allowed"),
        ("a: !!int 99999999999999999999", "Line 1, column 4: a tag (!) is not allowed"),
        ("a: !!bool maybe", "Line 1, column 4: a tag (!) is not allowed"),
        ("a: 1e999", "Line 1, column 4: this number is too large"),
        ("a: &a [*a]", "Line 1, column 4: this contains itself"),
        ("a: *nobody", "Line 1, column 4: not valid YAML: found undefined alias."),
        ("a: " + "[" * 5_000, "nested too deeply"),
        ("a: " + "{a: " * 5_000, "nested too deeply"),
        ("a: b\x07", "Line 1: there is a character"),
        ('a: "\\ud800"', "Line 1, column 4: this contains a character"),
        ('a: "\\0"', "Line 1, column 4: this contains a character"),
        ('a: "\\U00110000"', "not valid YAML"),
        ("a: " + "x" * MAX_BYTES, "larger than 256 KB"),
        ("a: " + "é" * (MAX_BYTES // 2), "larger than 256 KB"),
        (BOMB, "aliases written out"),
        (MERGE_BOMB, "aliases written out"),
    ],
)
def test_what_is_no_plain_mapping_is_refused_with_its_place(text: str, expected: str) -> None:
    assert expected in sentence(text)


def test_an_error_does_not_repeat_what_may_be_a_secret() -> None:
    assert "hunter2hunter2" not in sentence("secrets: {token: *hunter2hunter2}")
    assert "hunter2hunter2" not in sentence("secrets: {token: !hunter2hunter2 x}")
    assert "hunter2hunter2" not in sentence("secrets: {token: %hunter2hunter2, b: [}")


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@#,? \n\t\\0159~<.", max_size=40))
def test_any_text_gives_a_mapping_or_an_error(text: str) -> None:
    try:
        outcome: object = load(text)
    except DocumentError as error:
        outcome = error.problems
    assert isinstance(outcome, dict) or outcome
