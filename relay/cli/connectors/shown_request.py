"""A request to a partner as `diy connectors preview` prints it."""

from __future__ import annotations

from adapters.contract import Description, HttpRequest
from relay.cli.output import printable
from relay.operating import shown_request
from relay.operating.shown_request import as_json

__all__ = ["as_json", "as_text"]


def as_text(request: HttpRequest, description: Description) -> str:
    """For people; control characters are shown escaped."""
    return "\n".join(printable(line) for line in shown_request.as_text(request, description).split("\n"))
