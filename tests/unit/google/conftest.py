"""A Firestore database for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.emulators import Emulators, place
from tests.unit.google.firestore import Open, WatchedDocuments


@pytest.fixture
def opened(emulators: Emulators) -> Iterator[Open]:
    """Opens the same database as often as asked, as further processes would."""
    variables = place(emulators)
    documents: list[WatchedDocuments] = []

    def open_again(kind: type[WatchedDocuments] = WatchedDocuments) -> WatchedDocuments:
        documents.append(kind(variables))
        return documents[-1]

    yield open_again
    for one in documents:
        one.channels.close()
