"""The platform's gateway: what it knows of a feed, and the credentials that it keeps for destinations. Called in threads."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError, ReadTimeoutError

from handlers.mediarithmics.requests import Id, Property, Text, read
from handlers.mediarithmics.settings import Gateway
from handlers.mediarithmics.threads import within
from handlers.mediarithmics.trouble import Trouble, for_operator
from relay.domain.clock import Clock

CONNECT_S = 3.0
ANSWER_S = 5.0
"""For each part of an answer."""

WHOLE_S = 10.0
"""For the whole of one."""

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes."""

OAUTH2 = "OAUTH2"
"""The scheme of credentials that hold a refresh token."""

TECHNICAL_CONFIGURATION = "diy-relay"
"""The name of the technical configuration that gives defaults for properties."""

_CHUNK = 64 * 1024

R = TypeVar("R")
W = TypeVar("W")


class Resource(msgspec.Struct, frozen=True):
    """A kind of identifier that may leave; empty fields: any of it."""

    type: str | None = ""
    compartment_id: Text = Text("")
    registry_type: str | None = ""
    registry_id: Text = Text("")


class Feed(msgspec.Struct, frozen=True):
    """The feed resource. selected_identifying_resources: None where nothing was selected from; then everything may leave."""

    id: Id = Id("")
    version_id: Id = Id("")
    created_by: Id = Id("")
    selected_identifying_resources: list[Resource] | None = None


class Segment(msgspec.Struct, frozen=True):
    """The segment that a feed sends."""

    id: Id = Id("")
    name: Text = Text("")


class WebDomain(msgspec.Struct, frozen=True):
    """Where a realm is a site."""

    sld_name: str | None = ""


class Realm(msgspec.Struct, frozen=True):
    """A realm selection of a datamart."""

    realm_type: str | None = ""
    web_domain: WebDomain | None = None


class Credentials(msgspec.Struct, frozen=True):
    """What the platform keeps for a destination. scheme: OAUTH2, API_TOKEN or LOGIN_PASSWORD."""

    scheme: str = ""
    credentials: dict[str, Any] = {}

    @property
    def refresh_token(self) -> str:
        """Empty if there is none."""
        token = self.credentials.get("refresh_token") if self.scheme == OAUTH2 else None
        return token if isinstance(token, str) else ""

    def __repr__(self) -> str:
        return f"Credentials({self.scheme})"


