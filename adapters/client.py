"""The HTTP client that all adapters share: one call, once, within its time, and an honest word on whether it may have arrived."""

from __future__ import annotations

import http.client
import http.cookiejar
import logging
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from adapters.connection import BoundedTransport, Call, current
from adapters.contract import HttpAnswer, HttpRequest
from relay.domain.clock import Clock
from relay.domain.connector import Timeouts
from relay.domain.errors import Misconfigured, TryAgain

MAX_ANSWER_BYTES = 10 * 1024 * 1024
"""Longer answers are not read to their end."""

_PIECE = 64 * 1024

# It writes headers that it cannot parse, with the URL, into the log.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class RequestsClient:
    """Fulfils `adapters.contract.HttpClient`; can be used by many threads, each with connections of its own.

    Proxies and credentials from the environment are not used, certificates are always checked, redirects are not followed and
    cookies not kept. Nothing is sent twice: a call that met a broken connection may have been applied, and only the
    caller knows whether that matters.

    An answer whose end has not come `answer_s` (`batch_answer_s` for a batch) after being connected is a time-out.
    """

    def __init__(self, timeouts: Timeouts, clock: Clock) -> None:
        self._timeouts = timeouts
        self._clock = clock
        self._of_thread = threading.local()

    def send(self, request: HttpRequest, *, auth: Mapping[str, str]) -> HttpAnswer:
        """Any answer that came whole. Raises `TryAgain` if none did (`applied_unknown` unless nothing had been sent), and
        `Misconfigured` if the address or a header cannot be used at all."""
        prepared = _prepare(request, auth)
        call = Call(self._timeouts.batch_answer_s if request.batch else self._timeouts.answer_s)
        began = self._clock.monotonic()
        reset = current.set(call)
        try:
            # What is left until the deadline is counted by the connection; here only the outer bounds.
            bounds = (self._timeouts.connect_s, call.answer_s)
            with self._session().send(prepared, stream=True, allow_redirects=False, timeout=bounds) as answer:
                content = _read(answer)
        except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            raise _no_answer(request, call, error) from None
        finally:
            current.reset(reset)
        return HttpAnswer(answer.status_code, answer.headers, content, (self._clock.monotonic() - began) * 1000)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = self._of_thread.session = _Session()
        return session


class _Session(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self.mount("https://", BoundedTransport())
        self.mount("http://", BoundedTransport())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, ever: `requests` would read the whole body of a redirect to look at where it leads."""


def headers_of(request: HttpRequest) -> dict[str, str]:
    """The headers that the call is sent with, but for the authentication and what the connection adds (Host, lengths)."""
    headers = {"Accept": "application/json", "User-Agent": "diy-relay", **request.headers}
    has_type = any(name.lower() == "content-type" for name in headers)
    if request.raw is None and request.body is not None and not has_type:
        headers["Content-Type"] = "application/json"
    return headers


def _prepare(request: HttpRequest, auth: Mapping[str, str]) -> requests.PreparedRequest:
    content = request.raw
    if content is None and request.body is not None:
        content = msgspec.json.encode(request.body)
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare(method=request.method, url=request.url, headers={**headers_of(request), **auth}, data=content)
    except (requests.RequestException, ValueError):
        raise _unusable() from None
    return prepared


def _read(answer: requests.Response) -> bytes:
    pieces: list[bytes] = []
    size = 0
    parts: Iterator[bytes] = answer.iter_content(_PIECE)
    for piece in parts:
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise TryAgain(
                f"The partner's answer is longer than {MAX_ANSWER_BYTES // 1024 // 1024} MB and was not read.",
                code="unreadable_answer",
                status=answer.status_code,
            )
        pieces.append(piece)
    return b"".join(pieces)


def _unusable() -> Misconfigured:
    hint = "The call cannot be made: the partner's address is not valid, or a secret holds characters that cannot be sent."
    return Misconfigured(hint, code="unusable_request")


def _no_answer(request: HttpRequest, call: Call, error: Exception) -> TryAgain | Misconfigured:
    """What became of a call without a whole answer. The error's own text is left out: it can hold the URL and headers."""
    partner = f"The partner ({_host_and_port(request.url)})"
    causes = set(_causes(error))
    slow = any(issubclass(cause, TimeoutError) for cause in causes)
    if call.sent and slow:
        hint = f"{partner} did not answer within {call.answer_s:g} seconds; whether it did what was asked is unknown."
        return TryAgain(hint, code="timeout", applied_unknown=True, account=True)
    if call.sent:
        hint = f"{partner} broke the connection before its answer was complete; whether it did what was asked is unknown."
        return TryAgain(hint, code="connection_broken", applied_unknown=True, account=True)
    if socket.gaierror in causes:
        code, why = "unknown_host", "its name is not known"
    elif any(issubclass(cause, ssl.SSLError) for cause in causes):
        code, why = "tls", "no trusted, encrypted connection could be made"
    elif slow:
        code, why = "connect_timeout", "it did not accept the connection in time"
    elif ConnectionRefusedError in causes:
        code, why = "connection_refused", "it refused the connection"
    elif any(issubclass(cause, ValueError) for cause in causes):
        return _unusable()
    else:
        code, why = "unreachable", "the connection failed"
    return TryAgain(f"{partner} cannot be reached: {why}.", code=code, account=True)


def _host_and_port(url: str) -> str:
    """Where the call went: `api.example.com:443`, `[::1]:8082`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{parts.port or (80 if parts.scheme == 'http' else 443)}"


def _causes(error: BaseException) -> Iterator[type[BaseException]]:
    """The types of the error and of all that led to it: by cause, by context, and as arguments, where urllib3 keeps them."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield type(one)
        held = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting.extend(inner for inner in held if isinstance(inner, BaseException))
