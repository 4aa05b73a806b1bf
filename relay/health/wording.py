"""Numbers, moments and lengths of time as sentences say them."""

from __future__ import annotations

from datetime import UTC, datetime

DEPTH_IN_MONITORING = (
    "Pub/Sub does not tell how much waits. Cloud Monitoring does, minutes late: the age of the oldest unacknowledged message "
    "(pubsub.googleapis.com/subscription/oldest_unacked_message_age) of the subscription that calls deliver"
)
"""Where to look for what a queue cannot tell."""


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 batch`, `2 batches`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def stopped(text: str) -> str:
    """With a full stop at its end; a quotation there may have its own."""
    return text if text.endswith((".", ".”")) else f"{text}."


def duration(seconds: float) -> str:
    """A length of time in its largest fitting unit, rounded down: `45 s`, `3 min`, `5 h`, `12 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def duration_in_words(seconds: float) -> str:
    """A length of time in full: `10 minutes`, `1 hour 30 minutes`, `250 milliseconds`."""
    parts = []
    rest = round(seconds * 1000)
    for size, unit in ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"), (1, "millisecond")):
        number, rest = divmod(rest, size)
        if number:
            parts.append(count(number, unit))
    return " ".join(parts) or "no time"


def moment(at: float) -> str:
    """Seconds since the epoch as `2026-03-01 11:00:05 UTC`."""
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def relative(seconds: float) -> str:
    """How far from now, negative is past: `in 30 s`, `5 min ago`, `now`."""
    if abs(seconds) < 1:
        return "now"
    return f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"


def iso(at: float | None) -> str | None:
    """A moment for programs: UTC, `2026-03-01T11:00:00Z`; None for none."""
    if not at:
        return None
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def dated(at: float, now: float) -> str:
    """A moment and how far it is: `2026-03-01 11:00:05 UTC (3 min ago)`."""
    return f"{moment(at)} ({relative(at - now)})"
