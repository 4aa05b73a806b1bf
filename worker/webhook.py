"""Notices to a webhook: one POST, signed if the connector has a secret for that, answered with 2xx by a receiver that took it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from adapters.client import RequestsClient
from adapters.contract import Credentials, HttpAnswer, HttpRequest
from adapters.network import Network, Resolver, look_up, place
from relay.domain.clock import Clock
from relay.domain.connector import Timeouts
from relay.domain.errors import NotTaken, PartnerError

_TIMEOUTS = Timeouts(connect_s=5.0, answer_s=10.0)
_SHOWN = 200
_SHORTEST_SECRET = 4

# What the client says of partners, said of a receiver. It never repeats the URL, which may be a secret.
_SENTENCES = {
    "timeout": "did not answer within 10 seconds; whether it took the notice is unknown",
    "connection_broken": "broke the connection before its answer was complete; whether it took the notice is unknown",
    "not_http": "sent an answer that cannot be read as HTTP; whether it took the notice is unknown",
    "unknown_host": "cannot be reached: its name is not known",
    "tls": "cannot be reached: no trusted, encrypted connection could be made",
    "connect_timeout": "did not accept the connection in time",
    "connection_refused": "cannot be reached: it refused the connection",
    "unreachable": "cannot be reached: the connection failed",
    "private_address": (
        "is not on the public Internet, and nothing was sent there; if it is meant to be in your own network, set "
        "`notify.allow_private_network: true`"
    ),
    "plain_http": (
        "has no address that begins with https://; if it is in your own network, set `notify.allow_private_network: true`"
    ),
}


class Webhooks:
    """Sends them. Redirects are not followed, and no proxy is used."""

    def __init__(self, clock: Clock, *, resolver: Resolver = look_up) -> None:
        self._clock = clock
        self._clients = {
            private: RequestsClient(_TIMEOUTS, clock, Network(public_only=not private), resolver=resolver)
            for private in (False, True)
        }

    def post(self, url: str, payload: dict[str, Any], *, secret: str | None, allow_private_network: bool) -> str:
        """Returns what the receiver answered, to be shown. Raises `NotTaken`. payload: with the notice's `id`."""
        body = msgspec.json.encode(payload)
        headers = {"Content-Type": "application/json"} | _headers(str(payload["id"]), int(self._clock.now()), body, secret)
        receiver = f"The webhook ({place(url)})"
        try:
            answer = self._clients[allow_private_network].send(HttpRequest("POST", url, headers, raw=body), auth=Credentials())
        except PartnerError as error:
            sentence = _SENTENCES.get(error.code, "cannot be called: its address, or the secret, cannot be used")
            raise NotTaken(f"{receiver} {sentence}.", code=error.code) from None
        said = f"{receiver} answered with status {answer.status}{_words(answer, url)}."
        if not 200 <= answer.status < 300:
            raise NotTaken(said, code=f"status_{answer.status}")
        return said


def _headers(notice_id: str, timestamp: int, body: bytes, secret: str | None) -> dict[str, str]:
    """As Standard Webhooks names and makes them, so that its libraries can check them: HMAC-SHA256 of `id.timestamp.body`
    (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)."""
    headers = {"webhook-id": notice_id, "webhook-timestamp": str(timestamp)}
    if secret is not None:
        signed = f"{notice_id}.{timestamp}.".encode() + body
        signature = hmac.new(_key(secret), signed, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(signature).decode()}"
    return headers


def _key(secret: str) -> bytes:
    """A secret that begins with `whsec_` goes on in base64; any other is the key itself."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def _words(answer: HttpAnswer, url: str) -> str:
    """The beginning of what the receiver wrote, on one line; nothing where it repeats a part of the address, which may be a
    secret."""
    text = " ".join(answer.content[: 4 * _SHOWN].decode(errors="replace").split())
    shown = "".join(letter for letter in text if letter.isprintable())[:_SHOWN].rstrip(".")
    parts = urlsplit(url)
    secret = re.split(r"[/?&=;]", f"{parts.path}?{parts.query}")
    if not shown or any(len(part) >= _SHORTEST_SECRET and unquote(part) in unquote(text) for part in secret):
        return ""
    return f": {shown}"
