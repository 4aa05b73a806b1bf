"""A connector's rate on Firestore: several instances, slices, and what happens between a read and a write."""

from __future__ import annotations

import heapq
import random
import threading
from collections.abc import Callable, Sequence

import pytest

from relay.backends.google.admission import Admission
from relay.backends.google.audiences import GoogleAudiences
from relay.backends.google.connectors import GoogleConnectors
from relay.backends.google.rate_ledger import MICROSECONDS, Ledger, Taken
from relay.backends.interfaces import Turn
from relay.domain.connector import RateLimits
from relay.domain.errors import TurnLost
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, document
from tests.emulators import Emulators, place
from tests.unit.google.interposed import Interposed

FAST = RateLimits(calls=100, per_s=10)
SLOW = RateLimits(calls=10, per_s=10)

Call = tuple[float, int]
"""When it started, and its items."""


class Instance:
    """A process of its own, as far as the store can tell."""

    def __init__(self, variables: dict[str, str], clock: TurnedClock) -> None:
        self.documents = Interposed(variables)
        self.admission = Admission(self.documents, clock)
        self.audiences = GoogleAudiences(self.documents, clock, lambda _rejections: [])
        self.connectors = GoogleConnectors(self.documents, clock, self.audiences)

    def ask(self, rate: RateLimits = FAST, items: int = 1, turn: Turn | None = None) -> float:
        return self.admission.admit("pangolin", rate, items=items, turn=turn)

    def ask_often(self, number: int, rate: RateLimits = FAST) -> int:
        """How many of so many calls are admitted."""
        return sum(self.ask(rate) == 0 for _ in range(number))

    def publish(self) -> None:
        self.connectors.add_version(document())
        self.connectors.publish("pangolin", 1)

    def postpone(self, moment: float) -> None:
        self.connectors.not_before("pangolin", moment, reason="come_back_later", detail="")


@pytest.fixture
def variables(emulators: Emulators) -> dict[str, str]:
    return place(emulators)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def opened(variables: dict[str, str], clock: TurnedClock) -> Callable[[], Instance]:
    return lambda: Instance(variables, clock)


@pytest.fixture
def one(opened: Callable[[], Instance]) -> Instance:
    return opened()


