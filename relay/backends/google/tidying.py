"""Deletes records whose age has passed, a part at a time: what Firestore's time to live has not deleted yet, which it does within
a day (https://firebase.google.com/docs/firestore/ttl), and what it cannot know; and mends what an older program wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from relay.backends.google.audit import AUDIT
from relay.backends.google.counters import ALL_COUNTERS, HOUR_S
from relay.backends.google.days import ALL_DAYS, DAY_S, AddingUp
from relay.backends.google.documents import Changed, Documents, Query, Stored, Write
from relay.backends.google.drafts import DRAFTS
from relay.backends.google.mending import mend
from relay.backends.google.ordered import Line, number_at, number_in
from relay.backends.google.rejections import BY_EXPIRY, REJECTIONS, RetentionOf, by_age, expiry
from relay.backends.google.replies import REPLIES
from relay.backends.google.reports import ATTEMPTS, ATTEMPTS_KEPT_S
from relay.backends.google.values import moment
from relay.backends.interfaces import AUDIT_KEPT_S, COUNTERS_KEPT_S, DRAFTS_KEPT_S
from relay.domain.clock import Clock

_AT_ONCE = 500

_LOOKED_AHEAD_S = 3 * 3600.0
"""Rejections that expire so soon are looked at: more than once before they do, since tidying runs every hour."""


class Tidying:
    """`interfaces.Backend.tidy`. Several at once disturb neither each other nor those who write.

    retention_of: connector → how long its live version keeps things.
    """

    def __init__(self, documents: Documents, clock: Clock, retention_of: RetentionOf) -> None:
        self._documents = documents
        self._clock = clock
        self._retention_of = retention_of

    def tidy(self) -> None:
        """Everything whose age has passed."""
        now = self._clock.now()
        kept = {connector: self._retention_of(connector).rejections_s for connector in self._rejected_connectors()}
        for connector, kept_s in kept.items():
            self._delete_before(by_age(connector), now - kept_s)
        self._keep_longer(kept, now)
        self._delete_before(Line(ATTEMPTS, "in_all"), now - ATTEMPTS_KEPT_S)
        self._delete_before(AUDIT, now - AUDIT_KEPT_S)
        self._delete(Query(DRAFTS, [("changed_at", "<", now - DRAFTS_KEPT_S)]), unchanged=True)
        self._delete(Query(REPLIES, [("expire_at", "<", moment(now))]))
        AddingUp(self._documents, self._clock, ALL_COUNTERS).add_up()
        self._delete(ALL_DAYS.query(below=int(now - COUNTERS_KEPT_S - DAY_S) + 1))
        self._delete(ALL_COUNTERS.query(below=int(now - COUNTERS_KEPT_S - HOUR_S) + 1))
        for document in self._documents.query(Query("documents", fields=())):
            self._delete(Query(f"{document.path}/versions", [("expire_at", "<", moment(now))]), unchanged=True)
        mend(self._documents)

    def _rejected_connectors(self) -> Iterator[str]:
        """Found by steps along the line of all rejections: one read for each connector."""
        after = ""
        while found := self._documents.query(
            Query(REJECTIONS, [("by_age", ">", after)], ["by_age"], limit=1, fields=("by_age", "connector"))
        ):
            connector: str = found[0].fields["connector"]
            yield connector
            after = by_age(connector).end

    def _keep_longer(self, kept: dict[str, float], now: float) -> None:
        """A connector that keeps its rejections longer than it did when they were written keeps these, too."""
        soon = number_at(now + _LOOKED_AHEAD_S)
        for page in BY_EXPIRY.pages(self._documents, below=soon, fields=("by_expiry", "by_age", "connector")):
            writes = [write for _, stored in page if (write := _kept_longer(stored, kept))]
            with suppress(Changed):  # the next tidying, which is early enough, finds those that are left
                self._documents.commit(writes)

    def _delete_before(self, line: Line, before: float) -> None:
        self._delete(line.query(below=number_at(before)))

    def _delete(self, query: Query, *, unchanged: bool = False) -> None:
        """Deletes what the query finds. unchanged: and finds again if somebody changes it meanwhile."""
        chunk = query._replace(limit=_AT_ONCE, fields=())

        def delete() -> bool:
            found = self._documents.query(chunk)
            self._documents.commit([Write(one.path, "delete", updated=one.updated if unchanged else None) for one in found])
            return len(found) == _AT_ONCE

        while self._documents.change(delete):
            pass


def _kept_longer(stored: Stored, kept: dict[str, float]) -> Write | None:
    """The write that lets its connector's present retention apply; None if it expires no earlier as it is."""
    kept_s = kept.get(stored.fields["connector"])
    if kept_s is None:
        return None
    made_at = number_in(stored.fields["by_age"]) / 1_000_000
    if made_at + kept_s < number_in(stored.fields["by_expiry"]) / 1_000_000 + 1:
        return None
    return Write(stored.path, "merge", expiry(made_at, kept_s), updated=stored.updated)
