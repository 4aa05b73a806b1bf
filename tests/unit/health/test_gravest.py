"""A connector stands as its gravest hold does."""

from __future__ import annotations

import pytest

from relay.domain.audience import HOLD_REASONS, NEEDS_SOMEONE, Audience, Hold, HoldReason, settle
from relay.domain.connector import BatchLimits, Connector, ConnectorState, Inbound, Limits
from relay.domain.own_pace import ASKED_FOR
from relay.health.gravest import Explanation, explained, trouble

STATE = ConnectorState("shop", live=1)
SHOP = Connector("shop", "shop", 1, "pangolin", Inbound("shop-hmac"), (), Limits(BatchLimits(100, 1_000_000)))
NOW = 1_800_000_000.0


def held(audience: str, reason: HoldReason, *, detail: str = "", paused: bool = False, partner_id: str | None = "7") -> Audience:
    hold = Hold(reason, NOW - 10, NOW, detail, batches=2, items=5)
    return Audience(1, "shop", audience, partner_id=partner_id, paused=paused, hold=hold)


@pytest.mark.parametrize("reason", HOLD_REASONS)
def test_every_reason_says_how_it_stands_and_what_somebody_asked_for_is_no_trouble(reason: HoldReason) -> None:
    found = trouble([held("a.1", reason)], STATE)

    if reason in ASKED_FOR:
        assert (found.standing, found.reason, found.batches) == ("fine", None, 0)
    else:
        expected = reason if reason == "credentials_refused" else "needs_someone" if reason in NEEDS_SOMEONE else "on_hold"
        assert (found.standing, found.reason) == (expected, reason)
        assert explained(found, SHOP, STATE).meaning


def test_several_audiences_are_one_state_and_all_that_wait_count() -> None:
    found = trouble(
        [
            held("a.1", "partner_unavailable"),
            held("a.2", "audience_gone"),
            held("a.3", "credentials_refused", detail="Status 401."),
            held("a.4", "gathering"),
        ],
        STATE,
    )

    assert (found.standing, explained(found, SHOP, STATE).detail) == ("credentials_refused", "Status 401.")
    assert (found.audiences, found.batches, found.mutations) == (3, 6, 15)


def test_a_paused_audience_waits_because_somebody_wants_it_to() -> None:
    assert trouble([held("a.1", "credentials_refused", paused=True)], STATE).standing == "fine"


def test_what_waits_only_for_its_turn_is_no_trouble_and_counts_as_waiting() -> None:
    hold = Hold("come_back_later", NOW - 10, NOW, batches=2, items=5, own_pace=True)
    found = trouble([Audience(1, "shop", "a.1", partner_id="7", hold=hold)], STATE)

    assert (found.standing, found.batches, found.mutations) == ("fine", 2, 5)


def test_what_the_partner_takes_ends_the_trouble_though_more_is_left() -> None:
    before = held("a.1", "credentials_refused")

    def after(*, progress: bool) -> Audience:
        return settle(before, batches=1, items=3, size=9, oldest_at=NOW, request=None, progress=progress, now=NOW)

    assert trouble([after(progress=False)], STATE).standing == "credentials_refused"
    assert trouble([after(progress=True)], STATE).standing == "fine"


def test_an_audience_that_nobody_announced_needs_someone() -> None:
    found = trouble([held("a.2", "audience_not_ready"), held("a.1", "audience_not_ready", partner_id=None)], STATE)

    assert (found.standing, found.reason) == ("needs_someone", "audience_not_ready")
    assert "diy audiences link shop a.1" in explained(found, SHOP, STATE).what_to_do


def test_where_each_audience_needs_something_of_its_own_it_says_where_they_are_listed() -> None:
    def to_do(*audiences: Audience) -> str:
        return explained(trouble(audiences, STATE), SHOP, STATE).what_to_do

    gone = [held(f"a.{number}", "audience_gone") for number in range(3)]
    assert to_do(gone[0]).endswith("diy holds discard shop a.0")
    assert to_do(*gone).endswith("diy holds discard shop a.0; and so for each of: diy holds list shop")
    alike = [held(f"a.{number}", "credentials_refused") for number in range(3)]
    assert to_do(*alike) == to_do(alike[0])


def test_what_is_fine_needs_no_explanation() -> None:
    assert explained(trouble([], STATE), SHOP, STATE) == Explanation()