# the rate is kept
@pytest.mark.parametrize(
    ("rate", "items"),
    [
        (RateLimits(calls=100, per_s=1), 1),
        (RateLimits(items=3_000, per_s=1), 30),
        (RateLimits(calls=60, items=5_000, per_s=2), 50),
        (RateLimits(calls=150, per_s=60), 1),
        (RateLimits(calls=19, per_s=1), 1),
    ],
    ids=str,
)
def test_all_instances_together_keep_the_rate_and_use_most_of_it(
    opened: Callable[[], Instance], clock: TurnedClock, rate: RateLimits, items: int
) -> None:
    instances = [opened() for _ in range(3)]
    started: list[Call] = []
    for _ in range(3):
        waits = [0.0]
        while min(waits) == 0:
            waits = [instance.ask(rate, items) for instance in instances]
            started += [(clock.now(), items) for wait in waits if wait == 0]
        clock.advance(min(waits))
    _assert_kept(started, rate)
    most = min(limit for limit in (rate.calls, rate.items and rate.items // items) if limit)
    lasted = clock.now() - BEGINNING
    assert len(started) >= 0.8 * most * lasted / rate.per_s


@pytest.mark.parametrize("seed", range(4))
def test_the_rate_is_kept_whatever_is_asked_for(opened: Callable[[], Instance], clock: TurnedClock, seed: int) -> None:
    chance = random.Random(seed)
    rate = RateLimits(calls=chance.choice([None, 25, 40]), items=chance.choice([200, 1_000]), per_s=1)
    instances = [opened() for _ in range(3)]
    started: list[Call] = []
    for _ in range(250):
        items = chance.choice([0, 1, 2, 2, 3, 5, 40, 5_000])
        if chance.choice(instances).ask(rate, items) == 0:
            started.append((clock.now(), min(items, rate.items or items)))
        clock.advance(chance.choice([0, 0, 0, 0.001, 0.01, 0.05, 0.2, 0.5]))
    _assert_kept(started, rate)
    assert len(started) > 30


@pytest.mark.parametrize(
    ("rate", "instances", "every_s"), [(RateLimits(calls=100, per_s=1), 3, 0.01), (RateLimits(calls=150, per_s=10), 3, 0.05)]
)
def test_instances_that_call_steadily_use_most_of_the_rate_and_write_seldom(
    opened: Callable[[], Instance], clock: TurnedClock, rate: RateLimits, instances: int, every_s: float
) -> None:
    waiting = [(BEGINNING + index * every_s / instances, index, opened()) for index in range(instances)]
    started: list[Call] = []
    lasts_s = 3 * rate.per_s
    while waiting[0][0] <= BEGINNING + lasts_s:
        at, index, instance = heapq.heappop(waiting)
        clock.advance(max(0.0, at - clock.now()))
        wait = instance.ask(rate)
        if wait == 0:
            started.append((clock.now(), 1))
        heapq.heappush(waiting, (clock.now() + (wait or every_s), index, instance))
    _assert_kept(started, rate)
    assert len(started) >= 0.8 * 3 * (rate.calls or 0)
    assert sum(instance.documents.writes for *_, instance in waiting) < len(started) / 3


def test_of_many_threads_at_once_as_many_are_admitted_as_may_be(opened: Callable[[], Instance]) -> None:
    instances = [opened() for _ in range(2)]
    admitted: list[int] = []

    def ask(index: int) -> None:
        admitted.append(instances[index % 2].ask_often(30))

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # What is left at the end of a slice that another instance has taken cannot be known to this one.
    assert 90 <= sum(admitted) <= 100


@pytest.mark.parametrize("rate", [SLOW, FAST], ids=["call by call", "in slices"])
def test_a_call_starts_when_the_write_is_confirmed_and_not_when_it_was_asked_for(
    one: Instance, clock: TurnedClock, rate: RateLimits
) -> None:
    started: list[Call] = []
    for _ in range(60):
        one.documents.before_commit = lambda: clock.advance(0.7)
        wait = one.ask(rate)
        if wait == 0:
            started.append((clock.now(), 1))
        clock.advance(wait)
    _assert_kept(started, rate)
    assert len(started) > 20


def test_a_slice_ends_with_its_time(one: Instance, clock: TurnedClock) -> None:
    assert one.ask_often(8) == 8
    assert one.documents.cost(one.ask) == (1, 0)
    clock.advance(1.001, monotonic=False)  # frozen meanwhile
    assert one.documents.cost(one.ask) == (2, 1)


def test_of_a_clock_that_was_set_back_nothing_is_spent_out_of_a_slice(one: Instance, clock: TurnedClock) -> None:
    assert one.ask_often(8) == 8
    clock.advance(-0.1)
    assert one.documents.cost(one.ask) == (2, 1)
    clock.advance(-3_600)
    while one.ask() == 0:
        pass
    assert 0 < one.ask() <= 11


def test_what_is_left_of_a_slice_is_given_back(opened: Callable[[], Instance], clock: TurnedClock) -> None:
    one, other = opened(), opened()
    assert one.ask_often(10) == 10  # of 1, 2, 4 and 8 calls
    assert other.ask_often(100) == 85
    clock.advance(3)
    assert one.ask() == 0
    assert other.ask_often(10) == 4


def test_a_rate_that_is_asked_for_now_and_then_is_used_up_to_the_last_call(one: Instance, clock: TurnedClock) -> None:
    rate = RateLimits(calls=100, per_s=100)
    for _ in range(100):
        assert one.ask(rate) == 0
        clock.advance(0.25)
    assert one.ask(rate) == pytest.approx(75)


# not before
def test_a_moment_that_was_recorded_ends_every_slice(opened: Callable[[], Instance], clock: TurnedClock) -> None:
    one, other = opened(), opened()
    one.publish()
    assert one.ask_often(8) == 8
    other.postpone(BEGINNING + 0.15)
    assert one.ask() == pytest.approx(0.15)
    clock.advance(0.15)
    assert one.ask() == 0


@pytest.mark.parametrize("asked_before", [0, 3])
@pytest.mark.parametrize("rate", [SLOW, FAST], ids=["call by call", "in slices"])
def test_a_moment_that_is_recorded_while_a_call_is_admitted_is_seen(
    opened: Callable[[], Instance], rate: RateLimits, asked_before: int
) -> None:
    one, other = opened(), opened()
    one.publish()
    assert one.ask_often(asked_before, rate) == asked_before
    one.documents.before_commit = lambda: other.postpone(BEGINNING + 60)
    assert one.ask(rate) == 60
    one.postpone(0)
    assert one.ask(rate) == 0


# what it costs
def test_without_limits_only_the_state_is_read(one: Instance) -> None:
    assert one.documents.cost(lambda: one.ask(RateLimits())) == (1, 0)


def test_a_turn_that_has_to_stand_is_read_in_the_same_call(one: Instance) -> None:
    turn = one.audiences.begin_turn("pangolin", "a.1", position=1, message_id="m1")
    assert one.documents.calls(lambda: one.ask(RateLimits(), turn=turn)) == 1
    assert one.documents.cost(lambda: one.ask(RateLimits(), turn=turn)) == (2, 0)
    assert one.documents.calls(lambda: one.ask(SLOW, turn=turn)) == 2
    assert one.documents.cost(lambda: one.ask(SLOW, turn=turn)) == (3, 1)
    assert one.ask_often(8) == 8
    assert one.documents.calls(lambda: one.ask(FAST, turn=turn)) == 1, "out of a slice"


def test_a_turn_that_is_lost_while_a_call_is_admitted_again_is_seen(opened: Callable[[], Instance]) -> None:
    one, other = opened(), opened()
    one.publish()
    turn = one.audiences.begin_turn("pangolin", "a.1", position=1, message_id="m1")

    def overtaken() -> None:
        other.ask(SLOW)
        other.audiences.begin_turn("pangolin", "a.1", position=2, message_id="m2")

    one.documents.before_commit = overtaken
    with pytest.raises(TurnLost):
        one.ask(SLOW, turn=turn)


def test_a_call_costs_two_reads_and_one_write_and_a_refused_one_two_reads(one: Instance) -> None:
    assert one.documents.cost(lambda: one.ask_often(10, SLOW)) == (20, 10)
    assert one.documents.cost(lambda: one.ask(SLOW)) == (2, 0)


def test_where_many_calls_are_made_few_are_written_down(one: Instance) -> None:
    rate = RateLimits(calls=400, per_s=10)
    assert one.documents.cost(lambda: one.ask_often(400, rate))[1] <= 16


def test_a_call_whose_confirmation_got_lost_is_counted_once(one: Instance) -> None:
    rate = RateLimits(calls=2, per_s=86_400)
    for _ in range(2):
        one.documents.lose_confirmation()
        assert one.ask(rate) == 0
    assert one.ask(rate) == 86_400


# the ledger
def test_the_ledger_of_a_long_period_stays_short_and_keeps_the_rate() -> None:
    rate, period = RateLimits(calls=1_500, per_s=400), 400 * MICROSECONDS
    chance = random.Random(1)
    ledger, now, started, longest = Ledger(), 0, [], 0
    while now < 2 * period:
        ledger = ledger.at(now, period)
        free_at = ledger.free_at(rate, 1, period)
        if free_at > now:
            now = free_at
            continue
        ledger = ledger.added(Taken(now, 1, 1), now=now, period=period)
        longest = max(longest, len(ledger.taken))
        started.append((now / MICROSECONDS, 1))
        now += chance.randrange(2 * period // 1_800)
    _assert_kept(started, rate)
    assert len(started) > 0.9 * 2 * 1_500
    assert longest <= 500


def test_a_ledger_of_a_few_hundred_calls_is_exact() -> None:
    rate, period = RateLimits(calls=300, per_s=86_400), 86_400 * MICROSECONDS
    ledger = Ledger()
    for index in range(300):
        ledger = ledger.added(Taken(index, 1, 1), now=index, period=period)
    assert ledger.free_at(rate, 1, period) == period
    assert ledger.at(period, period).free_at(rate, 1, period) == 0
    assert ledger.at(period - 1, period).free_at(rate, 1, period) == period


def _assert_kept(started: Sequence[Call], rate: RateLimits) -> None:
    """In no stretch of a period, wherever it begins, are there more calls or items than the rate allows."""
    within: list[Call] = []
    for call in started:
        # Half a microsecond: moments are floating point numbers.
        within = [one for one in within if one[0] > call[0] - rate.per_s + 0.000_001] + [call]
        assert rate.calls is None or len(within) <= rate.calls
        assert rate.items is None or sum(items for _, items in within) <= rate.items
