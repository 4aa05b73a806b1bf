"""`diy queue`: how much waits in the queue."""

from __future__ import annotations

from typing import Any

import click

from relay.backends.interfaces import QueueDepth
from relay.cli.output import show_fields, show_json
from relay.cli.session import Session, with_state
from relay.health.wording import DEPTH_IN_MONITORING, duration


@click.command()
@with_state(json=True)
def queue(session: Session) -> None:
    """How many messages wait, and for how long.

    Batches that wait in holds are not in the queue: see diy holds list. Pub/Sub does not tell (--json: null); Cloud Monitoring
    does.

    \b
    Example:
      diy queue --json
    """
    depth = session.backend.queue.depth()
    if session.as_json:
        show_json(as_json(depth))
        return
    if depth is None:
        click.echo(f"{DEPTH_IN_MONITORING}.")
        return
    show_fields(
        [
            ("messages", f"{depth.messages:,}"),
            ("being handled", f"{depth.leased:,}"),
            ("oldest", duration(depth.oldest_s) if depth.messages else None),
        ]
    )


def as_json(depth: QueueDepth | None) -> dict[str, Any] | None:
    """For scripts: None where the queue cannot tell."""
    if depth is None:
        return None
    return {"messages": depth.messages, "leased": depth.leased, "oldest_s": round(depth.oldest_s, 3)}
