"""The step "mapping": each field of the partner from an expression or a constant, with what it gives shown at once."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from tests.unit.console.conftest import CANARY, Browser
from tests.unit.console.editing import Editor

EMAIL = "f-actions-1-mapping-email"


@pytest.fixture
def meta(browser: Browser, backend: EmbeddedBackend) -> Editor:
    editor = Editor.new(browser, backend, adapter="meta")
    editor.type("configure", {"settings.account_id": "42"})
    return editor


def tried(editor: Editor, **form: str) -> Any:
    """What the page's script is answered while one types."""
    answer = editor.browser.post(f"/edit/{editor.key}/mapping/try", form)
    assert answer.status_code == 200
    return answer.json


def test_the_proposed_mapping_fills_what_identifies_a_user(meta: Editor) -> None:
    assert meta.values["actions"][1]["mapping"] == {
        "email": "user.email",
        "phone": "user.phone",
        "external_id": "user.id",
        "advertising_id": "not_null(user.idfa, user.gaid)",
    }


def test_fields_of_the_sample_stand_beside_those_of_the_partner_and_each_says_what_it_gets(meta: Editor) -> None:
    page = meta.see("mapping")
    assert 'data-insert="user.email"' in page
    assert "Hashed for you" in page
    assert page.count("→ <code>sample@example.com</code>") == 2
    assert hashlib.sha256(b"sample@example.com").hexdigest() in page  # what the partner gets


def test_what_is_typed_is_shown_at_once_and_not_kept(meta: Editor) -> None:
    before = meta.values
    found = tried(meta, **{"map.1.email:kind": "expression", "map.1.email:value": "upper(user.email)"})
    assert found["fields"][EMAIL]["value"] == "SAMPLE@EXAMPLE.COM"
    assert hashlib.sha256(b"sample@example.com").hexdigest() in found["rows"]["f-actions-1-mapping"]["sent"]
    assert meta.values == before


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("lower(user.emai", "The expression ends too early"),
        ("user.mail", "mail"),
        ("lower(`5`)", "lower() takes text"),
        ("nobody.email", "nobody"),
    ],
)
def test_an_expression_that_is_wrong_is_told_in_words(meta: Editor, typed: str, sentence: str) -> None:
    found = tried(meta, **{"map.1.email:kind": "expression", "map.1.email:value": typed})
    assert sentence in found["fields"][EMAIL]["problem"]


def test_an_expression_a_constant_or_nothing_is_kept_for_each_field(meta: Editor) -> None:
    form = {
        "map.1.email:kind": "expression", "map.1.email:value": " trim(user.email) ",
        "map.1.country:kind": "constant", "map.1.country:value": "DE",
        "map.1.phone:kind": "none", "map.1.phone:value": "user.phone",
    }  # fmt: skip
    meta.type("mapping", form)
    mapping = meta.values["actions"][1]["mapping"]
    assert (mapping["email"], mapping["country"], "phone" in mapping) == ("trim(user.email)", {"constant": "DE"}, False)
    assert meta.values["actions"][2]["mapping"]["phone"] == "user.phone"
    assert "the same for everybody" in meta.see("mapping")


def test_what_is_wrong_is_kept_and_holds_the_way_up(meta: Editor) -> None:
    answer = meta.type("mapping", {"map.1.email:kind": "expression", "map.1.email:value": "user.", "do": "next"})
    assert "/mapping?checked=1" in answer.headers["Location"]
    assert 'value="user."' in meta.see("mapping")
    assert f"#{EMAIL}" in meta.see("review")


