"""Values that only the partner knows are asked of it, given what was chosen so far."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from relay.backends.embedded import EmbeddedBackend
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
    assert "diy secrets set spring-access-token" in page
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
