"""Pure policies of the worker: waits, chunks, isolation, the budget."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.contract import Delivered, Rejected, RowResult
from relay.domain.errors import BatchRefused, TurnLost
from relay.domain.message import VERSION, Message, Mutation
from tests.clock import TurnedClock
from worker.budget import Budget
from worker.chunks import ENVELOPE_BYTES, chunks
from worker.delivery import Delivery
from worker.isolation import MOST_CALLS, isolate
from worker.plan import Pendings
from worker.retries import LONGEST_WAIT_IN_TURN_S, back_off_s, probe_s
from worker.rounds import PlannedRow


@pytest.mark.parametrize(("probes", "longest"), [(0, 30), (1, 60), (2, 120), (3, 240), (4, 300), (5, 300), (1_000, 300)])
def test_probes_come_after_30_seconds_doubling_to_5_minutes_and_never_later(probes: int, longest: float) -> None:
    waits = [probe_s(probes, random.Random(seed)) for seed in range(200)]
    assert max(waits) <= longest
    assert min(waits) >= longest * 0.9
    assert len(set(waits)) > 100, "spread, so that the holds of one partner do not all come back at once"


@given(retry=st.integers(1, 50), seed=st.integers(0, 1_000))
def test_waits_within_a_turn_are_short(retry: int, seed: int) -> None:
    assert 0 <= back_off_s(retry, random.Random(seed)) <= LONGEST_WAIT_IN_TURN_S


def row(number: int, size: int = len('{"id":"0"}')) -> PlannedRow:
    """size: bytes of its JSON."""
    return PlannedRow({"id": "x" * (size - len('{"id":""}'))}, f"event-{number}", 0, number)


@given(
    sizes=st.lists(st.integers(10, 3_000), max_size=60),
    max_items=st.integers(1, 20),
    max_bytes=st.integers(ENVELOPE_BYTES + 1, 8_000),
)
def test_chunks_keep_every_row_in_order_within_the_limits(sizes: list[int], max_items: int, max_bytes: int) -> None:
    rows = [row(number, size) for number, size in enumerate(sizes)]
    made = list(chunks(rows, max_items=max_items, max_bytes=max_bytes))
    assert [one for chunk in made for one in chunk] == rows
    for chunk in made:
        assert 0 < len(chunk) <= max_items
        assert len(chunk) == 1 or size_of(chunk) <= max_bytes - ENVELOPE_BYTES
    for chunk, (after, *_) in itertools.pairwise(made):
        assert len(chunk) == max_items or size_of([*chunk, after]) > max_bytes - ENVELOPE_BYTES, "none is smaller than need be"


def size_of(rows: Sequence[PlannedRow]) -> int:
    """With a comma each."""
    return sum(len(msgspec.json.encode(one.values)) + 1 for one in rows)


def test_the_size_of_rows_is_in_bytes_and_not_in_characters() -> None:
    rows = [PlannedRow({"name": "ü" * 100}, "event", 0, number) for number in range(10)]
    made = list(chunks(rows, max_items=10, max_bytes=ENVELOPE_BYTES + 5 * len('{"name":""},') + 10 * 100))
    assert [len(chunk) for chunk in made] == [5, 5]


@given(groups=st.lists(st.sampled_from(["raw", "hashed"]), max_size=40), max_items=st.integers(1, 20))
def test_rows_of_different_groups_never_share_a_call(groups: list[str], max_items: int) -> None:
    rows = [replace(row(number), group=group) for number, group in enumerate(groups)]
    made = list(chunks(rows, max_items=max_items, max_bytes=100_000))
    assert all(len({one.group for one in chunk}) == 1 for chunk in made)
    assert sorted(one.pending for one in (one for chunk in made for one in chunk)) == sorted(one.pending for one in rows)
    assert len(made) == sum(-(-groups.count(group) // max_items) for group in set(groups)), "and no call is smaller than need be"


class Partner:
    """Refuses every call that carries a bad row, without saying which."""

    def __init__(self, bad: set[int]) -> None:
        self.bad = bad
        self.calls = 0
        self.taken: list[int] = []

    def send(self, rows: Sequence[int]) -> Sequence[RowResult]:
        self.calls += 1
        if self.bad & set(rows):
            raise BatchRefused("One of these is bad.")
        self.taken += rows
        return [Delivered() for _ in rows]


def settled_in(results: dict[int, RowResult]) -> Callable[[Sequence[int], Sequence[RowResult]], None]:
    """Where `isolate` tells what became of the rows; of none twice."""

    def settle(rows: Sequence[int], told: Sequence[RowResult]) -> None:
        assert results.keys().isdisjoint(rows)
        results.update(zip(rows, told, strict=True))

    return settle


@pytest.mark.parametrize("bad", range(100))
def test_one_bad_row_of_a_hundred_is_found_and_the_others_delivered_in_at_most_16_calls(bad: int) -> None:
    partner, results = Partner({bad}), dict[int, RowResult]()
    assert isolate(list(range(100)), partner.send, settled_in(results), random.Random(bad)) == []
    assert partner.calls <= MOST_CALLS
    assert sorted(partner.taken) == [number for number in range(100) if number != bad]
    assert isinstance(results[bad], Rejected)


@given(bad=st.sets(st.integers(0, 199), max_size=200), count=st.integers(1, 200))
def test_isolation_gets_further_every_time_and_ends_with_exactly_the_bad_rows_rejected(bad: set[int], count: int) -> None:
    partner, results, chance = Partner(bad), dict[int, RowResult](), random.Random(count)
    left = list(range(count))
    while left:
        rest = isolate(left, partner.send, settled_in(results), chance)
        assert len(rest) < len(left)
        assert rest == [number for number in left if number in set(rest)], "in order"
        left = rest
    assert {number for number, result in results.items() if isinstance(result, Rejected)} == {
        number for number in bad if number < count
    }
    assert len(results) == count


def test_isolation_gets_further_even_in_the_largest_calls() -> None:
    partner = Partner({70_000})
    assert len(isolate(list(range(100_000)), partner.send, lambda _row, _result: None, random.Random(1))) < 100_000
    assert partner.taken


def test_what_was_delivered_counts_and_is_told_like_every_other_outcome() -> None:
    message = Message(VERSION, "change", "c", "a.1", "r1", 1.0, mutations=tuple(Mutation(index) for index in range(3)))
    pendings = Pendings([message])
    first, _, third = pendings
    undelivered = ((first, first.result("Add", "rejected", "odd", "It is odd.")), (third, third.result("Add", "retry")))
    delivered = (("Add", (1,)), ("Event", (0, 1)))
    delivery = Delivery(undelivered, (None,), None, "", progress=True, delivered=delivered, pendings=pendings)
    assert delivery.counts == {"rejected": 1, "retry": 1, "delivered": 3}
    assert sorted((place.mutation.index, result.index, result.action, result.outcome) for place, result in delivery.results) == [
        (0, 0, "Add", "rejected"),
        (0, 0, "Event", "delivered"),
        (1, 1, "Add", "delivered"),
        (1, 1, "Event", "delivered"),
        (2, 2, "Add", "retry"),
    ]
    assert "delivered" not in msgspec.structs.replace(delivery, delivered=()).counts, "counts name what there is"


def test_past_its_budget_a_turn_may_neither_call_nor_write() -> None:
    clock = TurnedClock()
    budget = Budget(clock, 120)
    budget.require()
    assert budget.allows(15)
    clock.advance(110)
    budget.require()
    assert not budget.allows(15), "a call that cannot end within it does not begin"
    clock.advance(10)
    with pytest.raises(TurnLost):
        budget.require()


def test_a_frozen_machine_whose_monotonic_clock_stood_still_has_used_its_budget_all_the_same() -> None:
    clock = TurnedClock()
    budget = Budget(clock, 120)
    clock.advance(121, monotonic=False)
    with pytest.raises(TurnLost):
        budget.require()


def test_a_worker_frozen_before_its_turn_began_has_no_more_time_than_its_lease() -> None:
    clock = TurnedClock()
    lease_until = clock.now() + 150
    clock.advance(149)
    budget = Budget(clock, 120, until=lease_until)
    assert not budget.allows(15)
    clock.advance(1)
    with pytest.raises(TurnLost):
        budget.require()


def test_a_stopping_process_begins_no_further_call_but_may_write_what_it_knows() -> None:
    budget = Budget(TurnedClock(), 120, stopping=lambda: True)
    assert not budget.allows(1)
    budget.require()
