"""The journal's objects: what Pub/Sub's Cloud Storage subscriptions write, in Avro, and how it is found and read.

A subscription for each number of days writes below its own prefix, `7/2026-09-25T04:10:00Z_<chance>.avro`, named by the moment
at which it made the object (https://cloud.google.com/pubsub/docs/create-cloudstorage-subscription#file_names). An object is seen
once it is whole (https://cloud.google.com/pubsub/docs/cloudstorage).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, NamedTuple

import msgspec

from relay.backends.google.pubsub_wire import JOURNAL
from relay.backends.google.storage import Bucket, Gone, Stored, broken_off
from relay.domain.errors import ConfigurationError, StoreUnavailable

KEPT_DAYS = (1, 7, 30)
"""For which there are subscriptions and prefixes."""

_WITHIN_OBJECT_S = 900.0
"""A message comes no later than this into an object that has an earlier name: a subscription finishes an object after ten minutes
at the most (the page above)."""

_TRIES = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Exported(NamedTuple):
    """A message as it was written. micros: when Pub/Sub took it, microseconds since the epoch. ordering_key: None where the
    record does not show it."""

    micros: int
    ordering_key: str | None
    data: bytes


class Head(msgspec.Struct):
    """What is read of a message to find it and to order it."""

    kind: str
    connector: str
    audience: str
    received_at: float
    part: int = 0
    mutations: tuple[msgspec.Raw, ...] = ()

    @property
    def key(self) -> str:
        """As `Message.key`."""
        return f"{self.connector}/{self.audience}"


_head = msgspec.json.Decoder(Head)


def head_of(data: bytes) -> Head | None:
    """Of a message; None for what is none."""
    try:
        return _head.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def objects(bucket: Bucket, *, since: float) -> Iterator[Stored]:
    """Those that may hold a message taken since then, in the order of their names within each prefix."""
    first = datetime.fromtimestamp(max(0.0, since - _WITHIN_OBJECT_S), UTC).strftime("%Y-%m-%dT%H:%M:%S")
    for days in KEPT_DAYS:
        yield from bucket.list(f"{days}/", from_name=f"{days}/{first}")


def days_of(stored: Stored) -> int:
    """For which it is kept."""
    return int(stored.name.partition("/")[0])


def messages(bucket: Bucket, stored: Stored) -> Iterator[Exported]:
    """What is in the object, one Avro block in memory at a time. Raises `Gone`, and `ConfigurationError` for an object that is
    nothing that a subscription wrote."""
    with bucket.read(stored) as content:
        for record in _records(content, stored.name):
            yield _exported(record, stored.name)


def present(bucket: Bucket, stored: Stored) -> Iterator[Exported]:
    """The same, of the content that it has by now: nothing where it grew old meanwhile."""
    for _ in range(_TRIES):
        try:
            read = iter(messages(bucket, stored))
            first = next(read, None)
        except Gone:
            try:
                stored = bucket.look(stored.name)
            except Gone:
                return
            continue
        if first is not None:
            yield first
            yield from read
        return
    raise StoreUnavailable("The journal is changed faster than it can be read.")


def parsed(content: bytes, name: str) -> Iterator[Exported]:
    """As `messages`, of an object that was read."""
    return (_exported(record, name) for record in _records(io.BytesIO(content), name))


def rewritten(content: bytes, name: str, change: Mapping[int, bytes | None]) -> bytes | None:
    """An object with other data in the records of these numbers, from 0; None: without that record. Returns None where nothing
    is left."""
    import fastavro

    source = fastavro.reader(io.BytesIO(content))
    kept = []
    for number, record in enumerate(_records(io.BytesIO(content), name)):
        data = change.get(number, record["data"])
        if data is not None:
            kept.append({**record, "data": data})
    if not kept:
        return None
    target = io.BytesIO()
    schema: Any = source.writer_schema
    fastavro.writer(target, schema, kept, codec=source.codec)
    return target.getvalue()


def _records(content: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    # Here, not at the top: every worker has a journal, and few ever read it.
    import fastavro

    try:
        yield from fastavro.reader(content)  # type: ignore[misc]
    except Exception as error:
        if broken_off(error):
            raise
        raise unreadable(name) from error


def _exported(record: Mapping[str, Any], name: str) -> Exported:
    try:
        attributes: Mapping[str, str] = record["attributes"]
        micros = (record["publish_time"] - _EPOCH) // _MICROSECOND
        # The ordering key is among the attributes, under a name that is nowhere documented.
        others = [value for attribute, value in attributes.items() if attribute != JOURNAL]
        return Exported(micros, others[0] if len(others) == 1 else None, record["data"])
    except (KeyError, TypeError) as error:
        raise unreadable(name) from error


def unreadable(name: str) -> ConfigurationError:
    """Nothing is passed over: what cannot be read may be what is looked for."""
    return ConfigurationError(
        f"The object {name!r} in the journal's bucket (JOURNAL_BUCKET) is not what Pub/Sub writes there, or is damaged. Move it "
        "elsewhere; what it holds is then not sent again."
    )
