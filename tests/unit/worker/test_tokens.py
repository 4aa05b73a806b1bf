"""A token is fetched by one worker at a time, whatever goes wrong with it; the others use it or wait a bounded time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters import leash
from adapters.authentication import TOKEN_ANSWER_S
from adapters.client import OWN_CONNECT_S
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Token, Tokens
from relay.domain.errors import CredentialsRefused, StoreUnavailable, TryAgain
from tests.clock import TurnedClock
from tests.promise.world import World
from worker.tokens import LEASE_S, PATIENCE_S, SharedTokens

Obtained = tuple[str, float, str]


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def store(tmp_path: Path, clock: TurnedClock) -> Iterator[Tokens]:
    backend = EmbeddedBackend.open(tmp_path / "state", clock)
    yield backend.tokens
    backend.close()


class Partner:
    """Gives tokens, numbered; notes the refresh tokens it was asked with. `meanwhile` happens during the call."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.asked: list[str] = []
        self._meanwhile = meanwhile

    def obtain(self, refresh: str) -> Obtained:
        self.asked.append(refresh)
        self._meanwhile()
        number = len(self.asked)
        return f"access-{number}", 3_600.0, f"refresh-{number}"


def fails() -> None:
    raise CredentialsRefused("The partner gives no token.")


def test_a_token_is_used_until_a_minute_before_it_expires_and_then_refreshed(store: Tokens, clock: TurnedClock) -> None:
    partner, tokens = Partner(), SharedTokens(store, clock)
    assert tokens.get("t", partner.obtain) == "access-1"
    clock.advance(3_539)
    assert tokens.get("t", partner.obtain) == "access-1"
    clock.advance(1)
    assert tokens.get("t", partner.obtain) == "access-2"
    assert partner.asked == ["", "refresh-1"]


def test_a_refresh_token_is_kept_when_no_other_comes_back(store: Tokens, clock: TurnedClock) -> None:
    asked: list[str] = []

    def obtain(refresh: str) -> Obtained:
        asked.append(refresh)
        return f"access-{len(asked)}", 3_600.0, "refresh" if len(asked) == 1 else ""

    for _ in range(3):
        SharedTokens(store, clock).get("t", obtain)
        clock.advance(3_600)
    assert asked == ["", "refresh", "refresh"]


def test_a_token_that_the_partner_has_refused_is_refreshed_before_its_time(store: Tokens, clock: TurnedClock) -> None:
    partner, tokens = Partner(), SharedTokens(store, clock)
    tokens.get("t", partner.obtain)
    assert tokens.get("t", partner.obtain, not_token="access-1") == "access-2"


def test_a_token_that_is_good_for_a_moment_is_used_for_half_of_it(store: Tokens, clock: TurnedClock) -> None:
    asked: list[str] = []

    def obtain(refresh: str) -> Obtained:
        asked.append(refresh)
        return f"access-{len(asked)}", 30.0, ""

    tokens = SharedTokens(store, clock)
    tokens.get("t", obtain)
    clock.advance(14.9)
    assert tokens.get("t", obtain) == "access-1"
    clock.advance(0.1)
    assert tokens.get("t", obtain) == "access-2"


def test_the_time_that_the_partner_takes_to_answer_counts_towards_the_tokens_age(store: Tokens, clock: TurnedClock) -> None:
    partner, tokens = Partner(lambda: clock.advance(10)), SharedTokens(store, clock)
    tokens.get("t", partner.obtain)
    clock.advance(3_529)
    tokens.get("t", partner.obtain)
    assert len(partner.asked) == 1
    clock.advance(1)
    tokens.get("t", partner.obtain)
    assert partner.asked == ["", "refresh-1"]


def test_no_second_worker_asks_the_partner_while_one_takes_as_long_as_two_calls_can(store: Tokens, clock: TurnedClock) -> None:
    second = Partner()

    def meanwhile() -> None:
        clock.advance(2 * (OWN_CONNECT_S + TOKEN_ANSWER_S))
        with pytest.raises(TryAgain):
            SharedTokens(store, clock).get("t", second.obtain)

    first = Partner(meanwhile)
    assert SharedTokens(store, clock).get("t", first.obtain) == "access-1"
    assert (first.asked, second.asked) == ([""], [])


def test_one_who_waits_for_another_gives_up_before_the_lease_ends(store: Tokens, clock: TurnedClock) -> None:
    store.lease("t", owner="somebody", for_s=LEASE_S)
    began = clock.monotonic()
    with pytest.raises(TryAgain):
        SharedTokens(store, clock).get("t", Partner().obtain)
    assert PATIENCE_S <= clock.monotonic() - began < PATIENCE_S + 1


