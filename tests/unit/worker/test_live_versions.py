"""What runs is what was published last: no old version, address or secret is kept longer than it is good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from adapters.contract import Target
from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.domain.connector import Connector
from relay.domain.errors import NotFound
from tests.clock import TurnedClock
from worker.catalog import Catalog
from worker.partners import Partners

DOCUMENT = """
name: pangolin
adapter: pangolin
inbound: {{hmac_secret: dmp-hmac}}
settings: {{base_url: "http://127.0.0.1:{port}"}}
secrets: {{token: partner-token}}
actions:
  - {{name: Create audience, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: user.id}}}}
"""

TARGET = Target(id="a.1", name="An audience", partner_id="", reference="pangolin/a.1")


class Running:
    """A worker's catalog and partners, and the operators beside it."""

    def __init__(self, state_dir: Path) -> None:
        self.clock = TurnedClock()
        self.backend = EmbeddedBackend.open(state_dir, self.clock)
        self.catalog = Catalog(self.backend, self.clock)
        self.partners = Partners(self.backend, self.clock)
        self.one = Publishing(self.backend, describe, "one", self.clock)

    def connector(self) -> Connector:
        return self.catalog.get(self.backend.connectors.state("pangolin")).connector

    def address(self) -> str:
        """Where a call would go now."""
        (request,) = self.partners.open(self.connector()).preview("create_audience", TARGET, [])
        return request.url


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    opened = Running(tmp_path / "state")
    yield opened
    opened.backend.close()


def test_after_two_appliers_collide_calls_go_to_the_address_that_was_published_last(running: Running) -> None:
    class Slow(Publishing):
        """Somebody else applies while this one's document is read."""

        def _live_number(self, document: str) -> int:
            if not len(running.backend.connectors.documents()):
                running.one.apply(DOCUMENT.format(port=1001))
                assert running.address() == "http://127.0.0.1:1001/api/audiences"
            return super()._live_number(document)

    applied = Slow(running.backend, describe, "two", running.clock).apply(DOCUMENT.format(port=1002))
    assert running.connector().document_version == applied.number == 2
    assert running.address() == "http://127.0.0.1:1002/api/audiences"
    running.one.rollback("pangolin")
    assert running.address() == "http://127.0.0.1:1001/api/audiences"


def test_a_connector_that_was_deleted_and_applied_anew_is_not_taken_for_the_one_before(running: Running) -> None:
    running.one.apply(DOCUMENT.format(port=1001))
    assert running.address() == "http://127.0.0.1:1001/api/audiences"
    running.one.delete("pangolin")
    with pytest.raises(NotFound):
        running.connector()
    running.clock.advance(1)
    running.one.apply(DOCUMENT.format(port=1002))
    assert running.connector().document_version == 1
    assert running.address() == "http://127.0.0.1:1002/api/audiences"


def test_an_adapter_depends_on_everything_that_its_connector_says_and_not_on_its_number(running: Running) -> None:
    running.one.apply(DOCUMENT.format(port=1001))
    connector = running.connector()
    adapter = running.partners.open(connector)
    moved = replace(connector, settings={"base_url": "http://127.0.0.1:1002"})
    assert running.partners.open(moved) is not adapter
    assert running.partners.open(moved) is running.partners.open(replace(moved))


def test_while_nothing_changes_the_adapter_and_its_connections_are_kept(running: Running) -> None:
    running.one.set_secret("partner-token", "one")
    running.one.apply(DOCUMENT.format(port=1001))
    adapter = running.partners.open(running.connector())
    for _ in range(3):
        running.clock.advance(11)
        assert running.partners.open(running.connector()) is adapter


def test_a_new_secret_is_used_within_ten_seconds_and_at_once_after_the_old_one_was_refused(running: Running) -> None:
    running.one.set_secret("partner-token", "one")
    running.one.apply(DOCUMENT.format(port=1001))
    first = running.partners.open(running.connector())
    running.one.rotate_secret("partner-token", "two")
    running.clock.advance(10)
    second = running.partners.open(running.connector())
    assert second is not first
    running.one.rotate_secret("partner-token", "three")
    assert running.partners.open(running.connector()) is second
    running.partners.forget(running.connector())
    assert running.partners.open(running.connector()) is not second
