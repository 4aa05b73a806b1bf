"""Faults on demand: what can go wrong, read and checked, and how a call is answered while it does.

They concern the calls to `/api/audiences…`. The waits (`latency_ms`, `hang`) are carried out by the application.
"""

from __future__ import annotations

import math
import re
from collections import deque
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Annotated, Any

import msgspec

_Users = tuple[str, ...]

_MOST_SECONDS = 999_999_999
_SECONDS = re.compile(r"[0-9]{1,9}")
_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")


class InvalidFaults(ValueError):
    """The text says what is wrong with them."""


class Faults(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The set of faults in force.

    latency_ms     waits first, then goes on as usual, also when the client has gone
    hang           never applies, never answers
    error_rate     share of calls (0 to 1) that are answered 500 and not applied
    status         every call is answered with it and not applied
    retry_after    header Retry-After of these answers: seconds, or an HTTP date as text. Without `status`: 429
    reject_users   these are named in `rejected`; the others of the call are applied
    poison_users   a call with one of these is refused whole with 400, without saying which it was
    html           every call is answered with an HTML error page and status 200 (or `status`) and not applied
    unauthorized   every call is answered 401
    limit_per_s    calls beyond so many a second are answered 429 with Retry-After
    calls          all of this holds for the next so many calls, then it ends by itself
    """

    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=3_600_000)] = 0
    hang: bool = False
    error_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    retry_after: int | float | str | None = None
    reject_users: _Users = ()
    poison_users: _Users = ()
    html: bool = False
    unauthorized: bool = False
    limit_per_s: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] | None = None
    calls: Annotated[int, msgspec.Meta(ge=1)] | None = None


NONE = Faults()


def parse(document: bytes | str) -> Faults:
    """The faults of a JSON object; a value of null is as if it were not there. Raises `InvalidFaults`."""
    try:
        given = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidFaults("Faults are a JSON object; this is no JSON.") from error
    if not isinstance(given, dict):
        raise InvalidFaults("Faults are a JSON object, for example {\"latency_ms\": 500}.")
    given = {name: value for name, value in given.items() if value is not None}
    if unknown := sorted(set(given) - set(Faults.__struct_fields__)):
        raise InvalidFaults(f"There is no fault named {unknown[0]!r}; there are {', '.join(Faults.__struct_fields__)}.")
    try:
        faults = msgspec.convert(given, Faults)
    except msgspec.ValidationError as error:
        wish, _, place = str(error).partition(" - at `$.")
        raise InvalidFaults(f"{place.rstrip('`') or 'faults'}: {wish}.") from error
    if faults.retry_after is not None:
        _check_retry_after(faults.retry_after)
    return faults


def document(faults: Faults) -> dict[str, Any]:
    """Those that are set, as JSON values."""
    values: dict[str, Any] = msgspec.to_builtins(faults)
    return {name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in values.items()}


class FaultAnswer(msgspec.Struct, frozen=True):
    """How a whole call is answered instead of being applied."""

    status: int
    error: str
    headers: dict[str, str] = {}
    html: bool = False


def whole_call(faults: Faults, *, chance: float, over_limit_s: float) -> FaultAnswer | None:
    """The answer to a call, or None if it goes on. `chance`: from 0 to below 1. `over_limit_s`: what `CallLimit.take` said."""
    if faults.unauthorized:
        return FaultAnswer(401, "The token is not accepted.", {"WWW-Authenticate": "Bearer"})
    if faults.html or faults.status is not None or faults.retry_after is not None:
        status = faults.status or (200 if faults.html else 429)
        headers = {} if faults.retry_after is None else {"Retry-After": _header(faults.retry_after)}
        return FaultAnswer(status, f"{_phrase(status)} (a fault that was asked for).", headers, faults.html)
    if over_limit_s > 0:
        return FaultAnswer(429, "Too many calls a second.", {"Retry-After": str(math.ceil(over_limit_s))})
    if chance < faults.error_rate:
        return FaultAnswer(500, "Internal error (a fault that was asked for).")
    return None


class CallLimit:
    """At most so many calls in any second; for less than one a second, one call in so many seconds."""

    def __init__(self) -> None:
        self._per_s: float | None = None
        self._taken: deque[float] = deque()

    def take(self, per_s: float | None, now: float) -> float:
        """0 and the call is counted, or the seconds until one will be let through. `now`: a monotonic clock, seconds."""
        if per_s != self._per_s:
            self._per_s = per_s
            self._taken.clear()
        if per_s is None:
            return 0.0
        most = max(1, math.floor(per_s))
        period = most / per_s
        while self._taken and now - self._taken[0] >= period:
            self._taken.popleft()
        if len(self._taken) >= most:
            return max(self._taken[0] + period - now, 0.001)
        self._taken.append(now)
        return 0.0


def _check_retry_after(value: float | str) -> None:
    if isinstance(value, str):
        if not (_SECONDS.fullmatch(value) or _is_http_date(value)):
            raise InvalidFaults("retry_after: give seconds, or a date such as \"Wed, 21 Oct 2026 07:28:00 GMT\".")
    elif not 0 <= value <= _MOST_SECONDS:
        raise InvalidFaults(f"retry_after: give seconds from 0 to {_MOST_SECONDS}.")


def _is_http_date(value: str) -> bool:
    """The one form that senders use: RFC 9110, section 5.6.7."""
    if not _HTTP_DATE.fullmatch(value):
        return False
    try:
        parsedate_to_datetime(value)
    except ValueError:
        return False
    return True


def _header(value: float | str) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