def test_one_who_waits_for_another_gives_up_when_its_own_time_is_over(store: Tokens, clock: TurnedClock) -> None:
    store.lease("t", owner="somebody", for_s=LEASE_S)
    began = clock.monotonic()
    with leash.within(lambda: 3.0), pytest.raises(TryAgain):
        SharedTokens(store, clock).get("t", Partner().obtain)
    assert 3 <= clock.monotonic() - began < 4


@pytest.mark.parametrize("error", [CredentialsRefused("No."), TryAgain("Not now."), ValueError("ours")])
def test_after_a_token_could_not_be_fetched_the_next_worker_need_not_wait(
    store: Tokens, clock: TurnedClock, error: Exception
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        SharedTokens(store, clock).get("t", Partner(fail).obtain)
    began = clock.monotonic()
    assert SharedTokens(store, clock).get("t", Partner().obtain) == "access-1"
    assert clock.monotonic() == began


def test_the_token_before_is_kept_when_refreshing_fails(store: Tokens, clock: TurnedClock) -> None:
    partner = Partner()
    SharedTokens(store, clock).get("t", partner.obtain)
    clock.advance(3_600)
    with pytest.raises(CredentialsRefused):
        SharedTokens(store, clock).get("t", Partner(fails).obtain)
    SharedTokens(store, clock).get("t", partner.obtain)
    assert partner.asked == ["", "refresh-1"]


class Failing:
    """The store, which cannot be reached for some of its methods."""

    def __init__(self, store: Tokens, *names: str) -> None:
        self._store, self._names = store, names

    def __getattr__(self, name: str) -> object:
        if name in self._names:
            raise StoreUnavailable(f"No {name}.")
        return getattr(self._store, name)


def test_what_the_partner_answered_is_told_although_the_lease_could_not_be_ended(store: Tokens, clock: TurnedClock) -> None:
    broken: Tokens = Failing(store, "release")  # type: ignore[assignment]
    with pytest.raises(CredentialsRefused):
        SharedTokens(broken, clock).get("t", Partner(fails).obtain)


def test_a_token_without_a_refresh_token_that_could_not_be_stored_leaves_no_lease_behind(
    store: Tokens, clock: TurnedClock
) -> None:
    broken: Tokens = Failing(store, "put")  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        SharedTokens(broken, clock).get("t", lambda _: ("access", 3_600.0, ""))
    assert store.lease("t", owner="another", for_s=LEASE_S)


def test_one_who_outlived_its_lease_tries_again_with_the_token_of_the_other(store: Tokens, clock: TurnedClock) -> None:
    def frozen() -> None:
        clock.advance(LEASE_S + 1)
        SharedTokens(store, clock).get("t", Partner().obtain)

    tokens = SharedTokens(store, clock)
    late = Partner(frozen)
    with pytest.raises(TryAgain) as caught:
        tokens.get("t", late.obtain)
    assert caught.value.code == "token_taken_over"
    assert tokens.get("t", late.obtain) == "access-1"
    assert len(late.asked) == 1


def test_a_token_that_came_between_the_look_and_the_lease_is_used(store: Tokens, clock: TurnedClock) -> None:
    looks = 0

    class Late:
        def get(self, name: str) -> Token | None:
            nonlocal looks
            looks += 1
            return None if looks == 1 else store.get(name)

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

    SharedTokens(store, clock).get("t", Partner().obtain)
    late: Tokens = Late()  # type: ignore[assignment]
    second = Partner()
    assert SharedTokens(late, clock).get("t", second.obtain) == "access-1"
    assert second.asked == []
    assert store.lease("t", owner="another", for_s=LEASE_S), "the lease was ended"


def test_a_creation_keeps_its_claim_while_it_waits_for_anothers_token(make_world: Callable[..., World]) -> None:
    world = make_world()
    running = world.worker.catalog.get(world.backend.connectors.state("pangolin"))
    timeouts = running.connector.timeouts
    claimed_s: list[float] = []
    real = world.backend.audiences.claim_creation

    def claim(*arguments: object, for_s: float, **named: object) -> object:
        claimed_s.append(for_s)
        return real(*arguments, for_s=for_s, **named)

    world.tapped.audiences.claim_creation = claim
    world.worker.creation.ensure(running, world.prefix + "a.1")
    assert claimed_s[0] > PATIENCE_S + 3 * (timeouts.connect_s + timeouts.answer_s), "a token, a look-up, the creation"
