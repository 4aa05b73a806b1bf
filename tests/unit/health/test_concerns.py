"""What is said of holds: once for all that wait for the same, and not at all where nothing is amiss."""

from __future__ import annotations

import pytest

from relay.domain.audience import HOLD_REASONS, Audience, Hold, HoldReason
from relay.domain.connector import ConnectorState
from relay.health.concerns import Concern, Held, about_holds, about_overdue

STATE = ConnectorState("shop", live=1)
NOW = 1_800_000_000.0


def held(
    audience: str, reason: HoldReason, *, detail: str = "", batches: int = 2, paused: bool = False, due_at: float = NOW
) -> Held:
    hold = Hold(reason, NOW - 10, due_at, detail, batches=batches, items=5)
    return Held(Audience(1, "shop", audience, partner_id="7", paused=paused, hold=hold), hold)


def test_audiences_that_wait_for_the_same_are_one_concern() -> None:
    found = list(about_holds([held(f"a.{number}", "credentials_refused", detail="No.") for number in range(3)], STATE, None))

    assert found == [
        Concern(
            True,
            "hold_credentials_refused",
            "6 batches of 3 audiences wait: the partner refuses the credentials (No).",
            "set the right ones, then it is tried at once: diy secrets list; or, if the partner was wrong: diy holds resume shop",
        )
    ]


def test_audiences_that_need_different_things_are_told_apart() -> None:
    held_for_different_things = [
        held("a.1", "audience_gone"),
        held("a.2", "audience_gone"),
        held("a.3", "credentials_refused", detail="One."),
        held("a.4", "credentials_refused", detail="Two."),
    ]

    assert len(list(about_holds(held_for_different_things, STATE, None))) == 4


@pytest.mark.parametrize("reason", HOLD_REASONS)
def test_every_hold_is_mentioned_but_what_gathers_and_what_the_connectors_state_explains(reason: HoldReason) -> None:
    mentioned = bool(list(about_holds([held("a.1", reason)], STATE, None)))

    assert mentioned is (reason not in ("gathering", "connector_off"))


def test_a_pause_of_the_connector_is_not_said_again_for_each_audience() -> None:
    paused = ConnectorState("shop", live=1, paused=True)

    assert list(about_holds([held("a.1", "paused")], paused, None)) == []
    [concern] = about_holds([held("a.1", "partner_unavailable", paused=True)], STATE, None)
    assert (concern.kind, concern.act, concern.do) == ("hold_paused", False, "diy holds resume shop a.1")


def test_one_batch_waits_and_several_wait() -> None:
    [one] = about_holds([held("a.1", "crashed", batches=1)], STATE, None)
    [two] = about_holds([held("a.1", "crashed", batches=2)], STATE, None)

    assert one.what.startswith("1 batch of audience a.1 waits: ")
    assert two.what.startswith("2 batches of audience a.1 wait: ")


def test_a_paused_audience_is_never_overdue() -> None:
    late = NOW - 3600

    assert about_overdue([held("a.1", "partner_unavailable", paused=True, due_at=late)], NOW) is None
    assert about_overdue([held("a.1", "partner_unavailable", due_at=late)], NOW)
