"""Refresh tokens that are good for one use: whatever happens to the store and to other workers, the newest one is not lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Token, Tokens
from relay.domain.errors import CredentialsRefused, StoreUnavailable, TryAgain
from tests.clock import TurnedClock
from worker.tokens import LEASE_S, SharedTokens

EXPIRED_S = 3_600.0


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def store(tmp_path: Path, clock: TurnedClock) -> Iterator[Tokens]:
    backend = EmbeddedBackend.open(tmp_path / "state", clock)
    yield backend.tokens
    backend.close()


class Partner:
    """Knows one good refresh token at a time; any other is refused."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.uses = 0
        self.refused = 0
        self._meanwhile = meanwhile

    def obtain(self, refresh: str) -> tuple[str, float, str]:
        if (refresh or "refresh-0") != f"refresh-{self.uses}":
            self.refused += 1
            raise CredentialsRefused("The partner no longer accepts that.", code="invalid_grant")
        self.uses += 1
        given = self.uses
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        meanwhile()
        return f"access-{given}", EXPIRED_S, f"refresh-{given}"


class Flaky:
    """The store, whose methods of these names fail so often."""

    def __init__(self, store: Tokens, **failures: int) -> None:
        self._store = store
        self.failures = failures

    def __getattr__(self, name: str) -> object:
        if self.failures.get(name, 0) > 0:
            self.failures[name] -= 1

            def fail(*arguments: object, **named: object) -> None:
                raise StoreUnavailable("The store cannot be reached.")

            return fail
        return getattr(self._store, name)


class Unconfirmed:
    """The store, which stores once without saying so."""

    def __init__(self, store: Tokens) -> None:
        self._store = store
        self._silent = True

    def put(self, name: str, token: Token, *, owner: str) -> None:
        self._store.put(name, token, owner=owner)
        if self._silent:
            self._silent = False
            raise StoreUnavailable("The store did not answer.")

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def flaky(store: Tokens, **failures: int) -> tuple[Tokens, Flaky]:
    made = Flaky(store, **failures)
    return made, made  # type: ignore[return-value]


def test_a_put_that_fails_twice_is_tried_a_third_time(store: Tokens, clock: TurnedClock) -> None:
    partner = Partner()
    shaky, _ = flaky(store, put=2)
    assert SharedTokens(shaky, clock).get("t", partner.obtain) == "access-1"
    stored = store.get("t")
    assert stored is not None
    assert stored.refresh == "refresh-1"


def test_a_put_whose_confirmation_got_lost_is_found_to_have_been_made(store: Tokens, clock: TurnedClock) -> None:
    partner = Partner()
    unconfirmed: Tokens = Unconfirmed(store)  # type: ignore[assignment]
    assert SharedTokens(unconfirmed, clock).get("t", partner.obtain) == "access-1"
    assert store.lease("t", owner="another", for_s=LEASE_S), "the lease was ended"


def test_a_refresh_token_that_cannot_be_stored_is_kept_and_stored_at_the_next_chance(store: Tokens, clock: TurnedClock) -> None:
    partner = Partner()
    away, failing = flaky(store, put=1_000)
    tokens = SharedTokens(away, clock)
    with pytest.raises(StoreUnavailable):
        tokens.get("t", partner.obtain)
    with pytest.raises(StoreUnavailable):
        tokens.get("t", partner.obtain)
    assert partner.uses == 1, "it is not fetched again"
    failing.failures["put"] = 0
    assert tokens.get("t", partner.obtain) == "access-1"
    clock.advance(EXPIRED_S)
    assert SharedTokens(store, clock).get("t", partner.obtain) == "access-2"
    assert partner.refused == 0


def test_the_next_chance_is_a_call_for_any_token(store: Tokens, clock: TurnedClock) -> None:
    partner = Partner()
    away, failing = flaky(store, put=3)
    tokens = SharedTokens(away, clock)
    with pytest.raises(StoreUnavailable):
        tokens.get("t", partner.obtain)
    assert failing.failures["put"] == 0
    tokens.get("other", Partner().obtain)
    assert SharedTokens(store, clock).get("t", partner.obtain) == "access-1"


def test_trouble_with_one_token_is_no_trouble_for_another(store: Tokens, clock: TurnedClock) -> None:
    store.lease("other", owner="x", for_s=1)
    store.put("other", Token("good", clock.now() + EXPIRED_S), owner="x")
    away, _ = flaky(store, put=1_000)
    tokens = SharedTokens(away, clock)
    with pytest.raises(StoreUnavailable):
        tokens.get("t", Partner().obtain)
    assert tokens.get("other", Partner().obtain) == "good"


def test_nobody_uses_the_dead_refresh_token_while_the_new_one_waits_for_the_store(store: Tokens, clock: TurnedClock) -> None:
    partner = Partner()
    SharedTokens(store, clock).get("t", partner.obtain)
    clock.advance(EXPIRED_S)
    away, failing = flaky(store, put=3)
    tokens = SharedTokens(away, clock)
    with pytest.raises(StoreUnavailable):
        tokens.get("t", partner.obtain)
    with pytest.raises(TryAgain):
        SharedTokens(store, clock).get("t", partner.obtain)
    assert (partner.uses, partner.refused) == (2, 0)
    assert failing.failures["put"] == 0
    assert tokens.get("t", partner.obtain) == "access-2"


