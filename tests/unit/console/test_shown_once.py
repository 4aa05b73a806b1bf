"""A value that was made here is shown once, to the browser that had it made, and what the page says of it is true."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from tests.clock import TurnedClock
from tests.unit.console.conftest import NAME, PASSWORD, Browser
from tests.unit.console.editing import Editor

PLACE = "/connectors/shop/secrets/shop-hmac"
COOKIE = "diy-relay"


def make(browser: Browser) -> str:
    answer = browser.post(f"{PLACE}/make")
    assert (answer.status_code, answer.location) == (303, f"{PLACE}/made")
    return answer.location


def is_shown(browser: Browser, place: str) -> bool:
    return "This is the only time" in browser.get(place).text


def state_of(browser: Browser, place: str) -> str:
    found = re.search(r'<p role="status">(.*?)</p>', browser.text(place))
    assert found, "a value is shown"
    return found.group(1)


@pytest.mark.usefixtures("publishing")
@pytest.mark.parametrize("page", ["/", "/health"])
def test_a_live_page_that_was_under_way_does_not_wipe_what_may_be_shown(browser: Browser, page: str) -> None:
    browser.token()  # a page with a form was loaded before
    poll = browser.app.test_client()
    cookie = browser.client.get_cookie(COOKIE)
    assert cookie
    poll.set_cookie(COOKIE, cookie.value)
    place = make(browser)

    late = poll.get(page)

    assert late.status_code == 200
    assert late.headers.getlist("Set-Cookie") == []
    assert is_shown(browser, place)


@pytest.mark.usefixtures("publishing")
def test_a_cookie_lasts_as_long_as_its_session(stranger: Browser) -> None:
    (cookie,) = stranger.log_in().headers.getlist("Set-Cookie")
    assert "Expires=" in cookie


def test_a_session_ends_by_its_login_however_often_it_changed(
    browser: Browser, clock: TurnedClock, publishing: Publishing
) -> None:
    clock.advance(11 * 3600)
    make(browser)
    clock.advance(3600)
    assert browser.client.get("/").location == "/login?next=/"


@pytest.mark.usefixtures("publishing")
def test_asking_for_the_headers_alone_does_not_use_it_up(browser: Browser) -> None:
    place = make(browser)
    assert browser.client.head(place).status_code == 200
    assert is_shown(browser, place)
    assert not is_shown(browser, place)


def test_a_value_that_came_after_it_is_not_shown_and_the_page_says_so(
    browser: Browser, clock: TurnedClock, publishing: Publishing
) -> None:
    place = make(browser)
    clock.advance(1)
    publishing.set_secret("shop-hmac", "canary-secret-of-another")

    assert "canary-secret-of-another" not in browser.text(place)
    assert state_of(browser, place).startswith("It has got another value since this one was made")


def test_what_this_process_does_not_see_yet_is_shown_later(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(browser)
    with monkeypatch.context() as late:
        late.setattr(type(backend.secrets), "get", older(backend.secrets.get, "shop-hmac"))
        assert state_of(browser, place).startswith("It is stored, and cannot be read here yet.")
    assert is_shown(browser, place)


def older(get: Callable[[str], tuple[str, ...]], name: str) -> Callable[[object, str], tuple[str, ...]]:
    """What a process still has in memory of this one."""
    return lambda _, asked: ("canary-secret",) if asked == name else get(asked)


@pytest.mark.usefixtures("publishing")
@pytest.mark.parametrize(("after_s", "shown"), [(599, True), (600, False)])
def test_it_can_be_shown_for_ten_minutes(browser: Browser, clock: TurnedClock, after_s: int, shown: bool) -> None:
    place = make(browser)
    clock.advance(after_s)
    assert is_shown(browser, place) == shown


def make_in_draft(browser: Browser, editor: Editor) -> str:
    answer = browser.post(f"/edit/{editor.key}/make-secret", {"kind": "hmac"})
    assert answer.status_code == 303
    return answer.location


def test_who_clicks_twice_in_a_draft_sees_the_value_that_was_made(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    form = {"kind": "hmac", "csrf_token": browser.token()}
    second = browser.app.test_client()
    cookie = browser.client.get_cookie(COOKIE)
    assert cookie
    second.set_cookie(COOKIE, cookie.value)  # as sent before the first answer was there
    place = make_in_draft(browser, editor)

    answer = second.post(f"/edit/{editor.key}/make-secret", data=form)

    assert (answer.status_code, answer.location) == (303, place)
    assert answer.headers.getlist("Set-Cookie") == []
    (value,) = backend.secrets.get("acme-hmac")
    assert value in browser.text(place)


def test_a_secret_of_a_draft_that_was_set_a_while_ago_is_not_made_again(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    editor = Editor.new(browser, backend)
    make_in_draft(browser, editor)
    before = backend.secrets.get("acme-hmac")
    clock.advance(10)

    assert "/configure" in make_in_draft(browser, editor)
    assert "is set already" in editor.see("configure")
    assert backend.secrets.get("acme-hmac") == before


def test_who_did_not_make_it_does_not_see_it(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    place = make_in_draft(browser, editor)
    another = Browser(browser.app.test_client())
    another.log_in(PASSWORD, NAME)

    assert make_in_draft(another, editor) == place
    assert "not made here in the last 10 minutes" in another.text(place)
