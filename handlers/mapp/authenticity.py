"""Whether a request may come in and is genuine: fixed local secrets, Basic authentication, X-HMAC.

All comparisons take the same time whatever is compared, and look at every live secret (current and previous).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from starlette.requests import Request

from handlers.headers import all_of, first_of
from handlers.inbound import CompiledInbound
from relay.domain.errors import Refusal
from relay.domain.loopback import is_loopback, without_port

_BASIC_CHALLENGE = 'Basic realm="DIY Relay", charset="UTF-8"'
_SIGNATURE_CHALLENGE = 'X-HMAC realm="DIY Relay"'

_FORWARDED = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"via"}
)
"""Headers by which a proxy says that the request came from elsewhere, whatever Host it writes."""


def require_allowed_place(connector: CompiledInbound, request: Request) -> None:
    """Refuses a connector with printed secrets on any address but loopback, and through a proxy: everybody knows them."""
    if not connector.local_only:
        return
    server = request.scope.get("server")
    came_in_on = server[0] if server else ""
    hosts = [without_port(host.decode("latin-1")) for host in all_of(request, b"host")]
    passed_on = any(name in _FORWARDED for name, _ in request.scope["headers"])
    if passed_on or not is_loopback(came_in_on) or not hosts or not all(map(is_loopback, hosts)):
        raise Refusal(
            403,
            "This connector still uses the fixed secrets of a local run, which everybody can read. They are accepted on this "
            "machine only (127.0.0.1), without a proxy. Rotate them (diy secrets rotate) and use the new ones.",
            code="local_secrets",
        )


def require_basic(connector: CompiledInbound, request: Request) -> None:
    """Refuses a request without valid credentials, where the connector asks for them (RFC 7617, UTF-8)."""
    if connector.inbound.basic_auth is None:
        return
    header = first_of(request, b"authorization") or b""
    # As nearly everybody sends it first: what a flood is made of should cost little.
    if _is_among(header, connector.basic_headers) or _is_among(_credentials(header), connector.basic_digests):
        return
    if not connector.basic_digests:
        sentence = "The user name and password of this connector are not set yet, so that no request can be accepted."
    else:
        sentence = "The user name or the password (HTTP Basic authentication) is missing or wrong."
    raise Refusal(401, sentence, {"WWW-Authenticate": _BASIC_CHALLENGE}, code="basic_refused")


def is_signed(connector: CompiledInbound, request: Request, body: bytes) -> bool:
    """Whether the body was signed with one of the connector's secrets.

    X-HMAC is HMAC-SHA1 over the body's bytes, in hexadecimal of either case (docs/wire-format.md).
    """
    given = _given_signature(request)
    genuine = False
    for key in connector.hmac_keys:
        genuine |= hmac.compare_digest(hmac.digest(key, body, "sha1").hex().encode(), given)
    return genuine


def signature_refused(connector: CompiledInbound, request: Request) -> Refusal:
    """What a request is answered that was not."""
    if not connector.hmac_keys:
        sentence = "The HMAC secret of this connector is not set yet, so that no request can be accepted."
    elif not _given_signature(request):
        sentence = "The signature (header X-HMAC) is missing."
    else:
        sentence = "The signature (header X-HMAC) does not match: the HMAC secret in the DMP is not the one of this connector."
    return Refusal(401, sentence, {"WWW-Authenticate": _SIGNATURE_CHALLENGE}, code="signature_refused")


def _given_signature(request: Request) -> bytes:
    return (first_of(request, b"x-hmac") or b"").strip().lower()


def _is_among(given: bytes, digests: tuple[bytes, ...]) -> bool:
    """Whether one of these is its SHA-256. Looks at all of them, whichever it is."""
    digest, known = hashlib.sha256(given).digest(), False
    for each in digests:
        known |= hmac.compare_digest(each, digest)
    return known


def _credentials(header: bytes) -> bytes:
    """`user:password` in this header; empty, which is never valid, where there is none."""
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(encoded.strip(b" "), validate=True)
    except binascii.Error:
        return b""
