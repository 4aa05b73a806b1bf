"""`diy holds`: what waits outside the queue, why, and the operator's ways to let it go on, make it wait, or drop it."""

from __future__ import annotations

import click

from relay.cli.hold_record import Setups, hold_as_json
from relay.cli.known import known_audience
from relay.cli.output import iso, moment, show_fields, show_json, show_table
from relay.cli.sending_again import progress_as_json
from relay.cli.session import Session, with_state
from relay.domain.audience import Audience, Hold
from relay.domain.errors import Conflict, NotFound
from relay.health.advice import due_at, hold_reason, meaning, needs_someone, what_to_do
from relay.health.wording import count
from relay.operating.holding import Holding, Shown, subject
from relay.operating.sending_again import progress


@click.group()
def holds() -> None:
    """Batches that wait outside the queue, and why. Nothing in them is lost, and they keep their order."""


@holds.command("list")
@click.argument("connector", required=False)
@with_state(json=True)
def list_(session: Session, connector: str | None) -> None:
    """All holds, or those of one connector.

    \b
    Example:
      diy holds list pangolin
    """
    if connector is not None:
        session.backend.connectors.state(connector)
    held = [(audience, audience.hold) for audience in session.backend.audiences.all(connector) if audience.hold]
    setups = Setups(session.backend)
    if session.as_json:
        show_json([hold_as_json(audience, hold, setups.of(audience.connector)) for audience, hold in held])
        return
    show_table(
        ["connector", "audience", "reason", "batches", "mutations", "since", "tried again", "someone must act"],
        [
            [
                audience.connector,
                audience.id,
                hold_reason(audience, hold),
                hold.batches,
                hold.items,
                moment(hold.since, session.now),
                moment(due_at(audience, hold, setups.of(audience.connector)[1]), session.now),
                needs_someone(audience, hold),
            ]
            for audience, hold in held
        ],
        empty="Nothing waits in a hold.",
    )


@holds.command()
@click.argument("connector")
@click.argument("audience_id", metavar="AUDIENCE")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The first so many batches.")
@with_state(json=True)
def show(session: Session, connector: str, audience_id: str, limit: int) -> None:
    """One hold and the first batches that wait in it, in order. Nobody's identifiers are shown.

    \b
    Example:
      diy holds show pangolin a5940e473cea659.356693871497425011
    """
    audience, hold = _held(session, connector, audience_id)
    waiting = session.backend.audiences.peek(connector, audience_id, limit=limit)
    setup = Setups(session.backend).of(connector)
    if session.as_json:
        batches = [
            {
                "place": one.place,
                "kind": one.message.kind,
                "again": bool(one.message.replayed_at),
                "request_id": one.message.request_id,
                "mutations": len(one.message.mutations),
                "bytes": one.bytes,
                "received_at": iso(one.message.received_at),
                "added_at": iso(one.added_at),
            }
            for one in waiting
        ]
        replayed = progress_as_json(audience.replayed)
        show_json({**hold_as_json(audience, hold, setup), "replay": replayed, "first_batches": batches})
        return
    last = audience.replayed
    replay = [("replay", progress(last, session.now))] if last is not None and not last.ended_at else []
    show_fields(
        [
            ("connector", connector),
            ("audience", f"{audience.id}  {audience.name}".rstrip()),
            ("reason", f"{hold_reason(audience, hold)}: {meaning(audience, hold, *setup)}"),
            ("detail", hold.detail),
            ("what to do", what_to_do(audience, hold, *setup) or "nothing"),
            ("since", moment(hold.since, session.now)),
            ("tried again", moment(due_at(audience, hold, setup[1]), session.now)),
            ("tried in vain", hold.probes),
            ("waiting", f"{count(hold.batches, 'batch', 'batches')}, {count(hold.items, 'mutation')}, {hold.bytes:,} bytes"),
            ("oldest", moment(hold.oldest_at, session.now)),
            *replay,
        ]
    )
    click.echo()
    show_table(
        ["place", "kind", "request", "mutations", "bytes", "received"],
        [
            [
                one.place,
                f"{one.message.kind} (again)" if one.message.replayed_at else one.message.kind,
                one.message.request_id,
                "in the journal" if one.message.replay is not None else len(one.message.mutations),
                one.bytes,
                moment(one.message.received_at, session.now),
            ]
            for one in waiting
        ],
        empty="No batch waits.",
    )


