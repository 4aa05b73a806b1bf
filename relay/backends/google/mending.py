"""Audiences that a program before this one wrote lack the fields by which pages find them: these are written, a part at a time.

settings/mended  after: the audience that was looked at last, in the order of their documents; empty: the next is the first
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import msgspec

from relay.backends.google import audience_documents as docs
from relay.backends.google.documents import Changed, Documents, Query, Stored, Write
from relay.backends.records import AUDIENCE
from relay.domain.message import UnknownVersion

MOST_LOOKED_AT = 2_000
"""Audiences that one tidying looks at, while any is to be mended."""

_AT_ONCE = 100
_MENDED = "settings/mended"


def mend(documents: Documents) -> None:
    """The next ones, if there are any: to know that costs two reads for every thousand audiences. One that somebody changes
    meanwhile is looked at another time, as are those that an older program writes again."""
    whole = documents.count(Query(docs.AUDIENCES))
    if whole <= documents.count(Query(docs.AUDIENCES, [("shape", ">=", docs.SHAPE)])):
        return
    stored = documents.get(_MENDED)
    after: str = stored.fields["after"] if stored else ""
    for _ in range(MOST_LOOKED_AT // _AT_ONCE):
        found = documents.query(Query(docs.AUDIENCES, limit=_AT_ONCE, behind=[after] if after else ()))
        with suppress(Changed):
            documents.commit(list(_writes(found)))
        after = found[-1].path if len(found) == _AT_ONCE else ""
        documents.commit([Write(_MENDED, fields={"after": after})])
        if not after:
            break


def _writes(found: list[Stored]) -> Iterator[Write]:
    for stored in found:
        if stored.fields.get("shape", 0) >= docs.SHAPE:
            continue
        # A newer program's to judge, or spoiled, which whoever needs it is told: the others are mended all the same.
        with suppress(UnknownVersion, msgspec.MsgspecError, KeyError):
            audience = AUDIENCE.read(stored.fields["record"].encode())
            yield Write(stored.path, "merge", docs.found_by(audience), updated=stored.updated)
