"""A Firestore database of one's own, opened as often as there are processes, with a note of what was asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relay.backends.google.channels import Channels
from relay.backends.google.documents import Documents, Query, Stored, Write
from relay.configuration import read


class WatchedDocuments(Documents):
    """The documents as one process has them.

    commits  the writes of each commit that was tried
    read     how many documents its queries found
    """

    def __init__(self, variables: dict[str, str]) -> None:
        self.channels = Channels(read(variables))
        super().__init__(self.channels, read(variables))
        self.commits: list[list[Write]] = []
        self.read = 0

    def commit(self, writes: Sequence[Write]) -> None:
        self.commits.append(list(writes))
        super().commit(writes)

    def query(self, query: Query) -> list[Stored]:
        found = super().query(query)
        self.read += len(found)
        return found

    def all(self, collection: str) -> list[Stored]:
        """Everything in a collection, unnoted."""
        return super().query(Query(collection))


Open = Callable[..., WatchedDocuments]
"""Opens the test's database once more. Takes the kind of documents, if not these."""
