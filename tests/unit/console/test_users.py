"""One person: found by what somebody types, and forgotten; the identifier stays in the answer to who typed it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console import create_app, users_reading
from relay.console.identity import ProxyIdentity
from relay.domain.audience import HoldRequest
from relay.domain.message import Message, Mutation
from relay.domain.outcome import Rejection, Report, Result, hash_user
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, DOCUMENT, NAME, Browser

WHO = f"{CANARY}@example.com"
JOURNALED = DOCUMENT + "retention: {journal: 7d}\n"


def message(clock: TurnedClock, request: str = "request-1", audience: str = "a.1", **changes: Any) -> Message:
    mutations = (
        Mutation(0, changes.pop("direction", "joined"), {"id": "u-1", "email": WHO}),
        Mutation(1, "joined", {"id": "neighbour"}),
    )
    return Message(1, "change", "shop", audience, request, clock.now(), mutations=mutations, **changes)


def hold(backend: EmbeddedBackend, clock: TurnedClock, request: str = "request-1", audience: str = "a.1", **changes: Any) -> None:
    turn = backend.audiences.begin_turn("shop", audience, position=1, message_id=request)
    asked = HoldRequest("partner_unavailable", clock.now() + 90, "It <b>answered</b> 503.")
    backend.audiences.join(turn, message(clock, request, audience, **changes), asked)


def delivered(backend: EmbeddedBackend, clock: TurnedClock, request: str = "request-1", **changes: Any) -> None:
    """Accepted, kept in the journal, and taken from the queue; an attempt says what came of it."""
    backend.queue.publish([message(clock, request, journal_days=7)])
    leased = backend.queue.take()
    assert leased
    backend.queue.acknowledge(leased)
    counts = changes.pop("counts", {"delivered": 2})
    backend.reports.attempt(
        Report(1, f"attempt-{request}", "shop", 1, "a.1", "change", (request,), clock.now(), 5.0, counts, **changes), []
    )


def find(browser: Browser, identifier: str = WHO) -> str:
    answer = browser.post("/users", {"identifier": identifier}, form="/users")
    assert answer.status_code == 200
    return " ".join(answer.text.split())


def became(shown: str) -> list[str]:
    return re.findall(r'<span class="badge verdict text-nowrap \w*">([^<]+)</span>', shown)


def test_the_form_says_what_can_be_typed(browser: Browser, publishing: Publishing) -> None:
    shown = browser.text("/users")

    assert "An ID, an e-mail address, a phone number with its country" in shown
    form, field = re.findall(r"<(?:form|input)[^>]*(?:users|identifier)[^>]*>", shown)
    assert 'method="post"' in form
    assert 'autocomplete="off"' in form
    assert 'autocomplete="off"' in field


def test_an_address_finds_nobody(browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock)

    shown = browser.text(f"/users?identifier={WHO}")

    assert "waits in a hold" not in shown
    assert CANARY not in shown


def test_what_waits_in_a_hold_says_why_and_until_when(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock)

    shown = find(browser)

    assert became(shown) == ["waits in a hold"]
    assert "The partner cannot take anything just now; it is tried again by itself" in shown
    assert "It &lt;b&gt;answered&lt;/b&gt; 503." in shown
    assert "tried again at 2027-01-15 08:01:30 UTC (in 1 min)" in shown
    assert "neighbour" not in shown


def test_what_waits_in_the_queue_says_so(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.queue.publish([message(clock, direction="left")])

    shown = find(browser)

    assert became(shown) == ["waits in the queue"]
    assert "Its turn has not come yet" in shown
    assert "<td>left</td>" in shown

    assert backend.queue.take()
    assert "A worker has it in hand just now" in find(browser)


def test_a_refused_one_says_the_code_and_the_hint(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refused = Rejection(1, "shop", "a.1", "request-1", 0, "joined", hash_user("u-1"), "Add", "too_old", "<Too> old.", clock.now())
    backend.reports.add_rejections([refused])

    shown = find(browser, "u-1")

    assert became(shown) == ["refused"]
    assert "<code>too_old</code>" in shown
    assert "&lt;Too&gt; old." in shown
    assert "action Add" in shown
    assert hash_user("u-1") in shown, "the same hash stands in the CSV"


@pytest.mark.parametrize(
    ("changes", "fate", "words"),
    [
        ({}, "delivered", "last attempt"),
        (
            {"counts": {"superseded": 1}, "exceptions": (Result("request-1", 0, "Add", "superseded"),)},
            "superseded",
            "A later change of the same user took its place",
        ),
        (
            {"counts": {"skipped": 1}, "exceptions": (Result("request-1", 0, "", "skipped", "no_action", "No action applies."),)},
            "skipped",
            "No action applies.",
        ),
        ({"counts": {"delivered": 1, "retry": 1}}, "sent or passed over", "it does not tell its users apart"),
        ({"request_ids": ("another",)}, "sent or passed over", "not among those that were looked through"),
    ],
    ids=["delivered", "superseded", "skipped", "partly", "unknown attempt"],
)
def test_what_the_journal_has_is_told_by_its_attempt(
    changes: dict[str, Any],
    fate: str,
    words: str,
    browser: Browser,
    publishing: Publishing,
    backend: EmbeddedBackend,
    clock: TurnedClock,
) -> None:
    publishing.apply(JOURNALED)
    if request_ids := changes.pop("request_ids", None):
        backend.queue.publish([message(clock, journal_days=7)])
        leased = backend.queue.take()
        assert leased
        backend.queue.acknowledge(leased)
        assert request_ids
    else:
        delivered(backend, clock, **changes)

    shown = find(browser)

    assert became(shown) == [fate]
    assert words in shown


def test_a_change_that_is_in_the_journal_and_waits_is_shown_once(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    publishing.apply(JOURNALED)
    backend.queue.publish([message(clock, journal_days=7)])

    assert became(find(browser)) == ["waits in the queue"]


def test_changes_come_in_order_and_the_audience_has_its_name(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    publishing.apply(JOURNALED)
    delivered(backend, clock)
    clock.advance(60)
    hold(backend, clock, "request-2", "b.2")
    backend.audiences.link("shop", "b.2", partner_id="p", name="Buyers & more")
    clock.advance(60)
    backend.queue.publish([message(clock, "request-3")])

    shown = find(browser)

    assert became(shown) == ["delivered", "waits in a hold", "waits in the queue"]
    assert "Buyers &amp; more" in shown


def test_older_changes_are_cut_and_it_says_how_many(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_reading, "MOST_TRACES", 3)
    backend.queue.publish([message(clock, f"request-{number}") for number in range(5)])

    shown = find(browser)

    assert len(became(shown)) == 3
    assert "The newest 3 are shown; 2 older ones are not" in shown
    assert "request-4" in shown


def test_what_cannot_be_told_is_said(browser: Browser, publishing: Publishing) -> None:
    shown = find(browser)

    assert "Nothing here knows this person" in shown
    assert "No journal is kept by shop: what was delivered there leaves no trace." in shown
    assert hash_user(WHO) in shown


@pytest.mark.parametrize("typed", ["", "   ", "x" * 6_000])
@pytest.mark.parametrize("path", ["/users", "/users/forget"])
def test_no_identifier_is_a_sentence_at_the_field(path: str, typed: str, browser: Browser, publishing: Publishing) -> None:
    answer = browser.post(path, {"identifier": typed}, form="/users")

    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


# secrecy
def test_the_identifier_is_in_nothing_but_the_answer_to_who_typed_it(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock, capfd: pytest.CaptureFixture[str]
) -> None:
    hold(backend, clock)
    answers = [
        browser.post("/users", {"identifier": WHO}, form="/users"),
        browser.post("/users/forget", {"identifier": WHO}, form="/users"),
        browser.post("/users/forget", {"identifier": WHO, "sure": "yes"}, form="/users"),
    ]

    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert CANARY not in str(answer.headers)
        assert CANARY not in re.sub(r'value="[^"]*"', "", answer.text), "in the field where it was typed, and nowhere else"
        assert not re.search(rf'(href|action|src)="[^"]*{CANARY}', answer.text)
    for path in ("/users", "/activity", "/rejections", "/"):
        assert CANARY not in browser.text(path)
    assert CANARY not in "".join(str(entry) for entry in backend.audit.newest())
    assert CANARY not in "".join(capfd.readouterr())


# roles
class _Viewer(ProxyIdentity):
    """Whoever the proxy lets in, without asking Google."""

    def __init__(self, email: str) -> None:
        self._email = email

    def email(self, assertion: str) -> str | None:
        return self._email


@pytest.mark.parametrize(
    ("role", "search", "forget"), [("viewer", 403, 403), ("operator", 200, 403), ("admin", 200, 200)]
)
def test_operators_find_and_admins_forget(
    role: str, search: int, forget: int, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock)
    configuration = Configuration(console_roles=f"*={role}", console_password="own")
    app = create_app(configuration, backend, clock, proxy=_Viewer("ann@example.com"))
    browser = Browser(app.test_client())

    form = browser.text("/users")
    found = browser.post("/users", {"identifier": WHO}, form="/users")

    assert found.status_code == search
    assert ("the role operator" in form) == (role == "viewer")
    assert ("Forget this person" in found.text) == (role == "admin")
    assert browser.post("/users/forget", {"identifier": WHO}, form="/users").status_code == forget


# forgetting
def test_forgetting_asks_first_and_says_what_it_concerns_and_what_remains(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock)

    asked = browser.post("/users/forget", {"identifier": WHO}, form="/users").text

    assert "Found: 1 in holds; 1 audience of shop." in asked
    assert "What the partners have: let the DMP remove the user" in asked
    assert "Backups" in asked
    assert 'type="checkbox" id="sure" name="sure" value="yes" required' in asked
    assert became(find(browser)) == ["waits in a hold"], "nothing has happened yet"


def test_a_person_is_forgotten_and_the_others_of_the_batch_stay(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock)

    told = browser.post("/users/forget", {"identifier": WHO, "sure": "yes"}, form="/users").text

    assert "The person is forgotten" in told
    assert "Removed: 1 in holds." in told
    assert "backups" in told
    assert "Nothing here knows this person" in find(browser)
    (waiting,) = backend.audiences.peek("shop", "a.1", limit=10)
    assert [one.user["id"] for one in waiting.message.mutations] == ["neighbour"]


def test_forgetting_is_in_the_audit_by_the_hash(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock)

    browser.post("/users/forget", {"identifier": WHO, "sure": "yes"}, form="/users")

    entry = backend.audit.newest(limit=1)[0]
    assert (entry.by, entry.what, entry.subject) == (NAME, "forget user", hash_user(WHO))


def test_what_could_not_be_forgotten_yet_is_said_with_a_way_to_do_it_once_more(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.queue.publish([message(clock)])
    assert backend.queue.take()

    told = " ".join(browser.post("/users/forget", {"identifier": WHO, "sure": "yes"}, form="/users").text.split())

    assert "Not everything could be forgotten yet" in told
    assert "A worker has 1 mutation of shop/a.1 in hand: forget the person once more, in three minutes at most." in told
    assert "Forget the person once more</button>" in told


def test_nobody_is_forgotten_where_nobody_is_known(browser: Browser, publishing: Publishing) -> None:
    asked = browser.post("/users/forget", {"identifier": WHO}, form="/users").text

    assert "Nothing here knows this person." in asked
    assert "<button class=\"btn btn-danger\">" not in asked
