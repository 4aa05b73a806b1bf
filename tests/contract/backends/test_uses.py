"""How feeds use their audiences: one way for each, and another feed cannot change it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from relay.backends.interfaces import Backend
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.errors import Conflict, UsedOtherwise
from relay.domain.feed import Use
from tests.clock import TurnedClock
from tests.contract.backends.given import held

FIRST = Use("12", {"list": "a", "depth": {"of": [1, 2]}}, "destination.5")
OTHERS = [Use("13", {"list": "b"}, "destination.5"), Use("13", FIRST.settings, "destination.6"), Use("13")]


def _audience(backend: Backend, audience_id: str = "a.1") -> Audience:
    audience = backend.audiences.get("pangolin", audience_id)
    assert audience is not None
    return audience


def test_a_use_is_kept_before_there_is_anything_else_of_the_audience(backend: Backend) -> None:
    assert backend.audiences.set_use("pangolin", "a.1", FIRST).use == FIRST
    audience = _audience(backend)
    assert (audience.use, audience.status, audience.partner_id, audience.name) == (FIRST, "unknown", None, "")


def test_an_audience_without_a_feed_has_no_use(backend: Backend) -> None:
    assert backend.audiences.created("pangolin", "a.1", partner_id="p1").use is None
    plain = Use("12")
    assert backend.audiences.set_use("pangolin", "a.1", plain).use == plain
    assert _audience(backend).partner_id == "p1", "such a feed goes where the document says"


def test_the_same_feed_may_change_its_use(backend: Backend) -> None:
    backend.audiences.set_use("pangolin", "a.1", FIRST)
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    changed = Use("12", {"list": "b"})
    assert backend.audiences.set_use("pangolin", "a.1", changed).use == changed
    assert _audience(backend).use == changed
    assert _audience(backend).partner_id is None, "what was made is in another place"
    assert backend.audiences.created("pangolin", "a.9", partner_id="p1").partner_id == "p1", "and free for another audience"


@pytest.mark.parametrize("other", OTHERS, ids=["other settings", "another login", "neither"])
def test_another_feed_cannot_use_an_audience_otherwise(backend: Backend, other: Use) -> None:
    backend.audiences.set_use("pangolin", "a.1", FIRST)
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    with pytest.raises(Conflict, match="feed 12"):
        backend.audiences.set_use("pangolin", "a.1", other)
    assert _audience(backend).use == FIRST


def test_a_feed_takes_the_place_of_one_that_is_gone(backend: Backend) -> None:
    backend.audiences.set_use("pangolin", "a.1", FIRST)
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    with pytest.raises(UsedOtherwise) as refused:
        backend.audiences.set_use("pangolin", "a.1", OTHERS[0], instead_of="11")
    assert refused.value.feed == "12"
    assert backend.audiences.set_use("pangolin", "a.1", OTHERS[0], instead_of="12").use == OTHERS[0]
    assert _audience(backend).partner_id is None


def test_another_feed_may_use_an_audience_in_the_same_way(backend: Backend) -> None:
    backend.audiences.set_use("pangolin", "a.1", FIRST)
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    assert backend.audiences.set_use("pangolin", "a.1", Use("13", FIRST.settings, FIRST.login)).use == FIRST


def test_what_never_came_to_be_stands_in_nobodys_way(backend: Backend) -> None:
    backend.audiences.set_use("pangolin", "a.1", FIRST)
    backend.audiences.claim_creation("pangolin", "a.1", owner="w1", for_s=30, name="Spring", customer=None)
    with pytest.raises(Conflict):
        backend.audiences.set_use("pangolin", "a.1", OTHERS[0])
    backend.audiences.creation_failed("pangolin", "a.1", owner="w1", error="Wrong list.", final=False)
    assert backend.audiences.set_use("pangolin", "a.1", OTHERS[0]).use == OTHERS[0]


def test_what_waits_for_an_audience_is_sent_as_it_was_meant(backend: Backend) -> None:
    backend.audiences.set_use("pangolin", "a.1", FIRST)
    held(backend)
    with pytest.raises(Conflict):
        backend.audiences.set_use("pangolin", "a.1", OTHERS[0])


def test_under_the_partners_id_the_use_is_the_same(backend: Backend) -> None:
    backend.audiences.set_use("pangolin", "a.1", FIRST)
    backend.audiences.created("pangolin", "a.1", partner_id="p1", status="creating")
    assert backend.audiences.remember_answer("pangolin", "a.1", partner_id="p1", name="Spring").use == FIRST
    replacing = Use("13", FIRST.settings, FIRST.login)
    backend.audiences.set_use("pangolin", "a.1", replacing, instead_of="12")
    assert (_audience(backend).use, _audience(backend, "p1").use) == (replacing, replacing)
    for changed in (Use("13", {"list": "b"}), OTHERS[2]):
        with pytest.raises(Conflict):
            backend.audiences.set_use("pangolin", "a.1", changed)
    assert (_audience(backend).use, _audience(backend, "p1").use) == (replacing, replacing)


def test_two_accounts_that_give_the_same_id_do_not_share_an_entry(backend: Backend) -> None:
    backend.audiences.set_use("pangolin", "a.1", FIRST)
    backend.audiences.remember_answer("pangolin", "a.1", partner_id="7", name="A")
    backend.audiences.set_use("pangolin", "a.2", OTHERS[0])
    with pytest.raises(UsedOtherwise):
        backend.audiences.remember_answer("pangolin", "a.2", partner_id="7", name="B")
    assert _audience(backend, "7").use == FIRST


def test_of_feeds_that_come_at_once_one_has_its_way(
    backend: Backend, opened: Callable[[Clock], Backend], clock: TurnedClock
) -> None:
    backend.audiences.claim_creation("pangolin", "a.1", owner="one", for_s=600, name=None, customer=None)
    backends = [backend, opened(clock)]
    lost: list[str] = []

    def use(index: int) -> None:
        try:
            backends[index % 2].audiences.set_use("pangolin", "a.1", Use(str(index), {"list": str(index)}))
        except Conflict:
            lost.append(str(index))

    threads = [threading.Thread(target=use, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = _audience(backend).use
    assert kept is not None
    assert sorted([*lost, kept.feed]) == [str(index) for index in range(6)]
