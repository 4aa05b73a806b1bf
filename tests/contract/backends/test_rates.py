"""A connector's rate: at most so many calls and items in any period."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.backends.interfaces import Backend
from relay.domain.clock import Clock
from relay.domain.connector import RateLimits
from tests.clock import TurnedClock


def _admit(backend: Backend, rate: RateLimits, items: int = 1, connector: str = "pangolin") -> float:
    return backend.connectors.admit(connector, rate, items=items)


def test_without_limits_everything_is_admitted(backend: Backend) -> None:
    assert [_admit(backend, RateLimits(), 10**9) for _ in range(100)] == [0] * 100


def test_so_many_calls_in_a_period(backend: Backend, clock: TurnedClock) -> None:
    rate = RateLimits(calls=2, per_s=10)
    assert _admit(backend, rate) == 0
    clock.advance(4)
    assert _admit(backend, rate) == 0
    assert _admit(backend, rate) == 6
    clock.advance(6)
    assert _admit(backend, rate) == 0
    assert _admit(backend, rate) == 4


def test_so_many_items_in_a_period(backend: Backend, clock: TurnedClock) -> None:
    rate = RateLimits(items=100, per_s=10)
    assert _admit(backend, rate, 60) == 0
    clock.advance(1)
    assert _admit(backend, rate, 40) == 0
    assert _admit(backend, rate, 30) == 9
    assert _admit(backend, rate, 70) == 10
    clock.advance(9)
    assert _admit(backend, rate, 60) == 0


def test_the_stricter_limit_counts(backend: Backend) -> None:
    rate = RateLimits(calls=10, items=5, per_s=1)
    assert _admit(backend, rate, 5) == 0
    assert _admit(backend, rate, 1) == 1


def test_a_refused_call_is_not_counted(backend: Backend, clock: TurnedClock) -> None:
    rate = RateLimits(calls=1, per_s=10)
    assert _admit(backend, rate) == 0
    for _ in range(5):
        assert _admit(backend, rate) == 10
    clock.advance(10)
    assert _admit(backend, rate) == 0


def test_a_call_larger_than_the_rate_takes_a_period_for_itself(backend: Backend, clock: TurnedClock) -> None:
    rate = RateLimits(items=100, per_s=10)
    assert _admit(backend, rate, 1) == 0
    assert _admit(backend, rate, 1_000) == 10
    clock.advance(10)
    assert _admit(backend, rate, 1_000) == 0
    assert _admit(backend, rate, 1) == 10


def test_connectors_have_rates_of_their_own(backend: Backend) -> None:
    rate = RateLimits(calls=1, per_s=10)
    assert _admit(backend, rate, connector="one") == 0
    assert _admit(backend, rate, connector="two") == 0


def test_a_rate_is_shared_by_all_who_use_the_place(
    backend: Backend, opened: Callable[[Clock], Backend], clock: TurnedClock
) -> None:
    backends = [backend, opened(clock)]
    answers: list[float] = []

    def ask(index: int) -> None:
        answers.extend(_admit(backends[index % 2], RateLimits(calls=7, per_s=10)) for _ in range(5))

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [0.0] * 7 + [10.0] * 13


def test_a_clock_that_was_set_back_delays_by_no_more_than_a_period(backend: Backend, clock: TurnedClock) -> None:
    rate = RateLimits(calls=1, per_s=10)
    assert _admit(backend, rate) == 0
    clock.advance(-3_600)
    assert _admit(backend, rate) == 10
    clock.advance(10)
    assert _admit(backend, rate) == 0


@pytest.mark.parametrize("per_s", [0.1, 1.0, 1 / 3, 86_400.0])
def test_one_who_waits_as_long_as_told_is_admitted(backend: Backend, clock: TurnedClock, per_s: float) -> None:
    rate = RateLimits(calls=3, items=10, per_s=per_s)
    for _ in range(50):
        wait = _admit(backend, rate, 4)
        if wait:
            clock.advance(wait)
            assert _admit(backend, rate, 4) == 0


PARTS = 64
"""Of a second: a clock of floating point numbers adds them up exactly, so that a period ends where it should."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(st.tuples(st.integers(0, 26), st.integers(0, 60)), min_size=1, max_size=30),
    calls=st.integers(1, 4),
    items=st.integers(1, 100),
)
def test_a_call_is_admitted_exactly_when_the_last_period_has_room_for_it(
    backend: Backend, clock: TurnedClock, asked: list[tuple[int, int]], calls: int, items: int
) -> None:
    rate = RateLimits(calls=calls, items=items, per_s=1)
    clock.advance(1)
    admitted: list[tuple[int, int]] = []
    now = 0
    for pause, number in asked:
        clock.advance(pause / PARTS)
        now += pause
        within = [charged for moment, charged in admitted if moment > now - PARTS]
        charged = min(number, items)
        fits = len(within) < calls and sum(within) + charged <= items
        assert (_admit(backend, rate, number) == 0) == fits
        if fits:
            admitted.append((now, charged))
