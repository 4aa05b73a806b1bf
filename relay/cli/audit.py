"""`diy audit`: who changed what."""

from __future__ import annotations

import click

from relay.cli.output import iso, moment, show_json, show_table
from relay.cli.session import Session, with_state


@click.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest so many.")
@with_state(json=True)
def audit(session: Session, limit: int) -> None:
    """Who changed what. The newest entries, oldest of them first; kept for 400 days.

    \b
    Example:
      diy audit --limit 10
    """
    entries = session.backend.audit.newest(limit=limit)[::-1]
    if session.as_json:
        show_json(
            [
                {"at": iso(entry.at), "by": entry.by, "what": entry.what, "subject": entry.subject, "detail": entry.detail}
                for entry in entries
            ]
        )
        return
    show_table(
        ["at", "by", "what", "subject", "detail"],
        [[moment(entry.at, session.now), entry.by, entry.what, entry.subject, entry.detail] for entry in entries],
        empty="Nobody has changed anything yet.",
    )
