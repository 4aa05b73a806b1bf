"""One wide structured line per thing that happened, as JSON on standard error. No identifier of a person, no secret goes in."""

from __future__ import annotations

import sys
import threading
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

_lock = threading.Lock()

_RANKS: dict[Severity, int] = {"DEBUG": 0, "INFO": 1, "WARNING": 2, "ERROR": 3}
_threshold: Severity = "INFO"


def threshold() -> Severity:
    """The least severity that is written."""
    return _threshold


def set_threshold(severity: Severity) -> None:
    """From now on lines of less than this severity are left out, in all threads of this process."""
    global _threshold  # noqa: PLW0603 - one log, one threshold; a single assignment, which threads see whole
    _threshold = severity


def log(event: str, severity: Severity = "INFO", **fields: Any) -> None:
    """Writes `{"time", "severity", "event", …fields}`. Cloud Logging reads the same names.

    Never raises: where the line cannot be written (a full disk, a broken pipe, no standard error at all), it is lost, and the
    work that it is about goes on.
    """
    if _RANKS[severity] < _RANKS[_threshold]:
        return
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    encoded = _encoded({"time": time, "severity": severity, "event": event}, fields)
    with _lock, suppress(OSError, ValueError, AttributeError):  # AttributeError: started without one, it is None
        sys.stderr.buffer.write(encoded + b"\n")
        sys.stderr.flush()


def place_of(error: BaseException) -> str:
    """Where it was raised, the innermost frames last. Written instead of its text, which could hold an identifier."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames)


def _encoded(head: dict[str, str], fields: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode({**head, **fields}, enc_hook=str)
    except Exception as error:
        # What JSON has no form for (half a character, an endless structure) should not cost the whole line.
        return msgspec.json.encode({**head, "fields_lost": type(error).__name__})
