"""`/audiences`: what the DMP's audiences are at the partner, and the ways to make, link, look at and fill one by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.console.audiences_reading import ROWS
from relay.console.linking import SHOWN
from relay.console.roles import Role
from relay.domain.audience import Audience
from relay.domain.feed import Use
from relay.domain.message import VERSION, Message, Mutation
from relay.domain.outcome import Rejection, Report, hash_user
from relay.pangolin.server import InThread
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, DOCUMENT, NAME, Browser
from tests.unit.console.waiting import hold

ONE = "/audiences/one?connector=shop&audience="
RESYNC = "/audiences/resync?connector=shop&audience="


@pytest.fixture
def pangolin(tmp_path: Path) -> Iterator[InThread]:
    with InThread(tmp_path / "pangolin.db", token="canary-secret") as running:
        yield running


@pytest.fixture
def connected(pangolin: InThread, publishing: Publishing) -> Publishing:
    """`shop` has a partner that answers."""
    publishing.apply(DOCUMENT.replace("http://127.0.0.1:1", pangolin.url))
    return publishing


@pytest.fixture
def journaling(publishing: Publishing, clock: TurnedClock) -> Publishing:
    """`shop` keeps a journal, since a moment."""
    publishing.apply(f"{DOCUMENT}\nretention: {{journal: 7d}}\n")
    clock.advance(3600)
    return publishing


def known(backend: EmbeddedBackend, audience: str) -> Audience:
    found = backend.audiences.get("shop", audience)
    assert found is not None
    return found


def made(backend: EmbeddedBackend, audience: str, name: str = "", partner_id: str | None = None) -> None:
    """On record, announced where it has a name, at the partner where it has an ID there."""
    backend.audiences.claim_creation("shop", audience, owner="o", for_s=1, name=name or None, customer=None)
    if partner_id:
        backend.audiences.created("shop", audience, partner_id=partner_id)


def queued(backend: EmbeddedBackend) -> int:
    depth = backend.queue.depth()
    assert depth is not None
    return depth.messages


def audited(backend: EmbeddedBackend) -> list[tuple[str, str, str]]:
    return [(entry.what, entry.subject, entry.detail) for entry in backend.audit.newest() if entry.by == NAME]


def rows(shown: str) -> list[str]:
    return re.findall(r'<th scope="row" data-is="Audience"[^>]*><span> ?<a href="/audiences/one\?[^"]*">([^<]+)</a>', shown)


# the list
def test_without_audiences_it_says_how_they_come(browser: Browser, publishing: Publishing) -> None:
    assert "No audiences yet: the DMP announces them" in browser.text("/audiences")


def test_each_audience_is_shown_with_its_partner_id_status_and_hold(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    hold(backend, clock, "a.1", "credentials_refused", batches=2)
    clock.advance(7200)

    shown = browser.text("/audiences")

    for part in ("Buyers", "a.1", "shop", "p-1", ">ready</span>", "credentials refused", "2 batches", "2 h ago"):
        assert part in shown.partition("<tbody>")[2], part


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("like=buy", ["Buyers"]),
        ("like=A.2", ["Readers"]),
        ("like=P-3", ["Lapsed"]),
        ("status=ready", ["Buyers", "Lapsed"]),
        ("status=nonsense", ["Buyers", "Readers", "Lapsed"]),
        ("connector=shop&like=e&status=creating", ["Readers"]),
        ("connector=other", []),
    ],
)
def test_the_list_is_filtered(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, query: str, found: list[str]
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    made(backend, "a.2", "Readers")
    made(backend, "a.3", "Lapsed", "p-3")

    assert rows(browser.text(f"/audiences?{query}")) == found


def test_a_long_list_is_cut_says_so_and_goes_on_behind_the_cut(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    names = [f"a.{number:03}" for number in range(ROWS + 2)]
    for name in names:
        made(backend, name, partner_id=f"p-{name}")

    first = browser.text("/audiences?connector=shop")
    behind = re.search(r'href="(/audiences\?[^"]*after=[^"]+)', first)

    assert rows(first) == names[:ROWS]
    assert f"There are more than these {ROWS}." in first
    assert behind is not None
    assert rows(browser.text(behind.group(1).replace("&amp;", "&"))) == names[ROWS:]


# one
def test_one_audience_shows_its_attempts_and_rejections_and_nobody(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    user, hint = hash_user(CANARY), "<id> is too long."
    rejection = Rejection(1, "shop", "a.1", "r", 0, "joined", user, "Add", "bad_value", hint, clock.now())
    for number, audience in enumerate(("a.1", "a.2")):
        report = Report(
            1, f"attempt-{number}", "shop", 1, audience, "change", ("r",), clock.now(), 12.0, {"delivered": 41 + number},
            problem="timeout", hint="No answer.",
        )  # fmt: skip
        backend.reports.attempt(report, [rejection] if number == 0 else [])

    shown = browser.text(f"{ONE}a.1")

    for part in ("Buyers", "p-1", "41 delivered", "No answer.", "bad_value", "&lt;id&gt; is too long."):
        assert part in shown, part
    assert "42 delivered" not in shown
    assert CANARY not in shown


def test_an_audience_of_a_feed_says_which_and_what_is_its_own(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    backend.audiences.set_use("shop", "mics.1.2", Use("77", {"base_url": "https://of-the-feed.example"}))
    text = browser.get(f"{ONE}mics.1.2").text
    assert "Feed of mediarithmics" in text
    assert "77, with settings of its own: base_url" in text
    assert "of-the-feed" not in text


def test_an_audience_whose_id_is_odd_has_its_page(browser: Browser, publishing: Publishing, backend: EmbeddedBackend) -> None:
    odd = "a/b?c=d&e #f <g>"
    made(backend, odd, partner_id="p-1")

    link = re.search(r'href="(/audiences/one\?[^"]+)"', browser.text("/audiences"))

    assert link is not None
    assert "a/b?c=d&amp;e #f &lt;g&gt;" in browser.text(link.group(1).replace("&amp;", "&"))


# describe
def test_the_partner_is_asked_when_somebody_wants_it_and_not_before(
    browser: Browser, connected: Publishing, backend: EmbeddedBackend, pangolin: InThread
) -> None:
    browser.post("/audiences/create", {"connector": "shop", "audience": "a.1", "audience_name": "Buyers"})

    assert "The partner says" not in browser.text(f"{ONE}a.1")
    said = " ".join(browser.post("/audiences/describe", {"connector": "shop", "audience": "a.1"}).text.split())

    assert "The partner says (pangolin)" in said
    assert re.search(r"<dt>size</dt><dd[^>]*>0</dd>", said)


def test_a_partner_that_cannot_be_asked_is_said_in_words(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    made(backend, "a.2", "Readers")

    assert "The partner could not be asked:" in browser.post("/audiences/describe", {"connector": "shop", "audience": "a.1"}).text
    no_one = browser.post("/audiences/describe", {"connector": "shop", "audience": "a.2"}).text
    assert "The partner has no audience for" in no_one


def test_a_partner_that_wants_to_be_left_alone_is_not_asked(
    browser: Browser, connected: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    backend.connectors.not_before("shop", clock.now() + 60, reason="come_back_later", detail="")

    for answer in (
        browser.post("/audiences/describe", {"connector": "shop", "audience": "a.1"}),
        browser.get("/audiences/link?ask=yes&connector=shop"),
    ):
        assert "asked not to be called before" in answer.text


# create
def test_an_audience_is_created_at_the_partner_by_hand(
    browser: Browser, connected: Publishing, backend: EmbeddedBackend
) -> None:
    form = {"connector": "shop", "audience": " a.1 ", "audience_name": "Buyers", "customer": "7"}

    answer = browser.post("/audiences/create", form)

    assert answer.headers["Location"] == "/audiences/one?connector=shop&audience=a.1"
    audience = known(backend, "a.1")
    assert (audience.name, audience.status, audience.customer) == ("Buyers", "ready", 7)
    assert audited(backend) == [("create audience", "shop/a.1", "")]


def test_a_creation_that_fails_says_why_and_keeps_what_was_typed(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    publishing.set_enabled("shop", False)

    shown = browser.post("/audiences/create", {"connector": "shop", "audience": "a.1", "audience_name": "Buyers"}).text

    assert "It was not created:" in shown
    assert "switched off" in shown
    assert 'value="Buyers"' in shown
    assert audited(backend) == []


def test_what_is_missing_in_a_form_is_said_at_its_field(browser: Browser, publishing: Publishing) -> None:
    shown = browser.post("/audiences/create", {"connector": "", "audience": " ", "audience_name": ""}).text

    for sentence in ("Choose a connector.", "Type the DMP&#39;s ID of the audience.", "It needs a name at the partner."):
        assert sentence in shown


# link
def link_form(audience: str, **more: str) -> dict[str, str]:
    return {"connector": "shop", "audience": audience, **more}


def test_an_audience_is_linked_to_one_of_the_partners_list(
    browser: Browser, connected: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    browser.post("/audiences/create", {"connector": "shop", "audience": "a.1", "audience_name": "Buyers"})
    there = known(backend, "a.1").partner_id
    assert there is not None
    backend.audiences.unlink("shop", "a.1")
    hold(backend, clock, "a.2", "audience_gone")

    shown = browser.text("/audiences/link?connector=shop&audience=a.2&ask=yes")
    assert f'<option value="{there}">Buyers ({there})</option>' in shown
    browser.post("/audiences/link", link_form("a.2", listed=there, ask="yes"))

    assert known(backend, "a.2").partner_id == there
    assert [one.id for one in backend.audiences.due(clock.now())] == ["a.2"]
    assert audited(backend)[0] == ("link audience", "shop/a.2", there)


def test_a_list_that_another_audience_uses_is_refused_with_the_reason(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    made(backend, "a.2", "Readers", "p-2")

    shown = browser.post("/audiences/link", link_form("a.2", typed="p-1")).text

    assert "It was not linked:" in shown
    assert "two audiences in one list would undo each other&#39;s removals" in shown
    assert known(backend, "a.2").partner_id == "p-2"
    assert audited(backend) == []


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "Say which audience of the partner it is."),
        ({"listed": "p-1", "typed": "p-2"}, "Choose one from the list, or type one: not both."),
    ],
)
def test_which_one_must_be_said_once(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, form: dict[str, str], sentence: str
) -> None:
    made(backend, "a.1", "Buyers")

    assert sentence in browser.post("/audiences/link", link_form("a.1", **form)).text
    assert known(backend, "a.1").partner_id is None


def test_where_the_partner_cannot_be_asked_the_id_is_typed(browser: Browser, publishing: Publishing) -> None:
    shown = browser.text("/audiences/link?connector=shop&ask=yes")

    assert "The partner could not be asked:" in shown
    assert 'name="typed"' in shown


def test_a_partner_without_a_list_is_said_and_the_id_is_typed(browser: Browser, publishing: Publishing) -> None:
    publishing.set_secret("rokt-id", "x")
    publishing.set_secret("rokt-secret", "x")
    publishing.apply(
        "name: rokt\nadapter: rokt\ninbound: {hmac_secret: shop-hmac}\nsettings: {account_id: '1'}\n"
        "secrets: {client_id: rokt-id, client_secret: rokt-secret}\n"
        "actions:\n  - {name: Add, trigger: joined, operation: add, mapping: {email: user.email}}\n"
    )

    shown = browser.text("/audiences/link?connector=rokt&ask=yes")

    assert "The partner has no list of its audiences to choose from: type the ID." in shown
    assert 'name="typed"' in shown


def test_a_long_list_of_the_partner_is_cut_and_searched(
    browser: Browser, connected: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.console.linking.SHOWN", 2)
    assert SHOWN > 2
    for number in range(4):
        browser.post("/audiences/create", {"connector": "shop", "audience": f"a.{number}", "audience_name": f"Buyers {number}"})

    assert "2 more: ask again with part of the name." in browser.text("/audiences/link?connector=shop&ask=yes")
    found = browser.text("/audiences/link?connector=shop&ask=yes&find=BUYERS+3")
    assert "Buyers 3 (" in found
    assert "Buyers 0 (" not in found


# fill again
def test_an_audience_that_the_journal_has_whole_is_filled_again(
    browser: Browser, journaling: Publishing, backend: EmbeddedBackend
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    assert "What is lacking" not in browser.text(f"{RESYNC}a.1")

    answer = browser.post("/audiences/resync", {"connector": "shop", "audience": "a.1", "how": "same"})

    assert answer.status_code == 302
    assert queued(backend) == 1
    assert known(backend, "a.1").partner_id == "p-1"
    assert audited(backend) == [("resync audience", "shop/a.1", "replay")]


def test_what_the_journal_lacks_is_said_and_must_be_known(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    clock.advance(3600)
    publishing.apply(f"{DOCUMENT}\nretention: {{journal: 7d}}\n")
    clock.advance(3600)
    form = {"connector": "shop", "audience": "a.1", "how": "same"}

    assert "users who joined before the journal begins" in browser.text(f"{RESYNC}a.1")
    assert "Read what is lacking, and say that you know it." in browser.post("/audiences/resync", form).text
    assert queued(backend) == 0

    browser.post("/audiences/resync", {**form, "partial": "y"})
    assert queued(backend) == 1


def test_without_a_journal_a_list_cannot_be_filled_again(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    made(backend, "a.1", "Buyers", "p-1")

    assert "The journal of shop is off" in browser.text(f"{RESYNC}a.1")
    browser.post("/audiences/resync", {"connector": "shop", "audience": "a.1", "how": "same", "partial": "y"})

    assert queued(backend) == 0


def test_of_an_audience_that_is_gone_another_one_is_proposed_and_made(
    browser: Browser, journaling: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    hold(backend, clock, "a.1", "audience_gone")

    shown = browser.text(f"{RESYNC}a.1")
    assert "it no longer has this audience" in shown
    assert re.search(r'<input checked [^>]*value="anew"', shown)
    browser.post("/audiences/resync", {"connector": "shop", "audience": "a.1", "how": "anew"})

    assert known(backend, "a.1").partner_id is None
    assert queued(backend) == 2
    assert audited(backend) == [("resync audience", "shop/a.1", "p-1 forgotten, replay")]


def test_an_operator_may_fill_a_list_and_not_have_one_made(
    somebody: Callable[[Role], Browser], journaling: Publishing, backend: EmbeddedBackend
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    operator = somebody("operator")

    operator.post("/audiences/resync", {"connector": "shop", "audience": "a.1", "how": "anew", "partial": "y"})
    assert known(backend, "a.1").partner_id == "p-1"
    assert queued(backend) == 0

    operator.post("/audiences/resync", {"connector": "shop", "audience": "a.1", "how": "same"})
    assert queued(backend) == 1


def test_in_mode_partner_none_is_made_anew(browser: Browser, publishing: Publishing, backend: EmbeddedBackend) -> None:
    publishing.set_secret("p-hmac", "x")
    publishing.apply(
        DOCUMENT.replace("name: shop", "name: other").replace("shop-hmac", "p-hmac, audience_id: partner")
        + "\nretention: {journal: 7d}\n"
    )
    backend.audiences.remember_answer("other", "a.1", partner_id="p-1", name="Buyers")

    shown = browser.text("/audiences/resync?connector=other&audience=p-1")

    assert "To create another one is not possible" in shown
    assert 'value="anew"' not in shown


# roles
@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/audiences/create", "operator"),
        ("/audiences/link", "operator"),
        ("/audiences/resync", "viewer"),
        ("/audiences/describe", "viewer"),
    ],
)
def test_who_may_not_do_it_is_refused(
    somebody: Callable[[Role], Browser], publishing: Publishing, backend: EmbeddedBackend, path: str, role: Role
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    form = {"connector": "shop", "audience": "a.1", "typed": "p-2", "audience_name": "x", "how": "same", "partial": "y"}

    assert somebody(role).post(path, form, form="/audiences").status_code == 403
    assert known(backend, "a.1").partner_id == "p-1"
    assert queued(backend) == 0


def test_buttons_are_shown_to_those_who_may(
    somebody: Callable[[Role], Browser], publishing: Publishing, backend: EmbeddedBackend
) -> None:
    made(backend, "a.1", "Buyers", "p-1")

    shown = {role: somebody(role).text(f"{ONE}a.1") for role in ("viewer", "operator", "admin")}

    may = {"Ask the partner": "operator admin", "Fill it again": "operator admin", "Link to another": "admin"}
    for label, roles in may.items():
        assert [role for role, text in shown.items() if label in text] == roles.split()


def test_a_message_of_an_unknown_kind_of_value_is_cut(browser: Browser) -> None:
    """What a partner says may be long, and of any type."""
    from relay.console.audiences_reading import said_of

    said = dict(said_of({"a_size": 12_345, "ok": True, "none": None, "list": [1, {"x": 2}], "long": "x" * 1_000}).fields)

    assert (said["a size"], said["ok"], said["none"], said["list"]) == ("12,345", "yes", "not said", '[1,{"x":2}]')
    assert said["long"].endswith("… (cut)")
    assert len(said["long"]) < 600


def test_a_batch_in_the_journal_is_counted(
    browser: Browser, journaling: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    made(backend, "a.1", "Buyers", "p-1")
    users = tuple(Mutation(index, "joined", {"id": CANARY}) for index in range(3))
    backend.queue.publish([Message(VERSION, "change", "shop", "a.1", "r", clock.now(), mutations=users, journal_days=7)])

    assert "1 batch, 3 mutations" in browser.text(f"{RESYNC}a.1")
