"""Somebody allows a connector's access from its draft, where nothing of its name runs."""

from __future__ import annotations

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from tests.unit.adapters.authentication.server import AuthorizationServer
from tests.unit.console.conftest import NAME, Browser
from tests.unit.console.editing import Editor
from tests.unit.console.test_connect import acme, browser, sent_back, server  # noqa: F401 - fixtures


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
    assert whats == [(NAME, "connect draft", "later")] * 2
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
