"""OAuth2: what is asked of the token endpoint, and how tokens are shared, renewed and never used past their time."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace

from adapters.authentication import Authentication, Combined, Secret
from adapters.authentication.authorization_code import OAuth2AuthorizationCode
from adapters.authentication.jwt import Jwt
from adapters.authentication.oauth2 import JWT_BEARER, OAuth2ClientCredentials, OAuth2JwtAssertion, OAuth2RefreshToken
from adapters.authentication.static import ApiKey
from adapters.authentication.token_call import Client
from adapters.contract import Account, HttpRequest
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Token
from relay.domain.clock import SystemClock
from relay.domain.errors import CredentialsRefused, Misconfigured, PartnerError, TryAgain
from tests.clock import TurnedClock
from tests.unit.adapters.authentication import process
from tests.unit.adapters.authentication.conftest import CLIENT, MakeAccount
from tests.unit.adapters.authentication.server import (
    CLIENT_ID,
    CLIENT_SECRET,
    FIRST_REFRESH,
    AuthorizationServer,
    Reply,
    authorization_server,
)

ROOT = Path(__file__).parents[4]
REQUEST = HttpRequest("POST", "https://api.example.com/users")
REFRESH = Secret("Refresh token", FIRST_REFRESH)


def client_credentials(account: Account, server: AuthorizationServer, client: Client = CLIENT) -> OAuth2ClientCredentials:
    return OAuth2ClientCredentials(account, client, token_url=server.token_url)


def with_refresh_token(account: Account, server: AuthorizationServer, refresh: Secret = REFRESH) -> OAuth2RefreshToken:
    return OAuth2RefreshToken(account, CLIENT, token_url=server.token_url, refresh_token=refresh)


def bearer(authentication: Authentication) -> str:
    return authentication.credentials(REQUEST).headers["Authorization"]


def called(account: Account, server: AuthorizationServer, authentication: Authentication) -> int:
    """The status of the API, repeated once with a renewed token after a 401, as adapters do."""
    request = HttpRequest("POST", server.api_url, body={})
    credentials = authentication.credentials(request)
    answer = account.client.send(request, auth=credentials)
    if answer.status == 401:
        answer = account.client.send(request, auth=authentication.credentials(request, refused=credentials))
    return answer.status


# --- what is asked ---------------------------------------------------------------------------------------------------


def test_client_credentials_are_sent_by_basic_with_a_form_and_nothing_else(account: Account, server: AuthorizationServer) -> None:
    assert bearer(client_credentials(account, server)) == "Bearer access-1"
    asked = server.asked[0]
    coded = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    assert asked.headers["authorization"] == f"Basic {coded}"
    assert asked.body == b"grant_type=client_credentials"


def test_client_credentials_can_go_into_the_body(account: Account, server: AuthorizationServer) -> None:
    in_body = client_credentials(account, server, replace(CLIENT, authentication="body"))
    assert bearer(in_body) == "Bearer access-1"
    assert "authorization" not in server.asked[0].headers
    assert server.asked[0].form == {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }


def test_a_public_client_sends_only_its_id(account: Account) -> None:
    with authorization_server(client_secret=None) as server:
        public = OAuth2RefreshToken(
            account, Client(Secret("Client ID", CLIENT_ID)), token_url=server.token_url, refresh_token=REFRESH
        )
        assert bearer(public) == "Bearer access-1"
        assert "authorization" not in server.asked[0].headers
        assert server.asked[0].form["client_id"] == CLIENT_ID


def test_scope_and_further_parameters_are_sent_along(account: Account, server: AuthorizationServer) -> None:
    parameters = {"audience": "https://api.example.com/?a=b&c", "empty": ""}
    scoped = OAuth2ClientCredentials(account, CLIENT, token_url=server.token_url, scope="a b", parameters=parameters)
    scoped.credentials(REQUEST)
    assert server.asked[0].form == {"grant_type": "client_credentials", "scope": "a b", **parameters}


def test_an_assertion_is_signed_anew_for_every_token(account: Account, server: AuthorizationServer, clock: TurnedClock) -> None:
    assertion = Jwt(Secret("Key", "k" * 32), algorithm="HS256", claims={"iss": "us"}, clock=clock)
    granted = OAuth2JwtAssertion(account, assertion, token_url=server.token_url, scope="s")
    server.replies.extend(Reply(200, {"access_token": f"a-{number}", "expires_in": 60}) for number in (1, 2))
    assert bearer(granted) == "Bearer a-1"
    clock.advance(60)
    assert bearer(granted) == "Bearer a-2"
    first, second = (asked.form for asked in server.asked)
    assert (first["grant_type"], first["scope"]) == (JWT_BEARER, "s")
    assert first["assertion"].count(".") == 2
    assert first["assertion"] != second["assertion"]
    assert "client_id" not in first


def test_a_secret_that_basic_cannot_send_is_named(account: Account, server: AuthorizationServer) -> None:
    odd = client_credentials(account, server, replace(CLIENT, secret=Secret("Client secret", "snowman ☃")))
    with pytest.raises(CredentialsRefused, match="'Client secret'") as caught:
        odd.credentials(REQUEST)
    assert caught.value.code == "secret_unusable"
    assert not server.asked


@pytest.mark.parametrize(
    "client", [Client(Secret("The ID"), CLIENT.secret), Client(CLIENT.id, Secret("The secret"))], ids=["ID", "secret"]
)
def test_a_client_that_is_not_set_is_named_by_its_title(account: Account, server: AuthorizationServer, client: Client) -> None:
    with pytest.raises(CredentialsRefused, match=r"'The (ID|secret)' is not set") as caught:
        client_credentials(account, server, client).credentials(REQUEST)
    assert caught.value.code == "secret_missing"
    assert not server.asked


def test_a_refresh_token_that_is_not_set_is_named_by_its_title(account: Account, server: AuthorizationServer) -> None:
    with pytest.raises(CredentialsRefused, match="'Refresh token' is not set"):
        with_refresh_token(account, server, Secret("Refresh token")).credentials(REQUEST)


def test_who_was_never_connected_is_told_how(account: Account, server: AuthorizationServer) -> None:
    code = OAuth2AuthorizationCode(account, CLIENT, authorize_url=server.authorize_url, token_url=server.token_url)
    with pytest.raises(CredentialsRefused, match="diy connectors connect acme") as caught:
        code.credentials(REQUEST)
    assert caught.value.code == "not_connected"


# --- what is answered ------------------------------------------------------------------------------------------------

ANSWERED: list[tuple[Reply, type[PartnerError], str]] = [
    (Reply(400, {"error": "invalid_grant", "error_description": "a-partners-words"}), CredentialsRefused, "invalid_grant"),
    (Reply(200, {"error": "invalid_grant"}), CredentialsRefused, "invalid_grant"),
    (Reply(401, {"error": "invalid_client"}), CredentialsRefused, "client_refused"),
    (Reply(400, {"error": "unauthorized_client"}), CredentialsRefused, "client_refused"),
    (Reply(401, b"<html>a-partners-words</html>"), CredentialsRefused, "client_refused"),
    (Reply(400, {"error": "invalid_scope"}), Misconfigured, "misconfigured"),
    (Reply(400, {"error": "unsupported_grant_type"}), Misconfigured, "misconfigured"),
    (Reply(400, {"error": {"message": "a-partners-words"}}), Misconfigured, "misconfigured"),
    (Reply(404, b"<html>a-partners-words</html>"), Misconfigured, "misconfigured"),
    (Reply(302, b"", {"Location": "https://example.com/login"}), Misconfigured, "misconfigured"),
    (Reply(400, {"error": "temporarily_unavailable"}), TryAgain, "token_trouble"),
    (Reply(400, b"<html>a-partners-words</html>"), TryAgain, "token_trouble"),
    (Reply(503, b"<html>a-partners-words</html>"), TryAgain, "token_trouble"),
    (Reply(500, {"error": "invalid_grant"}), TryAgain, "token_trouble"),
    (Reply(429, {}), TryAgain, "rate_limited"),
    (Reply(200, b"<html>a-partners-words</html>"), TryAgain, "token_trouble"),
    (Reply(200, b""), TryAgain, "unreadable_answer"),
    (Reply(200, []), TryAgain, "unreadable_answer"),
    (Reply(200, {"access_token": ""}), TryAgain, "unreadable_answer"),
    (Reply(200, {"access_token": 7}), TryAgain, "unreadable_answer"),
    (Reply(200, {"access_token": "a\r\nX-Injected: 1"}), TryAgain, "unreadable_answer"),
    (Reply(200, {"access_token": "a", "expires_in": "soon"}), TryAgain, "unreadable_answer"),
    (Reply(200, {"access_token": "a", "expires_in": True}), TryAgain, "unreadable_answer"),
    (Reply(200, {"access_token": "a", "expires_in": -1}), TryAgain, "unreadable_answer"),
    (Reply(200, {"access_token": "a", "refresh_token": 7}), TryAgain, "unreadable_answer"),
]


@pytest.mark.parametrize(("reply", "error", "code"), ANSWERED)
def test_an_answer_without_a_token_says_what_to_do_next_in_our_words(
    account: Account, server: AuthorizationServer, reply: Reply, error: type[PartnerError], code: str
) -> None:
    server.replies.append(reply)
    with pytest.raises(PartnerError) as caught:
        client_credentials(account, server).credentials(REQUEST)
    assert (type(caught.value), caught.value.code) == (error, code)
    whole = "".join(traceback.format_exception(caught.value))
    assert not [word for word in ("a-partners-words", CLIENT_ID, CLIENT_SECRET) if word in whole]


def test_trouble_with_tokens_concerns_the_whole_account(account: Account, server: AuthorizationServer) -> None:
    server.replies.append(Reply(429, {}, {"Retry-After": "3600"}))
    with pytest.raises(TryAgain) as caught:
        client_credentials(account, server).credentials(REQUEST)
    assert (caught.value.account, caught.value.after_s) == (True, 3_600)


def test_a_token_call_that_broke_off_has_done_nothing_to_the_audience(account: Account, server: AuthorizationServer) -> None:
    server.replies.append(Reply(200, b"", {"Content-Length": "100"}))
    with pytest.raises(TryAgain) as caught:
        client_credentials(account, server).credentials(REQUEST)
    assert (caught.value.account, caught.value.applied_unknown) == (True, False)


@pytest.mark.parametrize(
    ("expires_in", "good_for_s"),
    [(600, 540), ("600", 540), (600.5, 540), (None, 3_540), (10**400, 366 * 86_400 - 60)],
)
def test_a_token_is_used_until_a_minute_before_its_end(
    account: Account, server: AuthorizationServer, clock: TurnedClock, expires_in: object, good_for_s: float
) -> None:
    server.replies.append(Reply(200, {"access_token": "first", "expires_in": expires_in}))
    authentication = client_credentials(account, server)
    bearer(authentication)
    clock.advance(good_for_s - 1)
    assert bearer(authentication) == "Bearer first"
    clock.advance(2)
    assert bearer(authentication) == "Bearer access-1"


# --- how they are shared ---------------------------------------------------------------------------------------------


def test_a_token_is_fetched_once_and_shared_by_connectors_with_the_same_client(
    make_account: MakeAccount, server: AuthorizationServer
) -> None:
    assert {bearer(client_credentials(make_account(name), server)) for name in ("one", "two")} == {"Bearer access-1"}
    assert len(server.asked) == 1


def test_another_client_scope_secret_or_parameter_is_another_token(
    make_account: MakeAccount, server: AuthorizationServer
) -> None:
    account = make_account()
    others = [
        OAuth2ClientCredentials(account, CLIENT, token_url=server.token_url, scope="more"),
        OAuth2ClientCredentials(account, CLIENT, token_url=server.token_url, parameters={"audience": "x"}),
        client_credentials(account, server, replace(CLIENT, id=Secret("Client ID", "another"))),
        client_credentials(account, server, replace(CLIENT, secret=Secret("Client secret", "another"))),
        with_refresh_token(account, server),
        with_refresh_token(account, server, Secret("Refresh token", "set anew")),
    ]
    names = {one.token_name() for one in [client_credentials(account, server), *others]}
    assert len(names) == 1 + len(others)
    assert not [name for name in names if CLIENT_SECRET in name or FIRST_REFRESH in name]


def test_a_token_that_the_partner_no_longer_accepts_is_renewed_once(account: Account, server: AuthorizationServer) -> None:
    authentication = client_credentials(account, server)
    assert called(account, server, authentication) == 200
    server.revoke("access-1")
    assert called(account, server, authentication) == 200
    assert [call.headers["authorization"] for call in server.called] == [
        "Bearer access-1",
        "Bearer access-1",
        "Bearer access-2",
    ]
    assert len(server.asked) == 2


def test_beside_a_key_the_token_is_renewed_all_the_same(account: Account, server: AuthorizationServer) -> None:
    both = Combined(ApiKey(Secret("Key", "k"), header="X-Key"), client_credentials(account, server))
    assert both.renewable
    first = both.credentials(REQUEST)
    assert first.token == "access-1"
    assert both.credentials(REQUEST, refused=first).headers == {"X-Key": "k", "Authorization": "Bearer access-2"}


class Patient(TurnedClock):
    """Stands still while one really waits for another."""

    def sleep(self, seconds: float) -> None:
        time.sleep(0.01)


def test_eight_workers_with_an_expired_token_refresh_it_once(make_account: MakeAccount, server: AuthorizationServer) -> None:
    clock = Patient()
    workers = [with_refresh_token(make_account(clock=clock), server) for _ in range(8)]
    server.slow_s = 0.05
    for expiry in (1, 2, 3):
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(bearer, workers)) == {f"Bearer access-{expiry}"}
        assert len(server.asked) == expiry
        clock.advance(3_600)
    assert server.reused == 0


def test_eight_workers_whose_token_was_refused_refresh_it_once(make_account: MakeAccount, server: AuthorizationServer) -> None:
    clock = Patient()
    accounts = [make_account(clock=clock) for _ in range(8)]
    workers = [(account, with_refresh_token(account, server)) for account in accounts]
    account, worker = workers[0]
    called(account, server, worker)
    server.revoke("access-1")
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda one: called(one[0], server, one[1]), workers)) == {200}
    assert len(server.asked) == 2


def test_eight_workers_in_four_processes_with_an_expired_token_refresh_it_once(
    tmp_path: Path, server: AuthorizationServer
) -> None:
    backend = EmbeddedBackend.open(tmp_path / "state", SystemClock())
    name = process.refresh_token(process.account(backend), server.token_url).token_name()
    backend.tokens.lease(name, owner="before", for_s=60)
    backend.tokens.put(name, Token("access-0", 1.0, FIRST_REFRESH), owner="before")
    backend.close()
    server.slow_s = 0.3
    command = [sys.executable, "-m", "tests.unit.adapters.authentication.process", str(tmp_path / "state"), server.token_url]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    printed = [one.communicate(timeout=60)[0].split() for one in running]
    assert printed == [["access-1", "access-1"]] * 4
    assert [asked.form["refresh_token"] for asked in server.asked] == [FIRST_REFRESH]


def test_single_use_refresh_tokens_last_over_many_expiries_and_restarts(
    make_account: MakeAccount, server: AuthorizationServer, clock: TurnedClock
) -> None:
    for number in range(1, 11):
        assert bearer(with_refresh_token(make_account(), server)) == f"Bearer access-{number}"
        clock.advance(3_600)
    sent = [parse_qs(asked.body.decode())["refresh_token"][0] for asked in server.asked]
    assert sent == [FIRST_REFRESH, *(f"refresh-{number}" for number in range(1, 10))]


def test_a_refresh_token_that_is_good_for_many_uses_is_kept_when_none_comes_back(account: Account, clock: TurnedClock) -> None:
    with authorization_server(single_use=False) as server:
        authentication = with_refresh_token(account, server)
        for number in (1, 2, 3):
            assert bearer(authentication) == f"Bearer access-{number}"
            clock.advance(3_600)
        assert {asked.form["refresh_token"] for asked in server.asked} == {FIRST_REFRESH}


def test_a_single_use_refresh_token_outlives_a_new_client_secret_another_scope_and_a_second_connector(
    make_account: MakeAccount, server: AuthorizationServer, clock: TurnedClock
) -> None:
    def opened(connector: str, client: Client = CLIENT, scope: str = "") -> OAuth2RefreshToken:
        account = make_account(connector)
        return OAuth2RefreshToken(account, client, token_url=server.token_url, refresh_token=REFRESH, scope=scope)

    bearer(opened("acme"))
    in_body = replace(CLIENT, authentication="body")
    for number, later in enumerate([opened("acme@sandbox"), opened("acme", scope="more"), opened("acme", in_body)], 2):
        clock.advance(3_600)
        assert bearer(later) == f"Bearer access-{number}"
    rotated = replace(CLIENT, secret=Secret("Client secret", "rotated"))
    assert opened("acme", rotated).token_name() == opened("acme").token_name()


def test_a_refresh_token_set_anew_is_not_shadowed_by_a_dead_one(account: Account, server: AuthorizationServer) -> None:
    with pytest.raises(CredentialsRefused) as caught:
        with_refresh_token(account, server, Secret("Refresh token", "dead")).credentials(REQUEST)
    assert caught.value.code == "invalid_grant"
    assert bearer(with_refresh_token(account, server)) == "Bearer access-1"
