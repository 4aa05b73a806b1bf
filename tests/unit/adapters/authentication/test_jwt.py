"""JSON Web Tokens of our own: signed with keys as secrets can hold them, in one line."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from adapters.authentication import Secret
from adapters.authentication.jwt import Algorithm, Jwt
from adapters.contract import HttpRequest
from relay.domain.errors import CredentialsRefused, Misconfigured
from tests.clock import TurnedClock

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
PRIVATE = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def pem(
    key: PRIVATE,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption = NoEncryption(),  # noqa: B008 - has no state
) -> str:
    return key.private_bytes(Encoding.PEM, form, encryption).decode()


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, signature, and what was signed."""
    header, claims, signature = token.split(".")
    return json.loads(decoded(header)), json.loads(decoded(claims)), decoded(signature), f"{header}.{claims}".encode()


def token(key: str, algorithm: Algorithm, clock: TurnedClock, **options: Any) -> str:
    return Jwt(Secret("Key", key), algorithm=algorithm, claims={"iss": "us"}, clock=clock, **options).token()


def test_hs256_is_signed_with_the_secrets_text(clock: TurnedClock) -> None:
    header, claims, signature, signed = parts(token("schlüssel-of-some-length", "HS256", clock))
    assert header == {"typ": "JWT", "alg": "HS256"}
    assert claims == {"iss": "us", "iat": 1_800_000_000, "exp": 1_800_000_300}
    assert signature == hmac.new("schlüssel-of-some-length".encode(), signed, hashlib.sha256).digest()


def test_rs256_can_be_verified_with_the_public_key(clock: TurnedClock) -> None:
    header, _, signature, signed = parts(token(pem(RSA), "RS256", clock, header={"kid": "7", "x-own": "1"}))
    assert header == {"typ": "JWT", "alg": "RS256", "kid": "7", "x-own": "1"}
    RSA.public_key().verify(signature, signed, padding.PKCS1v15(), SHA256())


def test_es256_can_be_verified_with_the_public_key(clock: TurnedClock) -> None:
    _, _, signature, signed = parts(token(pem(EC), "ES256", clock))
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    EC.public_key().verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))


def test_claims_are_asked_for_at_every_call_and_win_over_the_usual_moments(clock: TurnedClock) -> None:
    asked: list[int] = []

    def claims() -> dict[str, Any]:
        asked.append(1)
        return {"jti": str(len(asked)), "exp": 7}

    jwt = Jwt(Secret("Key", "k" * 32), algorithm="HS256", claims=claims, clock=clock)
    request = HttpRequest("GET", "https://api.example.com")
    sent = [jwt.credentials(request).headers["Authorization"] for _ in range(2)]
    assert [parts(one.removeprefix("Bearer "))[1] for one in sent] == [
        {"iat": 1_800_000_000, "exp": 7, "jti": "1"},
        {"iat": 1_800_000_000, "exp": 7, "jti": "2"},
    ]


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda text: text, id="as it is"),
        pytest.param(lambda text: text.strip().replace("\n", "\\n"), id="\\n as two characters"),
        pytest.param(lambda text: text.strip().replace("\n", "\\r\\n"), id="\\r\\n as four characters"),
        pytest.param(lambda text: text.strip().replace("\n", " "), id="blanks"),
        pytest.param(lambda text: text.replace("\n", ""), id="nothing"),
        pytest.param(lambda text: base64.b64encode(text.encode()).decode(), id="base64 of the whole"),
        pytest.param(lambda text: base64.encodebytes(text.encode()).decode().replace("\n", " "), id="base64 with blanks"),
    ],
)
def test_a_private_key_can_be_written_in_one_line(clock: TurnedClock, form: PrivateFormat, written: Any) -> None:
    for key, algorithm in ((RSA, "RS256"), (EC, "ES256")):
        assert token(written(pem(key, form)), algorithm, clock)  # type: ignore[arg-type]


def test_beside_other_parts_the_private_key_is_taken(clock: TurnedClock) -> None:
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert token(parameters + pem(EC, PrivateFormat.TraditionalOpenSSL), "ES256", clock)


WRONG = [
    ("RS256", "junk", "no private key in the format PEM"),
    ("RS256", base64.b64encode(b"\xff\xfe").decode(), "no private key in the format PEM"),
    ("RS256", "-----BEGIN PRIVATE KEY----- AAAA -----END PRIVATE KEY-----", "no private RSA key"),
    ("RS256", pem(EC), "no private RSA key"),
    ("ES256", pem(RSA), "no private EC key"),
    ("RS256", pem(RSA, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")), "without a passphrase"),
    ("RS256", RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), "public key"),
    ("ES256", pem(ec.generate_private_key(ec.SECP384R1())), "curve"),
]


@pytest.mark.parametrize(("algorithm", "key", "why"), WRONG)
def test_a_key_that_cannot_be_used_is_refused_in_words_that_do_not_show_it(
    clock: TurnedClock, algorithm: Algorithm, key: str, why: str
) -> None:
    with pytest.raises(CredentialsRefused, match=why) as caught:
        token(key, algorithm, clock)
    assert caught.value.code == "secret_unusable"
    assert key[30:60] == "" or key[30:60] not in str(caught.value)


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
def test_a_key_that_is_not_set_is_named_by_its_title(clock: TurnedClock, algorithm: Algorithm) -> None:
    with pytest.raises(CredentialsRefused, match="'Key' is not set") as caught:
        token("", algorithm, clock)
    assert caught.value.code == "secret_missing"


def test_claims_that_cannot_be_written_are_the_connectors_mistake(clock: TurnedClock) -> None:
    with pytest.raises(Misconfigured):
        Jwt(Secret("Key", "k" * 32), algorithm="HS256", claims={"sub": b"bytes"}, clock=clock).token()
