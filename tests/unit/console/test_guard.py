"""Every route of the console, found in its URL map: none is open by mistake, and none changes anything unasked.

A new page needs nothing here, except an example in `EXAMPLES` where its address has a part of its own.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from werkzeug.routing import Rule

from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console import create_app
from relay.console.guard import PROXY_HEADER
from relay.console.roles import ROLES, Role, Visitor, needs, role_for
from relay.domain.audience import HoldRequest
from relay.domain.message import Message, Mutation
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, PASSWORD, Browser

EXAMPLES = {
    "name": "shop",
    "connector": "shop",
    "audience": "a.1",
    "attempt_id": "0123456789abcdef",
    "draft": "0123456789abcdef",
    "step": "configure",
    "secret": "shop-token",
    "number": 1,
    "version": 1,
}
"""Part of an address → a value that it can have."""

ASKED = {"connector": "shop", "audience": "a.1"}
"""What pages are asked in their query; the others do not mind."""

NOTED = {"rejections.csv"}
"""Whoever takes data away is noted in the log of changes."""

FILES = {"static", "bootstrap.static"}
EVERYBODYS = {"login.login"}
"""What strangers may see."""

_APP = create_app(Configuration(console_password=PASSWORD))
_RULES = sorted(
    (rule for rule in _APP.url_map.iter_rules() if rule.endpoint not in FILES), key=lambda rule: (rule.rule, rule.endpoint)
)


def address(rule: Rule) -> str:
    missing = rule.arguments - EXAMPLES.keys()
    assert not missing, f"{rule.rule} ({rule.endpoint}): say in EXAMPLES what {', '.join(sorted(missing))} can be"
    return str(_APP.url_map.bind("localhost").build(rule.endpoint, {name: EXAMPLES[name] for name in rule.arguments}))


def role_of(rule: Rule) -> Role | Literal["everybody"] | None:
    return role_for(_APP.view_functions[rule.endpoint])


CALLS = [(rule, method) for rule in _RULES for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
GUARDED = [(rule, method) for rule, method in CALLS if rule.endpoint not in EVERYBODYS]
CHANGES = [(rule, method) for rule, method in CALLS if method != "GET"]
LOOKS = [rule for rule, method in CALLS if method == "GET"]


_FORBIDDEN = re.compile(
    r"<script(?![^>]*\ssrc=)|<style|<[^>]*\s(?:style|on\w+)=|(?:href|src|action)=.javascript:|(?:src|action)=.(?:https?:|//)"
)


@pytest.fixture
def lived_in(publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock) -> EmbeddedBackend:
    """A store in which pages find something: a connector, an audience, and what waits for it."""
    turn = backend.audiences.begin_turn("shop", "a.1", position=1, message_id="m")
    batch = Message(1, "change", "shop", "a.1", "request", clock.now(), mutations=(Mutation(0, user={"id": CANARY}),))
    backend.audiences.join(turn, batch, HoldRequest("partner_unavailable", clock.now() + 330, "It answered 500."))
    backend.queue.publish([batch])
    return backend


def needed(rule: Rule) -> Role:
    """Of a route that is not for everybody."""
    role = role_of(rule)
    assert role is not None, rule
    assert role != "everybody", rule
    return role


def contents(tmp_path: Path) -> list[str]:
    """Everything that the store holds, secrets included, but what the console itself keeps for its sessions."""
    state = tmp_path / "state"
    secrets = [path for path in sorted((state / "secrets").iterdir()) if path.name != "console-session"]
    kept = [f"{path.name}: {path.read_text()}" for path in secrets]
    for file in sorted(state.glob("*.sqlite*")) + sorted(state.glob("*.db")):
        if not file.name.endswith(("-wal", "-shm")):
            with sqlite3.connect(file) as connection:
                kept += connection.iterdump()
    assert any("INSERT INTO" in line for line in kept)
    return kept


def test_every_route_says_whom_it_is_for() -> None:
    assert [rule.endpoint for rule in _RULES if role_of(rule) is None] == []
    assert {rule.endpoint for rule in _RULES if role_of(rule) == "everybody"} == EVERYBODYS


def test_what_changes_something_is_posted() -> None:
    assert {method for _, method in CALLS} <= {"GET", "POST"}


def test_a_stranger_gets_in_nowhere(stranger: Browser) -> None:
    for rule, method in GUARDED:
        answer = stranger.client.open(address(rule), method=method)

        if method == "GET":
            assert (answer.status_code, answer.location.partition("?")[0]) == (302, "/login"), rule
        else:
            assert answer.status_code == 401, rule
            assert "Please log in again" in answer.text, rule
        assert_protected(answer.headers)


@pytest.mark.parametrize("role", ROLES[:-1])
def test_a_role_below_the_one_that_is_needed_is_refused(
    somebody: Callable[[Role], Browser], lived_in: EmbeddedBackend, tmp_path: Path, role: Role
) -> None:
    browser = somebody(role)
    token = browser.token()
    before = contents(tmp_path)
    above = [(rule, method) for rule, method in GUARDED if not Visitor("x", role).may(needed(rule))]
    assert above

    for rule, method in above:
        answer = browser.client.open(address(rule), method=method, data={"csrf_token": token} if method == "POST" else None)

        assert answer.status_code == 403, rule
        assert "Not for your role" in answer.text, rule
        assert_protected(answer.headers)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_is_enough_is_let_in(somebody: Callable[[Role], Browser], lived_in: EmbeddedBackend, role: Role) -> None:
    browser = somebody(role)

    for rule in LOOKS:
        if rule.endpoint not in EVERYBODYS and Visitor("x", role).may(needed(rule)):
            assert browser.client.get(address(rule)).status_code not in (401, 403), rule


@pytest.mark.parametrize("token", ["", "made-up"], ids=["no token", "another token"])
def test_a_form_that_the_console_did_not_make_changes_nothing(
    browser: Browser, lived_in: EmbeddedBackend, tmp_path: Path, token: str
) -> None:
    before = contents(tmp_path)

    for rule, method in CHANGES:
        answer = browser.client.open(address(rule), method=method, data={"csrf_token": token} if token else {})

        assert answer.status_code == 400, rule
        assert "Nothing was changed." in answer.text, rule
        assert_protected(answer.headers)
    assert contents(tmp_path) == before


def test_a_page_changes_nothing_shows_nobody_and_needs_nothing_that_the_policy_forbids(
    browser: Browser, lived_in: EmbeddedBackend, tmp_path: Path
) -> None:
    before = contents(tmp_path)

    for rule in LOOKS:
        answer = browser.client.get(address(rule), query_string=ASKED)
        shown = answer.text  # to its end, where it is streamed

        assert answer.status_code < 500, f"{rule}: {shown}"
        if rule.endpoint in NOTED:
            before = contents(tmp_path)
        assert contents(tmp_path) == before, rule
        for secret in (CANARY, "canary-secret", PASSWORD):
            assert secret not in shown, rule
        if answer.mimetype == "text/html":
            assert _FORBIDDEN.findall(shown) == [], rule
        assert_protected(answer.headers)


@pytest.mark.parametrize("path", ["/unknown", "/connectors/nobody/versions/9/x", "/assets/unknown.css"])
def test_answers_that_say_no_have_them_too(stranger: Browser, browser: Browser, path: str) -> None:
    assert_protected(browser.get(path, 404).headers)


def assert_protected(headers: object) -> None:
    found = dict(headers)  # type: ignore[call-overload]
    policy = found["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["Referrer-Policy"] == "same-origin"
    assert found["Cache-Control"] == "no-store"


# what goes wrong is a page


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/unknown", "GET", 404), ("/logout", "GET", 405), ("/search", "PUT", 405)]
)
def test_what_cannot_be_is_said_on_a_page_with_the_way_back(browser: Browser, path: str, method: str, status: int) -> None:
    answer = browser.client.open(path, method=method)

    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert 'href="/"' in answer.text


def test_a_fault_of_ours_is_a_page_without_its_text(browser: Browser, capfd: pytest.CaptureFixture[str]) -> None:
    @needs("viewer")
    def broken() -> str:
        raise ValueError(CANARY)

    browser.app.view_functions["search.show"] = broken

    answer = browser.get("/search", 500)

    assert "The console has a fault" in answer.text
    assert CANARY not in answer.text
    assert_protected(answer.headers)
    logged = capfd.readouterr().err
    assert "console_failed" in logged
    assert CANARY not in logged


def test_files_need_no_login_and_are_kept_until_they_change(stranger: Browser) -> None:
    page = stranger.get("/login").text
    addresses = re.findall(r'(?:src|href)="(/(?:assets|bootstrap)[^"]+)"', page)

    assert len(addresses) >= 5
    for one in addresses:
        assert "v=" in one
        assert "immutable" in stranger.get(one).headers["Cache-Control"]


# behind the proxy


def test_the_proxys_people_have_the_role_of_the_list(somebody: Callable[[Role], Browser]) -> None:
    for role in ROLES:
        assert f"{role}@example.com, {role}" in somebody(role).text("/search")


def test_who_is_on_no_list_is_told_so(somebody: Callable[[Role], Browser], proxy: object) -> None:
    browser = somebody("viewer")
    browser.client.environ_base.pop(f"HTTP_{PROXY_HEADER.upper().replace('-', '_')}")
    headers = {PROXY_HEADER: proxy.assertion(email="mallory@example.org")}  # type: ignore[attr-defined]

    answer = browser.client.get("/search", headers=headers)

    assert answer.status_code == 403
    assert "You have no role in this console" in answer.text
    assert browser.get("/search", 401)


def test_behind_the_proxy_there_is_no_password_page(somebody: Callable[[Role], Browser]) -> None:
    assert somebody("admin").get("/login", 404)


def test_a_view_that_says_nothing_lets_nobody_in(browser: Browser) -> None:
    def forgotten() -> str:
        return CANARY

    browser.app.view_functions["search.show"] = forgotten

    assert CANARY not in browser.get("/search", 403).text


@pytest.mark.parametrize(
    ("path", "current"),
    [("/holds", ("/holds", "page")), ("/", ("/", "page")), ("/connectors/shop", ("/", "true")), ("/search", None)],
)
def test_the_navigation_says_where_one_is(
    browser: Browser, publishing: Publishing, path: str, current: tuple[str, str] | None
) -> None:
    found = re.findall(r'<a href="([^"]+)" aria-current="(\w+)">', browser.get(path).text.partition("<main")[0])

    assert found == ([current] if current else [])
