"""One event as ROKT wants it, and what ROKT says of one that it did not process.

https://docs.rokt.com/developers/api-reference/event-api
https://docs.rokt.com/docs/developers/api-reference/event/errors
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from adapters.answers import value_at
from adapters.contract import NotYet, Rejected, Row, RowResult
from adapters.quoting import code_of, with_words
from relay.domain.malformed import Malformed
from relay.expressions.times import read_moment, rfc3339, rfc3339_of_epoch

# Field → the name by which ROKT looks for it among an event's data.
_IDENTIFIERS = {"email": "email", "emailSha256": "emailsha256", "roktTrackingId": "passbackconversiontrackingid"}
_LONGEST = {"clientEventId": 36, "eventType": 128}
_LONGEST_VALUE = 65_536
# 18 months, the shortest there are, and 5 minutes. For one event outside of them ROKT refuses the whole call.
_OLDEST_S, _AHEAD_S = 546 * 86_400, 300

_HINTS = {"ValidationError": "ROKT finds the event not valid. Check what the mapping makes of its fields."}
_PASSING = ("InternalServerError", "ServiceUnavailableError")


class _Processed(msgspec.Struct, frozen=True, rename="camel"):
    unprocessed_records: tuple[Any, ...] | None = None
    code: None = None  # an error has one


class EventsAnswer(msgspec.Struct, frozen=True):
    """A successful answer. It can name events that were not processed after all."""

    data: _Processed | None = None

    @property
    def unprocessed(self) -> tuple[Any, ...]:
        """An entry for each of them."""
        return (self.data and self.data.unprocessed_records) or ()


def prepare_event(values: Mapping[str, Any], now: float) -> dict[str, Any] | Rejected:
    """The event, as far as it is mapped. `now`: seconds since the epoch."""
    identifiers = {theirs: values[ours] for ours, theirs in _IDENTIFIERS.items() if ours in values}
    if not identifiers:
        return Rejected("no_identifier", "ROKT needs an e-mail, its SHA-256 or a ROKT tracking ID, and this user has none.")
    texts = {name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in values.items()}
    for name, text in texts.items():
        if len(text) > (longest := _LONGEST.get(name, _LONGEST_VALUE)):
            return Rejected("too_long", f"'{name}' is longer than the {longest:,} characters that ROKT takes.")
    event: dict[str, Any] = {name: texts[name] for name in _LONGEST if name in texts}
    if "eventTime" in texts:
        try:
            event["eventTime"] = rfc3339(read_moment(texts["eventTime"]))
        except (Malformed, OverflowError):
            return Rejected("bad_event_time", "The event's time cannot be read: it must be ISO 8601, or seconds since 1970.")
        if not -_AHEAD_S <= now - datetime.fromisoformat(event["eventTime"]).timestamp() <= _OLDEST_S:
            return Rejected("bad_event_time", "ROKT takes events of the last 18 months, and at most 5 minutes ahead.")
    for kind, more in (("objectData", identifiers), ("metaData", {})):
        data = {name.removeprefix(f"{kind}."): text for name, text in texts.items() if name.startswith(f"{kind}.")} | more
        if data:
            event[kind] = [{"name": name, "value": text} for name, text in data.items()]
    return event


def sent_event(row: Row) -> dict[str, Any]:
    """The whole event. Without a time of its own it has that of its mutation, not that of the call: a retry must say the same."""
    return {"clientEventId": row.event_id, "eventTime": rfc3339_of_epoch(row.at), **row.values}


def places_of(entry: Any, rows: Sequence[Row]) -> list[int]:
    """Of which rows an entry about an unprocessed event speaks; none if that cannot be told. Of a single row it always speaks."""
    event_id = value_at(entry, "record.clientEventId") or value_at(entry, "clientEventId")
    found = [place for place, row in enumerate(rows) if row.values.get("clientEventId", row.event_id) == event_id]
    return [0] if len(rows) == 1 else found


def why_unprocessed(entry: Any, row: Row) -> RowResult:
    """With ROKT's code if it is one, a word that is nothing of the event."""
    code = value_at(entry, "error.code") or value_at(entry, "code")
    if code in _PASSING:
        return NotYet("ROKT had trouble with some events; they are sent again.")
    code = code_of(code, [row.values]) or "unprocessed"
    hint = _HINTS.get(code, "ROKT took the call and did not process this event.")
    return Rejected(code, with_words(hint, value_at(entry, "error.message"), [row.values]))


def repeatable_uuid(rows: Sequence[Row], *more: str) -> str:
    """In the form of version 4, and the same for the same events, whose times may be mapped to `now()`; another with `more`."""
    events = [(row.event_id, {name: value for name, value in row.values.items() if name != "eventTime"}) for row in rows]
    return str(uuid.UUID(bytes=hashlib.sha256(msgspec.json.encode([*events, *more])).digest()[:16], version=4))
