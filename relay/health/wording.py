"""Numbers and lengths of time as sentences say them."""

from __future__ import annotations


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 batch`, `2 batches`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """A length of time in its largest fitting unit, rounded down: `45 s`, `3 min`, `5 h`, `12 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
