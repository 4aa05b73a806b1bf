"""What an environment has of its own is typed into fields; where nothing is typed, the document's word stands."""

from __future__ import annotations

import re

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from tests.unit.console.conftest import DOCUMENT, Browser
from tests.unit.console.editing import Editor

SANDBOX = "environments:\n  # for trying things out\n  sandbox: {settings: {base_url: 'http://127.0.0.1:2'}}\n"
IN = "environments.sandbox"


@pytest.fixture
def editor(browser: Browser, backend: EmbeddedBackend, publishing: Publishing) -> Editor:
    publishing.apply(DOCUMENT + SANDBOX)
    return Editor.of(browser, backend, "shop")


def type_into(editor: Editor, **form: str) -> None:
    filled = {"environment": "sandbox", **{f"{IN}.{key.replace('__', '.')}": value for key, value in form.items()}}
    assert editor.type("environments", filled).status_code == 303


def test_the_first_environment_is_added_by_its_name_and_makes_a_connector(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor = Editor.of(browser, backend, "shop")
    assert "There is none yet" in editor.see("environments")
    answer = editor.type("environments", {"do": "add", "new": "sandbox"})
    assert answer.headers["Location"].endswith("/environments?environment=sandbox")
    assert editor.values["environments"] == {"sandbox": {}}
    assert "It makes shop, shop@sandbox" in editor.see("review")
    for wrong in ("Sandbox", "", "sandbox"):
        assert 'id="new-environment-wrong"' in editor.type("environments", {"do": "add", "new": wrong}).text
    assert editor.values["environments"] == {"sandbox": {}}


def test_an_empty_field_shows_what_the_document_says_and_overrides_nothing(editor: Editor) -> None:
    page = editor.see("environments")
    assert f'name="{IN}.settings.base_url" value="http://127.0.0.1:2"' in page
    assert 'placeholder="http://127.0.0.1:1"' in page
    type_into(editor)
    assert editor.values["environments"] == {"sandbox": {"settings": {"base_url": "http://127.0.0.1:2"}}}


def test_settings_limits_and_yes_or_no_are_overridden_by_fields(editor: Editor) -> None:
    editor.type("configure", {"notify.email": "ops@example.com"})
    type_into(editor, limits__batch__max_items="10", notify__allow_private_network="false", retention__journal="off")
    assert editor.values["environments"]["sandbox"] == {
        "settings": {"base_url": "http://127.0.0.1:2"},
        "limits": {"batch": {"max_items": 10}},
        "notify": {"allow_private_network": False},
        "retention": {"journal": "off"},
    }
    page = editor.see("environments")
    assert 'as the document says: no</option> <option value="true">yes</option><option value="false" selected>no' in page


def test_what_is_emptied_is_the_documents_again_and_the_environment_stays(editor: Editor) -> None:
    type_into(editor, settings__base_url="")
    assert editor.values["environments"] == {"sandbox": {}}
    assert "It makes shop, shop@sandbox" in editor.see("review")


def test_an_action_is_off_in_an_environment_and_as_the_document_says_again(editor: Editor) -> None:
    type_into(editor, switch__1="off")
    assert editor.values["environments"]["sandbox"]["actions"] == [{"name": "Add", "enabled": False}]
    assert "Nothing is wrong with it" in editor.see("review")
    type_into(editor, switch__1="")
    assert "actions" not in editor.values["environments"]["sandbox"]


def test_other_overrides_of_an_action_stay_when_it_is_switched(editor: Editor) -> None:
    text = DOCUMENT + "environments:\n  sandbox: {actions: [{name: Add, mapping: {id: user.email}}]}\n"
    editor.type("text", {"text": text})
    type_into(editor, switch__1="off")
    type_into(editor, switch__1="")
    assert editor.values["environments"]["sandbox"] == {"actions": [{"name": "Add", "mapping": {"id": "user.email"}}]}
    assert "More of it is different here" in editor.see("environments")


def test_a_secret_of_an_environment_gets_a_name_of_its_own_and_its_value_is_never_shown(
    editor: Editor, backend: EmbeddedBackend
) -> None:
    assert "That of the document: <code>shop-token</code>" in editor.see("environments")
    editor.type("environments", {"environment": "sandbox", f"{IN}.secrets.token:name": "", f"{IN}.secrets.token:value": "canary"})
    assert editor.values["environments"]["sandbox"]["secrets"] == {"token": "shop-sandbox-token"}
    assert backend.secrets.get("shop-sandbox-token") == ("canary",)
    assert backend.secrets.get("shop-token") == ("canary-secret",)
    assert "canary" not in editor.see("environments")


def test_a_secret_of_the_dmp_for_an_environment_is_made_under_its_own_name(
    editor: Editor, backend: EmbeddedBackend, browser: Browser
) -> None:
    editor.type("environments", {"environment": "sandbox", f"{IN}.inbound.hmac_secret:name": "shop-sandbox-hmac"})
    browser.post(f"/edit/{editor.key}/make-secret", {"kind": "hmac", "environment": "sandbox"})
    assert len(backend.secrets.get("shop-sandbox-hmac")) == 1
    assert backend.secrets.get("shop-hmac") == ("canary-secret",)


def test_what_is_wrong_in_an_environment_is_told_at_its_field_and_the_review_leads_there(editor: Editor) -> None:
    type_into(editor, limits__batch__max_items="many")
    assert "This must be a whole number" in editor.see("environments")
    assert "/environments?environment=sandbox&amp;checked=1#f-environments-sandbox-limits-batch-max-items" in editor.see("review")
    assert 'id="f-environments-sandbox-limits-batch-max-items"' in editor.see("environments")
    assert "1 to solve" in editor.see("configure")


def test_an_environment_that_is_taken_out_is_named_before_it_is_published(
    editor: Editor, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor.type("environments", {"environment": "sandbox", "do": "remove"})
    assert "environments" not in editor.values
    assert "It has no shop@sandbox any more" in editor.see("review")
    assert publishing.live("shop@sandbox").name == "shop@sandbox"


def test_a_name_that_no_environment_can_have_is_told_and_has_no_form(editor: Editor) -> None:
    editor.type("text", {"text": DOCUMENT + "environments:\n  a.b: {}\n  sandbox:\n"})
    page = editor.see("environments", environment="a.b")
    assert f'name="{IN}.settings.base_url"' in page
    assert "a.b" not in page
    type_into(editor, settings__base_url="http://127.0.0.1:3")
    assert editor.values["environments"] == {"a.b": {}, "sandbox": {"settings": {"base_url": "http://127.0.0.1:3"}}}
    assert "environments.a.b" in editor.see("review")


TAKEN_AWAY = """environments:
  sandbox:
    settings: {base_url: null}
    secrets: {token: null}
    limits: null
    notify: {allow_private_network: null}
    retention: {journal: null}
"""


def test_what_an_environment_takes_away_is_not_shown_as_the_documents_word_and_stays(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor = Editor.of(browser, backend, "shop")
    editor.type("text", {"text": DOCUMENT + "limits: {batch: {max_items: 7}}\n" + TAKEN_AWAY})
    before = editor.values["environments"]

    page = editor.see("environments")

    assert 'placeholder="http://127.0.0.1:1"' not in page
    assert 'placeholder="7"' not in page
    assert page.count('placeholder="nothing: taken away here"') >= 2
    assert page.count('<option value="">nothing: taken away here</option>') == 2
    assert "That of the document: <code>shop-token</code>" not in page
    assert "The document&#39;s is taken away here." in page
    fields = dict.fromkeys(re.findall(r'name="(environments\.[^"]+)"', page), "")
    assert f"{IN}.settings.base_url" in fields
    assert editor.type("environments", {"environment": "sandbox", **fields}).status_code == 303
    assert editor.values["environments"] == before


def test_what_is_typed_takes_the_place_of_what_was_taken_away(editor: Editor) -> None:
    editor.type("text", {"text": DOCUMENT + TAKEN_AWAY})
    type_into(editor, settings__base_url="http://127.0.0.1:3", limits__batch__max_items="10")
    assert editor.values["environments"]["sandbox"]["settings"] == {"base_url": "http://127.0.0.1:3"}
    assert editor.values["environments"]["sandbox"]["limits"] == {"batch": {"max_items": 10}}
    assert 'placeholder="nothing: taken away here"' not in editor.see("environments")


@pytest.mark.parametrize("form", [{"environment": "zzz"}, {}])
@pytest.mark.parametrize("does", ["remove", "save"])
def test_a_form_for_an_environment_that_is_not_there_changes_no_other_one(
    editor: Editor, form: dict[str, str], does: str
) -> None:
    answer = editor.type("environments", {**form, "do": does, f"{IN}.settings.base_url": "http://127.0.0.1:9"})
    assert answer.status_code == 404
    assert editor.values["environments"] == {"sandbox": {"settings": {"base_url": "http://127.0.0.1:2"}}}


def test_what_could_not_be_read_goes_with_the_environment_it_was_typed_for(editor: Editor) -> None:
    editor.type("environments", {"do": "add", "new": "other"})
    for name in ("sandbox", "other"):
        editor.type("environments", {"environment": name, f"environments.{name}.inbound.fields": "{a: ["})
    editor.type("environments", {"environment": "sandbox", "do": "remove"})
    assert "1 to solve" in editor.see("environments", environment="other")
    editor.type("environments", {"environment": "other", "do": "remove"})
    assert "Nothing is wrong with it" in editor.see("review")
