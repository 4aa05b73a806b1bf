"""docs/runbook.md speaks of the console as it is: its pages, and what is written on them. Its commands: tests/deploy."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.console.users_reading import Became
from relay.domain.audience import HoldReason
from relay.domain.message import Message, Mutation
from relay.domain.outcome import Rejection, Report, hash_user
from tests.clock import TurnedClock
from tests.unit.console.conftest import DOCUMENT, Browser
from tests.unit.console.waiting import hold

ROOT = Path(__file__).parents[3]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()

TASKS = ("A partner is down", "A user is missing", "Rotate a secret", "A version was wrong")
PARTS = ("**What is safe meanwhile.**", "**It is over** when", "**Whom to ask.**")

HEADINGS = {"How one notices.", "When.", "What is safe meanwhile.", "It is over", "Whom to ask.", "Send it again"}
"""Bold in the runbook, and not for what is written on a screen."""

WHO = "somebody"
SIGNED, NAMED = "{hmac_secret: pangolin-hmac}", "{hmac_secret: pangolin-hmac, basic_auth: pangolin-basic}"
BASIC = DOCUMENT.replace("shop", "pangolin").replace(SIGNED, NAMED)
OAUTH = """
name: acme
adapter: http
inbound: {hmac_secret: pangolin-hmac}
settings:
  base_url: https://partner.example.com
  auth:
    type: oauth2
    grant: authorization_code
    token_url: https://partner.example.com/token
    authorize_url: https://partner.example.com/authorize
  operations:
    add: {effect: add, fields: {id: {required: true}}, request: {method: POST, path: /users, body: "{{ rows }}"}}
secrets: {client_id: acme-id, client_secret: acme-secret}
actions:
  - {name: Add, trigger: joined, operation: add, mapping: {id: user.id}}
"""
REASONS: tuple[HoldReason, ...] = ("come_back_later", "credentials_refused", "audience_not_ready", "misconfigured", "crashed")


class Shown(NamedTuple):
    """On all pages: what is written, element by element, and where links lead, by their words."""

    texts: set[str]
    links: set[tuple[str, str]]


class _Reader(HTMLParser):
    """What each element of a page has written in it, without what only a screen reader says."""

    NO_END = frozenset({"input", "img", "link", "meta", "br", "rect", "line", "path", "circle", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.shown = Shown(set(), set())
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.NO_END:
            self._open.append((tag, dict(attrs), []))

    def handle_data(self, data: str) -> None:
        if not any("visually-hidden" in (attributes.get("class") or "").split() for _, attributes, _ in self._open):
            for _, _, written in self._open:
                written.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            name, attributes, written = self._open.pop()
            words = " ".join("".join(written).split())
            self.shown.texts.add(words)
            if name == "a":
                self.shown.links.add((words, attributes.get("href") or ""))
            if name == tag:
                return


@pytest.fixture
def shown(browser: Browser, backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock) -> Shown:
    """The pages that the runbook leads to, of an installation in which all of its troubles are there at once."""
    journaled = f"{BASIC}retention: {{journal: 7d}}\n"
    for name in ("pangolin-hmac", "pangolin-token", "acme-id", "acme-secret"):
        publishing.set_secret(name, "a-secret")
    publishing.set_secret("pangolin-basic", "dmp:password")
    publishing.apply(BASIC)
    publishing.apply(journaled)
    publishing.apply(OAUTH)
    publishing.apply(DOCUMENT.replace("shop", "other"))
    publishing.rotate_secret("pangolin-hmac", "another-secret")
    publishing.set_enabled("other", False)
    backend.connectors.set_paused("acme", True)
    for reason in REASONS:
        hold(backend, clock, f"a.{reason}", reason, connector="pangolin")
    hold(backend, clock, "gone", "audience_gone", connector="pangolin")
    for number in range(2):
        hold(backend, clock, f"a.{number}", "partner_unavailable", connector="pangolin")
    backend.audiences.link("pangolin", "ready", partner_id="p-1", name="Ready")
    mutation = Mutation(0, "joined", {"id": WHO})
    backend.queue.publish(
        [Message(1, "change", "pangolin", "a.0", "request", clock.now(), mutations=(mutation,), journal_days=7)]
    )
    refused = Rejection(1, "pangolin", "a.0", "request", 0, "joined", hash_user(WHO), "Add", "code", "Hint.", clock.now())
    report = Report(1, "attempt", "pangolin", 2, "a.0", "change", ("request",), clock.now(), 5.0, {"rejected": 1, "delivered": 1})
    backend.reports.attempt(report, [refused])
    reader = _Reader()
    for path in (
        "/", "/connectors/pangolin", "/connectors/acme", "/connectors/pangolin/versions", "/connectors/pangolin/versions/1",
        "/activity", "/rejections", "/rejections?connector=pangolin", "/users", "/audiences", "/holds",
        "/holds/one?connector=pangolin&audience=gone", "/holds/discard?connector=pangolin&audience=gone",
        "/audiences/one?connector=pangolin&audience=ready", "/audiences/resync?connector=pangolin&audience=gone",
        "/health", "/audit",
    ):  # fmt: skip
        reader.feed(browser.get(path).text)
    for identifier in (WHO, "nobody"):
        reader.feed(browser.post("/users", {"identifier": identifier}).text)
    reader.feed(browser.post("/connectors/pangolin/secrets/pangolin-basic/make", {"user": "dmp"}).text)
    return reader.shown


def test_each_task_says_what_is_safe_when_it_is_over_and_whom_to_ask() -> None:
    sections = dict(zip(TASKS, re.split(r"^## ", RUNBOOK, flags=re.MULTILINE)[1:], strict=True))

    for title, section in sections.items():
        assert section.startswith(title)
        assert [part for part in PARTS if part not in section] == []
        assert "| step | in the console | with the command |" in section


def test_what_the_runbook_says_is_on_the_screen_is_there(shown: Shown) -> None:
    named = {" ".join(words.split()) for words in re.findall(r"\*\*(.+?)\*\*", RUNBOOK, re.DOTALL)} - HEADINGS - {"bold"}

    assert len(named) > 40
    assert sorted(named - shown.texts - set(get_args(Became))) == []


def test_the_pages_of_the_runbook_are_there_under_their_names(browser: Browser, shown: Shown) -> None:
    named = re.findall(r"\*\*([^*]+)\*\* \(`(/[^`]*)`", RUNBOOK)
    addresses = set(re.findall(r"`(/[^`\s]*)`", RUNBOOK))

    assert len(addresses) > 8
    for address in addresses:
        browser.get(address)
    assert [pair for pair in named if pair not in shown.links] == []


def test_who_looks_for_trouble_is_told_where_the_runbook_is(browser: Browser, shown: Shown) -> None:
    for address in ("/holds", "/health"):
        assert "docs/runbook.md" in browser.text(address)


LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ["README.md", *sorted(str(one.relative_to(ROOT)) for one in (ROOT / "docs").glob("*.md"))])
def test_a_link_of_a_page_leads_somewhere(page: str) -> None:
    here = ROOT / page
    for path, anchor in LINK.findall(here.read_text()):
        if path.startswith(("http:", "https:")):
            continue
        there = (here.parent / path).resolve() if path else here
        assert there.exists(), path
        assert not anchor or anchor in anchors(there), f"{path}#{anchor}"
