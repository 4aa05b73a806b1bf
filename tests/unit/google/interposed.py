"""Firestore as it is, with its calls counted, and with things that happen around a commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from relay.backends.google.channels import Channels
from relay.backends.google.documents import Changed, Documents, Query, Stored, Write
from relay.configuration import read


class Interposed(Documents):
    """`reads` and `writes`: documents, as they are billed. before_commit, after_commit: called once, at the next commit.
    before_queries: called one by one, each before the next query."""

    def __init__(self, variables: dict[str, str]) -> None:
        configuration = read(variables)
        super().__init__(Channels(configuration), configuration)
        self.reads = self.writes = self._calls = 0
        self.before_commit: Callable[[], None] | None = None
        self.after_commit: Callable[[], None] | None = None
        self.before_queries: list[Callable[[], None]] = []

    def cost(self, work: Callable[[], object]) -> tuple[int, int]:
        """Reads and writes of that work."""
        before = self.reads, self.writes
        work()
        return self.reads - before[0], self.writes - before[1]

    def calls(self, work: Callable[[], object]) -> int:
        """How often that work waits for Firestore's answer: single documents, queries and commits."""
        before = self._calls
        work()
        return self._calls - before

    def lose_confirmation(self) -> None:
        """The next commit is carried out, and its answer gets lost: the client's own repetition of it then finds its condition
        unfulfilled."""

        def lose() -> None:
            raise Changed

        self.after_commit = lose

    def _get_all(
        self, paths: Iterable[str], fields: Sequence[str] | None, within: dict[str, Any]
    ) -> tuple[dict[str, Stored], bytes]:
        asked = list(paths)
        self.reads += len(asked)
        self._calls += 1
        return super()._get_all(asked, fields, within)

    def _query(self, query: Query) -> list[Stored]:
        if self.before_queries:
            self.before_queries.pop(0)()
        self._calls += 1
        found = super()._query(query)
        self.reads += max(1, len(found))
        return found

    def _commit(self, writes: Sequence[Write], transaction: bytes | None) -> None:
        before, self.before_commit = self.before_commit, None
        if before is not None:
            before()
        self._calls += 1
        super()._commit(writes, transaction)
        self.writes += len(writes)
        after, self.after_commit = self.after_commit, None
        if after is not None:
            after()
