"""`diy audiences resync`: one audience of the partner is built anew from the journal."""

from __future__ import annotations

import uuid

import click

from relay.cli.known import known_audience
from relay.cli.output import moment, show_fields, show_json
from relay.cli.sending_again import HOW, Asked, Kept, ask, finish, kept, off, with_events
from relay.cli.session import Session, with_state
from relay.domain.audience import Audience
from relay.domain.creation import WAITS_FOR_CREATION
from relay.domain.errors import Conflict
from relay.domain.message import VERSION, Message
from relay.health.wording import count


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
    if audience.answers_to:
        raise Conflict(f"The DMP was answered another ID for it: diy audiences resync {connector} {audience.answers_to}")
    journal = kept(session, connector)
    if anew and journal.connector.inbound.audience_id == "partner":
        raise Conflict(
            f"{connector} knows its audiences by the partner's IDs, and the DMP sends by them: one that is created anew would be "
            "another audience. Have the DMP create it again; or, once it is there again under another ID: "
            f"diy audiences link {connector} {audience_id} PARTNER_ID"
        )
    if not partial:
        _require_whole(session, journal, audience, anew=anew)
    elif journal.reaches_to is None and not anew:
        raise Conflict(off(connector))
    since = journal.reaches_to
    if not session.as_json:
        _show(session, journal, audience, since, anew=anew)
    if not yes:
        click.confirm(f"Do that with {audience.name or audience_id}?", abort=True, err=True)
    asked = _carry_out(session, journal, audience, since, anew=anew)
    if asked is None:
        _done_without(session, audience)
    else:
        finish(session, connector, [asked], wait=wait)


def _require_whole(session: Session, journal: Kept, audience: Audience, *, anew: bool) -> None:
    """Only of an audience that was announced is known when it began. Another one is on record since its first turn; what came
    first may have been in the queue for long before that."""
    connector, reaches_to = journal.connector.name, journal.reaches_to
    is_later = reaches_to is not None and audience.created_at >= reaches_to
    if is_later and audience.name:
        return
    ways = f"have the DMP send the whole audience again{', after --anew --partial' if anew else ''}"
    if reaches_to is None:
        raise Conflict(f"{off(connector)} To fill this audience: {ways}.")
    lost = "They are not in the new list" if anew else "Those whom the partner lost stay missing"
    stays = "" if anew else ", and those who left before stay members if the partner has them again"
    lacking = (
        "It was never announced, so it is not known whether its first changes were accepted before that and waited in the queue. "
        "What may be lacking"
        if is_later
        else "What is lacking"
    )
    raise Conflict(
        f"The journal of {connector} has everything since {moment(reaches_to, session.now)}, and this audience is on record "
        f"since {moment(audience.created_at, session.now)}. {lacking}: users who joined before the journal begins and "
        f"were not sent since. {lost} until the DMP sends them again{stays}. Best: {ways}. To send what there is: --partial."
    )


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
    if since is not None:
        click.echo(f"What the journal has {HOW} {with_events(journal.connector)}".rstrip())


def _carry_out(session: Session, journal: Kept, audience: Audience, since: float | None, *, anew: bool) -> Asked | None:
    """Says in the audit what was done, also where the last of it failed."""
    backend, connector = session.backend, journal.connector
    done: list[str] = []
    asked = None
    try:
        if anew:
            known = backend.audiences.unlink(connector.name, audience.id)
            done.append(f"{audience.partner_id} forgotten" if audience.partner_id else "anew")
            backend.queue.publish([_announcement(session, known)])
        else:
            backend.audiences.make_due(connector.name, audience.id, reasons=WAITS_FOR_CREATION)
        if since is not None:
            asked = ask(session, connector, audience.id, since=since)
            done.append("replay")
    finally:
        if done:
            backend.audit.add(
                by=session.by, what="resync audience", subject=f"{connector.name}/{audience.id}", detail=", ".join(done)
            )
    return asked


def _announcement(session: Session, audience: Audience) -> Message:
    """It is created even if the journal has nothing of it."""
    return Message(
        version=VERSION,
        kind="created",
        connector=audience.connector,
        audience=audience.id,
        request_id=uuid.uuid4().hex,
        received_at=session.now,
        name=audience.name,
        customer=audience.customer,
    )


def _done_without(session: Session, audience: Audience) -> None:
    if session.as_json:
        show_json([])
    else:
        click.echo(f"It is created again, empty. Now have the DMP send {audience.name or audience.id} again.")
