"""What is done every hour: each part is tried, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.domain.audience import HoldRequest
from relay.domain.connector import VERSION as DOCUMENT_VERSION
from relay.domain.connector import InboundDocument
from relay.domain.errors import StoreUnavailable
from relay.domain.message import VERSION, Message, Mutation
from tests.clock import TurnedClock
from worker.catalog import Catalog
from worker.tidying import Tidied, tidy_up

YEARS_S = 2 * 365 * 86_400.0


class Broken:
    """A back end of which some parts fail."""

    def __init__(self, backend: EmbeddedBackend, errors: dict[str, Exception]) -> None:
        self._backend, self._errors = backend, errors

    def __getattr__(self, name: str) -> Any:
        if name in self._errors:
            raise self._errors[name]
        return getattr(self._backend, name)

    def tidy(self) -> None:
        if "tidy" in self._errors:
            raise self._errors["tidy"]
        self._backend.tidy()


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def backend(tmp_path: Path, clock: TurnedClock) -> Iterator[EmbeddedBackend]:
    """With a batch, an audit entry and an inbound document that have all had their day."""
    backend = EmbeddedBackend.open(tmp_path / "state", clock)
    message = Message(VERSION, "change", "gone", "a.1", "r", clock.now(), mutations=(Mutation(0, user={"id": "u"}),))
    turn = backend.audiences.begin_turn("gone", "a.1", position=1, message_id="m")
    backend.audiences.join(turn, message, HoldRequest("partner_unavailable", None))
    backend.audit.add(by="ada", what="long ago", subject="x")
    backend.inbound.write(InboundDocument(DOCUMENT_VERSION, (), default="nobody"))
    clock.advance(YEARS_S)
    yield backend
    backend.close()


def done(backend: EmbeddedBackend) -> set[str]:
    """The parts that have done their work."""
    inbound = backend.inbound.read()
    parts = {
        "retire_old": not backend.audiences.held(),
        "tidy": not backend.audit.newest(),
        "refresh_inbound": inbound is not None and not inbound.default,
    }
    return {name for name, is_done in parts.items() if is_done}


def tidied_line(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found = [msgspec.json.decode(line) for line in capfd.readouterr().err.splitlines()]
    [line] = [line for line in found if line["event"] == "tidied"]
    return dict(line)


def test_old_batches_old_records_and_an_inbound_document_left_behind(
    backend: EmbeddedBackend, clock: TurnedClock, capfd: pytest.CaptureFixture[str]
) -> None:
    assert done(backend) == set()

    tidied = tidy_up(backend, Catalog(backend, clock), clock)

    assert tidied == Tidied(retired=1, failed=(), passes=True)
    assert done(backend) == {"retire_old", "tidy", "refresh_inbound"}
    line = tidied_line(capfd)
    assert (line["severity"], line["retired"], line["failed"]) == ("INFO", 1, [])


@pytest.mark.parametrize(
    ("broken", "failed"), [("audiences", "retire_old"), ("tidy", "tidy"), ("connectors", "refresh_inbound")]
)
def test_a_part_that_fails_keeps_no_other_from_its_work(
    backend: EmbeddedBackend, clock: TurnedClock, broken: str, failed: str, capfd: pytest.CaptureFixture[str]
) -> None:
    partly: Any = Broken(backend, {broken: RuntimeError("user@example.com")})

    tidied = tidy_up(partly, Catalog(backend, clock), clock)

    assert failed in tidied.failed
    assert not tidied.passes
    assert done(backend) >= {"retire_old", "tidy", "refresh_inbound"} - set(tidied.failed)
    line = tidied_line(capfd)
    assert (line["severity"], line["failed"]) == ("ERROR", list(tidied.failed))
    assert "RuntimeError" in line["hints"][0]
    assert "user@example.com" not in str(line)


def test_a_store_that_could_not_be_reached_is_told_from_a_fault(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    down: Any = Broken(backend, {"tidy": StoreUnavailable("The disk is full.")})
    assert tidy_up(down, Catalog(backend, clock), clock).passes

    faulty: Any = Broken(backend, {"tidy": StoreUnavailable("The disk is full."), "audiences": RuntimeError()})
    assert not tidy_up(faulty, Catalog(backend, clock), clock).passes
