"""Which lines of the processes an operator wants in the terminal, and how they read there. All of them are in the logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from relay.cli.output import printable

SHOWN_SEVERITIES = frozenset({"WARNING", "ERROR", "CRITICAL"})

TELLING_FIELDS = (
    "connector", "audience", "type", "status", "problem", "error", "exception", "where", "thread",
)  # fmt: skip
"""Shown in this order where they are filled, and then the hint. The IDs and times of one line are left to the logs."""

REPEATED_AFTER_S = 10.0

_MOST_REMEMBERED = 200


class Screening:
    """Lines of trouble, and those that are no log lines; what says the same within ten seconds is shown once.

    Not safe for several threads at once. monotonic: seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._shown: dict[str, tuple[float, int]] = {}

    def text(self, name: str, line: str) -> str | None:
        """The line of the process `name` as the terminal shows it; None: not at all."""
        record = _record(line)
        if record is None:
            return f"{name:<8} | {printable(line.expandtabs())}"
        if record["severity"] not in SHOWN_SEVERITIES:
            return None
        what = printable(_described(record))
        more = self._repeats(f"{name} {what}")
        if more is None:
            return None
        again = f" ({more:,} more like this before)" if more else ""
        return f"{name:<8} | {_time_of_day(record)}{record['severity']} {what}{again}"

    def _repeats(self, text: str) -> int | None:
        """How many times it was left out since it was shown last; None if it is to be left out again."""
        now = self._monotonic()
        at, left_out = self._shown.get(text, (now - REPEATED_AFTER_S, 0))
        if now - at < REPEATED_AFTER_S:
            self._shown[text] = at, left_out + 1
            return None
        if len(self._shown) >= _MOST_REMEMBERED:
            self._shown.clear()
        self._shown[text] = now, 0
        return left_out


def _record(line: str) -> dict[str, Any] | None:
    """The log line, if it is one of `relay.wide_log`."""
    if not line.startswith("{"):
        return None
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None
    return record if isinstance(record, dict) and {"severity", "event"} <= record.keys() else None


def _described(record: dict[str, Any]) -> str:
    fields = [f"{name}={record[name]}" for name in TELLING_FIELDS if record.get(name) not in (None, "", 0, [])]
    hint = f": {record['hint']}" if record.get("hint") else ""
    return " ".join([str(record["event"]), *fields]) + hint


def _time_of_day(record: dict[str, Any]) -> str:
    try:
        return datetime.fromisoformat(record["time"]).astimezone().strftime("%H:%M:%S ")
    except (KeyError, TypeError, ValueError):
        return ""
