"""Where many audiences are held, how a connector stands is said without reading all of them, and nothing urgent is missed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import AudienceSummary, HoldSummary
from relay.connectors.publishing import Publishing
from relay.domain.audience import HoldReason
from relay.domain.connector import ConnectorState
from relay.health import survey
from relay.health.concerns import Held
from relay.health.many import FEW, WhatWaits, about_old, about_waiting
from relay.health.survey import ConnectorHealth, health_of, look
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, DAY, connector, held, message, report, request
from tests.unit.console.conftest import DOCUMENT

MANY = 4 * FEW


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def backend(tmp_path: Path, clock: TurnedClock) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend.open(tmp_path / "state", clock)
    publishing = Publishing(backend, describe, "tester", clock)
    publishing.set_secret("shop-hmac", "secret")
    publishing.set_secret("shop-token", "secret")
    publishing.apply(DOCUMENT)
    yield backend
    backend.close()


def hold(backend: EmbeddedBackend, number: int, reason: HoldReason, *, made: bool = True) -> None:
    """An audience in which one batch waits."""
    name = f"a.{number:03d}"
    if made:
        backend.audiences.link("shop", name, partner_id=str(number))
    batch = message(name, "u1", connector="shop")
    held(backend, name, batch, connector="shop", why=request(reason, due_at=BEGINNING + 60))


def shop(backend: EmbeddedBackend, now: float = BEGINNING) -> ConnectorHealth:
    (found,) = look(backend, now).connectors
    assert health_of(backend, "shop", now) == found
    return found


def test_what_waits_is_added_up_and_said_by_reason(backend: EmbeddedBackend) -> None:
    for number in range(MANY):
        hold(backend, number, "partner_unavailable" if number else "credentials_refused")
    found = shop(backend)
    assert (found.waiting_batches, found.waiting_mutations, found.standing) == (MANY, MANY, "on hold")
    assert {(one.kind, one.act) for one in found.concerns} == {
        ("hold_credentials_refused", True),
        ("hold_partner_unavailable", False),
    }
    assert any(f"{MANY - 1} batches of {MANY - 1} audiences wait" in one.what for one in found.concerns)


def test_an_audience_that_nobody_announced_is_not_missed_among_many(backend: EmbeddedBackend) -> None:
    for number in range(MANY):
        hold(backend, number, "audience_not_ready", made=number != MANY - 1)
    assert [one.act for one in shop(backend).concerns] == [True]


def test_a_refusal_is_not_hidden_by_the_first_audiences_being_paused(backend: EmbeddedBackend) -> None:
    for number in range(MANY):
        hold(backend, number, "credentials_refused")
    # Beyond those that are looked at first, and beyond all that are.
    for paused, do in ((2, "diy secrets set shop-token"), (31, "diy holds list shop")):
        for number in range(paused):
            backend.audiences.set_paused("shop", f"a.{number:03d}", True)
        (concern,) = (one for one in shop(backend).concerns if one.kind != "audience_paused")
        assert (concern.kind, concern.act) == ("hold_credentials_refused", True)
        assert "refuses the credentials" in concern.what
        assert do in concern.do


def test_a_refusal_of_audiences_that_are_all_paused_calls_nobody(backend: EmbeddedBackend) -> None:
    for number in range(MANY // 2):
        hold(backend, number, "credentials_refused")
        backend.audiences.set_paused("shop", f"a.{number:03d}", True)
    assert [(one.kind, one.act) for one in shop(backend).concerns] == [("hold_paused", False)]


def test_an_audience_under_the_wrong_id_is_not_missed_behind_others_that_are_not_ready(backend: EmbeddedBackend) -> None:
    for number in range(MANY):
        hold(backend, number, "audience_not_ready")
    backend.audiences.remember_answer("shop", f"a.{MANY - 1:03d}", partner_id="right", name="Shoes")
    (concern,) = shop(backend).concerns
    assert concern.act
    assert "it was answered as right" in concern.what


def test_a_reason_of_which_no_audience_was_found_is_said_all_the_same() -> None:
    summary = AudienceSummary(50, {"ready": 50}, {"crashed": HoldSummary(50, 60, oldest_at=BEGINNING)})
    waits = WhatWaits(summary, ConnectorState("shop"), (), whole=False)
    (concern,) = about_waiting(waits, None)
    assert (concern.kind, concern.act, concern.do) == ("hold_crashed", True, "diy holds list shop")
    assert concern.what.startswith("60 batches of 50 audiences wait: ")
    (old,) = about_old(waits, connector("shop"), BEGINNING + 8 * DAY)
    assert (old.kind, old.do) == ("old_hold", "diy holds list shop")


def test_what_was_looked_at_may_be_older_than_the_sum_of_some(backend: EmbeddedBackend) -> None:
    for number in range(FEW + 1):
        hold(backend, number, "crashed")
    held_ones = tuple(Held(one, one.hold) for one in backend.audiences.held() if one.hold)
    summary = AudienceSummary(50, {}, {"crashed": HoldSummary(50, 60, oldest_at=BEGINNING + 7 * DAY, partly=True)})
    waits = WhatWaits(summary, ConnectorState("shop"), held_ones, whole=False)
    assert [one.kind for one in about_old(waits, connector("shop"), BEGINNING + 8 * DAY)] == ["old_hold"]


def test_a_connector_loses_no_concern_to_one_with_many_before_it(
    backend: EmbeddedBackend, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "_AT_ONCE", 100)
    Publishing(backend, describe, "tester", clock).apply(DOCUMENT.replace("name: shop", "name: first", 1))
    for name, numbers in (("first", range(100)), ("shop", range(1))):
        for number in numbers:
            backend.audiences.link(name, f"p.{number}", partner_id=str(number))
            backend.audiences.set_paused(name, f"p.{number}", True)
            backend.audiences.claim_creation(name, f"f.{number}", owner="me", for_s=30, name=None, customer=None)
            backend.audiences.creation_failed(name, f"f.{number}", owner="me", error="No.", final=True)
    found = {one.name: one for one in look(backend, BEGINNING).connectors}["shop"]
    assert {one.kind for one in found.concerns} == {"audience_paused", "creation_failed"}
    assert found == health_of(backend, "shop", BEGINNING)


@pytest.mark.parametrize("held_ones", [1, MANY])
def test_that_holds_are_overdue_is_said_whether_they_are_few_or_many(backend: EmbeddedBackend, held_ones: int) -> None:
    for number in range(held_ones):
        hold(backend, number, "partner_unavailable")
    (concern,) = (one for one in look(backend, BEGINNING + 600).concerns if one.kind == "no_worker")
    assert concern.what.startswith("No worker tries again what is due, the longest since ")


def test_a_paused_audience_is_never_overdue(backend: EmbeddedBackend) -> None:
    hold(backend, 1, "partner_unavailable")
    backend.audiences.set_paused("shop", "a.001", True)
    assert "no_worker" not in {one.kind for one in look(backend, BEGINNING + 600).concerns}


def test_where_each_needs_something_of_its_own_it_says_where_they_are_listed(backend: EmbeddedBackend) -> None:
    for number in range(MANY):
        hold(backend, number, "audience_gone")
    (concern,) = shop(backend).concerns
    assert concern.do.endswith("and so for each of: diy holds list shop")


def test_batches_that_are_too_old_and_holds_that_are_overdue_call_someone(backend: EmbeddedBackend) -> None:
    for number in range(MANY):
        hold(backend, number, "partner_unavailable")
    assert [one.kind for one in shop(backend, BEGINNING + 8 * DAY).concerns if one.act] == ["old_hold"]
    assert "no_worker" in {one.kind for one in look(backend, BEGINNING + 600).concerns}
    assert "no_worker" not in {one.kind for one in look(backend, BEGINNING + 60).concerns}


def test_a_connector_in_which_one_audience_is_free_runs(backend: EmbeddedBackend) -> None:
    for number in range(MANY):
        hold(backend, number, "partner_unavailable")
    backend.audiences.link("shop", "free", partner_id="free")
    assert shop(backend).standing == "running"


def test_creations_that_failed_beyond_those_that_are_named_are_counted(backend: EmbeddedBackend) -> None:
    for number in range(103):
        backend.audiences.claim_creation("shop", f"a.{number}", owner="me", for_s=30, name=None, customer=None)
        backend.audiences.creation_failed("shop", f"a.{number}", owner="me", error="No.", final=True)
    concerns = shop(backend).concerns
    assert len(concerns) == 101
    assert concerns[-1].what == "3 other audiences could not be created at the partner."


def test_the_number_of_reads_depends_on_no_number_of_audiences_rejections_or_days(backend: EmbeddedBackend) -> None:
    def reads() -> int:
        seen: list[str] = []
        backend.database.connection().set_trace_callback(seen.append)
        look(backend, BEGINNING)
        backend.database.connection().set_trace_callback(None)
        return len(seen)

    for number in range(MANY):
        hold(backend, number, "partner_unavailable")
    before = reads()
    for number in range(MANY, 3 * MANY):
        hold(backend, number, "partner_unavailable")
        at = BEGINNING - number * DAY / 4
        backend.reports.attempt(report("shop", number=number, at=at, delivered=1), [])
    assert reads() <= before
