"""`/audit`: who changed what, newest first."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from relay.backends.interfaces import AuditEntry
from relay.backends.interfaces.kept import AUDIT_KEPT_S
from relay.console import parts
from relay.console.roles import needs

pages = Blueprint("audit", __name__)

LIMITS = (100, 500, 2000)
"""So many of the newest entries a page can have."""


@pages.get("/audit")
@needs("viewer")
def show() -> str:
    asked = request.args.get("limit", LIMITS[0], type=int)
    limit = next((one for one in LIMITS if asked <= one), LIMITS[-1])
    newest = parts.backend().audit.newest(limit=limit + 1)
    like = request.args.get("like", "").strip()
    return render_template(
        "audit.html",
        entries=[entry for entry in newest[:limit] if _has(entry, like)],
        looked_at=min(len(newest), limit),
        more=next((one for one in LIMITS if one > limit), None) if len(newest) > limit else None,
        cut=len(newest) > limit,
        like=like, limit=limit, kept_days=round(AUDIT_KEPT_S / 86400),
    )  # fmt: skip


def _has(entry: AuditEntry, like: str) -> bool:
    """Every word of it somewhere in the entry, whatever its case."""
    text = " ".join((entry.by, entry.what, entry.subject, entry.detail)).casefold()
    return all(word in text for word in like.casefold().split())
