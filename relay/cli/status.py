"""`diy status`: how everything stands, and what to do where someone must act."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from relay.backends.interfaces import QueueDepth
from relay.cli.lazy import SOMEONE_MUST_ACT
from relay.cli.output import printable, show_json, show_table
from relay.cli.queue import as_json as depth_as_json
from relay.cli.session import Session, with_state
from relay.health.concerns import Concern
from relay.health.survey import Health, look
from relay.health.wording import DEPTH_IN_MONITORING, duration


@click.command()
@with_state(json=True)
def status(session: Session) -> None:
    """Each connector, what waits, and what to do. Ends with 1 when someone must act, so that a script can raise an alarm.

    Nothing is asked of a partner; for that: diy connectors check NAME.

    \b
    Example:
      diy status --json
    """
    health = look(session.backend, session.now)
    if session.as_json:
        show_json(_as_json(health))
    else:
        _show(health)
    if health.someone_must_act:
        raise click.exceptions.Exit(SOMEONE_MUST_ACT)


def _show(health: Health) -> None:
    show_table(
        ["connector", "version", "stands", "delivered (1 h)", "rejected (1 h)", "waiting batches", "mutations", "oldest"],
        [
            [
                one.name,
                one.version,
                one.standing,
                f"{one.delivered:,}",
                f"{one.rejected:,}",
                f"{one.waiting_batches:,}",
                f"{one.waiting_mutations:,}",
                duration(one.oldest_s) if one.waiting_batches else None,
            ]
            for one in health.connectors
        ],
        empty="No connectors.",
    )
    click.echo(f"\nqueue: {_described(health.queue)}")
    everything = [("", concern) for concern in health.concerns]
    everything += [(connector.name, concern) for connector in health.connectors for concern in connector.concerns]
    _list("Someone must act:", [pair for pair in everything if pair[1].act])
    _list("To know:", [pair for pair in everything if not pair[1].act])
    if not everything:
        click.echo("\nNothing needs anybody.")


def _described(depth: QueueDepth | None) -> str:
    if depth is None:
        return f"{DEPTH_IN_MONITORING}."
    oldest = f", the oldest for {duration(depth.oldest_s)}" if depth.messages else ""
    return f"{depth.messages:,} waiting, {depth.leased:,} of them being handled{oldest}"


def _list(heading: str, concerns: Sequence[tuple[str, Concern]]) -> None:
    if not concerns:
        return
    click.echo(f"\n{heading}")
    for connector, concern in concerns:
        click.echo(f"  {f'{connector}: ' if connector else ''}{printable(concern.what)}")
        if concern.do:
            click.echo(f"    -> {printable(concern.do)}")


def _as_json(health: Health) -> dict[str, Any]:
    return {
        "someone_must_act": health.someone_must_act,
        "queue": depth_as_json(health.queue),
        "concerns": [_concern(concern) for concern in health.concerns],
        "connectors": [
            {
                "name": one.name,
                "standing": one.standing.replace(" ", "_"),
                "version": one.version,
                "delivered_last_hour": one.delivered,
                "rejected_last_hour": one.rejected,
                "waiting_batches": one.waiting_batches,
                "waiting_mutations": one.waiting_mutations,
                "oldest_waiting_s": round(one.oldest_s, 3),
                "concerns": [_concern(concern) for concern in one.concerns],
            }
            for one in health.connectors
        ],
    }


def _concern(concern: Concern) -> dict[str, Any]:
    return {"act": concern.act, "kind": concern.kind, "what": concern.what, "do": concern.do}
