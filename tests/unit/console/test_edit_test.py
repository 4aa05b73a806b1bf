"""The step "test": what would be sent, whether the partner accepts us, and one user sent for a try."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.domain.message import Mutation
from relay.operating.direct_test import send_test
from relay.pangolin.server import InThread
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, DOCUMENT, NAME, Browser
from tests.unit.console.editing import Editor

TOKEN = "token-of-pangolin"


@pytest.fixture
def pangolin(tmp_path: Path) -> Iterator[InThread]:
    with InThread(tmp_path / "pangolin.db", TOKEN) as server:
        yield server


@pytest.fixture
def editor(browser: Browser, backend: EmbeddedBackend, pangolin: InThread) -> Editor:
    """A draft for Pangolin, complete but for the DMP's secret; never published."""
    editor = Editor.new(browser, backend)
    editor.type("configure", {"settings.base_url": pangolin.url, "secrets.token:name": "", "secrets.token:value": TOKEN})
    return editor


def test_the_exact_requests_are_shown_without_the_credentials(editor: Editor, pangolin: InThread) -> None:
    page = editor.see("test")
    assert f"POST {pangolin.url}/api/audiences Content-Type" in page or f"POST {pangolin.url}/api/audiences" in page
    assert f"DELETE {pangolin.url}/api/audiences/{{audience}}/users" in page
    assert "&#34;id&#34;: &#34;sample-user&#34;" in page
    assert "Authorization: ***" in page
    assert TOKEN not in page


def test_a_user_that_was_typed_is_in_the_requests_and_kept_nowhere(editor: Editor, backend: EmbeddedBackend) -> None:
    answer = editor.type("test", {"do": "preview", "sample": json.dumps({"Id": CANARY})})
    assert f"&#34;id&#34;: &#34;{CANARY}&#34;" in answer.text
    assert CANARY not in backend.drafts.get(editor.key).content


def test_the_partner_is_asked_whether_it_accepts_the_credentials(editor: Editor, backend: EmbeddedBackend) -> None:
    assert "The partner accepts the credentials." in editor.type("test", {"do": "check"}).text
    assert "The partner accepts the credentials." in editor.type("configure", {"do": "check"}).text
    page = editor.type("configure", {"secrets.token:name": "acme-token", "secrets.token:value": "wrong", "do": "check"}).text
    assert "The partner does not accept us" in page


def test_a_test_user_joins_an_audience_at_the_partner_and_leaves_it(
    editor: Editor, backend: EmbeddedBackend, browser: Browser
) -> None:
    page = " ".join(editor.type("test", {"do": "send"}).text.split())
    assert page.count('<span class="edit-done">Done</span>') == 3
    assert "The user joined: Add" in page
    assert "The user left: Remove" in page
    entry = backend.audit.newest(limit=1)[0]
    assert (entry.by, entry.what, entry.subject) == (NAME, "test draft", "acme")
    assert backend.audiences.all("acme") == []
    assert backend.connectors.documents() == []


def test_what_fails_is_told_with_the_partners_words(editor: Editor) -> None:
    editor.type("configure", {"secrets.token:name": "acme-token", "secrets.token:value": "wrong"})
    page = " ".join(editor.type("test", {"do": "send"}).text.split())
    assert '<span class="edit-bad">Failed</span>: The audience for tests' in page
    assert "The user joined" not in page


def test_nothing_is_sent_before_the_connector_is_complete(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    page = editor.see("test")
    assert "A test user can be sent once it is complete" in page
    assert 'value="send"' not in page
    assert "A test user can be sent once it is complete" in editor.type("test", {"do": "send"}).text


def test_a_partner_that_asked_not_to_be_called_is_not_called(
    editor: Editor, backend: EmbeddedBackend, browser: Browser
) -> None:
    browser.post(f"/edit/{editor.key}/make-secret", {"kind": "hmac"})
    editor.publish()
    backend.connectors.not_before("acme", 4e9, reason="come_back_later", detail="")
    again = Editor.of(browser, backend, "acme")
    for does in ("send", "check"):
        assert "asked not to be called before" in again.type("test", {"do": does}).text


def test_a_user_whose_joining_failed_half_way_is_not_left_at_the_partner(
    backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock, pangolin: InThread
) -> None:
    publishing.set_secret("shop-token", TOKEN)
    second = "  - {name: Add by another, trigger: joined, operation: add, mapping: {id: user.gaid}}\n"
    publishing.apply(DOCUMENT.replace("http://127.0.0.1:1", pangolin.url) + second)

    tried = send_test(backend, clock, publishing.live("shop"), Mutation(0, user={"id": CANARY}))

    assert [(one.what, one.well) for one in tried[1:]] == [
        ("The user joined: Add", True),
        ("The user joined: Add by another", False),
        ("The user left: Remove", True),
    ]


def test_nothing_is_taken_back_where_nobody_was_sent(
    backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock, pangolin: InThread
) -> None:
    publishing.set_secret("shop-token", TOKEN)
    document = DOCUMENT.replace("http://127.0.0.1:1", pangolin.url)
    publishing.apply(document.replace("operation: add, mapping: {id: user.id}", "operation: add, mapping: {id: user.gaid}"))

    tried = send_test(backend, clock, publishing.live("shop"), Mutation(0, user={"id": CANARY}))

    assert [(one.what, one.well) for one in tried[1:]] == [("The user joined: Add", False)]