class Unknown(Trouble):
    """The gateway does not know the resource (404)."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The platform does not know {what}. Please check that it still exists, and create the feed anew if it does not.",
            code="unknown_resource",
        )


class GatewayClient:
    """Asks with the worker's credentials, which no error repeats. Every method may raise `Trouble`."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock
        self._auth = HTTPBasicAuth(gateway.worker_id.encode(), gateway.token.encode())
        self._local = threading.local()

    def feed(self, feed_id: str) -> Feed:
        """Raises `Unknown`."""
        what = f"the feed {feed_id}"
        return _read(self._data(what, "audience_segment_external_feeds", feed_id), Feed, what)

    def properties(self, feed_id: str) -> list[Property]:
        """Raises `Unknown`."""
        what = f"the properties of feed {feed_id}"
        return _read_all(self._data(what, "audience_segment_external_feeds", feed_id, "properties"), Property, what)

    def segment(self, feed_id: str) -> Segment:
        """Without a name where the gateway does not know it: it is needed for nothing else."""
        what = f"the segment of feed {feed_id}"
        try:
            return _read(self._data(what, "audience_segment_external_feeds", feed_id, "audience_segment"), Segment, what)
        except Unknown:
            return Segment()

    def technical_configuration(self) -> dict[str, Any]:
        """The JSON object in the file; nothing where there is none."""
        what = f"the technical configuration {TECHNICAL_CONFIGURATION}"
        try:
            content = self._ask("GET", what, ("configuration", f"technical_name={TECHNICAL_CONFIGURATION}"))
        except Unknown:
            return {}
        found = _decoded(content, what)
        if not isinstance(found, dict):
            raise _unusable(what, "it is no JSON object")
        return found

    def realms(self, datamart_id: str) -> list[Realm]:
        """The realm selections of a datamart. Raises `Unknown`."""
        what = f"the realm selections of datamart {datamart_id}"
        return _read_all(self._data(what, "datamarts", datamart_id, "user_agent_identifier_realm_selections"), Realm, what)

    def credentials(self, destination_id: str) -> Credentials | None:
        """Those of a destination; None where there are none."""
        what = f"the credentials of destination {destination_id}"
        try:
            data = self._data(what, "feed_destinations", destination_id, "credentials")
        except Unknown:
            return None
        return _read(data, Credentials, what)

    def keep_refresh_token(self, destination_id: str, refresh_token: str) -> None:
        """With the credentials of that destination; an empty one in place of one that is to be forgotten."""
        body = {"scheme": OAUTH2, "credentials": {"refresh_token": refresh_token}}
        what = f"the credentials of destination {destination_id}"
        self._ask("POST", what, ("feed_destinations", destination_id, "credentials"), msgspec.json.encode(body))

    def _data(self, what: str, *path: str) -> Any:
        found = _decoded(self._ask("GET", what, path), what)
        if not isinstance(found, dict) or "data" not in found:
            raise _unusable(what, "there is no data in it")
        return found["data"]

    def _ask(self, method: str, what: str, path: Iterable[str], body: bytes | None = None) -> bytes:
        if not self._gateway.is_known:
            raise for_operator("PLUGIN_WORKER_ID or PLUGIN_AUTHENTICATION_TOKEN is not set.", code="no_worker")
        url = "/".join([self._gateway.url.rstrip("/"), "v1", *(quote(part, safe="=") for part in path)])
        try:
            with self._session().request(
                method,
                url,
                data=body,
                headers={"Content-Type": "application/json"} if body is not None else None,
                timeout=(CONNECT_S, ANSWER_S),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = self._content(response, what)  # of a failure, too: else the connection would be of no more use
                _require_success(response.status_code, what)
                return content
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise _silent(what, _why(error)) from None  # its text can hold the address, and what came

    def _session(self) -> requests.Session:
        """One for each thread: they are not made to be shared."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False
            session.auth = self._auth
        return session

    def _content(self, response: requests.Response, what: str) -> bytes:
        began = self._clock.monotonic()
        content = bytearray()
        while chunk := response.raw.read1(_CHUNK, decode_content=True):  # what is there, and does not wait for a whole chunk
            content += chunk
            if len(content) > MAX_ANSWER:
                raise _unusable(what, f"it is larger than {MAX_ANSWER:,} bytes")
            if self._clock.monotonic() - began > WHOLE_S:
                raise _silent(what, "its answer takes too long")
        return bytes(content)


async def soon(what: str, work: Awaitable[W], seconds: float) -> W:
    """What the work at the gateway comes to. Raises `Trouble` where that takes longer; the work goes on."""
    try:
        return await within(work, seconds)
    except TimeoutError:
        raise _silent(what, f"it has not answered within {seconds:g} seconds") from None


def _require_success(status: int, what: str) -> None:
    if 200 <= status < 300:
        return
    if status == 404:
        raise Unknown(what)
    if status in (401, 403):
        raise for_operator(
            f"The platform's gateway does not let this worker see or change {what} (HTTP {status}): check PLUGIN_WORKER_ID and "
            "PLUGIN_AUTHENTICATION_TOKEN.",
            code="gateway_refused",
        )
    if status >= 500 or status == 429:
        raise _silent(what, f"HTTP {status}")
    raise for_operator(f"The platform's gateway answers HTTP {status} for {what}.", code="gateway_unusable")


def _silent(what: str, why: str) -> Trouble:
    return Trouble(
        f"The platform's gateway could not be asked for {what} ({why}). Please try again in a moment.",
        code="gateway_unavailable",
        passes=True,
    )


def _why(error: Exception) -> str:
    if isinstance(error, requests.Timeout | TimeoutError | ReadTimeoutError):
        return "it did not answer in time"
    if isinstance(error, requests.ConnectionError | OSError | HTTPError):
        return "it could not be reached"
    return type(error).__name__


def _unusable(what: str, why: str) -> Trouble:
    return for_operator(f"The platform's gateway gives {what} in a form that cannot be used: {why}.", code="gateway_unusable")


def _decoded(content: bytes, what: str) -> Any:
    try:
        return msgspec.json.decode(content)
    except (ValueError, RecursionError):
        raise _unusable(what, "it is no JSON") from None


def _read(data: Any, kind: type[R], what: str) -> R:
    if not isinstance(data, dict):
        raise _unusable(what, "it is no object")
    try:
        return read(data, kind)
    except Trouble as trouble:
        raise _unusable(what, str(trouble)) from None


def _read_all(data: Any, kind: type[R], what: str) -> list[R]:
    if not isinstance(data, list):
        raise _unusable(what, "it is no list")
    return [_read(each, kind, what) for each in data]
