"""Creation by the private function `create`, which has the partners' credentials: fulfils `handlers.creation.Creator`."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from handlers.creation import AudienceMode
from relay.connector_threads import ConnectorThreads
from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    BatchRefused,
    ConfigurationError,
    Conflict,
    CredentialsRefused,
    Misconfigured,
    NotFound,
    PartnerError,
    RelayError,
    StoreUnavailable,
    TryAgain,
    Unsupported,
)
from relay.domain.loopback import is_loopback
from relay.domain.message import UnknownVersion
from relay.wide_log import log

if TYPE_CHECKING:
    import requests

CONNECT_S = 5.0

ANSWER_S = 120.0
"""The function answers within its own time-out; whoever asks does not wait so long, and the creation goes on."""

_NOT_REACHED = "The service that creates audiences could not be reached."
_NO_ANSWER = "The service that creates audiences gave no usable answer."


class RemoteCreator:
    """Asks the function in threads beside the receiver's loop, so that a creation that takes long goes on after its answer.
    What it needs is imported by the first creation."""

    def __init__(self, url: str) -> None:
        """url: of the function. Raises `ConfigurationError` unless it is https, or http to this machine."""
        self._secure = _is_secure(url)
        self._url = url
        self._identity = _Identity(url.rstrip("/"))
        self._threads = ConnectorThreads("create")
        self._lock = threading.Lock()
        self._session: requests.Session | None = None

    async def create(
        self,
        *,
        connector: str,
        audience: str,
        name: str,
        customer: int | str | None,
        mode: AudienceMode,  # noqa: ARG002 - the protocol's; the function knows each connector's
        request_id: str,
    ) -> str:
        """The partner's ID; see the protocol. `connector` is one that exists: its threads are kept."""
        body = msgspec.json.encode({"connector": connector, "audience": audience, "name": name, "customer": customer})
        work = functools.partial(self._ask, body, {"connector": connector, "request_id": request_id})
        return await self._threads.run(connector, work)

    def _ask(self, body: bytes, about: Mapping[str, str]) -> str:
        """One call. `about`: what its log line says of it."""
        import requests

        try:
            answer = self._connections().post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json", "X-Request-Id": about["request_id"]},
                auth=self._identity if self._secure else _nobody,
                timeout=(CONNECT_S, ANSWER_S),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            log("create_unreachable", "ERROR", error=type(error.__cause__ or error).__name__, **about)
            raise TryAgain(_NOT_REACHED, applied_unknown=True) from error
        return _partner_id(answer, about)

    def _connections(self) -> requests.Session:
        from handlers import kept_connections

        with self._lock:
            if self._session is None:
                self._session = kept_connections.session()
                # Only on this machine: no proxy and no password file of its user's have a say in a call that stays here.
                self._session.trust_env = self._secure
            return self._session


def _is_secure(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    secure = parts.scheme == "https"
    if not parts.hostname or not (secure or (parts.scheme == "http" and is_loopback(parts.hostname))):
        raise ConfigurationError("CREATE_URL must be an https address, or an http address of this machine.")
    return secure


def _partner_id(answer: requests.Response, about: Mapping[str, str]) -> str:
    """What the function answers (`relay.functions.create`). Raises what the creation in one process would have raised."""
    told = _told(answer)
    if answer.status_code == 200 and told.partner_id:
        return told.partner_id
    if answer.status_code in (401, 403):
        log(
            "create_refused",
            "ERROR",
            status=answer.status_code,
            hint="The function `create` does not let the receiver call it: its service account needs the role run.invoker there, "
            "and CREATE_URL must be the address for which the function takes identity tokens.",
            **about,
        )
        raise TryAgain(_NOT_REACHED)
    trouble = _trouble(answer.status_code, told.error, told.code) if told.error and told.code else None
    if trouble is None:
        log("create_unusable", "ERROR", status=answer.status_code, hint="This is no answer of the function `create`.", **about)
        raise TryAgain(_NO_ANSWER, applied_unknown=True)
    if answer.status_code == 400:
        log("create_unusable", "ERROR", status=400, hint="The function `create` is of another version.", **about)
    raise trouble


class _Told(msgspec.Struct, frozen=True):
    partner_id: str = ""
    error: str = ""
    code: str = ""


def _told(answer: requests.Response) -> _Told:
    try:
        return msgspec.json.decode(answer.content, type=_Told)
    except (ValueError, RecursionError):
        return _Told()  # of something in between


_BAD_GATEWAY: dict[str, type[PartnerError]] = {
    CredentialsRefused.code: CredentialsRefused,
    AudienceGone.code: AudienceGone,
}

_OURS: dict[str, type[RelayError]] = {
    "store_unavailable": StoreUnavailable,
    "unknown_version": UnknownVersion,
    "configuration_error": ConfigurationError,
    "document_error": ConfigurationError,
}
"""Errors that are not the partner's, by `handlers.creation.code_of`: their sentences do not depend on their texts."""


def _trouble(status: int, sentence: str, code: str) -> RelayError | None:
    """The error behind a status, sentence and code of `handlers.creation`; None if they are not from there."""
    match status:
        case 400:
            return ConfigurationError(sentence)
        case 404:
            return NotFound(sentence)
        case 409:
            return Conflict(sentence)
        case 422:
            return Unsupported(sentence) if code == Unsupported.code else BatchRefused(sentence, code=code)
        case 502:
            return _BAD_GATEWAY.get(code, Misconfigured)(sentence, code=code)
        case 503 if code in _OURS:
            return _OURS[code](sentence)
        case 503 if code == AudienceNotReady.code:
            return AudienceNotReady(sentence)
        case 503:
            return TryAgain(sentence, code=code)
    return None


class _Identity:
    """Adds an identity token for the function to a call, as Cloud Run asks for it
    (https://cloud.google.com/run/docs/authenticating/service-to-service). It is got again shortly before it expires."""

    def __init__(self, audience: str) -> None:
        self._audience = audience
        self._lock = threading.Lock()
        self._credentials: Any = None

    def __call__(self, call: requests.PreparedRequest) -> requests.PreparedRequest:
        """Raises `requests.RequestException` where there is no token to be had."""
        call.headers["Authorization"] = f"Bearer {self._token()}"
        return call

    def _token(self) -> str:
        import requests
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request
        from google.oauth2.id_token import fetch_id_token_credentials

        with self._lock:
            try:
                if self._credentials is None:
                    self._credentials = fetch_id_token_credentials(self._audience, Request())  # type: ignore[no-untyped-call]
                if not self._credentials.valid:
                    self._credentials.refresh(Request())
            except (GoogleAuthError, ValueError) as error:  # ValueError: what came is no token
                raise requests.RequestException("no identity token") from error
            token: str = self._credentials.token
            return token


def _nobody(call: requests.PreparedRequest) -> requests.PreparedRequest:
    """Adds nothing; named, so that nothing else is looked for."""
    return call
