"""The one log line of a request: what it was, how it was answered, no value that came with it."""

from __future__ import annotations

from typing import Any

from handlers.problem import described
from relay.wide_log import Severity, log


class RequestRecord:
    """What is known of a request so far; filled in while it is worked on.

    genuine: whether it was signed by somebody who has the connector's secret.
    finished_later: why a creation is left to its message, if it is.
    """

    __slots__ = ("audiences", "connector", "finished_later", "genuine", "mutations", "request_id", "type", "unreadable")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.connector = ""
        self.genuine = False
        self.type = ""
        self.mutations = 0
        self.unreadable = 0
        self.audiences = 0
        self.finished_later = ""

    def write(self, status: int, duration_ms: float, problem: Exception | None = None) -> None:
        """Writes the line. `problem`: why the status is not 200."""
        log("request", _severity(status), **self._fields(status, duration_ms), **described(problem))

    def _fields(self, status: int, duration_ms: float) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "request_id": self.request_id,
            "connector": self.connector,
            "type": self.type,
            "status": status,
            "duration_ms": round(duration_ms, 1),
        }
        if self.mutations:
            fields |= {"mutations": self.mutations, "unreadable": self.unreadable, "audiences": self.audiences}
        if self.finished_later:
            fields["finished_later"] = self.finished_later
        return fields


def _severity(status: int) -> Severity:
    if status >= 500:
        return "ERROR"
    return "WARNING" if status in (401, 403) else "INFO"
