"""A store that fails at the very end of a turn: the turn is repeated, and the message is not to blame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Leased
from relay.domain.clock import SystemClock
from relay.domain.errors import StoreUnavailable
from tests.contract.backends.given import message
from worker.turn import Worker


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    made = EmbeddedBackend.open(tmp_path / "state", SystemClock())
    yield made
    made.close()


def test_a_message_that_cannot_be_acknowledged_comes_again_at_once_and_never_counts_as_crashed(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connector does not exist, so each turn lets the batch join the hold, where it already is."""
    backend.queue.publish([message("a.1", "u1")])
    worker = Worker(backend, SystemClock())
    acknowledge = backend.queue.acknowledge

    def fails(_: Leased) -> bool:
        raise StoreUnavailable("The disk is full: nothing more can be stored.")

    monkeypatch.setattr(backend.queue, "acknowledge", fails)
    monkeypatch.setattr("worker.turn._GIVE_BACK_S", 0.0)
    for _ in range(5):
        leased = backend.queue.take()
        assert leased is not None, "given back, and not left to its lease"
        worker.handle(leased)
    (held,) = backend.audiences.held()
    assert held.hold is not None
    assert (held.hold.reason, held.hold.batches) == ("connector_off", 1)
    monkeypatch.setattr(backend.queue, "acknowledge", acknowledge)
    leased = backend.queue.take()
    assert leased is not None
    worker.handle(leased)
    assert backend.queue.depth().messages == 0


def test_what_could_not_be_given_back_is_when_the_store_can_be_used_again(backend: EmbeddedBackend) -> None:
    backend.queue.publish([message("a.1", "u1")])
    leased = backend.queue.take()
    assert leased is not None
    connection = backend.database.connection()
    connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable):
        backend.queue.give_back(leased, delay_s=0)
    assert backend.queue.depth().leased == 1
    connection.execute("PRAGMA query_only = OFF")
    again = backend.queue.take()
    assert again is not None, "the lease does not have to run out"
    assert again.lease != leased.lease
