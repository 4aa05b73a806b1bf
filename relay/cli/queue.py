"""`diy queue`: how much waits in the queue."""

from __future__ import annotations

import click

from relay.cli.output import show_fields, show_json
from relay.cli.session import Session, with_state
from relay.health.wording import duration


@click.command()
@with_state(json=True)
def queue(session: Session) -> None:
    """How many messages wait, and for how long.

    Batches that wait in holds are not in the queue: see diy holds list.

    \b
    Example:
      diy queue --json
    """
    depth = session.backend.queue.depth()
    if session.as_json:
        show_json({"messages": depth.messages, "leased": depth.leased, "oldest_s": round(depth.oldest_s, 3)})
        return
    show_fields(
        [
            ("messages", f"{depth.messages:,}"),
            ("being handled", f"{depth.leased:,}"),
            ("oldest", duration(depth.oldest_s) if depth.messages else None),
        ]
    )
