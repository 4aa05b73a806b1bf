"""An action goes to another connector, and an environment becomes what all are: always into a draft, never into what runs."""

from __future__ import annotations

import msgspec
import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.drafts import decoded
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


@pytest.mark.usefixtures("other")
def test_from_the_connectors_page_an_action_goes_to_another_connector(browser: Browser, backend: EmbeddedBackend) -> None:
    assert "/edit/action?name=shop&amp;action=Add" in browser.text("/connectors/shop")
    page = browser.text("/edit/action?name=shop&action=Add")
    assert "<option selected>Add</option>" in page
    assert "<option>store</option>" in page
    answer = browser.post("/edit/action", {"name": "shop", "action": "Add", "to": "store", "how": "copy"})
    assert [one["name"] for one in Editor(browser, backend, answer).values["actions"]][3:] == ["Add 2"]
    assert len(backend.drafts.all()) == 1


@pytest.mark.usefixtures("other")
def test_from_the_connectors_page_a_move_makes_a_draft_of_both(browser: Browser, backend: EmbeddedBackend) -> None:
    answer = browser.post("/edit/action", {"name": "shop", "action": "Add", "to": "store", "how": "move"})
    target = Editor(browser, backend, answer)
    assert len(target.values["actions"]) == 4
    (source,) = [draft for draft in backend.drafts.all() if draft.document == "shop"]
    assert '"name":"Add"' not in source.content
    assert len(backend.connectors.versions("shop")) == 1


def test_an_action_is_not_moved_to_where_it_is(browser: Browser, backend: EmbeddedBackend, publishing: Publishing) -> None:
    answer = browser.post("/edit/action", {"name": "shop", "action": "Add", "to": "shop", "how": "move"})
    assert answer.status_code == 400
    assert "It is there already" in answer.text
    assert browser.post("/edit/action", {"name": "shop", "action": "Nothing", "to": "shop", "how": "copy"}).status_code == 404
    assert backend.drafts.all() == []


def test_the_connectors_page_leads_to_edit_duplicate_and_promote(browser: Browser, publishing: Publishing) -> None:
    page = browser.text("/connectors/shop")
    assert "/edit/start?name=shop" in page
    assert "/edit/duplicate?name=shop" in page
    assert "/edit/promote" not in page
    publishing.apply(DOCUMENT + SANDBOX)
    assert "/edit/promote?name=shop@sandbox" in browser.text("/connectors/shop@sandbox")
    assert "/edit/promote?name=shop" in browser.text("/connectors/shop")
    home = browser.text("/")
    assert "/edit/start?name=shop" in home
    assert "/edit/promote?name=shop" in home


def test_a_draft_can_be_deleted_from_the_list(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    form = browser.text("/edit/new").partition(f"/edit/{editor.key}/delete")[2][:300]
    assert f'name="revision" value="{editor.revision}"' in form


@pytest.mark.usefixtures("other")
@pytest.mark.parametrize("how", ["copy", "move"])
def test_no_other_action_is_taken_where_the_draft_has_changed_since_it_was_shown(
    browser: Browser, backend: EmbeddedBackend, how: str
) -> None:
    editor = Editor.of(browser, backend, "shop")
    seen = editor.revision
    editor.type("actions", {"do": "up:2"})
    before = editor.values["actions"]
    answer = browser.post(f"/edit/{editor.key}/move", {"revision": seen, "action": "1", "to": "store", "how": how})
    assert answer.status_code == 409
    assert editor.values["actions"] == before
    assert [draft.document for draft in backend.drafts.all()] == ["shop"]


@pytest.mark.usefixtures("other")
def test_two_moves_one_after_the_other_make_one_draft_of_each_connector(browser: Browser, backend: EmbeddedBackend) -> None:
    for name in ("Add", "Remove"):
        browser.post("/edit/action", {"name": "shop", "action": name, "to": "store", "how": "move"})
    assert actions_in_drafts(backend) == {
        "shop": [["Create audience"]],
        "store": [["Create audience", "Add", "Remove", "Add 2", "Remove 2"]],
    }


@pytest.mark.usefixtures("other")
def test_two_moves_out_of_a_draft_make_one_draft_of_where_they_go(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.of(browser, backend, "shop")
    for _ in range(2):
        form = {"revision": editor.revision, "action": "1", "to": "store", "how": "move"}
        assert browser.post(f"/edit/{editor.key}/move", form).status_code == 303
    assert actions_in_drafts(backend) == {
        "shop": [["Create audience"]],
        "store": [["Create audience", "Add", "Remove", "Add 2", "Remove 2"]],
    }


@pytest.mark.usefixtures("other")
def test_a_draft_of_somebody_else_is_left_alone_by_a_move(browser: Browser, backend: EmbeddedBackend) -> None:
    theirs = Editor.of(browser, backend, "store")
    draft = backend.drafts.get(theirs.key)
    backend.drafts.put(msgspec.structs.replace(draft, by="Bob"))
    browser.post("/edit/action", {"name": "shop", "action": "Add", "to": "store", "how": "copy"})
    assert len(theirs.values["actions"]) == 3
    assert len(backend.drafts.all()) == 2


@pytest.mark.usefixtures("other")
def test_a_draft_that_only_took_the_name_is_not_where_an_action_goes(browser: Browser, backend: EmbeddedBackend) -> None:
    named = Editor.new(browser, backend)
    named.type("configure", {"name": "store"})
    browser.post("/edit/action", {"name": "shop", "action": "Add", "to": "store", "how": "copy"})
    assert len(backend.drafts.all()) == 2
    assert "Add 2" not in str(named.values)


def test_an_action_that_an_open_draft_has_lost_already_is_not_moved_twice(
    browser: Browser, backend: EmbeddedBackend, other: None
) -> None:
    for _ in range(2):
        answer = browser.post("/edit/action", {"name": "shop", "action": "Add", "to": "store", "how": "move"})
    assert answer.status_code == 409
    assert actions_in_drafts(backend)["store"] == [["Create audience", "Add", "Remove", "Add 2"]]


def actions_in_drafts(backend: EmbeddedBackend) -> dict[str, list[list[str]]]:
    """Document → its drafts → names of their actions."""
    found: dict[str, list[list[str]]] = {}
    for draft in backend.drafts.all():
        found.setdefault(draft.document, []).append([one["name"] for one in decoded(draft.content).values["actions"]])
    return found
