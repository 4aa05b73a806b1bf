"""Pub/Sub's part of the journal: while this goes on, what the subscriptions hand out is written to the place's bucket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from relay.backends.google.journal_objects import KEPT_DAYS
from relay.configuration import read
from relay.domain.errors import StoreUnavailable
from relay.local_run.journal_export import Export, subscribe, unsubscribe
from tests.emulators import Emulators

_PAUSE_S = 0.1


@contextmanager
def exporting(place: dict[str, str], emulators: Emulators) -> Iterator[Export]:
    """Makes the journal's subscriptions, and writes what they have ten times a second."""
    configuration = read(place)
    subscribe(configuration)
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(_PAUSE_S):
            for days in KEPT_DAYS:
                with suppress(StoreUnavailable):  # a busy machine, or a test that has taken Pub/Sub down
                    export.write(days)

    with closing(Export(configuration, emulators.storage.make(configuration.journal_bucket))) as export:
        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        try:
            yield export
        finally:
            ended.set()
            thread.join()
            unsubscribe(configuration)
