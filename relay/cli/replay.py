"""`diy replay`: what was accepted since a moment is sent to the partner again, from the journal."""

from __future__ import annotations

from datetime import datetime

import click

from relay.backends.interfaces import JournalSize
from relay.cli.known import known_audience
from relay.cli.output import iso, moment, show_json, show_table
from relay.cli.sending_again import ask, finish, kept
from relay.cli.session import Session, with_state
from relay.domain.audience import Audience
from relay.domain.connector import ConnectorState
from relay.domain.errors import Conflict
from relay.domain.malformed import Malformed
from relay.health.wording import count
from relay.health.wording import moment as said
from relay.operating.sending_again import HOW, Asked, Kept, off, with_events
from relay.reading.quantities import parse_duration


class _Moment(click.ParamType[str]):
    """`2h`, `3d`, `2026-03-01`, `2026-03-01T11:00`, `2026-03-01T11:00:00Z`."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        try:
            _read(text, 0.0)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no moment. Give how long ago (90m, 2h, 3d) or when (2026-03-01T11:00Z).", param, ctx)
        return text


@click.command()
@click.option("--connector", required=True, help="Whose journal.")
@click.option("--audience", "wanted", multiple=True, metavar="ID", help="Only this one; can be given again. Else all of them.")
@click.option(
    "--since",
    required=True,
    type=_Moment(),
    metavar="T",
    help="How long ago (90m, 2h, 3d), or when: 2026-03-01T11:00Z; without a zone it is this machine's.",
)
@click.option("--yes", is_flag=True, help="Does not ask.")
@click.option("--wait", is_flag=True, help="Ends when all of it has been sent again.")
@with_state(json=True)
def replay(session: Session, *, connector: str, wanted: tuple[str, ...], since: str, yes: bool, wait: bool) -> None:
    """Sends again what was accepted since a moment.

    From the connector's journal, which must have been on (retention.journal in the document): for members that a partner lost, or
    that somebody removed there by mistake. In the end each user is what the last change said: what comes meanwhile waits behind.

    \b
    Example:
      diy replay --connector pangolin --since 2h
    """
    moment_s = _read(since, session.now)
    if moment_s > session.now:
        raise click.UsageError(f"--since {since} is in the future.")
    journal = kept(session, connector)
    if journal.reaches_to is None:
        raise Conflict(off(connector))
    since_s = max(moment_s, journal.reaches_to)
    sizes = {size.audience: size for size in session.backend.journal.sizes(connector, since=since_s)}
    for audience_id in wanted:
        known_audience(session.backend, connector, audience_id)
    chosen = list(dict.fromkeys(wanted)) or _in_use(session, connector, sizes)
    if not session.as_json:
        _show(session, journal, since, moment_s, chosen, sizes)
    if not chosen:
        if session.as_json:
            show_json([])
        return
    if not yes:
        click.confirm(f"Send it again to {count(len(chosen), 'audience')} of {connector}?", abort=True, err=True)
    asked: list[Asked] = []
    try:
        asked.extend(ask(session, journal.connector, audience_id, since=since_s) for audience_id in chosen)
    finally:
        if asked:
            subject = f"{connector}/{chosen[0]}" if len(chosen) == 1 else connector
            detail = f"since {iso(since_s)}, {count(len(asked), 'audience')}"
            session.backend.audit.add(by=session.by, what="replay", subject=subject, detail=detail)
    finish(session, connector, asked, wait=wait)


def _read(text: str, now: float) -> float:
    """Seconds since the epoch. Raises `ValueError`."""
    try:
        return now - parse_duration(text)
    except Malformed:
        return datetime.fromisoformat(text).timestamp()


def _in_use(session: Session, connector: str, sizes: dict[str, JournalSize]) -> list[str]:
    """Not those under an ID of the DMP's for which another one was answered: nothing can be sent to them."""
    others = {audience.id for audience in session.backend.audiences.all(connector) if audience.answers_to}
    return [audience_id for audience_id in sizes if audience_id not in others]


def _show(
    session: Session, journal: Kept, since: str, moment_s: float, chosen: list[str], sizes: dict[str, JournalSize]
) -> None:
    connector, reaches_to = journal.connector, journal.reaches_to or 0.0
    known = {audience.id: audience for audience in session.backend.audiences.all(connector.name)}
    show_table(
        ["audience", "name", "batches", "mutations", "first accepted", "now"],
        [
            [
                audience_id,
                known[audience_id].name if audience_id in known else None,
                f"{size.batches:,}" if (size := sizes.get(audience_id)) else 0,
                f"{size.items:,}" if size else 0,
                moment(size.first_at, session.now) if size else None,
                _stands(journal.state, known.get(audience_id)),
            ]
            for audience_id in chosen
        ],
        empty=f"The journal of {connector.name} has nothing that was accepted since {said(moment_s)}.",
    )
    if moment_s < reaches_to:
        click.echo(
            f"The journal reaches back to {moment(reaches_to, session.now)}: it is on since {said(journal.state.journal_since)}, "
            f"and keeps {count(connector.retention.journal_days, 'day')}. What was accepted before is not sent again."
        )
    if not chosen:
        return
    begins = moment(max(moment_s, reaches_to), session.now)
    zone = _zone(since, moment_s) if moment_s >= reaches_to else ""
    click.echo(f"What was accepted since {begins}{zone} {HOW} {with_events(connector)}".rstrip())
    if session.configuration.backend == "google":
        click.echo("What was accepted in the last minutes may be missing from these numbers; it is sent again all the same.")
    if not journal.state.enabled or journal.state.paused:
        stopped = "is off" if not journal.state.enabled else "is paused"
        click.echo(f"{connector.name} {stopped}: it waits until that is over.")


def _stands(state: ConnectorState, audience: Audience | None) -> str:
    """How the audience stands now."""
    if not state.enabled:
        return "off"
    if state.paused or (audience is not None and audience.paused):
        return "paused"
    return f"on hold: {audience.hold.reason}" if audience is not None and audience.hold else "flows"


def _zone(since: str, moment_s: float) -> str:
    """That a moment without a zone was taken for one of this machine's, and which that is."""
    try:
        given = datetime.fromisoformat(since)
    except ValueError:
        return ""
    if given.tzinfo is not None:
        return ""
    here = datetime.fromtimestamp(moment_s).astimezone()
    return f", {given:%Y-%m-%d %H:%M:%S} by this machine's time zone ({here:%Z})"
