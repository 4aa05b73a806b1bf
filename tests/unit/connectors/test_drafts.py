"""A document that is still being written: kept whether it is right or not, and told what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.registry import describe, names
from relay.connectors.drafts import (
    Unfinished,
    begun_from,
    connectors_of,
    decoded,
    description_of,
    encoded,
    lost_comments,
    problems_of,
    read_typed,
    text_of,
    value_at,
    with_value,
)
from relay.connectors.proposals import proposed_actions
from relay.connectors.yaml_text import load
from relay.domain.errors import DocumentError

VALUES: dict[str, Any] = {
    "name": "shop",
    "adapter": "pangolin",
    "inbound": {"hmac_secret": "shop-hmac"},
    "settings": {"base_url": "http://127.0.0.1:1"},
    "actions": [{"name": "Add", "trigger": "joined", "operation": "add", "mapping": {"id": "user.id"}}],
}


def test_what_is_written_is_read_again() -> None:
    unfinished = Unfinished(VALUES, {"settings.auth": "type: ["}, "name: shop\n")
    assert decoded(encoded(unfinished)) == unfinished


def test_a_new_document_is_written_in_the_order_of_the_reference() -> None:
    shuffled = dict(sorted(VALUES.items(), reverse=True))
    assert list(load(text_of(Unfinished(shuffled)))) == ["name", "adapter", "inbound", "settings", "actions"]


def test_a_finished_document_makes_its_connectors_and_has_no_problems() -> None:
    connectors, problems = connectors_of(Unfinished(VALUES), describe)
    assert ([one.name for one in connectors], problems) == (["shop"], [])


def test_an_unfinished_one_makes_nothing_and_says_every_problem_with_its_place() -> None:
    wrong = {**VALUES, "settings": {"base_url": 5}, "actions": [{"trigger": "never"}]}
    connectors, problems = connectors_of(Unfinished(wrong, {"inbound.fields": "a: ["}), describe)
    assert connectors == ()
    assert [place for place, _ in problems] == [
        "inbound.fields", "settings.base_url", "actions[0].trigger", "actions[0].operation", "actions[0].name",
    ]  # fmt: skip


def test_what_was_typed_and_is_no_yaml_is_told_with_its_own_lines() -> None:
    (problem,) = problems_of(Unfinished(VALUES, {"settings.auth": "type: bearer\nheader: [a\nb: c"}), describe)
    assert problem.sentence.startswith("Line 3, column 2: ")


@pytest.mark.parametrize(
    ("typed", "value"), [("a: 1\nb: [x]", {"a": 1, "b": ["x"]}), ("- a\n- b", ["a", "b"]), ("5", 5), ("", None), ("text", "text")]
)
def test_a_structure_is_typed_as_yaml(typed: str, value: object) -> None:
    assert read_typed(typed) == value


def test_a_structure_cannot_leave_its_place() -> None:
    for typed in ("a: 1\n---\nb: 2", "x\ntyped: 5\nother: 6"):
        try:
            read = read_typed(typed)
        except DocumentError:
            continue
        assert not isinstance(read, dict) or "other" not in read


def test_values_are_put_at_places_and_taken_away_with_what_they_leave_empty() -> None:
    changed = with_value(VALUES, "limits.batch.max_items", 5)
    assert value_at(changed, "limits.batch.max_items") == 5
    assert with_value(changed, "limits.batch.max_items", None) == VALUES
    assert value_at(with_value(VALUES, "actions[0].name", "Fill"), "actions[0].name") == "Fill"
    assert with_value(VALUES, "actions[7].name", "Fill") == VALUES
    assert value_at(VALUES, "actions[0].name") == "Add"


def test_the_adapter_describes_what_can_be_understood_of_the_settings_so_far() -> None:
    operation = {
        "effect": "add",
        "fields": {"email": {"title": "E-mail"}},
        "key": ["email"],
        "max_items": 1,
        "request": {"method": "POST", "path": "/x", "body": {"email": "{{ row.email }}"}},
    }
    settings = {
        "base_url": "https://api.example",
        "auth": {"type": "bearer"},
        "operations": {"add": operation},
        "audience_id": "all",
        "check": {"nonsense": 1},
    }
    description = description_of(Unfinished({"adapter": "http", "settings": settings}), describe)
    assert description is not None
    assert [field.name for field in description.secrets] == ["token"]
    assert description_of(Unfinished({"adapter": "nonsense"}), describe) is None
    assert description_of(Unfinished({}), describe) is None
    broken = description_of(Unfinished({"adapter": "http", "settings": {"base_url": 5, "auth": "x"}}), describe)
    assert broken is not None


def test_a_document_that_is_not_changed_stays_as_it_was_written_to_the_letter() -> None:
    text = "# by hand\nname:   shop   # here\nadapter: pangolin\n"
    assert text_of(begun_from(text)) == text
    renamed = begun_from(text, name="store")
    assert text_of(renamed) == text.replace("  shop", "  store")
    assert lost_comments(renamed) == []


def test_comments_that_go_are_named() -> None:
    text = "name: shop\nlimits:\n  # as agreed\n  rate: {calls: 5}\n# at the end\n"
    unfinished = begun_from(text)
    gone = Unfinished({"name": "shop"}, {}, unfinished.text)
    assert "# as agreed" in lost_comments(gone)


@pytest.mark.parametrize("adapter", [name for name in names() if name != "http"])
def test_what_is_proposed_for_an_adapter_is_right_as_it_is(adapter: str) -> None:
    description = describe(adapter)
    assert description is not None
    actions = proposed_actions(description)
    assert {one["trigger"] for one in actions} >= set(description.required_triggers)
    document = {**VALUES, "adapter": adapter, "settings": {}, "actions": actions}
    assert [place for place, _ in problems_of(Unfinished(document), describe) if place.startswith("actions")] == []


def test_users_who_leave_stay_at_a_partner_that_was_described_from_nothing() -> None:
    request = {"method": "POST", "path": "/users", "body": {"users": "{{ rows }}"}}
    described = {
        name: {"effect": name, "fields": {"id": {"required": True}}, "request": request} for name in ("add", "remove")
    }
    description = describe("http", {"base_url": "https://api.acme.example", "operations": described})
    assert description is not None
    assert [(one["trigger"], one["operation"], one["mapping"]) for one in proposed_actions(description)] == [
        ("joined", "add", {"id": "user.id"}),
        ("left", "remove", {"id": "user.id"}),
    ]
