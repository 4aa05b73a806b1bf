"""Deleting a document: this queue can tell whether messages for it are on their way."""

from __future__ import annotations

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.domain.errors import Conflict
from tests.contract.backends.given import message, published


def test_a_document_whose_messages_are_queued_is_not_deleted(backend: EmbeddedBackend) -> None:
    published(backend)
    backend.queue.publish([message()])
    with pytest.raises(Conflict):
        backend.connectors.delete("pangolin")
    leased = backend.queue.take()
    assert leased is not None
    with pytest.raises(Conflict):
        backend.connectors.delete("pangolin")
    backend.queue.acknowledge(leased)
    backend.connectors.delete("pangolin")
