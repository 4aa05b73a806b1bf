"""Durations (`250ms`, `1h30m`, `7d`) and sizes (`512KB`, `100`) as people write them in a document."""

from __future__ import annotations

import re

from relay.domain.malformed import Malformed

_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?", re.ASCII)
_DURATION_MS = (86_400_000, 3_600_000, 60_000, 1_000, 1)
_DURATION_UNITS = ("d", "h", "m", "s", "ms")

_SIZE = re.compile(r"(\d{1,12})(B|KB|MB|GB)?", re.ASCII)
_SIZE_BYTES = {"GB": 1024**3, "MB": 1024**2, "KB": 1024, "B": 1}


def parse_duration(value: object) -> float:
    """Seconds. Whole numbers with the units d, h, m, s and ms, each at most once and the largest first. Raises `Malformed`."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise Malformed("This must be a duration with its unit, such as 250ms, 5s, 1h30m or 7d.")
    return sum(int(digits or 0) * ms for digits, ms in zip(match.groups(), _DURATION_MS, strict=True)) / 1000


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as these seconds, to the millisecond."""
    rest = round(seconds * 1000)
    parts = []
    for ms, unit in zip(_DURATION_MS, _DURATION_UNITS, strict=True):
        count, rest = divmod(rest, ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(value: object) -> int:
    """Bytes. A whole number, alone or with B, KB, MB or GB (1 KB = 1,024 bytes). Raises `Malformed`."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise Malformed("This must be a size, such as 512KB, 10MB or 100 (bytes).")
    return int(match[1]) * _SIZE_BYTES[match[2] or "B"]


def format_size(size: int) -> str:
    """The text that `parse_size` reads as this many bytes, in the largest unit that needs no fraction."""
    for unit, factor in _SIZE_BYTES.items():
        if factor > 1 and size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)
