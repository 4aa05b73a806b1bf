"""Adding a connector begins with a draft, which is kept from the first step on and concerns nothing that runs."""

from __future__ import annotations

import pytest
from flask import Flask

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.console.roles import role_for
from relay.domain.errors import NotFound
from tests.unit.console.conftest import DOCUMENT, NAME, Browser
from tests.unit.console.editing import Editor


def test_a_draft_is_kept_from_the_first_step_on_and_listed_with_who_and_when(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend, name="spring")
    page = browser.text("/edit/new")
    assert f"/edit/{editor.key}/configure" in page
    assert "spring" in page
    assert f"<td>{NAME}</td>" in page
    assert backend.connectors.documents() == []


@pytest.mark.parametrize("name", ["", "Spring", "1st", "a/b", "pangolin@sandbox"])
def test_a_name_that_no_document_can_have_begins_nothing_and_stays_in_the_form(
    browser: Browser, backend: EmbeddedBackend, name: str
) -> None:
    answer = browser.post("/edit/new", {"adapter": "pangolin", "name": name})
    assert answer.status_code == 400
    assert "A name has 1 to 63 small letters" in answer.text
    assert f'value="{name}"' in answer.text
    assert backend.drafts.all() == []


def test_the_name_of_a_connector_that_is_there_is_refused(browser: Browser, publishing: Publishing) -> None:
    answer = browser.post("/edit/new", {"adapter": "pangolin", "name": "shop"})
    assert answer.status_code == 400
    assert "There is a connector" in answer.text


def test_a_deleted_draft_is_gone_and_what_runs_is_as_it_was(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor = Editor.of(browser, backend, "shop")
    editor.send("configure", title="Another")
    browser.post(f"/edit/{editor.key}/delete", {"revision": str(editor.revision)})
    assert backend.drafts.all() == []
    assert [one.number for one in backend.connectors.versions("shop")] == [1]
    assert publishing.live("shop").title == "The shop's audiences"
    browser.get(f"/edit/{editor.key}/configure", 404)


def test_of_two_windows_the_older_one_changes_nothing(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    seen = editor.revision
    editor.send("configure", title="First")
    answer = browser.post(f"/edit/{editor.key}/configure", {"revision": str(seen), "title": "Second", "do": "save"})
    assert answer.status_code == 409
    assert "Nothing was saved" in answer.text
    assert editor.values["title"] == "First"


def test_beginning_and_deleting_are_in_the_audit_with_the_name_of_who_did_it(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend, name="spring")
    browser.post(f"/edit/{editor.key}/delete", {"revision": str(editor.revision)})
    assert [(one.by, one.what, one.subject) for one in backend.audit.newest(limit=2)] == [
        (NAME, "delete draft", "spring"),
        (NAME, "begin draft", "spring"),
    ]


def test_all_of_editing_is_for_admins(stranger: Browser) -> None:
    app = stranger.client.application
    assert isinstance(app, Flask)
    views = {name: view for name, view in app.view_functions.items() if name.startswith("edit.")}
    assert len(views) >= 12
    assert {role_for(view) for view in views.values()} == {"admin"}


def test_a_draft_that_nobody_knows_is_not_found(browser: Browser, backend: EmbeddedBackend) -> None:
    browser.get("/edit/nonsense/configure", 404)
    editor = Editor.new(browser, backend)
    browser.get(f"/edit/{editor.key}/nonsense", 404)
    with pytest.raises(NotFound):
        backend.drafts.get("nonsense")


def test_an_edit_begins_with_what_runs_not_with_a_draft_version(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    publishing.apply(backend.connectors.version("shop", 1).text.replace("The shop's audiences", "Tried out"), draft=True)
    editor = Editor.of(browser, backend, "shop")
    assert editor.values["title"] == "The shop's audiences"
    assert backend.drafts.get(editor.key).base == 1


def test_a_duplicate_has_its_own_name_and_names_of_its_own_for_its_secrets(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor = Editor.of(browser, backend, "shop", how="duplicate", new_name="shop-two")
    assert editor.values["name"] == "shop-two"
    assert editor.values["inbound"] == {"hmac_secret": "shop-two-hmac"}
    assert editor.values["secrets"] == {"token": "shop-two-token"}
    assert len(editor.values["actions"]) == 3
    answer = browser.post("/edit/start", {"name": "shop", "how": "duplicate", "new_name": "shop"})
    assert answer.status_code == 400
    assert "There is a connector" in answer.text


def test_pangolin_is_connected_through_the_http_adapter_from_an_example(browser: Browser, backend: EmbeddedBackend) -> None:
    assert "Pangolin, described as an HTTP API" in browser.text("/edit/new")
    answer = browser.post("/edit/new", {"adapter": "http", "name": "acme", "example": "pangolin-over-http"})
    editor = Editor(browser, backend, answer)
    assert editor.values["name"] == "acme"
    assert (editor.values["inbound"], editor.values["secrets"]) == ({"hmac_secret": "acme-hmac"}, {"token": "acme-token"})
    assert editor.send("configure", do="next").headers["Location"].endswith("/actions")
    review = editor.see("review")
    assert "Nothing is wrong with it." in review
    assert "# Pangolin runs on this machine, and without encryption." in review


def test_a_duplicate_keeps_no_secret_of_an_environment(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    sandbox = "{inbound: {hmac_secret: sand-hmac, basic_auth: sand-basic}, secrets: {token: sand-token}}"
    publishing.apply(DOCUMENT + f"environments:\n  sandbox: {sandbox}\n  production: {{}}\n")
    editor = Editor.of(browser, backend, "shop", how="duplicate", new_name="copy")
    assert editor.values["inbound"] == {"hmac_secret": "copy-hmac"}
    assert editor.values["environments"] == {
        "sandbox": {
            "inbound": {"hmac_secret": "copy-sandbox-hmac", "basic_auth": "copy-sandbox-basic"},
            "secrets": {"token": "copy-sandbox-token"},
        },
        "production": {},
    }


def test_a_draft_that_somebody_else_has_changed_since_is_not_deleted(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    seen = str(editor.revision)
    assert f'name="revision" value="{seen}"' in editor.see("text").partition("/delete")[2][:300]
    editor.send("configure", title="First")
    assert browser.post(f"/edit/{editor.key}/delete", {"revision": seen}).status_code == 409
    assert len(backend.drafts.all()) == 1


def test_a_draft_does_not_take_the_place_of_another_connector(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    publishing.apply(DOCUMENT.replace("name: shop", "name: store"))
    editor = Editor.of(browser, backend, "store")
    editor.type("configure", {"name": "shop", "title": "Taken over"})
    assert "There is a connector &#39;shop&#39; already" in editor.see("configure", checked="1")
    assert "not what you were shown" not in editor.publish(sure="yes").text
    assert [one.number for one in backend.connectors.versions("shop")] == [1]
    editor.type("text", {"text": DOCUMENT, "do": "next"})
    assert "There is a connector &#39;shop&#39; already" in editor.see("review")
    editor.type("configure", {"name": "store"})
    assert "Nothing is wrong with it." in editor.see("review")
