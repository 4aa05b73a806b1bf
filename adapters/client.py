"""The HTTP client that all adapters share: one call, once, within its time, and an honest word on whether it may have arrived."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

import msgspec
import requests
import urllib3

from adapters import exchanges, leash
from adapters.connection import Call, Connections
from adapters.contract import Credentials, HttpAnswer, HttpRequest
from adapters.in_flight import in_flight
from adapters.incoming import Answer, NotHttp
from adapters.network import ANYWHERE, Network, Resolver, look_up, place, require_encryption
from adapters.outgoing import Place
from adapters.redirects import onward, origin
from relay.domain.clock import Clock
from relay.domain.connector import Timeouts
from relay.domain.errors import Misconfigured, PartnerError, TryAgain

MAX_ANSWER_BYTES = 1024 * 1024
"""Longer answers are not read to their end, and cut."""

OWN_CONNECT_S = 5.0
"""Time for connecting of a call that brings its own bound for the answer (`HttpRequest.answer_s`)."""

# They write whole URLs, which can hold credentials, and headers that cannot be parsed into the log.
for _name in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).setLevel(logging.ERROR)


class RequestsClient:
    """Fulfils `adapters.contract.HttpClient`; can be used by many threads, each with connections of its own.

    `network`: what may be reached, and whether redirects are followed. `resolver`: asked once for every new connection.

    Proxies and credentials from the environment are not used, certificates are always checked and cookies not kept. Nothing is
    sent twice: a call that met a broken connection may have been applied, and only the caller knows whether that matters.

    An answer whose end has not come `answer_s` (`batch_answer_s` for a batch) after being connected is a time-out, redirects
    included.
    """

    def __init__(self, timeouts: Timeouts, clock: Clock, network: Network = ANYWHERE, *, resolver: Resolver = look_up) -> None:
        self._timeouts = timeouts
        self._clock = clock
        self._network = network
        self._resolver = resolver
        self._of_thread = threading.local()

    def send(self, request: HttpRequest, *, auth: Credentials) -> HttpAnswer:
        """Any answer that came, or the beginning of one that is too long.

        Raises `TryAgain` if none came whole (`applied_unknown` unless nothing had been sent) or the turn has no time for a call,
        and `Misconfigured` if the address or a header cannot be used at all, or if it leads to where the connector may not call.
        """
        connect_s, answer_s = self._bounds(request)
        leash.require(connect_s + answer_s)
        call = Call(answer_s, self._resolver, public_only=self._network.public_only)
        began = self._clock.monotonic()
        try:
            answer = self._followed(request, auth, call, connect_s)
        except PartnerError as error:
            exchanges.tell(request, None, (self._clock.monotonic() - began) * 1000, error.code)
            raise
        duration_ms = (self._clock.monotonic() - began) * 1000
        answered = HttpAnswer(answer.status, answer.headers, answer.content, duration_ms, answer.cut)
        exchanges.tell(request, answered, duration_ms)
        return answered

    def _followed(self, request: HttpRequest, auth: Credentials, call: Call, connect_s: float) -> Answer:
        """The answer at the end of all redirects that are followed."""
        url, hops = request.url, 0
        content = content_of(request) or b""
        headers = _sent_headers(request, auth, len(content))
        while True:
            address = _address(url, auth)
            with in_flight.holding(call):
                answer = self._exchange(_Sent(request.method.upper(), address, headers, content), call, connect_s)
            target = self._target(request, url, answer, hops, auth)
            if target is None:
                return answer
            url, hops = target, hops + 1

    def _bounds(self, request: HttpRequest) -> tuple[float, float]:
        if request.answer_s:
            return OWN_CONNECT_S, request.answer_s
        return self._timeouts.connect_s, self._timeouts.batch_answer_s if request.batch else self._timeouts.answer_s

    def _exchange(self, sent: _Sent, call: Call, connect_s: float) -> Answer:
        """One request and its answer, without following where that points to."""
        place, target, url = sent.address
        if self._network.public_only:
            require_encryption(url)
        call.sent = False
        try:
            left_s = call.left_s()
            connect_s = min(connect_s, left_s) if call.under_way else connect_s
            answer = self._connections().send(
                call, sent.method, place, target, sent.headers, sent.content, connect_s=connect_s, most=MAX_ANSWER_BYTES
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _no_answer(url, call, error) from None
        if call.cut:
            # Where the end of the connection is the end of the body, what was cut off looks whole.
            raise _no_answer(url, call, ConnectionAbortedError())
        return answer

    def _target(self, request: HttpRequest, url: str, answer: Answer, hops: int, auth: Credentials) -> str | None:
        if not self._network.follow_redirects:
            return None
        has_body = content_of(request) is not None
        return onward(
            url,
            answer.status,
            answer.headers.get("Location"),
            hops=hops,
            reading=request.method.upper() in ("GET", "HEAD") and not has_body,
            # A header can hold a key or a user as well.
            confidential=has_body or bool(request.headers or auth.headers or auth.query),
        )

    def _connections(self) -> Connections:
        connections: Connections | None = getattr(self._of_thread, "connections", None)
        if connections is None:
            connections = self._of_thread.connections = Connections()
        return connections


class _Address(NamedTuple):
    """Where a call goes. target: path and query. url: whole."""

    place: Place
    target: str
    url: str


class _Sent(NamedTuple):
    """A request as it leaves."""

    method: str
    address: _Address
    headers: dict[str, str]
    content: bytes


def headers_of(request: HttpRequest) -> dict[str, str]:
    """The headers that the call is sent with, but for the authentication and what the connection adds (Host, lengths)."""
    ours = {"Accept": "application/json", "User-Agent": "diy-relay"}
    if request.raw is None and request.body is not None:
        ours["Content-Type"] = "application/json"
    return _merged(ours, request.headers)


def content_of(request: HttpRequest) -> bytes | None:
    """The body as it is sent, byte for byte."""
    if request.raw is None and request.body is not None:
        return msgspec.json.encode(request.body)
    return request.raw


def _sent_headers(request: HttpRequest, auth: Credentials, size: int) -> dict[str, str]:
    # How long the body is, nobody else knows: two lengths would make what follows another request.
    ours = {"Content-Length": str(size)} if size or request.method.upper() not in ("GET", "HEAD") else {}
    headers = _merged(headers_of(request), auth.headers, ours)
    if not ours:
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    return headers


def _merged(*given: Mapping[str, str]) -> dict[str, str]:
    """Each header once, as it was given last: names that differ in case alone are the same."""
    by_name = {name.lower(): (name, value) for headers in given for name, value in headers.items()}
    return dict(by_name.values())


def _address(url: str, auth: Credentials) -> _Address:
    try:
        whole = _with(auth.query, url)
    except ValueError:
        raise _unusable() from None
    plain = _PLAIN.fullmatch(whole)
    if plain is None:
        found = _read_address(whole)
    elif found := _origin_read_before(f"{plain[1]}/"):
        # Nothing in such a path is written in another way. Only the origin is remembered: what follows it can be a user.
        found = _Address(found.place, plain[2], f"{found.url[:-1]}{plain[2]}")
    if found is None:
        raise _unusable()
    return found


_PLAIN = re.compile(r"(https?://[A-Za-z0-9.-]+(?::[0-9]+)?)((?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+)")
"""An origin, and a path without a query whose segments hold nothing unusual."""


def _read_address(url: str) -> _Address | None:
    """None if it cannot be used."""
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare_url(url, None)
        whole = prepared.url or ""
        scheme, host, port = origin(whole)
        # A user in the address would replace the connector's own credentials.
        if scheme not in ("http", "https") or not host or "@" in urlsplit(whole).netloc:
            return None
        # As it is written: a dot at the end of a name is for the server, too.
        return _Address((scheme, urllib3.util.parse_url(whole).host or host, port), prepared.path_url, whole)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError):
        return None


_origin_read_before = lru_cache(maxsize=200)(_read_address)


def _with(query: Mapping[str, str], url: str) -> str:
    """The URL with these parameters, instead of those with the same names: a redirect can repeat them."""
    if not query:
        return url
    parts = urlsplit(url)
    others = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in query]
    ours = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items()]
    return urlunsplit(parts._replace(query="&".join([*others, *ours])))


def _unusable() -> Misconfigured:
    hint = "The call cannot be made: the partner's address is not valid, or a secret holds characters that cannot be sent."
    return Misconfigured(hint, code="unusable_request")


_UNREADABLE = (NotHttp, urllib3.exceptions.DecodeError)


def _no_answer(url: str, call: Call, error: Exception) -> TryAgain | Misconfigured:
    """What became of a call without a whole answer. The error's own text is left out: it can hold the URL and headers."""
    partner = f"The partner ({place(url)})"
    causes = set(_causes(error))
    if call.cut and not call.sent:
        return leash.OutOfTime("This process is about to end; what is left goes on in another one.")
    if call.cut:
        hint = f"{partner} had not answered yet when this process was about to end; whether it did what was asked is unknown."
        return TryAgain(hint, code="process_ended", applied_unknown=True)
    slow = any(issubclass(cause, TimeoutError) for cause in causes)
    if call.sent and slow:
        hint = f"{partner} did not answer within {call.answer_s:g} seconds; whether it did what was asked is unknown."
        return TryAgain(hint, code="timeout", applied_unknown=True, account=True)
    if call.sent and any(issubclass(cause, _UNREADABLE) for cause in causes):
        hint = f"{partner} sent an answer that cannot be read as HTTP; whether it did what was asked is unknown."
        return TryAgain(hint, code="not_http", applied_unknown=True, account=True)
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
