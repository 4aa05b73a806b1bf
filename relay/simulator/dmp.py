"""Requests as the DMP sends them: signed, with Basic auth, one JSON document each.

The wire contract is Mapp's page "DIY Integrations"; docs/wire-format.md says how we read it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from relay.configuration import LOOPBACK
from relay.domain.message import Direction
from relay.simulator.sessions import Sessions

MAX_USERS = 100
"""Users in one of the DMP's micro-batches, which it sends when they are together or after a second."""

REQUEST_TYPES: dict[Direction, str] = {"joined": "ADD_TO_AUDIENCE", "left": "REMOVE_FROM_AUDIENCE"}

_SHOWN_CHARACTERS = 300


class DmpAudience(msgspec.Struct, frozen=True):
    """An audience as the DMP knows it."""

    id: str
    name: str


class Change(msgspec.Struct, frozen=True):
    """One user of one audience."""

    audience: str
    user: str


class Answer(msgspec.Struct, frozen=True):
    """What came back. `status` 0: no answer; `reached`: whether the request can have arrived.

    error     the sentence that the DMP would show: the answer's `error`, or the whole answer where it is not JSON
    audience  the ID that a CREATE_AUDIENCE was answered with; empty if none
    """

    status: int
    error: str = ""
    audience: str = ""
    reached: bool = True

    @property
    def accepted(self) -> bool:
        """The DMP knows no other success than 200."""
        return self.status == 200


def sign(secret: str, body: bytes) -> str:
    """The value of X-HMAC: HMAC-SHA1 of the body, in hexadecimal."""
    return hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()


def create_body(audience: DmpAudience, customer: int) -> bytes:
    """The body of a CREATE_AUDIENCE."""
    return msgspec.json.encode(
        {"Type": "CREATE_AUDIENCE", "Name": audience.name, "Customer": customer, "Audience": audience.id}
    )


def change_body(direction: Direction, changes: Sequence[Change], customer: int) -> bytes:
    """The body of an ADD_TO_AUDIENCE or a REMOVE_FROM_AUDIENCE."""
    return msgspec.json.encode(
        {
            "Type": REQUEST_TYPES[direction],
            "Customer": customer,
            "Mutations": [{"Audience": change.audience, "User": change.user, "Customer": customer} for change in changes],
        }
    )


def is_loopback(url: str) -> bool:
    """Whether the address is this machine itself."""
    host = urlsplit(url).hostname or ""
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Dmp:
    """A DMP that is set up to call one connector. Safe to use from several threads; each has its own connection.

    basic: `user:password`, or empty where the connector asks for none. timeout_s: to connect, and between two parts of an answer.
    """

    def __init__(self, url: str, hmac_secret: str, basic: str = "", *, customer: int = 123, timeout_s: float = 10.0) -> None:
        self.url = url
        self.customer = customer
        self._hmac_secret = hmac_secret
        self._basic = basic
        self._timeout_s = timeout_s
        # A proxy from the environment is right for an address out there and wrong for this machine.
        self._sessions = Sessions(trust_env=not is_loopback(url))

    def validate(self, method: Literal["GET", "POST"] = "POST") -> Answer:
        """What the DMP sends during set-up. GET carries no signature."""
        return self.send("VALIDATE", b"", method=method, signature=None if method == "GET" else sign(self._hmac_secret, b""))

    def create_audience(self, audience: DmpAudience) -> Answer:
        """Announces an audience."""
        body = create_body(audience, self.customer)
        return self.send("CREATE_AUDIENCE", body, signature=sign(self._hmac_secret, body))

    def change(self, direction: Direction, changes: Sequence[Change]) -> Answer:
        """Uploads one micro-batch."""
        body = change_body(direction, changes, self.customer)
        return self.send(REQUEST_TYPES[direction], body, signature=sign(self._hmac_secret, body))

    def send(
        self,
        request_type: str,
        body: bytes,
        *,
        signature: str | None,
        method: Literal["GET", "POST"] = "POST",
        basic: str | None = None,
    ) -> Answer:
        """One request as given. `basic`: other credentials than the DMP's own; empty for none. Never raises for the network."""
        headers = {"Content-Type": "application/json"} if body else {}
        if signature is not None:
            headers["X-HMAC"] = signature
        credentials = self._basic if basic is None else basic
        try:
            response = self._sessions.mine().request(
                method,
                self.url,
                params={"type": request_type},
                data=body or None,
                headers=headers,
                auth=_BasicAuth(credentials),
                timeout=self._timeout_s,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return _no_answer(error)
        return _read(response)

    def close(self) -> None:
        """Ends the connections."""
        self._sessions.close()


class _BasicAuth(requests.auth.AuthBase):
    """Exactly these credentials, in UTF-8, or none: never those of a .netrc file."""

    def __init__(self, credentials: str) -> None:
        self._credentials = credentials

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._credentials:
            request.headers["Authorization"] = "Basic " + base64.b64encode(self._credentials.encode()).decode()
        return request


def _read(response: requests.Response) -> Answer:
    try:
        content: Any = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        content = None
    fields = content if isinstance(content, dict) else {}
    if response.status_code == 200:
        audience = fields.get("id")
        return Answer(200, audience=str(audience) if isinstance(audience, str | int) else "")
    error = fields.get("error")
    text = error if isinstance(error, str) else " ".join(response.text.split())
    return Answer(response.status_code, text[:_SHOWN_CHARACTERS])


def _no_answer(error: requests.RequestException) -> Answer:
    if isinstance(error, requests.exceptions.SSLError):
        return Answer(0, "The certificate is not accepted, or the server does not speak TLS there.", reached=False)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Answer(0, "Nothing answered the attempt to connect in time.", reached=False)
    if isinstance(error, requests.exceptions.Timeout):
        return Answer(0, "The connection stands, and no answer came in time.")
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return Answer(0, "The host name is not known.", reached=False)
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return Answer(0, "The connection was refused: nothing listens there.", reached=False)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema | requests.exceptions.InvalidSchema):
        return Answer(0, "That is not an address: it looks like https://relay.example.com/pangolin.", reached=False)
    return Answer(0, "The connection broke before an answer came.")
