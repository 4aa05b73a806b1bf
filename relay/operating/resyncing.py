"""One audience of the partner is built anew from the journal."""

from __future__ import annotations

import uuid

import msgspec

from relay.backends.interfaces import Backend
from relay.domain.audience import Audience
from relay.domain.creation import WAITS_FOR_CREATION
from relay.domain.errors import Conflict
from relay.domain.message import VERSION, Message
from relay.health.wording import dated
from relay.operating.sending_again import Asked, Kept, ask, off


class Lack(msgspec.Struct, frozen=True):
    """What the journal lacks of an audience. what: a sentence or more. nothing: it is off, so there is nothing to send."""

    what: str
    nothing: bool = False


def require_possible(audience: Audience, journal: Kept, *, anew: bool) -> None:
    """Raises `Conflict` for an audience that nothing can be sent to, or that cannot be created again (`anew`)."""
    connector = journal.connector.name
    if audience.answers_to:
        raise Conflict(f"The DMP was answered another ID for it: diy audiences resync {connector} {audience.answers_to}")
    if anew and journal.connector.inbound.audience_id == "partner":
        raise Conflict(
            f"{connector} knows its audiences by the partner's IDs, and the DMP sends by them: one that is created anew would be "
            "another audience. Have the DMP create it again; or, once it is there again under another ID: "
            f"diy audiences link {connector} {audience.id} PARTNER_ID"
        )


def lack(journal: Kept, audience: Audience, now: float, *, anew: bool) -> Lack | None:
    """None where the journal reaches back to the audience's beginning.

    Only of an audience that was announced is known when it began. Another one is on record since its first turn; what came first
    may have been in the queue for long before that."""
    connector, reaches_to = journal.connector.name, journal.reaches_to
    is_later = reaches_to is not None and audience.created_at >= reaches_to
    if is_later and audience.name:
        return None
    if reaches_to is None:
        return Lack(off(connector), nothing=True)
    lost = "They are not in the new list" if anew else "Those whom the partner lost stay missing"
    stays = "" if anew else ", and those who left before stay members if the partner has them again"
    lacking = (
        "It was never announced, so it is not known whether its first changes were accepted before that and waited in the queue. "
        "What may be lacking"
        if is_later
        else "What is lacking"
    )
    return Lack(
        f"The journal of {connector} has everything since {dated(reaches_to, now)}, and this audience is on record "
        f"since {dated(audience.created_at, now)}. {lacking}: users who joined before the journal begins and "
        f"were not sent since. {lost} until the DMP sends them again{stays}."
    )


def carry_out(backend: Backend, journal: Kept, audience: Audience, *, anew: bool, by: str, now: float) -> Asked | None:
    """anew: it is created at the partner again first. None: there was nothing to send again. Says in the audit what was done,
    also where the last of it failed."""
    connector, since = journal.connector, journal.reaches_to
    done: list[str] = []
    asked = None
    try:
        if anew:
            known = backend.audiences.unlink(connector.name, audience.id)
            done.append(f"{audience.partner_id} forgotten" if audience.partner_id else "anew")
            backend.queue.publish([_announcement(known, now)])
        else:
            backend.audiences.make_due(connector.name, audience.id, reasons=WAITS_FOR_CREATION)
        if since is not None:
            asked = ask(backend, connector, audience.id, since=since, now=now)
            done.append("replay")
    finally:
        if done:
            backend.audit.add(by=by, what="resync audience", subject=f"{connector.name}/{audience.id}", detail=", ".join(done))
    return asked


def _announcement(audience: Audience, now: float) -> Message:
    """It is created even if the journal has nothing of it."""
    return Message(
        version=VERSION,
        kind="created",
        connector=audience.connector,
        audience=audience.id,
        request_id=uuid.uuid4().hex,
        received_at=now,
        name=audience.name,
        customer=audience.customer,
    )
