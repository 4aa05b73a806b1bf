"""`diy audiences resync`: one audience of the partner is built anew from the journal."""

from __future__ import annotations

import click

from relay.cli.known import known_audience
from relay.cli.output import moment, show_fields, show_json
from relay.cli.sending_again import finish, kept
from relay.cli.session import Session, with_state
from relay.domain.audience import Audience
from relay.domain.errors import Conflict
from relay.health.wording import count
from relay.operating.resyncing import carry_out, lack, require_possible
from relay.operating.sending_again import HOW, Kept, off, with_events


@click.command()
@click.argument("connector")
@click.argument("audience_id", metavar="AUDIENCE")
@click.option("--anew", is_flag=True, help="The partner has lost it altogether: it is created there again first.")
@click.option("--partial", is_flag=True, help="Also where the journal may not reach back to the audience's beginning.")
@click.option("--yes", is_flag=True, help="Does not ask.")
@click.option("--wait", is_flag=True, help="Ends when all of it has been sent again.")
@with_state(json=True)
def resync(
    session: Session, connector: str, audience_id: str, *, anew: bool, partial: bool, yes: bool, wait: bool
) -> None:
    """Fills a list that the partner lost, from the journal.

    All that the journal has of the audience is sent again. Where it does not reach back to the audience's beginning, or where
    that is not known, that says what is lacking and does nothing, unless --partial.

    \b
    Example:
      diy audiences resync pangolin a5940e473cea659.356693871497425011 --anew
    """
    audience = known_audience(session.backend, connector, audience_id)
    journal = kept(session, connector)
    require_possible(audience, journal, anew=anew)
    if not partial:
        _require_whole(session, journal, audience, anew=anew)
    elif journal.reaches_to is None and not anew:
        raise Conflict(off(connector))
    since = journal.reaches_to
    if not session.as_json:
        _show(session, journal, audience, since, anew=anew)
    if not yes:
        click.confirm(f"Do that with {audience.name or audience_id}?", abort=True, err=True)
    asked = carry_out(session.backend, journal, audience, anew=anew, by=session.by, now=session.now)
    if asked is None:
        _done_without(session, audience)
    else:
        finish(session, connector, [asked], wait=wait)


def _require_whole(session: Session, journal: Kept, audience: Audience, *, anew: bool) -> None:
    lacking = lack(journal, audience, session.now, anew=anew)
    if lacking is None:
        return
    ways = f"have the DMP send the whole audience again{', after --anew --partial' if anew else ''}"
    if lacking.nothing:
        raise Conflict(f"{lacking.what} To fill this audience: {ways}.{_gone(audience, anew=anew)}")
    raise Conflict(f"{lacking.what} Best: {ways}. To send what there is: --partial.{_gone(audience, anew=anew)}")


def _gone(audience: Audience, *, anew: bool) -> str:
    """That there is nothing to fill, where the partner no longer has the audience; empty otherwise."""
    if anew or audience.hold is None or audience.hold.reason != "audience_gone":
        return ""
    return " The partner no longer has this audience: --anew has it created there again first."


def _show(session: Session, journal: Kept, audience: Audience, since: float | None, *, anew: bool) -> None:
    sizes = session.backend.journal.sizes(journal.connector.name, since=since) if since is not None else []
    size = next((one for one in sizes if one.audience == audience.id), None)
    has = f"{count(size.batches, 'batch', 'batches')}, {count(size.items, 'mutation')}" if size else "nothing"
    show_fields(
        [
            ("audience", f"{audience.id}  {audience.name}".rstrip()),
            ("partner id", audience.partner_id),
            ("on record since", moment(audience.created_at, session.now)),
            ("in the journal since", moment(journal.reaches_to, session.now)),
            ("in the journal", has),
            ("waiting", f"{count(hold.batches, 'batch', 'batches')}: {hold.reason}" if (hold := audience.hold) else None),
        ]
    )
    if anew:
        click.echo(
            f"The list {audience.partner_id or '(none yet)'} at the partner is forgotten here, not deleted there. Another one is "
            "created, unless the partner still finds the old one by our reference."
        )
    if hint := _gone(audience, anew=anew):
        click.echo(hint.strip())
    if since is not None:
        click.echo(f"What the journal has {HOW} {with_events(journal.connector)}".rstrip())


def _done_without(session: Session, audience: Audience) -> None:
    if session.as_json:
        show_json([])
    else:
        click.echo(f"It is created again, empty. Now have the DMP send {audience.name or audience.id} again.")
