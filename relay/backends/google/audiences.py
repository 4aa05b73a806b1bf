"""`interfaces.Audiences` on Firestore: turns, holds, creations and overviews over one collection of records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from relay.backends.google import audience_documents as docs
from relay.backends.google.creations import Creations
from relay.backends.google.documents import Documents, Query, Write
from relay.backends.google.holds import Holds
from relay.backends.google.overviews import Overviews
from relay.backends.google.turns import Turns
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.outcome import Rejection


class GoogleAudiences(Turns, Holds, Creations, Overviews):
    """All of it. rejection_writes: how rejections are written, in the transaction of the batches that become them."""

    def __init__(
        self, documents: Documents, clock: Clock, rejection_writes: Callable[[Sequence[Rejection]], list[Write]]
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._rejection_writes = rejection_writes

    def get(self, connector: str, audience_id: str) -> Audience | None:
        known = docs.load(self._documents, connector, audience_id)
        return known.audience if known else None

    def several(self, places: Collection[tuple[str, str]]) -> dict[tuple[str, str], Audience]:
        found = self._documents.get_all({docs.path_of(*place) for place in places})
        audiences = [known.audience for known in docs.load_all(self._documents, found.values())]
        return {(audience.connector, audience.id): audience for audience in audiences}

    def all(self, connector: str | None = None) -> list[Audience]:
        where = [] if connector is None else [("connector", "==", connector)]
        return self._listed(Query(docs.AUDIENCES, where))

    def held(self, connector: str | None = None) -> list[Audience]:
        if connector is not None:
            return self._listed(Query(docs.AUDIENCES, [("held_by", "==", connector)]))
        return self._listed(Query(docs.AUDIENCES, (), ["held_by"]))

    def _listed(self, query: Query) -> list[Audience]:
        return [known.audience for known in docs.load_all(self._documents, self._documents.query(query))]
