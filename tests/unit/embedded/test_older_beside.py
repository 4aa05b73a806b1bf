"""A program of the version before that goes on beside this one, on the same state, leaves nothing wrong for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.operating.holding import Holding
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, connector, held, published, report, request


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend.open(tmp_path, TurnedClock())
    yield backend
    backend.close()


def write_as_before(backend: EmbeddedBackend, sql: str) -> None:
    with backend.database.transaction() as connection:
        connection.execute(sql)


def test_what_an_older_program_counted_beside_this_one_is_added_up_by_the_tidying(backend: EmbeddedBackend) -> None:
    backend.reports.attempt(report(at=BEGINNING, delivered=5), [])
    write_as_before(backend, "UPDATE counters SET number = 12")
    write_as_before(backend, "INSERT INTO counters SELECT 'other', minute, outcome, 3 FROM counters")
    write_as_before(backend, "UPDATE latencies SET number = 12")
    backend.tidy()
    assert backend.reports.totals_of_all(since=BEGINNING - 3600) == {"pangolin": {"delivered": 12}, "other": {"delivered": 3}}
    assert sum(backend.reports.latencies("pangolin", since=BEGINNING - 3600).values()) == 12


def test_audiences_that_an_older_program_wrote_are_found_after_the_tidying(backend: EmbeddedBackend) -> None:
    backend.audiences.link("pangolin", "a.1", partner_id="1", name="Shoes")
    held(backend, "a.1", why=request("credentials_refused"))
    backend.audiences.set_paused("pangolin", "a.1", True)
    right = backend.audiences.summary()
    write_as_before(backend, "UPDATE audiences SET status = 'unknown', paused = 0, batches = 0, items = 0, sought = ''")
    assert backend.audiences.page(paused=True, limit=9) == []
    backend.tidy()
    assert [one.id for one in backend.audiences.page(like="shoes", paused=True, limit=9)] == ["a.1"]
    assert backend.audiences.summary() == right


def test_resuming_a_connector_ends_the_pauses_that_an_older_program_wrote(backend: EmbeddedBackend) -> None:
    published(backend, connector())
    backend.audiences.link("pangolin", "a.1", partner_id="1")
    backend.audiences.set_paused("pangolin", "a.1", True)
    write_as_before(backend, "UPDATE audiences SET paused = 0")
    assert Holding(backend, "tester", TurnedClock()).resume("pangolin").audiences == ("a.1",)
    found = backend.audiences.get("pangolin", "a.1")
    assert found
    assert not found.paused
