"""Somebody allows a connector's access from its draft, where nothing of its name runs."""

from __future__ import annotations

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from tests.unit.adapters.authentication.server import AuthorizationServer
from tests.unit.console.conftest import NAME, Browser
from tests.unit.console.editing import Editor
from tests.unit.console.test_connect import DOCUMENT, acme, browser, sent_back, server  # noqa: F401 - fixtures
from tests.unit.console.test_connect import way as way_of_what_runs


def a_draft(browser: Browser, backend: EmbeddedBackend, server: AuthorizationServer, name: str = "later") -> Editor:  # noqa: F811
    editor = Editor.new(browser, backend, adapter="consent", name=name)
    editor.type("configure", {"settings.base_url": server.url})
    return editor


def way(editor: Editor) -> str:
    answer = editor.type("configure", {"do": "connect"})
    assert answer.status_code == 200, answer.headers["Location"]
    start = answer.text.index('href="http://127') + len('href="')
    return answer.text[start : answer.text.index('"', start)].replace("&amp;", "&")


def test_a_draft_is_connected_before_it_is_published_and_needs_nobody_after(
    browser: Browser, backend: EmbeddedBackend, acme: Publishing, server: AuthorizationServer  # noqa: F811
) -> None:
    editor = a_draft(browser, backend, server)
    url = way(editor)
    answer = browser.client.get(sent_back(url))
    assert answer.headers["Location"] == f"/edit/{editor.key}/configure#secrets"
    assert "later is connected." in editor.see("configure")
    whats = [(one.by, one.what, one.subject) for one in backend.audit.newest(limit=2)]
    assert whats == [(NAME, "draft connected", "later"), (NAME, "connect draft", "later")]
    answer = editor.publish()
    assert answer.headers["Location"] == "/connectors/later"


def test_what_nobody_has_connected_leads_to_connect_right_after_publishing(
    browser: Browser, backend: EmbeddedBackend, acme: Publishing, server: AuthorizationServer  # noqa: F811
) -> None:
    editor = a_draft(browser, backend, server)
    assert editor.publish().headers["Location"] == "/connectors/later#secrets"
    assert "One thing is left" in browser.text("/connectors/later")


def test_a_draft_of_what_runs_does_not_take_its_access_away(
    browser: Browser, backend: EmbeddedBackend, acme: Publishing  # noqa: F811
) -> None:
    editor = Editor.of(browser, backend, "acme")
    page = editor.see("configure")
    assert "acme runs, and the access belongs to it" in page
    assert 'value="connect"' not in page
    assert editor.type("configure", {"do": "connect"}).status_code == 303


def test_a_draft_that_only_took_the_name_of_what_runs_is_not_connected(
    browser: Browser, backend: EmbeddedBackend, acme: Publishing, server: AuthorizationServer  # noqa: F811
) -> None:
    editor = a_draft(browser, backend, server)
    url = way(editor)
    editor.type("configure", {"name": "acme"})
    answer = browser.client.get(sent_back(url))
    assert answer.status_code == 302
    assert "later is not connected" in editor.see("configure")


def test_settings_come_before_connecting(browser: Browser, backend: EmbeddedBackend, acme: Publishing) -> None:  # noqa: F811
    editor = Editor.new(browser, backend, adapter="consent", name="later")
    assert "Fill in the settings that are required first." in editor.see("configure")


def connected(browser: Browser, backend: EmbeddedBackend, server: AuthorizationServer) -> Editor:  # noqa: F811
    editor = a_draft(browser, backend, server)
    browser.get(sent_back(way(editor)), 302)
    return editor


def test_the_next_draft_of_that_name_does_not_run_with_the_access_of_one_that_was_deleted(
    browser: Browser, backend: EmbeddedBackend, acme: Publishing, server: AuthorizationServer  # noqa: F811
) -> None:
    editor = connected(browser, backend, server)
    browser.post(f"/edit/{editor.key}/delete", {"revision": str(editor.revision)})
    assert a_draft(browser, backend, server).publish().headers["Location"] == "/connectors/later#secrets"


@pytest.mark.parametrize("step", ["configure", "text"])
def test_the_next_draft_of_that_name_does_not_run_with_the_access_of_one_that_was_renamed(
    browser: Browser, backend: EmbeddedBackend, acme: Publishing, server: AuthorizationServer, step: str  # noqa: F811
) -> None:
    editor = connected(browser, backend, server)
    text = DOCUMENT.format(url=server.url).replace("name: acme", "name: renamed")
    editor.type(step, {"text": text} if step == "text" else {"name": "renamed"})
    assert editor.values["name"] == "renamed"
    assert a_draft(browser, backend, server).publish().headers["Location"] == "/connectors/later#secrets"


def test_a_draft_that_changes_otherwise_keeps_its_access(
    browser: Browser, backend: EmbeddedBackend, acme: Publishing, server: AuthorizationServer  # noqa: F811
) -> None:
    editor = connected(browser, backend, server)
    editor.type("configure", {"title": "Another"})
    assert editor.publish().headers["Location"] == "/connectors/later"


def test_a_draft_that_is_deleted_or_renamed_leaves_what_runs_its_access(
    browser: Browser, backend: EmbeddedBackend, acme: Publishing  # noqa: F811
) -> None:
    browser.get(sent_back(way_of_what_runs(browser)), 302)
    for name in ("acme", "renamed"):
        editor = Editor.of(browser, backend, "acme")
        editor.type("configure", {"name": name})
        browser.post(f"/edit/{editor.key}/delete", {"revision": str(editor.revision)})
    browser.post("/connectors/acme/check")
    assert "The partner accepts the credentials of acme." in browser.text("/connectors/acme")


def test_what_was_published_while_the_partners_page_was_open_is_connected(
    browser: Browser, backend: EmbeddedBackend, acme: Publishing, server: AuthorizationServer  # noqa: F811
) -> None:
    editor = a_draft(browser, backend, server)
    back = sent_back(way(editor))
    editor.publish()

    assert browser.get(back, 302).location == "/connectors/later#secrets"
    assert "later is connected." in browser.text("/connectors/later")
    assert [(one.what, one.subject) for one in backend.audit.newest(limit=1)] == [("connect", "later")]
    browser.get(back, 302)
    assert "Nobody is connecting anything in this browser" in browser.text("/")


def test_what_was_deleted_while_the_partners_page_was_open_is_not_connected_and_the_attempt_is_over(
    browser: Browser, backend: EmbeddedBackend, acme: Publishing, server: AuthorizationServer  # noqa: F811
) -> None:
    editor = a_draft(browser, backend, server)
    back = sent_back(way(editor))
    browser.post(f"/edit/{editor.key}/delete", {"revision": str(editor.revision)})

    assert browser.get(back, 302).location == "/"
    assert "later is not connected: meanwhile it was deleted, and nothing of that name runs." in browser.text("/")
    browser.get(back, 302)
    assert "Nobody is connecting anything in this browser" in browser.text("/")
