"""Moments and numbers as the page says them."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(at: float) -> str:
    """Seconds since the epoch as `2026-03-01 11:00:05 UTC`; a dash for none."""
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "–"


def number(value: int) -> str:
    """With thousands set apart."""
    return f"{value:,}"


def relative(at: float, now: float) -> str:
    """How far from now: `in 30 s`, `5 min ago`."""
    distance = at - now
    length = abs(distance)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if length >= size:
            text = f"{int(length // size)} {unit}"
            break
    else:
        text = f"{int(length)} s"
    return f"in {text}" if distance > 0 else f"{text} ago"
