"""Moments as sources write them, and as RFC 3339 in UTC (https://www.rfc-editor.org/rfc/rfc3339)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from relay.domain.malformed import Malformed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MILLISECONDS = 100_000_000_000
"""From here on a number counts milliseconds: as seconds it would lie beyond the year 5000, as milliseconds in 1973 or later."""

_END = 10_000_000_000_000
"""No moment is written as a number with more than 13 digits, but a date and a time without signs between them is."""

_DIGITS = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_DATE = re.compile(r"\d{8}", re.ASCII)


def rfc3339(moment: datetime) -> str:
    """`2027-01-15T08:00:00.250Z`, of a moment with its time zone."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def rfc3339_of_epoch(seconds: float) -> str:
    """The same of a reading of a clock; seconds since the epoch."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def read_moment(value: str | float) -> datetime:
    """A moment from seconds or milliseconds since the epoch, as a number or its digits, or from ISO 8601. Eight digits as text
    are a date (`20270115`). Without a time zone UTC is meant. Raises `Malformed`."""
    try:
        if isinstance(value, str):
            text = value.strip()
            if _DATE.fullmatch(text) or not _DIGITS.fullmatch(text):
                moment = datetime.fromisoformat(text.upper())
                return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            value = float(text) if "." in text else int(text)
        if abs(value) >= _END:
            raise Malformed("The number is too large for a time: seconds or milliseconds since 1970 are understood.")
        if abs(value) >= _FIRST_MILLISECONDS:
            return _EPOCH + timedelta(milliseconds=value)
        return _EPOCH + timedelta(seconds=value)
    except Malformed:
        raise
    except (ValueError, OverflowError):
        raise Malformed("This is no time: ISO 8601, and seconds or milliseconds since 1970 are understood.") from None