@holds.command()
@click.argument("connector")
@click.argument("audience_id", metavar="[AUDIENCE]", required=False)
@with_state()
def resume(session: Session, connector: str, audience_id: str | None) -> None:
    """Ends a pause, and has what waits tried now. Without AUDIENCE: all of the connector.

    The worker picks it up. A connector that is off stays off, and a partner's wish to be called later is kept.

    \b
    Example:
      diy holds resume pangolin
    """
    state = session.backend.connectors.state(connector)
    if audience_id is not None:
        audience = known_audience(session.backend, connector, audience_id)
        if state.paused:
            raise click.UsageError(f"All of {connector} is paused: diy holds resume {connector}")
        resumed = _holding(session).resume_audience(audience)
    else:
        resumed = _holding(session).resume(connector)
    for unpaused in [*([connector] if resumed.connector else []), *resumed.audiences]:
        click.echo(f"{unpaused} is no longer paused.")
    click.echo(f"{count(resumed.holds, 'hold')} will be tried now." if resumed.holds else "Nothing waits in a hold.")
    if not state.enabled:
        session.note(f"{connector} is off, so it goes on waiting: diy connectors enable {connector}")
    elif state.not_before > session.now:
        session.note(f"The partner asked not to be called before {moment(state.not_before, session.now)}; that is kept.")


@holds.command()
@click.argument("connector")
@click.argument("audience_id", metavar="[AUDIENCE]", required=False)
@with_state()
def pause(session: Session, connector: str, audience_id: str | None) -> None:
    """Makes one audience, or all of a connector, wait. Changes are still accepted; nothing is lost.

    \b
    Example:
      diy holds pause pangolin
    """
    if audience_id is not None:
        known_audience(session.backend, connector, audience_id)
    _holding(session).pause(connector, audience_id)
    who = subject(connector, audience_id)
    click.echo(f"{who} is paused. To go on: diy holds resume {connector}{f' {audience_id}' if audience_id else ''}")


@holds.command()
@click.argument("connector")
@click.argument("audience_id", metavar="AUDIENCE")
@click.option("--yes", is_flag=True, help="Does not ask.")
@with_state()
def discard(session: Session, connector: str, audience_id: str, yes: bool) -> None:
    """Drops what waits in one hold, for good. The dropped mutations become rejections, so that they can be exported.

    What joins the hold after the question was asked is kept.

    \b
    Example:
      diy holds discard pangolin a5940e473cea659.356693871497425011
    """
    _, hold = _held(session, connector, audience_id)
    shown = Shown(session.now, hold.batches)  # the number is read before the moment: what joins between is none of it
    waiting = f"{count(hold.batches, 'batch', 'batches')} with {count(hold.items, 'mutation')}"
    if not yes:
        click.confirm(f"Drop {waiting} of {audience_id} for good?", abort=True, err=True)
    dropped = _holding(session).discard(connector, audience_id, shown=shown)
    if not dropped.batches and dropped.left:
        what = "Nothing was dropped: what waits now joined, by the store's clock, after you were asked"
        raise Conflict(f"{what}. To ask again: diy holds discard {connector} {audience_id}")
    if not dropped.batches:
        raise Conflict(f"What waited is not there any more, so nothing was dropped: diy holds show {connector} {audience_id}")
    click.echo(f"{count(dropped.batches, 'batch', 'batches')} dropped; see diy rejections list {connector}.")
    if dropped.left:
        joined = count(dropped.left, "batch that joined", "batches that joined")
        session.note(f"{joined} since the question was asked: kept, and on hold still.")
    if dropped.replays:
        click.echo(
            f"{count(dropped.replays, 'replay')} among them: what had not been sent again is in the journal still, and not among "
            "the rejections."
        )


def _held(session: Session, connector: str, audience_id: str) -> tuple[Audience, Hold]:
    audience = known_audience(session.backend, connector, audience_id)
    if audience.hold is None:
        raise NotFound(f"Nothing waits in a hold for the audience {audience_id!r}.")
    return audience, audience.hold


def _holding(session: Session) -> Holding:
    return Holding(session.backend, session.by, session.clock)
