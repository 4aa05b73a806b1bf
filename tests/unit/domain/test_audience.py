"""The state changes of an audience's record."""

from __future__ import annotations

from relay.domain import audience as states
from relay.domain.audience import VERSION, Audience, HoldRequest
from relay.domain.message import VERSION as MESSAGE_VERSION
from relay.domain.message import Message, Mutation

FRESH = Audience(VERSION, "c", "a.1")


def begin(audience: Audience, position: int, message_id: str, now: float = 1.0) -> tuple[Audience, states.Verdict]:
    begun, verdict, _ = states.begin_turn(audience, position=position, message_id=message_id, now=now)
    return begun, verdict


def message(count: int = 1, received_at: float = 5.0) -> Message:
    mutations = tuple(Mutation(index, "joined", {"id": str(index)}) for index in range(count))
    return Message(MESSAGE_VERSION, "change", "c", "a.1", "r", received_at, mutations=mutations)


def test_every_turn_has_a_new_number_and_notes_the_position() -> None:
    first, verdict = begin(FRESH, 5, "m5")
    assert (first.turn, first.position, verdict) == (1, 5, "go")
    second, verdict = begin(first, 9, "m9")
    assert (second.turn, second.position, verdict) == (2, 9, "go")


def test_a_message_that_is_behind_is_refused_three_times_and_then_let_through() -> None:
    audience, _ = begin(FRESH, 9, "m9")
    for _ in range(states.REFUSAL_LIMIT):
        audience, verdict = begin(audience, 5, "m5")
        assert verdict == "behind"
        assert (audience.turn, audience.position) == (1, 9), "no turn began"
    audience, verdict = begin(audience, 5, "m5")
    assert verdict == "go"
    assert (audience.turn, audience.position) == (2, 9), "the position never goes back"


def test_refusals_of_another_message_are_counted_anew() -> None:
    audience, _ = begin(FRESH, 9, "m9")
    for message_id in ("m5", "m5", "m6", "m5", "m6", "m6"):
        audience, verdict = begin(audience, 5, message_id)
        assert verdict == "behind"


def test_the_third_turn_of_one_message_finds_that_it_has_ended_its_worker_twice() -> None:
    audience = FRESH
    verdicts = []
    for _ in range(3):
        audience, verdict = begin(audience, 5, "m5")
        verdicts.append(verdict)
    assert verdicts == ["go", "go", "crashed"]
    assert begin(audience, 6, "m6")[1] == "go", "the next message begins anew"


def test_the_first_batch_sets_the_hold_and_later_ones_join_it_without_changing_it() -> None:
    held, place = states.join(FRESH, message(2), 100, HoldRequest("partner_unavailable", 40.0, "down", probe=True), now=10.0)
    assert held.hold is not None
    assert (held.hold.reason, held.hold.due_at, held.hold.probes, place) == ("partner_unavailable", 40.0, 1, 1)
    held, place = states.join(held, message(3, received_at=4.0), 50, HoldRequest("connector_off", None), now=11.0)
    assert held.hold is not None
    assert (held.hold.reason, held.hold.due_at, held.hold.since, place) == ("partner_unavailable", 40.0, 10.0, 2)
    assert (held.hold.batches, held.hold.items, held.hold.bytes, held.hold.oldest_at) == (2, 5, 150, 4.0)


def settled(audience: Audience, request: HoldRequest | None, *, progress: bool, batches: int = 1) -> Audience:
    return states.settle(
        audience, batches=batches, items=1, size=10, oldest_at=5.0, request=request, progress=progress, now=20.0
    )


def test_a_hold_is_lifted_only_when_nothing_waits() -> None:
    held, _ = states.join(FRESH, message(), 10, HoldRequest("partner_unavailable", 40.0, probe=True), now=10.0)
    assert settled(held, None, progress=True, batches=1).hold is not None
    assert settled(held, None, progress=True, batches=0).hold is None


def test_vain_probes_are_counted_and_progress_starts_them_anew() -> None:
    held, _ = states.join(FRESH, message(), 10, HoldRequest("partner_unavailable", 40.0, probe=True), now=10.0)
    again = settled(held, HoldRequest("partner_unavailable", 100.0, probe=True), progress=False)
    assert again.hold is not None
    assert again.hold.probes == 2
    progressed = settled(again, HoldRequest("partner_unavailable", 100.0, probe=True), progress=True)
    assert progressed.hold is not None
    assert progressed.hold.probes == 1


def test_another_reason_starts_the_probes_anew() -> None:
    held, _ = states.join(FRESH, message(), 10, HoldRequest("partner_unavailable", 40.0, probe=True), now=10.0)
    held = settled(held, HoldRequest("partner_unavailable", 100.0, probe=True), progress=False)
    crashed = settled(held, HoldRequest("crashed", 400.0, probe=True), progress=False)
    assert crashed.hold is not None
    assert crashed.hold.probes == 1


def test_a_claim_is_exclusive_until_it_expires_or_the_audience_exists() -> None:
    mine = states.claim(FRESH, owner="me", until=50.0, now=10.0)
    assert mine is not None
    assert states.claim(mine, owner="you", until=60.0, now=20.0) is None
    assert states.claim(mine, owner="me", until=60.0, now=20.0) is not None
    assert states.claim(mine, owner="you", until=90.0, now=51.0) is not None
    existing = Audience(VERSION, "c", "a.1", partner_id="p")
    assert states.claim(existing, owner="me", until=50.0, now=10.0) is None
