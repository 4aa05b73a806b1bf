"""X-HMAC, Basic authentication, and the fixed secrets of a local run."""

from __future__ import annotations

import base64
import hashlib
from contextlib import nullcontext

import pytest
from starlette.requests import Request

from handlers.inbound import CompiledInbound
from handlers.mapp.authenticity import require_allowed_place
from relay.configuration import LOCAL_SECRETS
from relay.domain.errors import Refusal
from tests.unit.mapp.edge import CREDENTIALS, PREVIOUS_SECRET, SECRET, Edge, basic, connector, error_of, signature, user

# --- X-HMAC ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [SECRET, PREVIOUS_SECRET])
def test_the_current_and_the_previous_secret_both_count(edge: Edge, secret: str) -> None:
    assert edge.post({"Mutations": [user()]}, type="ADD_TO_AUDIENCE", sign=secret).status_code == 200


def test_hexadecimal_of_either_case_counts(edge: Edge) -> None:
    body = b'{"Mutations": []}'
    upper = {"X-HMAC": signature(body).upper()}
    assert edge.post(body, type="ADD_TO_AUDIENCE", sign=None, headers=upper).status_code == 200


def test_the_signature_is_over_the_bytes_as_they_came(edge: Edge) -> None:
    spaced = '{ "Mutations" :\n[ ], "é": 1 }'.encode()
    assert edge.post(spaced, type="ADD_TO_AUDIENCE").status_code == 200
    other = {"X-HMAC": signature(b'{"Mutations":[],"\\u00e9":1}')}
    assert edge.post(spaced, type="ADD_TO_AUDIENCE", sign=None, headers=other).status_code == 401


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0" * 40,
        signature(b"test")[:-1],
        signature(b"test") + "0",
        "sha1=" + signature(b"test"),
        hashlib.sha1(b"test").hexdigest(),  # noqa: S324
        hashlib.sha1(SECRET.encode() + b"test").hexdigest(),  # noqa: S324
        b"\xff\xfe\xe9",
        "x" * 5_000,
    ],
)
def test_anything_else_is_401(edge: Edge, value: str | bytes) -> None:
    answer = edge.post(b"test", type="VALIDATE", sign=None, headers={"X-HMAC": value})
    assert answer.status_code == 401
    assert "X-HMAC" in error_of(answer)
    assert answer.headers["WWW-Authenticate"]


def test_the_sample_value_of_the_contract_page_is_refused_for_its_own_body(edge: Edge) -> None:
    headers: dict[str, str | bytes] = {"X-HMAC": "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"}
    assert edge.post(b"test", type="VALIDATE", sign=None, headers=headers).status_code == 401


def test_a_missing_signature_is_401_also_for_an_empty_body(edge: Edge) -> None:
    assert edge.post(type="VALIDATE", sign=None).status_code == 401
    assert edge.post(type="VALIDATE").status_code == 200


@pytest.mark.parametrize("secrets", [(), ("",), ("", "")])
def test_without_a_secret_nothing_is_authentic(edge: Edge, secrets: tuple[str, ...]) -> None:
    edge.serve(connector(secrets=secrets))
    answer = edge.post(type="VALIDATE", sign="")
    assert answer.status_code == 401
    assert "not set" in error_of(answer)


