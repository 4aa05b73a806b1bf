"""Values that only the partner knows are asked of it, given what was chosen so far."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.drafts import decoded, text_of
from relay.pangolin.server import InThread
from tests.partners.meta import ACCOUNT, TOKEN, SmallMeta
from tests.unit.console.conftest import Browser
from tests.unit.console.editing import Editor

NUMBER = ACCOUNT.removeprefix("act_")


@pytest.fixture
def meta() -> Iterator[SmallMeta]:
    with SmallMeta() as server:
        yield server


@pytest.fixture
def editor(browser: Browser, backend: EmbeddedBackend, meta: SmallMeta) -> Editor:
    editor = Editor.new(browser, backend, adapter="meta", name="spring")
    editor.type("configure", {"settings.base_url": meta.url, "settings.allow_private_network": "true"})
    return editor


def test_the_partner_is_asked_only_with_its_secrets(editor: Editor, meta: SmallMeta) -> None:
    page = editor.type("configure", {"secrets.access_token:name": "", "do": "options:account_id"}).text
    assert "The partner cannot be asked yet." in page
    assert "diy secrets" not in page
    assert "The secret &#39;spring-access-token&#39;" in page
    assert meta.served == []


def test_its_values_can_be_chosen_with_their_names(editor: Editor) -> None:
    form = {"secrets.access_token:name": "", "secrets.access_token:value": TOKEN, "do": "options:account_id"}
    page = " ".join(editor.type("configure", form).text.split())
    assert "The partner offers for Ad account" in page
    assert f'name="settings.account_id" id="f-settings-account-id-1" value="{NUMBER}"' in page
    editor.type("configure", {"settings.account_id": NUMBER})
    assert editor.values["settings"]["account_id"] == NUMBER


def test_a_choice_among_the_offered_values_wins_over_the_empty_field_beside_it(editor: Editor) -> None:
    page = {"settings.account_id": ["", NUMBER]}
    answer = editor.browser.post(
        f"/edit/{editor.key}/configure", {"revision": str(editor.revision), "do": "save", **page}
    )
    assert answer.status_code == 303
    assert editor.values["settings"]["account_id"] == NUMBER


def test_asking_for_values_is_in_the_audit_with_the_address_and_the_secrets(editor: Editor, meta: SmallMeta) -> None:
    editor.type("configure", {"secrets.access_token:name": "", "secrets.access_token:value": TOKEN, "do": "options:account_id"})
    entry = editor.backend.audit.newest(limit=1)[0]
    assert (entry.what, entry.subject) == ("ask partner by draft", "spring")
    assert entry.detail.startswith(f"to {meta.url.removeprefix('http://')}; secrets: ")
    assert "spring-access-token" in entry.detail


def test_what_the_partner_refuses_is_told(editor: Editor) -> None:
    form = {"secrets.access_token:name": "", "secrets.access_token:value": "wrong", "do": "options:account_id"}
    assert "The partner did not say" in editor.type("configure", form).text


def test_a_field_of_the_mapping_can_be_one_of_the_values_that_the_partner_offers(
    browser: Browser, backend: EmbeddedBackend, tmp_path: Path
) -> None:
    with InThread(tmp_path / "pangolin.db", "token-of-pangolin") as pangolin:
        editor = Editor(
            browser, backend, browser.post("/edit/new", {"adapter": "http", "name": "acme", "example": "pangolin-over-http"})
        )
        text = text_of(decoded(backend.drafts.get(editor.key).content))
        text = text.replace("http://127.0.0.1:8082", pangolin.url).replace(
            "id: {title: User ID, required: true}",
            "id: {title: User ID, required: true}\n        audience: {title: Segment}\n      key: [id]",
            1,
        )
        editor.type("text", {"text": text})
        editor.type("configure", {"secrets.token:name": "", "secrets.token:value": "token-of-pangolin"})
        assert 'value="options:map.1.audience"' in editor.see("mapping")
        assert 'value="options:map.1.id"' not in editor.see("mapping")
        page = editor.type("mapping", {"do": "options:map.1.audience"}).text
        assert "The partner offers no value." in page
        editor.type("test", {"do": "send"})  # makes an audience there
        page = " ".join(editor.type("mapping", {"do": "options:map.1.audience"}).text.split())
        found = re.search(r'name="map.1.audience:offered" id="[^"]+" value="([^"]+)"', page)
        assert found, page
        form = {"map.1.audience:kind": "none", "map.1.audience:value": "", "map.1.audience:offered": found[1]}
        editor.type("mapping", form)
        assert editor.values["actions"][1]["mapping"]["audience"] == {"constant": found[1]}
        assert editor.type("mapping", {"do": "options:map.9.nothing"}).status_code == 303
