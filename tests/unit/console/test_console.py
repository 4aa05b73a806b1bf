"""The operator's page, on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from flask.testing import FlaskClient
from msgspec.structs import replace

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.configuration import LOCAL_CONSOLE_PASSWORD, Configuration
from relay.connectors.publishing import Publishing
from relay.console import create_app
from relay.console.__main__ import command
from relay.console.overview import MOST_CONCERNS, MOST_HOLDS
from relay.console.wording import commands
from relay.domain.audience import HoldRequest
from relay.domain.errors import ConfigurationError
from relay.domain.message import Message, Mutation
from relay.domain.outcome import Rejection, Report, hash_user
from tests.clock import TurnedClock

DOCUMENT = """
name: shop
title: The shop's audiences
adapter: pangolin
inbound: {hmac_secret: shop-hmac}
settings: {base_url: "http://127.0.0.1:1"}
secrets: {token: shop-token}
actions:
  - {name: Create audience, trigger: created, operation: create_audience}
  - {name: Add, trigger: joined, operation: add, mapping: {id: user.id}}
  - {name: Remove, trigger: left, operation: remove, mapping: {id: user.id}}
"""

PASSWORD = "grün:secret"
CANARY = "canary-person"


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def backend(tmp_path: Path, clock: TurnedClock) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend.open(tmp_path / "state", clock)
    yield backend
    backend.close()


@pytest.fixture
def publishing(backend: EmbeddedBackend, clock: TurnedClock) -> Publishing:
    """With one complete connector, `shop`."""
    publishing = Publishing(backend, describe, "tester", clock)
    publishing.set_secret("shop-hmac", "canary-secret")
    publishing.set_secret("shop-token", "canary-secret")
    publishing.apply(DOCUMENT)
    return publishing


@pytest.fixture
def visitor(backend: EmbeddedBackend, clock: TurnedClock) -> FlaskClient:
    return create_app(Configuration(console_password=PASSWORD), backend, clock).test_client()


def page(visitor: FlaskClient) -> str:
    answer = visitor.get("/", auth=("anybody", PASSWORD))
    assert answer.status_code == 200
    return " ".join(answer.text.split())


@pytest.mark.parametrize("path", ["/", "/assets/console.css", "/unknown"])
@pytest.mark.parametrize(
    "authorization",
    [None, "Basic ", "Basic !!", "Basic /////w==", "Bearer grün:secret", "Basic YW55Ym9keTo=", "Basic YW55Ym9keTp3cm9uZw=="],
)
def test_without_the_password_nothing_is_shown(visitor: FlaskClient, path: str, authorization: str | None) -> None:
    answer = visitor.get(path, headers={"Authorization": authorization} if authorization else {})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(visitor: FlaskClient, method: str) -> None:
    assert visitor.open("/", method=method, auth=("anybody", PASSWORD)).status_code == 405


@pytest.mark.parametrize("path", ["/", "/assets/console.css", "/unknown"])
def test_every_answer_forbids_scripts_frames_and_caches(visitor: FlaskClient, path: str) -> None:
    for auth in (None, ("anybody", PASSWORD)):
        headers = visitor.get(path, auth=auth).headers

        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_needs_nothing_that_its_policy_forbids(visitor: FlaskClient, publishing: Publishing) -> None:
    shown = page(visitor)

    assert "<script" not in shown
    assert "style=" not in shown
    assert visitor.get("/assets/console.css", auth=("anybody", PASSWORD)).status_code == 200


def test_without_a_connector_it_says_how_to_begin(visitor: FlaskClient) -> None:
    assert "There is no connector yet. <span class=\"block do\">→ <code>diy connectors apply FILE</code></span>" in page(visitor)


def test_a_complete_connector_runs_and_needs_nobody(visitor: FlaskClient, publishing: Publishing) -> None:
    shown = page(visitor)

    assert "shop <small>version 1</small>" in shown
    assert '<span class="standing running">running</span>' in shown
    assert "Nothing needs anybody." in shown


def test_an_incomplete_connector_says_what_is_missing(
    visitor: FlaskClient, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    Publishing(backend, describe, "tester", clock).apply(DOCUMENT)

    shown = page(visitor)

    assert '<span class="standing incomplete">incomplete</span>' in shown
    assert "<code>diy secrets set shop-token</code>" in shown
    assert "Someone must act for: shop." in shown
    assert "Nothing needs anybody" not in shown


def test_what_needs_someone_is_said_in_words_with_what_to_do(
    visitor: FlaskClient, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    turn = backend.audiences.begin_turn("shop", "a.1", position=1, message_id="m")
    backend.audiences.join(turn, message(clock), HoldRequest("credentials_refused", clock.now() + 60, "<Bad> token."))

    shown = page(visitor)

    assert "1 batch of audience a.1 waits: the partner refuses the credentials (&lt;Bad&gt; token)." in shown
    assert "it is tried at once: <code>diy secrets set shop-token</code>; or" in shown
    assert "<code>diy holds resume shop</code>" in shown


def test_a_long_list_of_concerns_and_holds_is_cut_and_says_so(
    visitor: FlaskClient, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    for number in range(MOST_HOLDS + 3):
        turn = backend.audiences.begin_turn("shop", f"a.{number}", position=1, message_id=f"m{number}")
        backend.audiences.join(turn, message(clock, f"a.{number}"), HoldRequest("audience_gone", clock.now() + 60))

    shown = page(visitor)

    assert shown.count("Someone must act:") == MOST_CONCERNS
    assert f"{MOST_HOLDS + 3 - MOST_CONCERNS} more: <code>diy status</code>" in shown
    assert "3 more: <code>diy holds list</code>" in shown


def test_a_queue_that_nobody_takes_from_is_said_first(
    visitor: FlaskClient, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.queue.publish([message(clock)])
    clock.advance(60)

    shown = page(visitor)

    assert "No worker takes what waits: 1 message in the queue, the oldest for 1 min." in shown
    assert shown.index("No worker takes") < shown.index("<h2>Connectors</h2>")
    assert "Nothing needs anybody" not in shown


def test_a_connector_that_is_off_says_so(visitor: FlaskClient, publishing: Publishing) -> None:
    publishing.set_enabled("shop", False)

    shown = page(visitor)

    assert '<span class="standing off">off</span>' in shown
    assert "It is off; what comes in waits." in shown
    assert "<code>diy connectors enable shop</code>" in shown


def test_a_connector_on_hold_says_why_and_for_how_long(
    visitor: FlaskClient, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    detail = "Too many requests."
    backend.connectors.not_before("shop", clock.now() + 90, reason="come_back_later", detail=detail)

    shown = page(visitor)

    assert '<span class="standing on-hold">on hold</span>' in shown
    assert "The partner is left alone for 1 min (come back later: Too many requests)." in shown

    clock.advance(91)
    assert "left alone" not in page(visitor)


def test_an_action_that_is_off_is_named(visitor: FlaskClient, publishing: Publishing) -> None:
    publishing.set_action("shop", "Remove", "skipped")

    assert "The action &#39;Remove&#39; is off; its mutations are skipped." in page(visitor)


def message(clock: TurnedClock, audience: str = "a.1") -> Message:
    mutations = (Mutation(0, user={"id": CANARY}), Mutation(1, user={"id": CANARY + "2"}))
    return Message(1, "change", "shop", audience, "request", clock.now(), mutations=mutations)


def test_a_hold_is_shown_with_its_reason_due_time_and_counts(
    visitor: FlaskClient, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    turn = backend.audiences.begin_turn("shop", "a.1", position=1, message_id="m")
    backend.audiences.join(turn, message(clock), HoldRequest("partner_unavailable", clock.now() + 330, "It answered <500>."))
    clock.advance(30)

    shown = page(visitor)

    assert '<span class="standing on-hold">on hold</span>' in shown
    assert "the partner cannot be reached; it is tried again by itself (It answered &lt;500&gt;)." in shown
    assert "partner unavailable" in shown
    assert "It answered &lt;500&gt;." in shown
    assert "in 5 min" in shown
    assert '<td class="count">1</td> <td class="count">2</td> <td>30 s ago</td>' in shown
    assert CANARY not in shown


def test_a_connector_is_on_hold_only_when_all_of_its_audiences_are(
    visitor: FlaskClient, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    turn = backend.audiences.begin_turn("shop", "a.1", position=1, message_id="m")
    backend.audiences.join(turn, message(clock), HoldRequest("audience_gone", None))
    backend.audiences.begin_turn("shop", "b.2", position=1, message_id="n")

    shown = page(visitor)

    assert '<span class="standing running">running</span>' in shown
    assert "audience gone" in shown
    assert "when the reason is gone" in shown


def test_what_waits_in_the_queue_is_counted(
    visitor: FlaskClient, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.queue.publish([message(clock)])
    clock.advance(120)

    assert "Messages: 1, 0 of them being handled; the oldest came in 2 min ago." in page(visitor)


def report(clock: TurnedClock, **changes: object) -> Report:
    plain = Report(1, "attempt", "shop", 1, "a.1", "change", ("request",), clock.now(), 5.0, {"delivered": 7})
    return replace(plain, **changes)


def test_failed_attempts_are_shown_and_good_ones_are_counted(
    visitor: FlaskClient, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    refused = Rejection(1, "shop", "a.1", "request", 0, "joined", hash_user(CANARY), "Add", "no", "No.", clock.now())
    backend.reports.attempt(report(clock), [])
    clock.advance(2 * 3600)
    failed = report(clock, attempt_id="two", counts={"rejected": 3}, problem="refused", hint="It refuses these.")
    backend.reports.attempt(failed, [refused])

    shown = page(visitor)

    counts = "".join(f' <td class="count">{count}</td>' for count in (0, 7, 3, 3))
    assert f"</td>{counts} </tr>" in shown, "delivered and rejected, each in the last hour and day"
    assert "shop/a.1" in shown
    assert "It refuses these." in shown
    assert "3 rejected" in shown
    for secret in (CANARY, hash_user(CANARY), "canary-secret"):
        assert secret not in shown


def test_without_a_state_it_says_so(tmp_path: Path) -> None:
    configuration = Configuration(state_dir=tmp_path / "none", console_password=PASSWORD)

    answer = create_app(configuration).test_client().get("/", auth=("anybody", PASSWORD))

    assert answer.status_code == 503
    assert "There is no state" in answer.text


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        ({}, True),
        ({"host": "0.0.0.0"}, False),  # noqa: S104
        ({"on_cloud_run": True}, False),
        ({"host": "0.0.0.0", "console_password": "own"}, True),  # noqa: S104
        ({"on_cloud_run": True, "console_password": "own"}, True),
    ],
)
def test_the_password_that_everybody_knows_is_good_on_this_machine_only(changes: dict[str, object], starts: bool) -> None:
    configuration = msgspec.structs.replace(Configuration(console_password=LOCAL_CONSOLE_PASSWORD), **changes)
    if starts:
        assert create_app(configuration)
        return
    with pytest.raises(ConfigurationError, match="CONSOLE_PASSWORD"):
        create_app(configuration)
    with pytest.raises(ConfigurationError, match="CONSOLE_PASSWORD"):
        command(configuration)


@pytest.mark.parametrize(
    ("password", "address", "status"),
    [
        (LOCAL_CONSOLE_PASSWORD, "127.0.0.1", 200),
        (LOCAL_CONSOLE_PASSWORD, "::1", 200),
        (LOCAL_CONSOLE_PASSWORD, "192.0.2.7", 403),
        ("own", "192.0.2.7", 200),
    ],
)
def test_whatever_the_server_listens_on_the_known_password_opens_it_to_this_machine_only(
    backend: EmbeddedBackend, clock: TurnedClock, password: str, address: str, status: int
) -> None:
    visitor = create_app(Configuration(console_password=password), backend, clock).test_client()

    answer = visitor.get("/", auth=("anybody", password), environ_base={"REMOTE_ADDR": address})

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("advice", "shown"),
    [
        ("diy worker", "<code>diy worker</code>"),
        ("look, then: diy a b; or diy c", "look, then: <code>diy a b</code>; or <code>diy c</code>"),
        ("diy c 'x; y', diy d", "<code>diy c &#39;x; y&#39;</code>, <code>diy d</code>"),
        ("<b>diyx</b>", "&lt;b&gt;diyx&lt;/b&gt;"),
        ("", ""),
    ],
)
def test_commands_are_set_apart_from_words(advice: str, shown: str) -> None:
    assert commands(advice) == shown


@pytest.mark.parametrize(("backend", "seconds"), [("embedded", 10), ("google", 60)])
def test_an_open_page_looks_again_by_itself_less_often_where_each_look_is_billed(
    backend: str, seconds: int, tmp_path: Path, clock: TurnedClock
) -> None:
    store = EmbeddedBackend.open(tmp_path / "looking", clock)
    configuration = Configuration(backend=backend, console_password=PASSWORD)
    with create_app(configuration, store, clock).test_client() as client:
        page = client.get("/", auth=("op", PASSWORD)).get_data(as_text=True)
    assert f'http-equiv="refresh" content="{seconds}"' in page
    store.close()
