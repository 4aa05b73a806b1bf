"""One wide structured line per thing that happened, as JSON on standard error. No identifier of a person, no secret goes in."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

_lock = threading.Lock()


def log(event: str, severity: Severity = "INFO", **fields: Any) -> None:
    """Writes `{"time", "severity", "event", …fields}`. Cloud Logging reads the same names."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "severity": severity, "event": event, **fields}
    encoded = msgspec.json.encode(line, enc_hook=str)
    with _lock:
        sys.stderr.buffer.write(encoded + b"\n")
        sys.stderr.flush()
