"""What there is of one person, and how it is taken away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import Backend, Trace
from relay.backends.interfaces.traces import MOST_KEYS
from relay.domain.audience import Waiting
from relay.domain.clock import Clock
from relay.domain.errors import TurnLost
from relay.domain.message import Direction, Message, Mutation
from relay.domain.outcome import hash_user
from relay.domain.person import Person
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, held, message, rejection, request, users

ADDRESS = "jo@example.com"
JO = Person(ADDRESS)


def _of(user: dict[str, str], direction: Direction = "joined", index: int = 0) -> Mutation:
    return Mutation(index=index, direction=direction, user=user)


def _batch(*mutations: Mutation, audience: str = "a.1", request_id: str = "request-1", received_at: float = BEGINNING) -> Message:
    indexed = tuple(replace(one, index=index) for index, one in enumerate(mutations))
    return replace(message(audience, request_id=request_id, received_at=received_at), mutations=indexed)


def _places(traces: tuple[Trace, ...]) -> list[tuple[str, str, str, int]]:
    return [(trace.place, trace.audience, trace.request_id, trace.index) for trace in traces]


def _waiting(backend: Backend, audience: str = "a.1") -> list[Waiting]:
    """What waits, which the record must count exactly."""
    waiting = backend.audiences.peek("pangolin", audience, limit=1_000)
    record = backend.audiences.get("pangolin", audience)
    hold = record.hold if record else None
    counted = (hold.batches, hold.items, hold.bytes) if hold else (0, 0, 0)
    assert counted == (
        len(waiting),
        sum(len(batch.message.mutations) for batch in waiting),
        sum(batch.bytes for batch in waiting),
    )
    return waiting


# finding
def test_a_person_is_found_in_holds_oldest_first(backend: Backend) -> None:
    late = _batch(_of({"id": "u1"}), _of({"id": "u2", "email": "JO@example.com"}), audience="a.1", received_at=BEGINNING + 5)
    early = _batch(_of({"email_sha256": hash_user(ADDRESS)}, "left"), audience="a.2")
    held(backend, "a.1", late, why=request("paused"))
    held(backend, "a.2", early, _batch(_of({"id": "u9"}), audience="a.2"))
    found = backend.traces.find(JO)
    assert _places(found.traces) == [("hold", "a.2", "request-1", 0), ("hold", "a.1", "request-1", 1)]
    first, second = found.traces
    assert (first.at, first.direction, first.identifiers) == (BEGINNING, "left", ("email_sha256",))
    assert (first.connector, first.reason) == ("pangolin", "partner_unavailable")
    assert (second.at, second.direction, second.identifiers) == (BEGINNING + 5, "joined", ("email",))
    assert (second.reason, second.user_hash) == ("paused", hash_user("u2"))
    assert found.users == 2


def test_traces_of_an_audience_keep_the_order_of_the_queue(backend: Backend) -> None:
    """Requests that overlap in time are queued in another order than that in which they came in."""
    batches = [
        _batch(_of({"id": "u1", "email": ADDRESS}), request_id=f"request-{number}", received_at=BEGINNING + seconds)
        for number, seconds in enumerate([3, 1, 2])
    ]
    held(backend, "a.1", *batches)
    assert [trace.request_id for trace in backend.traces.find(JO).traces] == ["request-0", "request-1", "request-2"]


def test_rejections_are_found_by_what_was_typed(backend: Backend) -> None:
    backend.reports.add_rejections(
        [rejection(index=1, user_hash=hash_user(ADDRESS)), rejection(index=2, user_hash=hash_user("somebody"))]
    )
    (trace,) = backend.traces.find(JO).traces
    assert _places((trace,)) == [("rejections", "a.1", "request-1", 1)]
    assert (trace.at, trace.reason, trace.action) == (BEGINNING, "invalid_id", "Add")


def test_rejections_are_found_by_the_key_that_a_mutation_shows(backend: Backend) -> None:
    backend.reports.add_rejections([rejection(user_hash=hash_user("u1"))])
    assert backend.traces.find(JO).traces == ()
    held(backend, "a.1", _batch(_of({"email": ADDRESS, "id": "u1"})))
    assert [trace.place for trace in backend.traces.find(JO).traces] == ["hold", "rejections"]


def test_what_is_of_a_user_is_found_by_an_identifier_that_another_mutation_of_theirs_carries(backend: Backend) -> None:
    held(backend, "a.1", _batch(_of({"id": "u1"}), _of({"id": "u2"})), _batch(_of({"id": "u1", "email": ADDRESS})))
    assert [trace.identifiers for trace in backend.traces.find(JO).traces] == [("id",), ("email",)]
    assert backend.traces.forget(JO).removed["hold"] == 2
    assert users(_waiting(backend)) == [["u2"]]


def test_a_person_is_found_by_the_hash_that_is_shown_of_them(backend: Backend) -> None:
    held(backend, "a.1", _batch(_of({"id": "u1"}), _of({"id": "u2"})))
    (shown,) = {trace.user_hash for trace in backend.traces.find(Person("u1")).traces}
    assert len(backend.traces.find(Person(shown)).traces) == 1
    assert backend.traces.forget(Person(shown)).removed["hold"] == 1
    assert users(_waiting(backend)) == [["u2"]]


def test_rejections_of_many_who_share_an_identifier_are_not_taken_for_one_persons(backend: Backend) -> None:
    sharing = [_of({"id": f"u{number}", "email": ADDRESS}) for number in range(MOST_KEYS + 1)]
    held(backend, "a.1", _batch(*sharing))
    backend.reports.add_rejections([rejection(user_hash=hash_user("u1"))])
    found = backend.traces.find(JO)
    assert {trace.place for trace in found.traces} == {"hold"}
    assert found.users == MOST_KEYS + 1
    assert backend.traces.forget(JO).removed["rejections"] == 0


def test_who_is_nowhere_is_not_found(backend: Backend) -> None:
    held(backend, "a.1", message("a.1", "u1"))
    assert backend.traces.find(JO).traces == ()
    assert sum(backend.traces.forget(JO).removed.values()) == 0
    assert users(_waiting(backend)) == [["u1"]]


def test_what_is_found_shows_no_identifier(backend: Backend) -> None:
    held(backend, "a.1", _batch(_of({"id": "user-1", "email": ADDRESS})))
    shown = f"{backend.traces.find(JO)!r}{backend.traces.forget(JO)!r}"
    assert ADDRESS not in shown
    assert "user-1" not in shown


# forgetting
def test_others_of_a_batch_stay_where_they_are(backend: Backend) -> None:
    jo = _of({"id": "jo", "email": ADDRESS})
    held(
        backend,
        "a.1",
        _batch(_of({"id": "u1"}), jo, _of({"id": "u2"})),
        _batch(_of({"id": "u3"})),
        _batch(jo, _of({"id": "u4"})),
    )
    before = _waiting(backend)
    assert backend.traces.forget(JO).removed["hold"] == 2
    after = _waiting(backend)
    assert users(after) == [["u1", "u2"], ["u3"], ["u4"]]
    assert [batch.place for batch in after] == [batch.place for batch in before]
    assert [mutation.index for mutation in after[0].message.mutations] == [0, 2]
    assert backend.traces.find(JO).traces == ()


def test_a_batch_that_is_left_empty_goes(backend: Backend) -> None:
    jo = _batch(_of({"email": ADDRESS}))
    held(backend, "a.1", jo, _batch(_of({"id": "u1"}), received_at=BEGINNING + 9), jo)
    backend.traces.forget(JO)
    assert users(_waiting(backend)) == [["u1"]]
    record = backend.audiences.get("pangolin", "a.1")
    assert record is not None
    assert record.hold is not None
    assert (record.hold.reason, record.hold.oldest_at) == ("partner_unavailable", BEGINNING + 9)


def test_a_hold_that_is_left_empty_is_lifted(backend: Backend) -> None:
    held(backend, "a.1", *[_batch(_of({"email": ADDRESS}))] * 7)
    assert backend.traces.forget(JO).removed["hold"] == 7
    assert _waiting(backend) == []
    assert backend.audiences.held() == []


def test_a_removal_that_the_partner_has_not_got_is_kept(backend: Backend) -> None:
    held(backend, "a.1", _batch(_of({"email": ADDRESS})), _batch(_of({"email": ADDRESS}, "left")))
    forgotten = backend.traces.forget(JO)
    assert forgotten.removed["hold"] == 1
    assert [(trace.direction, trace.reason) for trace in forgotten.kept] == [("left", "partner_unavailable")]
    assert [batch.message.mutations[0].direction for batch in _waiting(backend)] == ["left"]


def test_rejections_go(backend: Backend) -> None:
    held(backend, "a.1", _batch(_of({"id": "u1", "email": ADDRESS})))
    kept = rejection(index=3, user_hash=hash_user("u2"))
    backend.reports.add_rejections(
        [rejection(index=1, user_hash=hash_user(ADDRESS)), rejection(index=2, user_hash=hash_user("u1")), kept]
    )
    assert backend.traces.forget(JO).removed["rejections"] == 2
    assert [one for _, one in backend.reports.rejections()] == [kept]


def test_forgetting_twice_is_fine(backend: Backend) -> None:
    held(backend, "a.1", _batch(_of({"email": ADDRESS})))
    backend.traces.forget(JO)
    assert sum(backend.traces.forget(JO).removed.values()) == 0


# beside turns
@pytest.fixture
def quick(opened: Callable[[Clock], Backend]) -> Backend:
    """Another process that forgets, whose waits cost no time."""
    return opened(TurnedClock())


@pytest.mark.parametrize("left", [["jo"], ["jo", "u2"], ["u1", "jo", "u2"], []], ids=str)
def test_a_turn_that_has_taken_the_batch_does_not_write_the_person_back(
    backend: Backend, quick: Backend, left: list[str]
) -> None:
    batch = _batch(_of({"id": "u1"}), _of({"id": "jo", "email": ADDRESS}), _of({"id": "u2"}))
    held(backend, "a.1", batch, _batch(_of({"id": "u3"})))
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=9, message_id="resume")
    taken = backend.audiences.waiting(turn, max_items=3, max_bytes=1_000_000)
    quick.traces.forget(JO)
    rest = [
        replace(one, message=replace(one.message, mutations=tuple(m for m in one.message.mutations if m.user["id"] in left)))
        for one in taken
        if left
    ]
    settled = True
    try:
        backend.audiences.settle(turn, taken=taken, rest=rest, request=request("come_back_later"), progress=True)
    except TurnLost:
        settled = False
    remaining = [user for user in (left if settled else ["u1", "u2"]) if user != "jo"]
    assert users(_waiting(backend)) == [*([remaining] if remaining else []), ["u3"]]


def test_a_batch_that_joins_meanwhile_is_not_lost(backend: Backend, quick: Backend) -> None:
    held(backend, "a.1", _batch(_of({"email": ADDRESS})))
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=9, message_id="m9")
    quick.traces.forget(JO)
    with suppress(TurnLost):
        backend.audiences.join(turn, _batch(_of({"id": "u1"})), request("paused"))
        assert users(_waiting(backend)) == [["u1"]]
        return
    assert _waiting(backend) == []  # its message comes again


def test_turns_at_work_meanwhile_lose_nothing_and_bring_nobody_back(
    backend: Backend, opened: Callable[[Clock], Backend], clock: TurnedClock
) -> None:
    """Turns deliver one user of each batch at a time, while batches join and the person is forgotten again and again."""
    other = opened(clock)
    batches = [_batch(_of({"id": f"u{n}"}), _of({"id": f"jo{n}", "email": ADDRESS}), _of({"id": f"v{n}"})) for n in range(8)]
    held(backend, "a.1", *batches[:4])
    delivered: list[str] = []
    failures: list[BaseException] = []

    def turn(position: int, joining: Message | None) -> bool:
        begun = other.audiences.begin_turn("pangolin", "a.1", position=position, message_id=f"t{position}")
        if joining is not None:
            other.audiences.join(begun, joining, request())
            return True
        taken = other.audiences.waiting(begun, max_items=6, max_bytes=1_000_000)
        rest = [
            replace(one, message=replace(one.message, mutations=one.message.mutations[1:]))
            for one in taken
            if len(one.message.mutations) > 1
        ]
        other.audiences.settle(begun, taken=taken, rest=rest, request=request(), progress=True)
        delivered.extend(one.message.mutations[0].user["id"] for one in taken)
        return bool(taken)

    def work() -> None:
        try:
            position, joining, working = 10, list(batches[4:]), True
            while working or joining:
                position += 1
                with suppress(TurnLost):
                    if joining and position % 2:
                        working = turn(position, joining[0])
                        del joining[0]
                    else:
                        working = turn(position, None)
        except BaseException as error:
            failures.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    while worker.is_alive():
        backend.traces.forget(JO)
    worker.join()
    assert failures == []
    assert _waiting(backend) == []
    others = [one for one in delivered if not one.startswith("jo")]
    assert sorted(set(others)) == sorted(f"{name}{n}" for name in "uv" for n in range(8))
    for name in "uv":
        assert list(dict.fromkeys(one for one in others if one[0] == name)) == [f"{name}{n}" for n in range(8)]
