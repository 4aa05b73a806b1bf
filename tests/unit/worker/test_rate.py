"""The rate as the worker asks for it: every call of a piece of work, a little less than is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from adapters import leash
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Backend, Connectors
from relay.domain.connector import RateLimits
from relay.domain.errors import TryAgain
from tests.clock import TurnedClock
from tests.contract.backends.given import connector, document
from worker.rate import FURTHER_PATIENCE_S, Rate, margin_s

ONE_A_SECOND = RateLimits(calls=1, per_s=1)
ONE_A_DAY = RateLimits(calls=1, per_s=86_400)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def backend(tmp_path: Path, clock: TurnedClock) -> Iterator[Backend]:
    opened = EmbeddedBackend.open(tmp_path, clock)
    opened.connectors.add_version(document())
    opened.connectors.publish("pangolin", 1)
    yield opened
    opened.close()


def rate(backend: Backend, clock: TurnedClock, limits: RateLimits) -> Rate:
    """That of one piece of work."""
    known = connector()
    return Rate(backend.connectors, replace(known, limits=replace(known.limits, rate=limits)), clock)


@pytest.mark.parametrize("per_s", [0.1, 1.0, 60.0, 86_400.0])
def test_nine_tenths_of_the_rate_are_asked_for_and_of_long_periods_nearly_all(
    backend: Backend, clock: TurnedClock, per_s: float
) -> None:
    asked = rate(backend, clock, RateLimits(calls=1, per_s=per_s))
    assert asked.ask(1) == 0
    assert asked.ask(1) == pytest.approx(per_s + margin_s(RateLimits(per_s=per_s)), abs=1e-5)
    assert per_s < asked.ask(1) <= min(per_s / 0.9, per_s + 1)


def test_the_first_call_begins_without_being_asked_for_again(backend: Backend, clock: TurnedClock) -> None:
    work = rate(backend, clock, ONE_A_DAY)
    assert work.ask(5) == 0
    clock.advance(0.01)
    assert not work.begin()


def test_every_further_call_is_asked_for_and_waits(backend: Backend, clock: TurnedClock) -> None:
    work, began_at = rate(backend, clock, ONE_A_SECOND), clock.now()
    assert work.ask(5) == 0
    work.begin()
    for number in (1, 2, 3):
        assert work.begin()
        assert clock.now() - began_at == pytest.approx(number * 1.06)


def test_further_calls_carry_no_more_items(backend: Backend, clock: TurnedClock) -> None:
    work, began_at = rate(backend, clock, RateLimits(items=10, per_s=60)), clock.now()
    assert work.ask(10) == 0
    for _ in range(5):
        work.begin()
    assert clock.now() == began_at


@pytest.mark.parametrize("monotonic", [True, False], ids=["stalled", "frozen"])
def test_a_call_that_did_not_begin_at_once_is_asked_for_again_with_its_items(
    backend: Backend, clock: TurnedClock, monotonic: bool
) -> None:
    work = rate(backend, clock, RateLimits(items=10, per_s=1))
    assert work.ask(10) == 0
    clock.advance(0.5, monotonic=monotonic)
    asked_at = clock.now()
    assert work.begin()
    assert clock.now() - asked_at == pytest.approx(0.56), "it waits for a period of its own"
    assert rate(backend, clock, RateLimits(items=10, per_s=1)).ask(10) == pytest.approx(1.06)


def test_what_has_begun_is_finished_even_where_the_rate_has_no_room_for_it(backend: Backend, clock: TurnedClock) -> None:
    work, began_at = rate(backend, clock, ONE_A_DAY), clock.now()
    assert work.ask(1) == 0
    for _ in range(3):
        work.begin()
    assert clock.now() - began_at <= 3 * FURTHER_PATIENCE_S


def test_a_first_call_that_did_not_begin_at_once_does_not_go_beyond_the_rate(backend: Backend, clock: TurnedClock) -> None:
    work = rate(backend, clock, ONE_A_DAY)
    assert work.ask(1) == 0
    clock.advance(10 * FURTHER_PATIENCE_S)
    with pytest.raises(TryAgain) as used_up:
        work.begin()
    assert used_up.value.after_s is not None
    assert used_up.value.after_s > 80_000


def test_no_further_call_begins_once_the_partner_has_asked_to_come_back_later(backend: Backend, clock: TurnedClock) -> None:
    work = rate(backend, clock, RateLimits())
    assert work.ask(1) == 0
    work.begin()
    backend.connectors.not_before("pangolin", clock.now() + 3_600, reason="come_back_later", detail="In an hour.")
    with pytest.raises(TryAgain) as put_off:
        work.begin()
    assert put_off.value.after_s == 3_600


def test_nobody_waits_for_the_rate_beyond_the_turn(backend: Backend, clock: TurnedClock) -> None:
    work, began_at = rate(backend, clock, ONE_A_SECOND), clock.now()
    assert work.ask(1) == 0
    work.begin()
    with leash.within(lambda: 0.5):
        work.begin()
    assert clock.now() == began_at, "whether there is time for the call is for the leash to say"


class SlowStore:
    """The store, each of whose answers takes a while to arrive."""

    def __init__(self, store: Connectors, clock: TurnedClock) -> None:
        self._store = store
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            answer = getattr(self._store, name)(*arguments, **options)
            self._clock.advance(0.05)
            return answer

        return call


def test_no_further_call_begins_within_a_retry_after_however_slow_the_store_is(backend: Backend, clock: TurnedClock) -> None:
    slow = SlowStore(backend.connectors, clock)
    work = Rate(cast("Connectors", slow), connector(), clock)
    assert work.ask(1) == 0
    work.begin()
    backend.connectors.not_before("pangolin", clock.now() + 3_600, reason="come_back_later", detail="In an hour.")
    with pytest.raises(TryAgain) as put_off:
        work.begin()
    assert put_off.value.after_s == pytest.approx(3_600, abs=1)
    state = work.put_off()
    assert state is not None
    assert state.not_before_detail == "In an hour."
