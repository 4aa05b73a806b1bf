"""The step "test": what would be sent, whether the partner accepts us, and one user sent for a try."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import msgspec
import pytest

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console import create_app
from relay.domain.audience import HoldRequest
from relay.domain.clock import SystemClock
from relay.domain.errors import StoreUnavailable
from relay.domain.message import VERSION, Message, Mutation
from relay.domain.outcome import Report
from relay.operating.direct_test import send_test
from relay.operating.queue_test import QueueTest, Stays
from relay.operating.trial_message import TEST_AUDIENCE
from relay.pangolin.server import InThread
from tests.clock import TurnedClock
from tests.end_to_end.stack import eventually
from tests.unit.console.conftest import CANARY, DOCUMENT, NAME, PASSWORD, Browser
from tests.unit.console.editing import Editor
from tests.unit.console.waiting import hold
from worker.process import WorkerProcess

TOKEN = "token-of-pangolin"


@pytest.fixture
def pangolin(tmp_path: Path) -> Iterator[InThread]:
    with InThread(tmp_path / "pangolin.db", TOKEN) as server:
        yield server


def audiences_of(pangolin: InThread) -> list[str]:
    """The IDs of what the partner has."""
    request = Request(f"{pangolin.url}/api/audiences", headers={"Authorization": f"Bearer {TOKEN}"})
    with urlopen(request) as answer:
        return [one["id"] for one in json.load(answer)["audiences"]]


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


@pytest.fixture
def running(editor: Editor, backend: EmbeddedBackend, browser: Browser) -> Editor:
    """The same connector, published."""
    browser.post(f"/edit/{editor.key}/make-secret", {"kind": "hmac"})
    editor.publish()
    return Editor.of(browser, backend, "acme")


def test_through_the_queue_the_result_is_there_when_it_is_there(tmp_path: Path, pangolin: InThread) -> None:
    backend = EmbeddedBackend.open(tmp_path / "running", SystemClock())
    browser = Browser(create_app(Configuration(console_password=PASSWORD), backend, SystemClock()).test_client())
    browser.log_in()
    publishing = Publishing(backend, describe, "tester", SystemClock())
    publishing.set_secret("shop-hmac", "a-secret-of-the-dmp")
    publishing.set_secret("shop-token", TOKEN)
    publishing.apply(DOCUMENT.replace("http://127.0.0.1:1", pangolin.url))
    editor = Editor.of(browser, backend, "shop")

    answer = editor.type("test", {"do": "queue", "sample": json.dumps({"Id": CANARY})})
    place = answer.headers["Location"].partition("#")[0]
    assert CANARY not in place
    page = browser.text(place)
    assert page.count("in the queue</span>, no worker has taken it yet.") == 2
    assert 'id="queued" class="mb-4" aria-labelledby="queued-title" data-live="2"' in page

    process = WorkerProcess(backend, SystemClock(), threads=1)
    thread = threading.Thread(target=process.run)
    thread.start()
    try:
        eventually(lambda: "in the queue</span>" not in browser.text(place))
    finally:
        process.stop()
        thread.join(30)
    page = browser.text(place)
    assert "The user joined: delivered" in page
    assert "The user left: delivered" in page
    assert "data-live" not in page.partition('id="queued"')[2].partition(">")[0]
    request = Request(f"{pangolin.url}/api/calls", headers={"Authorization": f"Bearer {TOKEN}"})
    with urlopen(request) as called:
        methods = [call["method"] for call in json.load(called) if call["path"].endswith("/users")]
    assert sorted(methods) == ["DELETE", "POST"]
    assert ("test", "shop") in [(one.what, one.subject) for one in backend.audit.newest(limit=5)]
    backend.close()


def test_through_the_queue_goes_only_what_runs(editor: Editor) -> None:
    assert 'value="queue"' not in editor.see("test")
    page = editor.type("test", {"do": "queue"}).text
    assert "No version of acme runs" in page


def test_a_user_whom_the_mapping_refuses_is_not_queued(running: Editor, backend: EmbeddedBackend) -> None:
    page = running.type("test", {"do": "queue", "sample": json.dumps({"Email": "ann@example.com"})}).text
    assert "Nothing was sent:" in page
    assert backend.audiences.all("acme") == []


def queued(editor: Editor) -> str:
    """The page of a test that was sent through the queue."""
    return editor.type("test", {"do": "queue"}).headers["Location"].partition("#")[0]


def live(page: str) -> str:
    """What the page says of looking again at the test."""
    return page.partition('id="queued"')[2].partition(">")[0].partition("data-live=")[2]


def test_a_connector_that_is_switched_off_is_not_tested(running: Editor, backend: EmbeddedBackend) -> None:
    backend.connectors.set_enabled("acme", False)
    page = running.type("test", {"do": "queue"}).text
    assert "Nothing was sent:" in page
    assert "switched off" in page


def test_while_it_waits_the_page_says_why(running: Editor, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    place = queued(running)
    joined = parse_qs(urlsplit(place).query)["joined"][0]
    user = (Mutation(0, user={"id": CANARY}),)
    message = Message(VERSION, "change", "acme", TEST_AUDIENCE, request_id=joined, received_at=clock.now(), mutations=user)
    turn = backend.audiences.begin_turn("acme", TEST_AUDIENCE, position=1, message_id="1")
    backend.audiences.join(turn, message, HoldRequest("partner_unavailable", clock.now() + 7_200, "It is down for tea."))
    page = running.browser.text(place)
    assert "The user joined: waiting" in page
    assert "It is down for tea" in page
    clock.advance(3_600)
    assert live(running.browser.text(place)) == '"10"'


def test_a_test_of_which_nothing_comes_is_looked_at_ever_more_seldom_and_not_for_ever(
    running: Editor, clock: TurnedClock
) -> None:
    place = queued(running)
    seen = []
    for _ in range(3):
        seen.append(live(running.browser.text(place)))
        clock.advance(200)
    assert seen == ['"2"', '"10"', ""]
    page = running.browser.text(place)
    assert page.count("nothing is known of it</span>") == 2
    assert "no worker has taken it yet" not in page


def test_what_came_of_a_test_is_found_behind_many_other_attempts(
    running: Editor, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    place = queued(running)
    joined = parse_qs(urlsplit(place).query)["joined"][0]

    def attempt(number: int, audience: str, request_id: str) -> None:
        report = Report(
            1, f"attempt-{number}", "acme", 1, audience, "change", (request_id,), clock.now(), 5.0, {"delivered": 1}
        )
        backend.reports.attempt(report, [])

    attempt(0, TEST_AUDIENCE, joined)
    for number in range(1, 300):
        attempt(number, "another", f"request-{number}")
    assert "The user joined: delivered" in running.browser.text(place)


@pytest.mark.parametrize(
    ("secret", "why"), [("wrong", "The partner does not accept us"), ("", "acme is incomplete")], ids=["refused", "missing"]
)
def test_what_the_partner_would_not_take_is_not_queued(running: Editor, backend: EmbeddedBackend, secret: str, why: str) -> None:
    backend.secrets.delete("acme-token")
    if secret:
        backend.secrets.set("acme-token", secret)
    page = running.type("test", {"do": "queue"}).text
    assert "Nothing was sent:" in page
    assert why in page
    assert backend.audiences.all("acme") == []


@pytest.mark.parametrize(
    ("does", "before", "after", "why"),
    [
        ("send", "trigger: left,", "trigger: left, enabled: false,", "The action is switched off."),
        ("send", "operation: remove, mapping: {id: user.id}", "operation: remove, mapping: {id: user.gaid}", "no value for"),
        ("queue", "operation: remove, mapping: {id: user.id}", "operation: remove, mapping: {id: user.gaid}", "no value for"),
    ],
)
def test_a_user_who_would_stay_at_the_partner_is_not_sent(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing, pangolin: InThread, does: str, before: str, after: str,
    why: str,
) -> None:  # fmt: skip
    publishing.set_secret("shop-token", TOKEN)
    publishing.apply(DOCUMENT.replace("http://127.0.0.1:1", pangolin.url).replace(before, after))
    page = Editor.of(browser, backend, "shop").type("test", {"do": does, "sample": json.dumps({"Id": "test-1"})}).text
    answer = page.partition('id="answer">')[2].partition("</div>")[0]
    assert answer.startswith("Nothing was sent")
    assert "The user would stay at the partner" in answer
    assert why in answer
    assert audiences_of(pangolin) == []


def test_a_user_whose_leaving_fails_is_told_to_stay_and_where(
    backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock, pangolin: InThread
) -> None:
    publishing.set_secret("shop-token", TOKEN)
    second = "  - {name: Remove by another, trigger: left, operation: remove, mapping: {id: user.gaid}}\n"
    publishing.apply(DOCUMENT.replace("http://127.0.0.1:1", pangolin.url) + second)
    last = send_test(backend, clock, publishing.live("shop"), Mutation(0, user={"id": CANARY}))[-1]
    (audience,) = audiences_of(pangolin)
    assert (last.what, last.well) == ("The test user may stay", False)
    assert audience in last.hint


class Broken(TurnedClock):
    """Somebody who waits by it meets trouble."""

    def sleep(self, seconds: float) -> None:
        raise StoreUnavailable("The store is away.")


def test_the_leaving_is_queued_also_where_the_wait_for_the_joining_ends_in_trouble(
    running: Editor, backend: EmbeddedBackend
) -> None:
    browser = Browser(create_app(Configuration(console_password=PASSWORD), backend, Broken()).test_client())
    browser.log_in()
    running.browser = browser
    answer = browser.post(f"/edit/{running.key}/test", {"revision": str(running.revision), "do": "queue"})
    assert answer.status_code == 503
    directions = []
    while leased := backend.queue.take():
        directions += [one.direction for one in msgspec.json.decode(leased.body, type=Message).mutations]
        backend.queue.acknowledge(leased)
    assert directions == ["joined", "left"]


def test_where_the_leaving_cannot_be_queued_it_says_where_the_user_stays(
    backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock
) -> None:
    trial = QueueTest(backend, clock, publishing.live("shop"), "seven")
    connection = backend.database.connection()
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(Stays, match=r"may stay at the partner, in the audience seven of shop, .* disk is full"):
        trial.leave(Mutation(0, user={"id": "x" * 100_000}))


def test_a_draft_that_names_another_connector_reads_none_of_its_people_and_does_not_test_by_it(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock
) -> None:
    hold(backend, clock, "a1")
    editor = Editor.new(browser, backend, name="mine")
    editor.type("configure", {"name": "shop", "settings.base_url": "http://127.0.0.1:1", "secrets.token:name": "x"})
    assert "Nothing of this connector has run yet" in editor.type("test", {"do": "recent"}).text
    page = editor.type("test", {"do": "queue"}).text
    assert "Nothing was sent: No version of shop runs" in page
    assert 'value="queue"' not in page


def test_what_is_missing_leads_to_where_it_is_set_and_names_no_command(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    for step in ("test", "review"):
        page = editor.see(step)
        assert "diy secrets" not in page
        assert f"/edit/{editor.key}/configure?checked=1#secrets" in page
        assert f"/edit/{editor.key}/configure?checked=1#f-settings-base-url" in page
    assert "It runs once what is missing is there" in editor.see("review")


def test_an_address_at_which_nobody_answers_is_not_taken_for_refused_credentials(editor: Editor) -> None:
    page = editor.type("configure", {"settings.base_url": "http://127.0.0.1:9", "do": "check"}).text
    assert "does not accept us" not in page
    assert "Is the address right" in page
