"""The way to the partner's consent page and back: one attempt, one answer, ten minutes."""

from __future__ import annotations

import traceback
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from adapters.client import RequestsClient
from adapters.contract import Account, HttpRequest
from relay.backends.embedded import EmbeddedBackend
from relay.domain.connector import Timeouts
from relay.domain.errors import Conflict, CredentialsRefused, Misconfigured, PartnerError, Refusal, TryAgain, Unsupported
from tests.clock import TurnedClock
from tests.unit.adapters.authentication.server import (
    CLIENT_ID,
    CLIENT_SECRET,
    AuthorizationServer,
    Reply,
    authorization_server,
)
from tests.unit.adapters.pangolin import opened
from tests.unit.cli.consent import Consent
from worker.authorization import GOOD_FOR_S, Pending, begin, finish
from worker.tokens import SharedTokens

REDIRECT_URI = "http://127.0.0.1:8085/callback"


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with authorization_server() as made:
        yield made


@pytest.fixture
def adapter(tmp_path: Path, clock: TurnedClock, server: AuthorizationServer) -> Iterator[Consent]:
    backend = EmbeddedBackend.open(tmp_path / "state", clock)
    secrets = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    client = RequestsClient(Timeouts(20, 20, 20), clock)
    yield Consent(
        Account("acme", {"base_url": server.url}, secrets, client, clock, SharedTokens(backend.tokens, clock))
    )
    backend.close()


def consented(pending: Pending) -> dict[str, str]:
    """The query that the partner sends the browser back with."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: object) -> None:
            return None

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(Stay).open(pending.url, timeout=30)
    return dict(parse_qsl(urlsplit(caught.value.headers["Location"]).query))


def test_what_was_allowed_is_used_by_all_and_renewed(adapter: Consent, clock: TurnedClock, server: AuthorizationServer) -> None:
    pending = begin(adapter, redirect_uri=REDIRECT_URI, clock=clock)
    finish(adapter, pending, consented(pending), clock=clock)
    adapter.check_credentials()
    clock.advance(3_600)
    adapter.check_credentials()
    assert [asked.form["grant_type"] for asked in server.asked] == ["authorization_code", "refresh_token"]


def test_to_connect_anew_replaces_what_was_allowed_before(
    adapter: Consent, clock: TurnedClock, server: AuthorizationServer
) -> None:
    for _ in range(2):
        pending = begin(adapter, redirect_uri=REDIRECT_URI, clock=clock)
        finish(adapter, pending, consented(pending), clock=clock)
    adapter.check_credentials()
    assert server.called[-1].headers["authorization"] == "Bearer access-2"


def test_an_attempt_has_one_answer(adapter: Consent, clock: TurnedClock) -> None:
    pending = begin(adapter, redirect_uri=REDIRECT_URI, clock=clock)
    query = consented(pending)
    finish(adapter, pending, query, clock=clock)
    with pytest.raises(Conflict):
        finish(adapter, pending, query, clock=clock)


def test_a_wrong_state_is_refused_and_leaves_the_attempt_as_it_was(adapter: Consent, clock: TurnedClock) -> None:
    pending = begin(adapter, redirect_uri=REDIRECT_URI, clock=clock)
    query = consented(pending)
    for wrong in ("", "guessed", "ünicode", query["state"] + "x"):
        with pytest.raises(Refusal) as caught:
            finish(adapter, pending, {**query, "state": wrong}, clock=clock)
        assert caught.value.status == 400
    finish(adapter, pending, query, clock=clock)


def test_an_attempt_is_over_after_ten_minutes(adapter: Consent, clock: TurnedClock, server: AuthorizationServer) -> None:
    late, just = (begin(adapter, redirect_uri=REDIRECT_URI, clock=clock) for _ in range(2))
    queries = consented(late), consented(just)
    clock.advance(GOOD_FOR_S - 1)
    finish(adapter, just, queries[1], clock=clock)
    clock.advance(1)
    with pytest.raises(Conflict):
        finish(adapter, late, queries[0], clock=clock)
    assert len(server.asked) == 1, "the code is not given away"


@pytest.mark.parametrize(
    "change",
    [{"verifier": "x" * 64}, {"redirect_uri": "http://127.0.0.1:8086/callback"}],
    ids=["another verifier", "another redirect URI"],
)
def test_a_code_is_worth_nothing_to_who_did_not_begin(adapter: Consent, clock: TurnedClock, change: dict[str, str]) -> None:
    pending = begin(adapter, redirect_uri=REDIRECT_URI, clock=clock)
    query = consented(pending)
    for name, value in change.items():
        setattr(pending, name, value)
    with pytest.raises(CredentialsRefused):
        finish(adapter, pending, query, clock=clock)


@pytest.mark.parametrize(
    ("query", "error", "code"),
    [
        ({"error": "access_denied"}, CredentialsRefused, "access_denied"),
        ({"error": "invalid_scope"}, Misconfigured, "invalid_scope"),
        ({"error": "temporarily_unavailable"}, TryAgain, "temporarily_unavailable"),
        ({"error": "a-partners-word", "error_description": "a-partners-word"}, Misconfigured, "misconfigured"),
        ({"error": "", "code": "x"}, Misconfigured, "misconfigured"),
        ({}, Misconfigured, "no_code"),
        ({"code": ""}, Misconfigured, "no_code"),
    ],
)
def test_what_the_partner_sends_back_instead_of_a_code_ends_the_attempt(
    adapter: Consent, clock: TurnedClock, server: AuthorizationServer, query: dict[str, str], error: type[PartnerError], code: str
) -> None:
    pending = begin(adapter, redirect_uri=REDIRECT_URI, clock=clock)
    with pytest.raises(error) as caught:
        finish(adapter, pending, {**query, "state": pending.state}, clock=clock)
    assert caught.value.code == code
    assert "a-partners-word" not in "".join(traceback.format_exception(caught.value))
    assert not server.asked
    assert pending.used


def test_without_a_refresh_token_access_lasts_as_long_as_the_token_and_then_asks_for_somebody(
    adapter: Consent, clock: TurnedClock, server: AuthorizationServer
) -> None:
    pending = begin(adapter, redirect_uri=REDIRECT_URI, clock=clock)
    query = consented(pending)
    server.replies.append(Reply(200, {"access_token": "only", "expires_in": 600}))
    assert not finish(adapter, pending, query, clock=clock)
    assert adapter.authorization.credentials(HttpRequest("GET", server.api_url)).token == "only"
    clock.advance(600)
    with pytest.raises(CredentialsRefused, match="diy connectors connect acme"):
        adapter.check_credentials()


def test_to_connect_anew_without_a_refresh_token_keeps_the_one_that_is_there(
    adapter: Consent, clock: TurnedClock, server: AuthorizationServer
) -> None:
    first = begin(adapter, redirect_uri=REDIRECT_URI, clock=clock)
    assert finish(adapter, first, consented(first), clock=clock)
    again = begin(adapter, redirect_uri=REDIRECT_URI, clock=clock)
    query = consented(again)
    server.replies.append(Reply(200, {"access_token": "only", "expires_in": 600}))
    assert finish(adapter, again, query, clock=clock)
    clock.advance(600)
    adapter.check_credentials()
    assert [asked.form["grant_type"] for asked in server.asked][-1] == "refresh_token"


def test_an_adapter_without_consent_cannot_begin(clock: TurnedClock) -> None:
    with pytest.raises(Unsupported):
        begin(opened("http://127.0.0.1:9", "a-token"), redirect_uri=REDIRECT_URI, clock=clock)
