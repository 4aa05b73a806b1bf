"""An action goes to another connector, and an environment becomes what all are: always into a draft, never into what runs."""

from __future__ import annotations

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from tests.unit.console.conftest import DOCUMENT, Browser
from tests.unit.console.editing import Editor

SANDBOX = """
environments:
  sandbox:
    settings: {base_url: "http://127.0.0.1:2"}
    secrets: {token: sandbox-token}
    limits: {batch: {max_items: 10}}
  production: {limits: {batch: {max_items: 50}}}
"""


@pytest.fixture
def other(publishing: Publishing) -> None:
    publishing.apply(DOCUMENT.replace("name: shop", "name: store"))


@pytest.mark.usefixtures("other")
def test_an_action_is_copied_into_a_draft_of_another_connector(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.of(browser, backend, "shop")
    answer = browser.post(
        f"/edit/{editor.key}/move", {"revision": editor.revision, "action": "1", "to": "store", "how": "copy"}
    )
    target = Editor(browser, backend, answer)
    assert [one["name"] for one in target.values["actions"]] == ["Create audience", "Add", "Remove", "Add 2"]
    assert target.values["actions"][3]["mapping"] == {"id": "user.id"}
    assert len(editor.values["actions"]) == 3
    assert len(backend.connectors.versions("store")) == 1


@pytest.mark.usefixtures("other")
def test_an_action_that_is_moved_is_gone_from_the_draft_it_was_in(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.of(browser, backend, "shop")
    answer = browser.post(
        f"/edit/{editor.key}/move", {"revision": editor.revision, "action": "2", "to": "store", "how": "move"}
    )
    assert Editor(browser, backend, answer).values["actions"][3]["operation"] == "remove"
    assert [one["name"] for one in editor.values["actions"]] == ["Create audience", "Add"]


@pytest.mark.usefixtures("other")
def test_an_action_that_is_not_there_or_goes_nowhere_is_not_found(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.of(browser, backend, "shop")
    for form in ({"action": "9", "to": "store"}, {"action": "1", "to": "nowhere"}):
        assert browser.post(f"/edit/{editor.key}/move", {"revision": editor.revision, **form}).status_code == 404


def test_an_environment_becomes_what_the_document_says_but_for_its_own_secrets(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    publishing.apply(DOCUMENT + SANDBOX)
    page = browser.text("/edit/promote?name=shop@sandbox")
    assert '<tr class="new">' in page
    assert "http://127.0.0.1:2" in page
    editor = Editor(browser, backend, browser.post("/edit/promote", {"name": "shop", "environment": "sandbox"}))
    assert editor.values["settings"] == {"base_url": "http://127.0.0.1:2"}
    assert editor.values["limits"] == {"batch": {"max_items": 10}}
    assert editor.values["secrets"] == {"token": "shop-token"}
    assert editor.values["environments"]["sandbox"] == {"secrets": {"token": "sandbox-token"}}
    assert publishing.live("shop").settings == {"base_url": "http://127.0.0.1:1"}
    assert "Nothing is wrong with it" in editor.see("review")


def test_an_environment_becomes_what_another_one_says(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    publishing.apply(DOCUMENT + SANDBOX)
    form = {"name": "shop", "environment": "sandbox", "to": "production", "key": "limits"}
    editor = Editor(browser, backend, browser.post("/edit/promote", form))
    assert editor.values["environments"]["production"] == {"limits": {"batch": {"max_items": 10}}}
    assert editor.values["environments"]["sandbox"]["limits"] == {"batch": {"max_items": 10}}
    assert editor.values["settings"] == {"base_url": "http://127.0.0.1:1"}


def test_a_document_without_environments_says_how_to_have_some(browser: Browser, publishing: Publishing) -> None:
    assert "It has no environments" in browser.text("/edit/promote?name=shop")
