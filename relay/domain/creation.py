"""What is known of an audience's creation at the partner, as pure changes of its record (see `relay.domain.audience`)."""

from __future__ import annotations

from typing import get_args

from msgspec.structs import replace

from relay.domain.audience import NEWEST, VERSION, Audience, HoldReason, Status, make_due
from relay.domain.errors import Conflict, UsedOtherwise
from relay.domain.feed import Use

WAITS_FOR_CREATION: frozenset[HoldReason] = frozenset({"audience_not_ready", "audience_gone"})


def new(connector: str, audience_id: str, *, now: float) -> Audience:
    """The record of an audience that was not seen before."""
    return Audience(version=VERSION, connector=connector, id=audience_id, created_at=now)


def occupies(audience: Audience | None) -> str | None:
    """The partner's ID that is this audience's alone among those of its connector: two in one list would undo each other's
    removals. None where it has none yet, or is only the memory of a creation."""
    return None if audience is None or audience.answers_to else audience.partner_id


def occupied(partner_id: str, by: str) -> Conflict:
    """Why an audience cannot have this ID at the partner: another one, `by`, has it."""
    return Conflict(
        f"At the partner it would be {partner_id!r}, which is the audience {by!r} of this connector already; two audiences in "
        "one list would undo each other's removals."
    )


def announced(audience: Audience, *, name: str | None, customer: int | str | None) -> Audience:
    """With the name and the customer, where given."""
    return replace(
        audience,
        name=audience.name if name is None else name,
        customer=audience.customer if customer is None else customer,
    )


def created(audience: Audience, *, partner_id: str, status: str, now: float) -> Audience:
    """The partner's ID is known; another one is never replaced. Raises `ValueError` for what is no status."""
    if status not in get_args(Status):
        raise ValueError(f"{status!r} is no status of an audience.")
    if audience.partner_id in (None, partner_id):
        audience = _identified(audience, partner_id, status, name=None, now=now)  # type: ignore[arg-type]
    return _waited_for(replace(audience, claim_by="", claim_until=0), now=now)


def used(audience: Audience, use: Use, *, instead_of: str = "", now: float) -> Audience:
    """A feed uses the connector like this for the audience from now on. Another feed's use of it stands: what it has there was
    delivered with its settings and its login. Raises `UsedOtherwise` then, unless both want the same, nothing of it exists yet,
    or it is that feed, gone at the source, that this one comes `instead_of`."""
    had = audience.use
    if _alike(had, use):
        return audience if had is not None and had.feed != instead_of else _with(audience, use, now=now)
    if had is None or had.feed in (use.feed, instead_of):
        return _with(_elsewhere(audience, now=now), use, now=now)
    exists = audience.partner_id is not None or audience.answers_to or audience.hold is not None or audience.claim_until > now
    if not exists:
        return _with(audience, use, now=now)
    raise UsedOtherwise(
        f"The feed {had.feed} sends this segment through the connector {audience.connector!r}, with other settings or "
        "another login. Give this feed the same ones, or another connector.",
        feed=had.feed,
    )


def _alike(had: Use | None, use: Use) -> bool:
    """Whether both deliver to the same place; without a feed, that is where the document says."""
    return (had.settings, had.login) == (use.settings, use.login) if had is not None else not (use.settings or use.login)


def _with(audience: Audience, use: Use, *, now: float) -> Audience:
    its_own = bool(use.settings or use.login)
    return replace(audience, version=NEWEST if its_own else VERSION, use=use, updated_at=now)


def _elsewhere(audience: Audience, *, now: float) -> Audience:
    """What the partner has of it is in a place where nothing goes any more. Raises `Conflict` where its key is the partner's
    ID."""
    return unlinked(audience, now=now) if audience.partner_id is not None or audience.answers_to else audience


def failed(audience: Audience, *, owner: str, error: str, final: bool, now: float) -> Audience:
    """The owner's claim ends; as it was where somebody else's creation goes on."""
    if audience.claim_by != owner:
        return audience
    audience = replace(audience, claim_by="", claim_until=0, updated_at=now)
    if audience.partner_id is not None:
        return audience
    return replace(audience, status="failed" if final else "unknown", error=error)


def memory(asked: Audience, *, partner_id: str, name: str, now: float) -> Audience:
    """Mode `partner`: the record under the source's ID from now on only says which ID was answered."""
    return replace(
        asked, name=name, status="ready", error="", answers_to=partner_id, claim_by="", claim_until=0, updated_at=now
    )


def entry(audience: Audience, *, asked: Audience, partner_id: str, name: str, now: float) -> Audience:
    """Mode `partner`: the record under the partner's ID."""
    audience = _identified(audience, partner_id, "ready", name=name, now=now)
    if audience.customer is None:
        audience = replace(audience, customer=asked.customer)
    if asked.use is not None:
        if audience.use is not None and not _alike(audience.use, asked.use):
            raise UsedOtherwise(
                f"The partner gave the ID {partner_id!r}, under which the feed {audience.use.feed} has an audience of another "
                "account. Give this feed another connector.",
                feed=audience.use.feed,
            )
        audience = _with(audience, asked.use, now=now)
    return _waited_for(audience, now=now)


def linked(audience: Audience, *, partner_id: str, name: str | None, now: float) -> Audience:
    """By hand, whatever was recorded before."""
    audience = replace(_identified(audience, partner_id, "ready", name=name, now=now), answers_to="")
    return make_due(audience, now=now)


def unlinked(audience: Audience, *, now: float) -> Audience:
    """The partner lost it. It keeps a name, by which it counts as announced. Raises `Conflict` where its key is the partner's ID:
    another one there would be another audience here."""
    if audience.answers_to or audience.partner_id == audience.id:
        raise Conflict(
            f"The audience {audience.id!r} is known by its ID at the partner, which cannot be forgotten: have the DMP create "
            "another one, or say which audience of the partner it is."
        )
    forgotten = replace(
        audience, partner_id=None, status="unknown", error="", name=audience.name or audience.id, claim_by="", claim_until=0
    )
    return make_due(replace(forgotten, updated_at=now), now=now)


def _identified(audience: Audience, partner_id: str, status: Status, *, name: str | None, now: float) -> Audience:
    return replace(
        audience,
        partner_id=partner_id,
        status=status,
        error="",
        name=audience.name if name is None else name,
        claim_by="",
        claim_until=0,
        updated_at=now,
    )


def _waited_for(audience: Audience, *, now: float) -> Audience:
    if audience.hold is not None and audience.hold.reason in WAITS_FOR_CREATION:
        return make_due(audience, now=now)
    return audience
