"""A signature of the body is over exactly what arrives."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

import pytest

from adapters.authentication import Combined, Secret
from adapters.authentication.signature import BodySignature, Digest
from adapters.authentication.static import Bearer
from adapters.contract import Account, HttpRequest
from relay.domain.errors import CredentialsRefused
from tests.clock import TurnedClock
from tests.unit.adapters.authentication.server import Asked, AuthorizationServer

SECRET = Secret("Signing key", "schlüssel")
KEY = "schlüssel".encode()

BODIES = [
    HttpRequest("POST", "", body={"name": "ü\u2028", "number": 1.0, "none": None}),
    HttpRequest("PUT", "", raw=b"a;b\n\xff"),
    HttpRequest("POST", "", body=[]),
    HttpRequest("GET", ""),
]


def sent(account: Account, server: AuthorizationServer, request: HttpRequest, signature: BodySignature) -> Asked:
    whole = HttpRequest(request.method, server.api_url, {}, request.body, request.raw)
    if whole.method == "PUT":
        whole = HttpRequest("POST", server.api_url, {"Content-Type": "text/csv"}, raw=request.raw)
    account.client.send(whole, auth=signature.credentials(whole))
    return server.called[-1]


@pytest.mark.parametrize("request_", BODIES, ids=["json", "raw", "empty list", "nothing"])
def test_what_is_signed_is_what_arrives(
    account: Account, server: AuthorizationServer, clock: TurnedClock, request_: HttpRequest
) -> None:
    arrived = sent(account, server, request_, BodySignature(SECRET, header="X-Signature", clock=clock))
    assert arrived.headers["x-signature"] == hmac.new(KEY, arrived.body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("digest", "function"), [("sha1", hashlib.sha1), ("sha256", hashlib.sha256), ("sha512", hashlib.sha512)]
)
def test_digest_encoding_and_prefix_are_the_partners(
    account: Account, server: AuthorizationServer, clock: TurnedClock, digest: Digest, function: Callable[..., object]
) -> None:
    signature = BodySignature(SECRET, header="X-Hub", clock=clock, digest=digest, encoding="base64", prefix=f"{digest}=")
    arrived = sent(account, server, BODIES[0], signature)
    expected = base64.b64encode(hmac.new(KEY, arrived.body, function).digest()).decode()  # type: ignore[arg-type]
    assert arrived.headers["x-hub"] == f"{digest}={expected}"


def test_with_a_timestamp_it_is_signed_too(account: Account, server: AuthorizationServer, clock: TurnedClock) -> None:
    clock.advance(0.9)
    signature = BodySignature(SECRET, header="X-Signature", clock=clock, timestamp_header="X-Timestamp")
    arrived = sent(account, server, BODIES[0], signature)
    assert arrived.headers["x-timestamp"] == "1800000000"
    assert arrived.headers["x-signature"] == hmac.new(KEY, b"1800000000." + arrived.body, hashlib.sha256).hexdigest()


def test_a_signature_goes_beside_other_credentials(clock: TurnedClock) -> None:
    both = Combined(Bearer(Secret("Token", "t")), BodySignature(SECRET, header="X-Signature", clock=clock))
    assert list(both.credentials(BODIES[0]).headers) == ["Authorization", "X-Signature"]
    assert both.headers == ("Authorization", "X-Signature")


def test_without_its_secret_nothing_is_signed(clock: TurnedClock) -> None:
    with pytest.raises(CredentialsRefused, match="Signing key"):
        BodySignature(Secret("Signing key"), header="X", clock=clock).credentials(BODIES[0])
