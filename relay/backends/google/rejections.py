"""Rejections as documents of Firestore: what is in them, and the lines in which they are found.

    rejections/{hash}  record, connector, expire_at, and keys (see `ordered`)
                       with the number of the rejection: in_all, in_connector, in_audience, in_both (connector, audience), in_user
                       with moments in microseconds: by_age (connector, when it was made), by_code (connector, action, code, when
                       it was made), by_expiry (when it expires)

The hash is that of what makes it the same rejection: connector, audience, request, index and action.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from relay.backends.google.documents import Documents, Query, Stored, Write
from relay.backends.google.ordered import Line, Numbers, number_at, ordered_key
from relay.backends.google.values import moment
from relay.backends.interfaces import RejectionCode
from relay.backends.records import REJECTION
from relay.domain.clock import Clock
from relay.domain.connector import Retention
from relay.domain.outcome import Rejection

REJECTIONS = "rejections"

RetentionOf = Callable[[str], Retention]
"""Connector → how long it keeps things."""

RETENTION_CACHED_S = 60.0

_AT_ONCE = 500
_THREADS = 8
_BYTES_AT_ONCE = 3_000_000

BY_EXPIRY = Line(REJECTIONS, "by_expiry")


class CachedRetention:
    """What `retention_of` says, asked at most once a minute for each connector."""

    def __init__(self, retention_of: RetentionOf, clock: Clock) -> None:
        self._retention_of = retention_of
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Retention]] = {}

    def __call__(self, connector: str) -> Retention:
        now = self._clock.monotonic()
        with self._lock:
            known = self._known.get(connector)
        if known is not None and now < known[0]:
            return known[1]
        retention = self._retention_of(connector)
        with self._lock:
            self._known[connector] = (now + RETENTION_CACHED_S, retention)
        return retention


def rejection_writes(rejections: Iterable[Rejection], numbers: Numbers, retention_of: RetentionOf) -> list[Write]:
    """What stores them under the next numbers. The same rejection twice is one document, so that one that is repeated after a
    worker died counts once; one that is there is replaced."""
    writes: dict[str, Write] = {}
    for one in rejections:
        path = _path(one)
        if path not in writes:
            writes[path] = Write(path, fields=_fields(one, numbers.next(), retention_of(one.connector).rejections_s))
    return list(writes.values())


def in_chunks(writes: Sequence[Write]) -> Iterator[list[Write]]:
    """Parts that a commit takes: 500 documents and 3 MB. A request may have 10 MiB
    (https://firebase.google.com/docs/firestore/quotas), with the emulator 4 MiB."""
    chunk: list[Write] = []
    size = 0
    for write in writes:
        added = sum(len(value.encode()) for value in write.fields.values() if isinstance(value, str))
        if chunk and (len(chunk) == _AT_ONCE or size + added > _BYTES_AT_ONCE):
            yield chunk
            chunk, size = [], 0
        chunk.append(write)
        size += added
    if chunk:
        yield chunk


def line_of(connector: str | None, audience: str | None, user_hash: str | None) -> Line:
    """The shortest line in which all rejections with these are: a user has few, whatever else is asked."""
    if user_hash is not None:
        return Line(REJECTIONS, "in_user", (user_hash,))
    if audience is not None and connector is not None:
        return Line(REJECTIONS, "in_both", (connector, audience))
    if audience is not None:
        return Line(REJECTIONS, "in_audience", (audience,))
    if connector is not None:
        return Line(REJECTIONS, "in_connector", (connector,))
    return Line(REJECTIONS, "in_all")


def by_age(*connector: str) -> Line:
    """A connector's rejections, or those of all connectors one after the other, by the moment at which they were made."""
    return Line(REJECTIONS, "by_age", connector)


def by_code(*names: str) -> Line:
    """Rejections of a connector, an action and a code, or of more of them one after the other, by the moment at which they were
    made."""
    return Line(REJECTIONS, "by_code", names)


def rejection_codes(documents: Documents, connector: str | None, *, since: float) -> list[RejectionCode]:
    """How many there are of each code since that moment, for two reads of each code that there is or was, one of each connector,
    and one of every thousand rejections. Those that a program before this one stored are not among them."""
    with ThreadPoolExecutor(_THREADS) as threads:
        connectors = [connector] if connector is not None else list(_connectors(documents))
        codes = [one for found in threads.map(lambda of: list(_newest(documents, of)), connectors) for one in found]
        recent = [one for one in codes if one.at >= since]
        numbers = threads.map(lambda one: documents.count(_code_of(one).query(above=number_at(since) - 1)), recent)
        return [
            RejectionCode(one.connector, one.action, one.code, one.hint, number, one.at)
            for one, number in zip(recent, numbers, strict=True)
            if number
        ]


def _connectors(documents: Documents) -> Iterator[str]:
    """Those that have rejections with a code, found by steps: a read for each."""
    after = ""
    while found := documents.query(
        Query(REJECTIONS, [("by_code", ">", after)], ["by_code"], limit=1, fields=("connector",))
    ):
        connector: str = found[0].fields["connector"]
        yield connector
        after = by_code(connector).end_of_longer


def _newest(documents: Documents, connector: str) -> Iterator[Rejection]:
    """The newest rejection of each action and code, a read for each."""
    line = by_code(connector)
    end = line.end_of_longer
    while found := documents.query(
        Query(REJECTIONS, [("by_code", ">=", line.beginning), ("by_code", "<", end)], ["-by_code"], limit=1, fields=("record",))
    ):
        newest = rejection_in(found[0])
        yield newest
        end = _code_of(newest).beginning


def _code_of(one: Rejection) -> Line:
    return by_code(one.connector, one.action, one.code)


def rejection_in(stored: Stored) -> Rejection:
    """The rejection that the document holds."""
    return REJECTION.read(stored.fields["record"].encode())


def expiry(made_at: float, kept_s: float) -> dict[str, Any]:
    """The fields that say when it is deleted: at this age."""
    expire_at = made_at + kept_s
    return {"expire_at": moment(expire_at), "by_expiry": ordered_key((), number_at(expire_at))}


def _fields(one: Rejection, number: int, kept_s: float) -> dict[str, Any]:
    return {
        "record": REJECTION.write(one).decode(),
        "connector": one.connector,
        "in_all": ordered_key((), number),
        "in_connector": ordered_key((one.connector,), number),
        "in_audience": ordered_key((one.audience,), number),
        "in_both": ordered_key((one.connector, one.audience), number),
        "in_user": ordered_key((one.user_hash,), number),
        "by_age": ordered_key((one.connector,), number_at(one.at)),
        "by_code": ordered_key((one.connector, one.action, one.code), number_at(one.at)),
        **expiry(one.at, kept_s),
    }


def _path(one: Rejection) -> str:
    identity = msgspec.json.encode((one.connector, one.audience, one.request_id, one.index, one.action))
    return f"{REJECTIONS}/{hashlib.sha256(identity).hexdigest()}"
