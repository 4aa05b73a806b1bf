"""The receiver leaves room on the disk, and others may use it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from relay.backends.embedded import EmbeddedBackend, room
from relay.domain.errors import StoreUnavailable
from relay.domain.message import Message
from tests.contract.backends.given import message

MORE_THAN_THERE_IS = 2**60


def _publish(backend: EmbeddedBackend, *messages: Message) -> Sequence[object]:
    """Each by itself, at the same time; None or the error of each."""

    async def run() -> Sequence[object]:
        publisher = backend.publisher()
        with backend.database.transaction():
            waiting = [asyncio.ensure_future(publisher.publish([each])) for each in messages]
            await asyncio.sleep(0.05)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        await publisher.close()
        return results

    return asyncio.run(run())


@pytest.mark.parametrize("bound", ["WORKERS_BYTES", "LOG_BYTES"])
def test_a_worker_goes_on_where_the_receiver_refuses(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    assert _publish(backend, message("a.1")) == [None]
    monkeypatch.setattr(room, bound, MORE_THAN_THERE_IS)
    (error,) = _publish(backend, message("a.2"))
    assert isinstance(error, StoreUnavailable)
    assert "nearly full" in str(error)
    leased = backend.queue.take()
    assert leased is not None
    backend.queue.publish([message("a.3")])
    assert backend.queue.acknowledge(leased)
    assert backend.queue.depth().messages == 1