def test_a_refresh_token_that_was_kept_is_stored_after_another_worker_has_tried_the_dead_one(
    store: Tokens, clock: TurnedClock
) -> None:
    partner = Partner()
    SharedTokens(store, clock).get("t", partner.obtain)
    clock.advance(EXPIRED_S)
    away, _ = flaky(store, put=3)
    tokens = SharedTokens(away, clock)
    with pytest.raises(StoreUnavailable):
        tokens.get("t", partner.obtain)
    clock.advance(LEASE_S + 1)
    with pytest.raises(CredentialsRefused):
        SharedTokens(store, clock).get("t", partner.obtain)
    assert tokens.get("t", partner.obtain) == "access-2"
    clock.advance(EXPIRED_S)
    assert SharedTokens(store, clock).get("t", partner.obtain) == "access-3"


def test_one_that_outlived_its_lease_stores_what_only_it_has(store: Tokens, clock: TurnedClock) -> None:
    def frozen() -> None:
        clock.advance(LEASE_S + 1)
        with pytest.raises(CredentialsRefused):
            SharedTokens(store, clock).get("t", partner.obtain)

    partner = Partner(frozen)
    assert SharedTokens(store, clock).get("t", partner.obtain) == "access-1"
    clock.advance(EXPIRED_S)
    assert SharedTokens(store, clock).get("t", partner.obtain) == "access-2"


def test_one_that_outlived_its_lease_waits_for_the_worker_that_has_it_now(store: Tokens, clock: TurnedClock) -> None:
    def frozen() -> None:
        clock.advance(LEASE_S + 1)
        assert store.lease("t", owner="another", for_s=LEASE_S)

    partner = Partner(frozen)
    tokens = SharedTokens(store, clock)
    with pytest.raises(TryAgain):
        tokens.get("t", partner.obtain)
    store.release("t", owner="another")
    assert tokens.get("t", partner.obtain) == "access-1"
    assert partner.uses == 1


def test_what_somebody_connected_meanwhile_is_not_replaced_by_what_was_kept(store: Tokens, clock: TurnedClock) -> None:
    away, _ = flaky(store, put=3)
    tokens = SharedTokens(away, clock)
    with pytest.raises(StoreUnavailable):
        tokens.get("t", Partner().obtain)
    clock.advance(LEASE_S + 1)
    SharedTokens(store, clock).replace("t", lambda: ("connected", EXPIRED_S, "refresh-connected"))
    assert tokens.get("t", Partner().obtain) == "connected"


def test_after_invalid_grant_the_token_that_another_has_stored_is_used(store: Tokens, clock: TurnedClock) -> None:
    partner = Partner()
    tokens = SharedTokens(store, clock)
    tokens.get("t", partner.obtain)
    clock.advance(EXPIRED_S)

    def obtain(refresh: str) -> tuple[str, float, str]:
        if refresh == "refresh-1":
            store.lease("t", owner="another", for_s=0)
            clock.advance(LEASE_S)
            assert store.lease("t", owner="another", for_s=LEASE_S)
            store.put("t", Token("access-of-another", clock.now() + EXPIRED_S, "refresh-of-another"), owner="another")
            raise CredentialsRefused("No longer.", code="invalid_grant")
        raise AssertionError(refresh)

    assert tokens.get("t", obtain) == "access-of-another"


def test_after_invalid_grant_another_refresh_token_is_tried_once(store: Tokens, clock: TurnedClock) -> None:
    partner = Partner()
    tokens = SharedTokens(store, clock)
    tokens.get("t", partner.obtain)
    clock.advance(EXPIRED_S)
    asked: list[str] = []

    def obtain(refresh: str) -> tuple[str, float, str]:
        asked.append(refresh)
        clock.advance(LEASE_S)
        other = f"other-{len(asked)}"
        assert store.lease("t", owner=other, for_s=LEASE_S)
        store.put("t", Token("stale", 0.0, other), owner=other)
        raise CredentialsRefused("No longer.", code="invalid_grant")

    with pytest.raises(CredentialsRefused) as caught:
        tokens.get("t", obtain)
    assert caught.value.code == "invalid_grant"
    assert asked == ["refresh-1", "other-1"]


def test_another_refusal_than_invalid_grant_is_told_at_once(store: Tokens, clock: TurnedClock) -> None:
    looks = 0

    class Counting:
        def get(self, name: str) -> Token | None:
            nonlocal looks
            looks += 1
            return store.get(name)

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

    def obtain(refresh: str) -> tuple[str, float, str]:
        raise CredentialsRefused("Who is this?", code="client_refused")

    counting: Tokens = Counting()  # type: ignore[assignment]
    with pytest.raises(CredentialsRefused):
        SharedTokens(counting, clock).get("t", obtain)
    assert looks == 2, "before the lease and under it"


def test_connecting_anew_waits_for_a_renewal_that_is_under_way(store: Tokens, clock: TurnedClock) -> None:
    store.lease("t", owner="a worker", for_s=LEASE_S)
    asked: list[str] = []

    def exchange() -> tuple[str, float, str]:
        asked.append("exchange")
        return "new", EXPIRED_S, "refresh-new"

    with pytest.raises(TryAgain):
        SharedTokens(store, clock).replace("t", exchange)
    assert not asked, "a code is good for one use: it is not given before the token can be stored"
    store.release("t", owner="a worker")
    SharedTokens(store, clock).replace("t", exchange)
    assert SharedTokens(store, clock).get("t", Partner().obtain) == "new"


def test_threads_that_find_the_store_back_store_what_was_kept_once(store: Tokens, clock: TurnedClock) -> None:
    partner = Partner()
    away, failing = flaky(store, put=3)
    tokens = SharedTokens(away, clock)
    with pytest.raises(StoreUnavailable):
        tokens.get("t", partner.obtain)
    assert failing.failures["put"] == 0
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(tokens.get("t", partner.obtain))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["access-1"] * 8
    assert partner.uses == 1
