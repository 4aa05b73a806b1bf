"""The creation of audiences at the partner."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from relay.backends.interfaces import Backend
from relay.domain.audience import Audience, HoldReason
from relay.domain.clock import Clock
from relay.domain.errors import Conflict, NotFound
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, document, held, request


def _claim(
    backend: Backend, owner: str = "w1", *, name: str | None = None, customer: int | str | None = None
) -> tuple[Audience, bool]:
    return backend.audiences.claim_creation("pangolin", "a.1", owner=owner, for_s=30, name=name, customer=customer)


def _audience(backend: Backend, audience_id: str = "a.1") -> Audience:
    audience = backend.audiences.get("pangolin", audience_id)
    assert audience is not None
    return audience


def test_one_creator_has_the_claim_at_a_time(backend: Backend, clock: TurnedClock) -> None:
    audience, claimed = _claim(backend, "w1")
    assert claimed
    assert (audience.status, audience.claim_by, audience.claim_until) == ("creating", "w1", BEGINNING + 30)
    assert not _claim(backend, "w2")[1]
    assert _claim(backend, "w1")[1]
    clock.advance(30)
    assert _claim(backend, "w2")[1]


def test_of_many_creators_at_once_one_has_the_claim(
    backend: Backend, opened: Callable[[Clock], Backend], clock: TurnedClock
) -> None:
    backends = [backend, opened(clock)]
    claims: list[bool] = []

    def claim(index: int) -> None:
        claims.append(_claim(backends[index % 2], f"w{index}")[1])

    threads = [threading.Thread(target=claim, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == [False] * 7 + [True]


def test_a_claim_notes_the_name_and_the_customer_where_given(backend: Backend) -> None:
    assert _claim(backend, "w1", name="Test audience")[0].name == "Test audience"
    audience, claimed = _claim(backend, "w2", customer=123)
    assert not claimed
    assert (audience.name, audience.customer) == ("Test audience", 123)
    assert _audience(backend) == audience


def test_an_audience_that_exists_at_the_partner_needs_no_creation(backend: Backend) -> None:
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    audience, claimed = _claim(backend)
    assert (claimed, audience.partner_id, audience.status) == (False, "p1", "ready")


def test_a_creation_that_succeeded_ends_the_claim(backend: Backend) -> None:
    _claim(backend)
    audience = backend.audiences.created("pangolin", "a.1", partner_id="p1")
    assert (audience.partner_id, audience.status, audience.claim_by) == ("p1", "ready", "")
    assert _audience(backend) == audience


def test_an_audience_can_be_known_and_not_be_ready(backend: Backend) -> None:
    assert backend.audiences.created("pangolin", "a.1", partner_id="p1", status="creating").status == "creating"
    assert backend.audiences.created("pangolin", "a.1", partner_id="p1").status == "ready"


def test_another_partner_id_is_never_replaced(backend: Backend) -> None:
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    audience = backend.audiences.created("pangolin", "a.1", partner_id="p2", status="creating")
    assert (audience.partner_id, audience.status) == ("p1", "ready")
    assert _audience(backend).partner_id == "p1"


@pytest.mark.parametrize(
    ("reason", "due"),
    [("audience_not_ready", True), ("audience_gone", True), ("paused", False), ("credentials_refused", False)],
)
def test_holds_that_wait_for_the_audience_become_due_when_it_is_created(backend: Backend, reason: HoldReason, due: bool) -> None:
    held(backend, why=request(reason, due_at=BEGINNING + 999))
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    assert backend.audiences.next_due() == (BEGINNING if due else BEGINNING + 999)


@pytest.mark.parametrize(("final", "status"), [(True, "failed"), (False, "unknown")])
def test_a_creation_that_failed_ends_the_claim(backend: Backend, final: bool, status: str) -> None:
    _claim(backend, "w1")
    backend.audiences.creation_failed("pangolin", "a.1", owner="w1", error="The name is taken.", final=final)
    audience = _audience(backend)
    assert (audience.status, audience.error, audience.claim_by) == (status, "The name is taken.", "")
    assert _claim(backend, "w2")[1]


def test_a_failure_of_one_who_lost_the_claim_changes_nothing(backend: Backend, clock: TurnedClock) -> None:
    _claim(backend, "w1")
    clock.advance(30)
    _claim(backend, "w2")
    backend.audiences.creation_failed("pangolin", "a.1", owner="w1", error="too late", final=True)
    audience = _audience(backend)
    assert (audience.status, audience.error, audience.claim_by) == ("creating", "", "w2")
    backend.audiences.creation_failed("pangolin", "unknown", owner="w1", error="too late", final=True)
    assert backend.audiences.get("pangolin", "unknown") is None


def test_success_forgets_an_earlier_error(backend: Backend) -> None:
    _claim(backend, "w1")
    backend.audiences.creation_failed("pangolin", "a.1", owner="w1", error="Try again.", final=False)
    assert backend.audiences.created("pangolin", "a.1", partner_id="p1").error == ""


def test_an_answer_is_remembered_under_both_ids(backend: Backend) -> None:
    _claim(backend, "w1", customer=123)
    entry = backend.audiences.remember_answer("pangolin", "a.1", partner_id="p1", name="Test audience")
    assert (entry.id, entry.partner_id, entry.status) == ("p1", "p1", "ready")
    assert (entry.name, entry.customer) == ("Test audience", 123)
    assert _audience(backend, "p1") == entry
    memory, claimed = _claim(backend, "w2")
    assert (memory.answers_to, memory.claim_by, claimed) == ("p1", "", False)


def test_an_answer_that_is_the_same_id_is_one_record(backend: Backend) -> None:
    entry = backend.audiences.remember_answer("pangolin", "a.1", partner_id="a.1", name="Test audience")
    assert (entry.partner_id, entry.answers_to) == ("a.1", "")
    assert len(backend.audiences.all()) == 1


def test_what_waits_for_an_answered_id_becomes_due(backend: Backend) -> None:
    held(backend, "p1", why=request("audience_not_ready"))
    backend.audiences.remember_answer("pangolin", "a.1", partner_id="p1", name="Test audience")
    assert [audience.id for audience in backend.audiences.due(BEGINNING)] == ["p1"]


def test_an_audience_is_linked_by_hand_whatever_was_recorded(backend: Backend) -> None:
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    held(backend, why=request("misconfigured"))
    audience = backend.audiences.link("pangolin", "a.1", partner_id="p2", name="By hand")
    assert (audience.partner_id, audience.status, audience.name) == ("p2", "ready", "By hand")
    assert [audience.id for audience in backend.audiences.due(BEGINNING)] == ["a.1"]
    assert backend.audiences.link("pangolin", "a.1", partner_id="p3").name == "By hand"


def test_an_audience_that_was_never_seen_can_be_linked(backend: Backend) -> None:
    backend.audiences.link("pangolin", "new", partner_id="p1")
    assert _audience(backend, "new").partner_id == "p1"


# one that the partner lost
def test_an_audience_that_was_lost_is_created_anew_by_whoever_has_the_next_turn(backend: Backend) -> None:
    _claim(backend, name="Buyers", customer=123)
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    lost = backend.audiences.unlink("pangolin", "a.1")
    assert (lost.partner_id, lost.status, lost.name, lost.customer) == (None, "unknown", "Buyers", 123)
    assert _audience(backend) == lost
    assert _claim(backend, "w2")[1]
    assert backend.audiences.created("pangolin", "a.1", partner_id="p2").partner_id == "p2"


def test_what_waits_for_one_that_was_lost_becomes_due(backend: Backend) -> None:
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    held(backend, why=request("audience_gone", due_at=BEGINNING + 999))
    backend.audiences.unlink("pangolin", "a.1")
    assert [audience.id for audience in backend.audiences.due(BEGINNING)] == ["a.1"]


def test_the_id_of_one_that_was_lost_is_free_for_another(backend: Backend) -> None:
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    backend.audiences.unlink("pangolin", "a.1")
    assert backend.audiences.link("pangolin", "a.2", partner_id="p1").partner_id == "p1"


def test_one_that_has_no_name_counts_as_announced_after_it_was_lost(backend: Backend) -> None:
    backend.audiences.link("pangolin", "a.1", partner_id="p1")
    assert backend.audiences.unlink("pangolin", "a.1").name == "a.1"


def test_one_that_is_known_by_the_partners_id_cannot_be_forgotten(backend: Backend) -> None:
    backend.audiences.remember_answer("pangolin", "a.1", partner_id="p1", name="Buyers")
    before = backend.audiences.all()
    for audience_id in ("a.1", "p1"):
        with pytest.raises(Conflict):
            backend.audiences.unlink("pangolin", audience_id)
    assert backend.audiences.all() == before


def test_an_unknown_audience_cannot_be_forgotten(backend: Backend) -> None:
    with pytest.raises(NotFound):
        backend.audiences.unlink("pangolin", "a.1")
    assert backend.audiences.all() == []


# one audience for each ID at the partner
def test_an_id_at_the_partner_belongs_to_one_audience_of_a_connector(backend: Backend) -> None:
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    _claim_of(backend, "a.2")
    before = _audience(backend, "a.2")
    for take in (backend.audiences.created, backend.audiences.link):
        with pytest.raises(Conflict, match=r"'p1'.*'a\.1'"):
            take("pangolin", "a.2", partner_id="p1")
    assert _audience(backend, "a.2") == before, "nothing was written"
    assert backend.audiences.created("pangolin", "a.2", partner_id="p2").partner_id == "p2"


def test_the_same_audience_may_be_told_its_id_again(backend: Backend) -> None:
    for _ in range(2):
        assert backend.audiences.created("pangolin", "a.1", partner_id="p1").partner_id == "p1"
        assert backend.audiences.link("pangolin", "a.1", partner_id="p1").partner_id == "p1"


def test_connectors_do_not_share_ids_at_the_partner(backend: Backend) -> None:
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    assert backend.audiences.created("other", "a.2", partner_id="p1").partner_id == "p1"


@pytest.mark.parametrize("partner_id", ["A list / of 100% & more", "." * 3, "ö" * 700], ids=["signs", "dots", "long"])
def test_an_id_at_the_partner_may_be_any_text(backend: Backend, partner_id: str) -> None:
    backend.audiences.created("pangolin", "a.1", partner_id=partner_id)
    backend.audiences.created("pangolin", "a.2", partner_id=f"{partner_id}.")
    with pytest.raises(Conflict):
        backend.audiences.created("pangolin", "a.3", partner_id=partner_id)


def test_one_that_another_id_is_recorded_for_takes_no_id_from_anybody(backend: Backend) -> None:
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    backend.audiences.created("pangolin", "a.1", partner_id="p2")
    assert backend.audiences.created("pangolin", "a.2", partner_id="p2").partner_id == "p2"


def test_an_audience_that_is_linked_elsewhere_leaves_its_id_to_others(backend: Backend) -> None:
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    backend.audiences.link("pangolin", "a.1", partner_id="p2")
    assert backend.audiences.link("pangolin", "a.2", partner_id="p1").partner_id == "p1"
    with pytest.raises(Conflict, match=r"'a\.2'"):
        backend.audiences.link("pangolin", "a.1", partner_id="p1")


def test_the_memory_of_a_creation_leaves_its_id_to_the_entry(backend: Backend) -> None:
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    for _ in range(2):
        assert backend.audiences.remember_answer("pangolin", "a.1", partner_id="p1", name="Test audience").id == "p1"
    assert backend.audiences.link("pangolin", "p1", partner_id="p1").partner_id == "p1"
    with pytest.raises(Conflict, match="'p1'"):
        backend.audiences.created("pangolin", "a.2", partner_id="p1")
    backend.audiences.link("pangolin", "p1", partner_id="p9")
    assert backend.audiences.created("pangolin", "a.2", partner_id="p1").partner_id == "p1"


def test_an_answer_that_belongs_to_another_audience_is_not_remembered(backend: Backend) -> None:
    backend.audiences.link("pangolin", "a.2", partner_id="p1")
    with pytest.raises(Conflict, match=r"'a\.2'"):
        backend.audiences.remember_answer("pangolin", "a.1", partner_id="p1", name="Test audience")
    assert backend.audiences.get("pangolin", "a.1") is None


@pytest.mark.parametrize("how", ["created", "link"])
def test_of_many_that_want_one_id_at_once_one_gets_it(
    backend: Backend, opened: Callable[[Clock], Backend], clock: TurnedClock, how: str
) -> None:
    backends = [backend, opened(clock)]
    won: list[str] = []
    lost: list[str] = []

    def take(index: int) -> None:
        try:
            getattr(backends[index % 2].audiences, how)("pangolin", f"a.{index}", partner_id="p1")
        except Conflict as conflict:
            lost.append(str(conflict))
        else:
            won.append(f"a.{index}")

    threads = [threading.Thread(target=take, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 5
    assert all(f"'{won[0]}'" in conflict for conflict in lost)
    assert [audience.id for audience in backend.audiences.all() if audience.partner_id == "p1"] == won


def test_a_deleted_connector_leaves_no_id_taken(backend: Backend) -> None:
    backend.connectors.add_version(document())
    backend.connectors.publish("pangolin", 1)
    backend.audiences.created("pangolin", "a.1", partner_id="p1")
    backend.audiences.created("another", "a.1", partner_id="p1")
    backend.connectors.delete("pangolin")
    assert backend.audiences.created("pangolin", "a.2", partner_id="p1").partner_id == "p1"
    with pytest.raises(Conflict):
        backend.audiences.created("another", "a.2", partner_id="p1")


def _claim_of(backend: Backend, audience_id: str) -> None:
    backend.audiences.claim_creation("pangolin", audience_id, owner="w1", for_s=30, name=None, customer=None)
