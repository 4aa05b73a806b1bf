"""A record that a newer program wrote is refused, never misread."""

from __future__ import annotations

import pytest

from relay.backends.interfaces import Backend
from relay.domain.connector import InboundDocument
from relay.domain.message import UnknownVersion, decode
from tests.contract.backends.deliveries import Deliveries
from tests.contract.backends.given import document, held, message, rejection, report, request

NEWER = 99


def test_a_message(backend: Backend, deliveries: Deliveries) -> None:
    backend.queue.publish([message(version=NEWER)])
    with pytest.raises(UnknownVersion):
        decode(deliveries.next().body)


def test_a_waiting_batch(backend: Backend) -> None:
    held(backend, "a.1", message("a.1", "u1", version=NEWER))
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=2, message_id="m2")
    with pytest.raises(UnknownVersion):
        backend.audiences.waiting(turn, max_items=1, max_bytes=1)
    with pytest.raises(UnknownVersion):
        backend.audiences.peek("pangolin", "a.1", limit=1)
    backend.audiences.join(turn, message("a.1", "u2"), request())


def test_a_document(backend: Backend) -> None:
    backend.connectors.add_version(document(version=NEWER))
    with pytest.raises(UnknownVersion):
        backend.connectors.version("pangolin", 1)
    with pytest.raises(UnknownVersion):
        backend.connectors.publish("pangolin", 1)
    assert backend.connectors.add_version(document()).number == 2


def test_a_report(backend: Backend) -> None:
    backend.reports.attempt(report(version=NEWER, delivered=1), [])
    with pytest.raises(UnknownVersion):
        backend.reports.attempts("pangolin")


def test_a_rejection(backend: Backend) -> None:
    backend.reports.add_rejections([rejection(version=NEWER)])
    with pytest.raises(UnknownVersion):
        backend.reports.rejections("pangolin")


def test_the_inbound_document(backend: Backend) -> None:
    backend.inbound.write(InboundDocument(version=NEWER, connectors=()))
    with pytest.raises(UnknownVersion):
        backend.inbound.read()
