"""Which audience has which ID at the partner: a small document for each, so that no two of one connector have the same one.

partner_ids/{connector and partner's ID}  audience: the DMP's ID of the one that has it

Such a document is made, handed on and deleted in the commit that writes the audience's record.
"""

from __future__ import annotations

from collections.abc import Mapping

from relay.backends.google.documents import Documents, Stored, Write
from relay.backends.google.names import safe_name
from relay.domain import creation
from relay.domain.audience import Audience

PARTNER_IDS = "partner_ids"

Change = tuple[Audience, Audience]
"""A record as it was, and as it will be."""


def path_of(connector: str, partner_id: str) -> str:
    """The document of one ID."""
    return f"{PARTNER_IDS}/{safe_name(f'{connector}/{partner_id}')}"


def freed_by(audience: Audience) -> list[Write]:
    """What goes with the record when it is deleted."""
    had = creation.occupies(audience)
    return [] if had is None else [Write(path_of(audience.connector, had), "delete")]


def writes(documents: Documents, *changes: Change) -> list[Write]:
    """What is to be written together with these records, on condition that nobody else gets one of the IDs meanwhile. One call,
    if any of the IDs changes hands. Raises `Conflict` where another audience has one."""
    freed = {path: before for before, after in changes if (path := _path_beside(before, after))}
    wanted = {path: after for before, after in changes if (path := _path_beside(after, before))}
    found = documents.get_all([*wanted]) if wanted else {}
    leaving = {before.id for before in freed.values()}
    return [
        *(_written(path, after, found, leaving) for path, after in wanted.items()),
        *(Write(path, "delete") for path in freed if path not in wanted),
    ]


def _written(path: str, after: Audience, found: Mapping[str, Stored], leaving: set[str]) -> Write:
    fields = {"audience": after.id}
    known = found.get(path)
    if known is None:
        return Write(path, fields=fields, exists=False)
    has: str = known.fields["audience"]
    if has != after.id and has not in leaving:
        raise creation.occupied(after.partner_id or "", has)
    return Write(path, fields=fields, updated=known.updated)


def _path_beside(audience: Audience, other: Audience) -> str | None:
    """Of the ID that the one has and the other has not."""
    has = creation.occupies(audience)
    return path_of(audience.connector, has) if has is not None and has != creation.occupies(other) else None