# --- Basic ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", ["dmp:pass:word", "a:b", "a::", "jürgen:pässwörd:€"])
def test_the_right_credentials_pass_colons_and_umlauts_included(edge: Edge, pair: str) -> None:
    for live in ((pair, "the:previous"), ("the:next", pair)):
        edge.serve(connector(credentials=live))
        assert edge.post(type="VALIDATE", credentials=pair).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        basic("dmp:pass"),
        basic("dmp"),
        basic(""),
        basic(":"),
        basic("DMP:pass:word"),
        "Basic ///not-base64///",
        "Basic " + base64.b64encode(b"dmp:\xff\xfe").decode(),
        "Bearer " + base64.b64encode(CREDENTIALS.encode()).decode(),
        CREDENTIALS,
        b"Basic \xe9\xff",
    ],
)
def test_missing_wrong_and_garbled_credentials_are_401_with_a_challenge(edge: Edge, header: str | bytes | None) -> None:
    edge.serve(connector(credentials=(CREDENTIALS,)))
    answer = edge.post(type="VALIDATE", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert "password" in error_of(answer)
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="DIY Relay", charset="UTF-8"'


def test_the_scheme_is_compared_without_case(edge: Edge) -> None:
    edge.serve(connector(credentials=(CREDENTIALS,)))
    headers: dict[str, str | bytes] = {"Authorization": basic(CREDENTIALS).replace("Basic", "bAsIc")}
    assert edge.post(type="VALIDATE", headers=headers).status_code == 200


@pytest.mark.parametrize("stored", [(), ("",), (":",), ("no-colon",), ("a:",), (":b",), ("::b",)])
def test_credentials_that_are_asked_for_and_not_set_let_nobody_in(edge: Edge, stored: tuple[str, ...]) -> None:
    edge.serve(connector(credentials=stored))
    for given in (None, "", *stored):
        answer = edge.post(type="VALIDATE", credentials=given)
        assert answer.status_code == 401
        assert "not set" in error_of(answer)


# --- fixed local secrets --------------------------------------------------------------------------------------------

LOCAL = LOCAL_SECRETS["pangolin-hmac"]


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:8080", "LOCALHOST"])
def test_the_fixed_local_secrets_are_good_on_loopback(edge: Edge, host: str) -> None:
    edge.serve(connector(secrets=(LOCAL,)))
    assert edge.post(type="VALIDATE", sign=LOCAL, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["relay.example.com", "10.0.0.1:8080", "localhost.example.com", "127.0.0.1.example.com", "[2001:db8::1]", "\xe9", ""]
)
def test_under_any_other_name_they_are_refused_with_the_way_out(edge: Edge, host: str) -> None:
    edge.serve(connector(secrets=(LOCAL,)))
    answer = edge.post(type="VALIDATE", sign=LOCAL, headers={"Host": host.encode("latin-1")})
    assert answer.status_code == 403
    assert "diy secrets rotate" in error_of(answer)


@pytest.mark.parametrize(("secrets", "credentials"), [((SECRET, LOCAL), None), ((SECRET,), (LOCAL_SECRETS["pangolin-basic"],))])
def test_one_of_them_among_the_live_ones_is_enough(
    edge: Edge, secrets: tuple[str, ...], credentials: tuple[str, ...] | None
) -> None:
    edge.serve(connector(secrets=secrets, credentials=credentials))
    headers: dict[str, str | bytes] = {"Host": "relay.example.com"}
    assert edge.post(type="VALIDATE", credentials=(credentials or (None,))[0], headers=headers).status_code == 403


@pytest.mark.parametrize(
    "header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via", "vIA"]
)
def test_they_are_refused_through_a_proxy_on_this_machine_that_rewrites_the_host(edge: Edge, header: str) -> None:
    edge.serve(connector(secrets=(LOCAL,)))
    answer = edge.post(type="VALIDATE", sign=LOCAL, headers={header: "127.0.0.1"})
    assert answer.status_code == 403
    assert "proxy" in error_of(answer)


def test_other_secrets_are_good_under_any_name(edge: Edge) -> None:
    assert edge.post(type="VALIDATE", headers={"Host": "relay.example.com", "X-Forwarded-For": "192.0.2.1"}).status_code == 200


@pytest.mark.parametrize(
    ("server", "allowed"),
    [
        (("127.0.0.1", 8080), True),
        (("::1", 8080), True),
        (("::ffff:127.0.0.1", 8080), True),
        (("10.1.2.3", 8080), False),
        (("::ffff:10.1.2.3", 8080), False),
        (("192.168.0.1", 8080), False),
        (("/run/relay.sock", None), False),
        (None, False),
    ],
)
def test_they_are_refused_on_connections_that_came_in_elsewhere(server: tuple[str, int | None] | None, allowed: bool) -> None:
    request = Request({"type": "http", "server": server, "headers": [(b"host", b"localhost")]})
    local = CompiledInbound(connector(secrets=(LOCAL,)))
    with nullcontext() if allowed else pytest.raises(Refusal, match="Rotate"):
        require_allowed_place(local, request)


def test_a_request_that_names_no_host_is_refused() -> None:
    request = Request({"type": "http", "server": ("127.0.0.1", 8080), "headers": []})
    with pytest.raises(Refusal):
        require_allowed_place(CompiledInbound(connector(secrets=(LOCAL,))), request)