def test_a_field_for_any_name_takes_as_many_as_one_likes(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend, adapter="rokt")
    editor.type("actions", {"do": "add", "new": "send_event joined"})
    index = len(editor.values["actions"]) - 1
    assert editor.values["actions"][index]["operation"] == "send_event"
    star = f"map.{index}.objectData.*"
    editor.type("mapping", {f"{star}:name": "amount", f"{star}:kind": "expression", f"{star}:value": "fields.Amount"})
    editor.type("mapping", {f"{star}:name": "objectData.currency", f"{star}:kind": "constant", f"{star}:value": "EUR"})
    mapping = editor.values["actions"][index]["mapping"]
    assert (mapping["objectData.amount"], mapping["objectData.currency"]) == ("fields.Amount", {"constant": "EUR"})
    editor.type("mapping", {f"map.{index}.objectData.amount:kind": "none"})
    assert "objectData.amount" not in editor.values["actions"][index]["mapping"]


def test_another_user_is_tried_as_the_dmp_sends_them_and_kept_nowhere(meta: Editor, backend: EmbeddedBackend) -> None:
    sample = json.dumps({"Id": CANARY, "Email": "Ann@Example.com", "Country": "FR"})
    answer = meta.type("mapping", {"do": "try", "sample": sample})
    page = " ".join(answer.text.split())
    assert "→ <code>Ann@Example.com</code>" in page
    assert 'data-insert="fields.Country"' in page
    assert CANARY not in backend.drafts.get(meta.key).content
    assert CANARY not in meta.see("mapping")


@pytest.mark.parametrize(("sample", "sentence"), [("{", "not valid JSON"), ("[1]", "one JSON object"), ("{}", "names no user")])
def test_a_user_that_cannot_be_read_is_told_why(meta: Editor, sample: str, sentence: str) -> None:
    assert sentence in tried(meta, sample=sample)["sample"]


def test_a_user_whom_the_partner_cannot_take_is_told_before_anything_is_sent(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor = Editor.of(browser, backend, "shop")
    found = tried(editor, **{"map.1.id:kind": "expression", "map.1.id:value": "user.account.crm"})
    assert "This user would be rejected" in found["rows"]["f-actions-1-mapping"]["problem"]


def test_whoever_leaves_is_mapped_as_whoever_joins_by_one_button(meta: Editor) -> None:
    assert 'value="same:' not in meta.see("mapping")
    meta.type("mapping", {"map.1.email:kind": "expression", "map.1.email:value": "lower(user.email)"})
    assert 'value="same:2"' in meta.see("mapping")
    assert 'value="same:1"' not in meta.see("mapping")
    answer = meta.type("mapping", {"do": "same:2"})
    assert answer.headers["Location"].endswith("#f-actions-2-mapping")
    assert meta.values["actions"][2]["mapping"] == meta.values["actions"][1]["mapping"]
    assert meta.values["actions"][2]["mapping"]["email"] == "lower(user.email)"
    assert 'value="same:' not in meta.see("mapping")


def test_only_fields_that_the_other_operation_has_are_taken_over(browser: Browser, backend: EmbeddedBackend) -> None:
    operations = """settings:
  base_url: https://api.acme.example
  audience_id: all
  operations:
    add: {effect: add, key: [email], fields: {email: , name: }, request: {method: POST, path: /a, body: '{{ rows }}'}}
    remove: {effect: remove, key: [email], fields: {email: }, request: {method: POST, path: /r, body: '{{ rows }}'}}
actions:
  - {name: In, trigger: joined, operation: add, mapping: {email: trim(user.email), name: fields.Name}}
  - {name: Out, trigger: left, operation: remove, mapping: {email: user.email}}
"""
    editor = Editor.new(browser, backend, adapter="http")
    editor.type("text", {"text": "name: acme\nadapter: http\ninbound: {hmac_secret: acme-hmac}\n" + operations})
    editor.type("mapping", {"do": "same:1"})
    assert editor.values["actions"][1]["mapping"] == {"email": "trim(user.email)"}
    for vain in ("same:0", "same:7", "same:x"):
        assert editor.type("mapping", {"do": vain}).status_code == 303
    assert editor.values["actions"][0]["mapping"]["name"] == "fields.Name"
