"""Secrets of a connector on its page: set, made, retired, and never shown but once."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.console.roles import Role
from relay.domain.audience import HoldRequest
from relay.domain.message import Message, Mutation
from tests.clock import TurnedClock
from tests.unit.console.conftest import DOCUMENT, NAME, Browser

PAGE = "/connectors/shop"
BASIC = DOCUMENT.replace("{hmac_secret: shop-hmac}", "{hmac_secret: shop-hmac, basic_auth: shop-basic}")


def made(browser: Browser, answer: TestResponse) -> str:
    """The value that the page shows to which the answer leads."""
    assert answer.status_code == 303
    return shown_in(browser.get(answer.headers["Location"]))


def shown_in(answer: TestResponse) -> str:
    found = re.search(r'<code id="made"[^>]*>([^<]+)</code>', answer.text)
    assert found, "no value"
    return found.group(1)


def test_a_typed_secret_is_stored_and_never_shown(browser: Browser, publishing: Publishing, backend: EmbeddedBackend) -> None:
    answer = browser.post(f"{PAGE}/secrets/shop-token/set", {"value": " new-canary-secret "})

    assert (answer.status_code, answer.location) == (302, f"{PAGE}#secrets")
    assert backend.secrets.get("shop-token") == ("new-canary-secret",)
    page = browser.get(PAGE).text
    assert "shop-token is set." in page
    assert "canary-secret" not in page
    entry = backend.audit.newest(limit=1)[0]
    assert (entry.by, entry.what, entry.subject, entry.detail) == (NAME, "set secret", "shop-token", "")


def test_what_waits_for_credentials_is_tried_again_once_they_are_set(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    message = Message(1, "change", "shop", "a.1", "request", clock.now(), mutations=(Mutation(0, user={"id": "u"}),))
    turn = backend.audiences.begin_turn("shop", "a.1", position=1, message_id="m")
    backend.audiences.join(turn, message, HoldRequest("credentials_refused", clock.now() + 300))

    browser.post(f"{PAGE}/secrets/shop-token/set", {"value": "another"})

    [held] = backend.audiences.held("shop")
    assert held.hold is not None
    assert held.hold.due_at == clock.now()


def test_a_private_key_is_read_from_a_file_into_one_line(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    key = b"-----BEGIN PRIVATE KEY-----\r\nabc\r\ndef\r\n-----END PRIVATE KEY-----\r\n"

    browser.post(f"{PAGE}/secrets/shop-token/set", {"file": (io.BytesIO(key), "key.pem")})

    assert backend.secrets.get("shop-token") == ("-----BEGIN PRIVATE KEY-----\\nabc\\ndef\\n-----END PRIVATE KEY-----",)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"value": "  "}, "No value was given for shop-token; nothing was changed."),
        ({"file": (io.BytesIO(b"\xff\xfe"), "key")}, "The file is not text. Nothing was changed."),
        ({"value": "two\nlines"}, "contains a line break"),
    ],
)
def test_what_cannot_be_a_secret_is_refused(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, form: dict[str, object], said: str
) -> None:
    browser.post(f"{PAGE}/secrets/shop-token/set", form)

    assert backend.secrets.get("shop-token") == ("canary-secret",)
    assert said in browser.get(PAGE).text


def test_a_new_signature_is_shown_once_and_the_one_before_stays_good(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    answer = browser.post(f"{PAGE}/secrets/shop-hmac/make")

    page = browser.get(answer.headers["Location"])
    value = shown_in(page)
    assert value not in answer.headers["Location"]
    assert backend.secrets.get("shop-hmac") == (value, "canary-secret")
    assert len(value) >= 40
    assert page.headers["Cache-Control"] == "no-store"
    assert value not in "".join([*answer.headers.getlist("Set-Cookie"), *page.headers.getlist("Set-Cookie")])
    assert value not in browser.get(PAGE).text, "shown again"
    assert value not in str(backend.audit.newest(limit=10))
    assert backend.audit.newest(limit=1)[0].by == NAME
    inbound = backend.inbound.read()
    assert inbound is not None
    assert inbound.connectors[0].hmac_secrets == (value, "canary-secret"), "the receiver knows both"


def test_the_page_of_a_new_value_loaded_again_makes_no_other_one_and_shows_it_no_more(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    place = browser.post(f"{PAGE}/secrets/shop-hmac/make").headers["Location"]
    value = shown_in(browser.get(place))
    again = browser.text(place)
    assert value not in again
    assert "It was shown already" in again
    assert backend.secrets.get("shop-hmac") == (value, "canary-secret")


def test_the_first_signature_is_set_and_nothing_before_it_is_good(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    publishing.apply(DOCUMENT.replace("shop-hmac", "fresh-hmac"))

    value = made(browser, browser.post(f"{PAGE}/secrets/fresh-hmac/make"))

    assert backend.secrets.get("fresh-hmac") == (value,)


def test_a_third_value_would_push_out_what_the_dmp_uses_so_none_is_made(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend
) -> None:
    value = made(browser, browser.post(f"{PAGE}/secrets/shop-hmac/make"))

    answer = browser.post(f"{PAGE}/secrets/shop-hmac/make")

    assert answer.status_code == 302
    assert backend.secrets.get("shop-hmac") == (value, "canary-secret")
    assert "Retire that one first" in browser.get(PAGE).text


def test_retiring_leaves_only_the_newest_value_good(browser: Browser, publishing: Publishing, backend: EmbeddedBackend) -> None:
    value = made(browser, browser.post(f"{PAGE}/secrets/shop-hmac/make"))
    assert "The value before is still good, too, until it is retired." in browser.text(PAGE)

    browser.post(f"{PAGE}/secrets/shop-hmac/retire")

    assert backend.secrets.get("shop-hmac") == (value,)
    assert "until it is retired" not in browser.text(PAGE)
    assert backend.audit.newest(limit=1)[0].what == "retire secret"


def test_the_dmps_user_is_typed_and_the_password_made(browser: Browser, publishing: Publishing, backend: EmbeddedBackend) -> None:
    publishing.set_secret("shop-basic", "mapp:canary-secret")
    publishing.apply(BASIC)
    assert 'name="user" value="mapp"' in browser.get(PAGE).text

    password = made(browser, browser.post(f"{PAGE}/secrets/shop-basic/make", {"user": "mapp2"}))

    assert backend.secrets.get("shop-basic") == (f"mapp2:{password}", "mapp:canary-secret")


@pytest.mark.parametrize("user", ["", "  ", "a:b"])
def test_a_user_name_that_cannot_be_one_changes_nothing(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, user: str
) -> None:
    publishing.apply(BASIC)

    assert browser.post(f"{PAGE}/secrets/shop-basic/make", {"user": user}).status_code == 302
    assert backend.secrets.get("shop-basic") == ()


def test_a_password_pasted_without_a_user_is_not_shown_as_one(browser: Browser, publishing: Publishing) -> None:
    publishing.set_secret("shop-basic", "canary-secret")
    publishing.apply(BASIC)

    assert "canary-secret" not in browser.get(PAGE).text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("shop-token/make", 409),
        ("shop-hmac/set", 409),
        ("console-session/set", 404),
        ("console-session/retire", 404),
        ("other-token/set", 404),
    ],
)
def test_only_its_own_secrets_are_changed_each_in_its_way(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, path: str, status: int
) -> None:
    before = backend.secrets.get("console-session")

    assert browser.post(f"{PAGE}/secrets/{path}", {"value": "x"}).status_code == status
    assert backend.secrets.get("console-session") == before
    assert backend.secrets.get("other-token") == ()


def test_who_else_uses_a_secret_is_said(browser: Browser, publishing: Publishing) -> None:
    publishing.apply(DOCUMENT.replace("name: shop", "name: also"))

    assert "<strong>Also used by also.</strong>" in browser.text(PAGE)


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_an_admin_touches_secrets(
    somebody: Callable[[Role], Browser], publishing: Publishing, backend: EmbeddedBackend, role: Role
) -> None:
    visitor = somebody(role)

    for action in ("shop-token/set", "shop-hmac/make", "shop-hmac/retire"):
        assert visitor.post(f"{PAGE}/secrets/{action}", {"value": "x"}).status_code == 403
        assert action not in visitor.get(PAGE).text
    assert backend.secrets.get("shop-token") == ("canary-secret",)
