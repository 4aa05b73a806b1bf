"""What both back ends say of drafts alike."""

from __future__ import annotations

from relay.domain.errors import Conflict, NotFound


def overtaken() -> Conflict:
    """For one who changed a draft that is not as they saw it."""
    return Conflict(
        "This draft was changed or deleted meanwhile, by somebody else or in another window. Nothing was saved: load the page "
        "again."
    )


def no_draft() -> NotFound:
    return NotFound("There is no such draft: it was published or deleted, or nobody had changed it for 90 days.")
