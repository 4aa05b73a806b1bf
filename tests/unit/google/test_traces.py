"""A person in the journal on Cloud Storage, and what cannot be looked into."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from relay.backends import open_backend
from relay.backends.interfaces import Backend
from relay.configuration import read
from relay.domain.audience import CRASH_LIMIT, Waiting
from relay.domain.connector import Retention
from relay.domain.errors import TurnLost
from relay.domain.message import Message, Mutation, Replay
from relay.domain.outcome import hash_user
from relay.domain.person import Person
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, connector, held, message, published, rejection, users
from tests.emulators import Emulators, place
from tests.unit.google.journal_bucket import JournalBucket

ADDRESS = "jo@example.com"
JO = Person(ADDRESS)


@pytest.fixture
def variables(emulators: Emulators) -> dict[str, str]:
    return place(emulators)


@pytest.fixture
def opened(variables: dict[str, str]) -> Iterator[Callable[..., Backend]]:
    """Opens the same place as often as asked. others: variables that are other than as they are."""
    backends: list[Backend] = []

    def open_again(**others: str) -> Backend:
        backends.append(open_backend(read({**variables, **others}), TurnedClock()))
        return backends[-1]

    yield open_again
    for backend in backends:
        backend.close()


@pytest.fixture
def backend(opened: Callable[..., Backend]) -> Backend:
    return opened()


@pytest.fixture
def bucket(emulators: Emulators, variables: dict[str, str]) -> JournalBucket:
    """The place's."""
    bucket = JournalBucket(emulators.storage, TurnedClock())
    bucket.kept = emulators.storage.make(variables["JOURNAL_BUCKET"])
    return bucket


def _batch(*mutations: Mutation, request_id: str = "request-1") -> Message:
    indexed = tuple(replace(one, index=index) for index, one in enumerate(mutations))
    return replace(message("a.1", request_id=request_id), mutations=indexed, journal_days=7)


def _of(user: dict[str, str]) -> Mutation:
    return Mutation(index=0, user=user)


def test_a_person_is_found_in_the_journal_in_the_order_of_the_queue_and_forgotten(
    backend: Backend, bucket: JournalBucket
) -> None:
    jo = _of({"id": "u1", "email": ADDRESS})
    bucket.export((BEGINNING + 2, _batch(_of({"id": "u2"}), jo, request_id="second")), finished_at=BEGINNING + 2)
    bucket.export((BEGINNING + 1, _batch(replace(jo, direction="left"), request_id="first")), finished_at=BEGINNING + 60)
    backend.reports.add_rejections([rejection(user_hash=hash_user("u1"))])
    found = backend.traces.find(JO).traces
    assert [(trace.place, trace.request_id) for trace in found] == [
        ("journal", "first"),
        ("journal", "second"),
        ("rejections", "request-1"),
    ]
    assert (found[0].direction, found[1].index) == ("left", 1)
    forgotten = backend.traces.forget(JO)
    assert (forgotten.removed["journal"], forgotten.removed["rejections"], forgotten.unreached) == (2, 1, ())
    assert backend.traces.find(JO).traces == ()
    assert [size.items for size in backend.journal.sizes("pangolin", since=0)] == [1]


def test_a_replay_under_way_does_not_put_the_person_back_into_the_hold(backend: Backend, bucket: JournalBucket) -> None:
    batch = _batch(_of({"id": "u1", "email": ADDRESS}), _of({"id": "u2"}))
    bucket.export((BEGINNING, batch))
    replay = replace(message("a.1"), kind="replay", replay=Replay(since=BEGINNING, until=1_000))
    held(backend, "a.1", replay)
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=9, message_id="resume")
    (waiting,) = backend.audiences.waiting(turn, max_items=9, max_bytes=1_000_000)
    backend.traces.forget(JO)
    with pytest.raises(TurnLost):
        backend.audiences.expand(turn, waiting, [Waiting(0, "journal-1", batch, 0, BEGINNING)], replay)
    assert users(backend.audiences.peek("pangolin", "a.1", limit=9)) == [[]]


def test_a_removal_stays_in_the_journal_while_a_replay_may_have_sent_the_person_again(
    backend: Backend, bucket: JournalBucket
) -> None:
    joined = _of({"id": "u1"})
    left = replace(_of({"id": "u1", "email": ADDRESS}), direction="left")
    bucket.export((BEGINNING, _batch(joined)), (BEGINNING + 1, _batch(left, request_id="request-2")))
    held(backend, "a.1", replace(message("a.1"), kind="replay", replay=Replay(since=BEGINNING, until=1_000, cursor=1, sent=1)))
    forgotten = backend.traces.forget(JO)
    assert forgotten.removed["journal"] == 1
    assert [(trace.place, trace.direction, trace.reason) for trace in forgotten.kept] == [("journal", "left", "replaying")]
    assert [trace.direction for trace in backend.traces.find(JO).traces] == ["left"]
    backend.audiences.drop("pangolin", "a.1", older_than=None, limit=9, reject=lambda _batch: [])
    again = backend.traces.forget(JO)
    assert (again.removed["journal"], again.kept) == (1, ())


def test_a_removal_does_not_leave_the_journal_without_what_brings_its_user_back(backend: Backend, bucket: JournalBucket) -> None:
    left = replace(_of({"id": "u1", "email": ADDRESS}), direction="left")
    bucket.export((BEGINNING, _batch(_of({"id": "u1"}), _of({"id": "u2"}))), (BEGINNING + 1, _batch(left)))
    assert backend.traces.forget(JO).removed["journal"] == 2
    assert [size.items for size in backend.journal.sizes("pangolin", since=0)] == [1]


def test_a_turn_that_is_ended_by_it_is_no_crash_of_its_message(backend: Backend, bucket: JournalBucket) -> None:
    held(backend, "a.1", message("a.1", "u2"))
    for _ in range(2 * CRASH_LIMIT):
        bucket.export((BEGINNING, _batch(_of({"email": ADDRESS}))))
        turn = backend.audiences.begin_turn("pangolin", "a.1", position=9, message_id="resume")
        assert turn.verdict == "go"
        assert backend.traces.forget(JO).removed["journal"] == 1
        with pytest.raises(TurnLost):
            backend.audiences.require(turn)


def test_what_waits_in_pubsub_is_said_not_to_be_looked_into(backend: Backend) -> None:
    assert any("Pub/Sub" in sentence for sentence in backend.traces.find(JO).unseen)
    forgotten = backend.traces.forget(JO)
    assert any("Repeat this once" in sentence for sentence in forgotten.remains)
    assert forgotten.unreached == ()


def test_where_no_connector_keeps_a_journal_none_is_missed(opened: Callable[..., Backend]) -> None:
    backend = opened(JOURNAL_BUCKET="")
    published(backend, connector())
    assert len(backend.traces.find(JO).unseen) == 1
    assert backend.traces.forget(JO).unreached == ()


def test_a_journal_that_cannot_be_reached_is_said(opened: Callable[..., Backend]) -> None:
    published(opened(), connector(retention=Retention(journal_days=7)))
    backend = opened(JOURNAL_BUCKET="")
    held(backend, "a.1", _batch(_of({"email": ADDRESS})))
    assert any("journal" in sentence for sentence in backend.traces.find(JO).unseen)
    forgotten = backend.traces.forget(JO)
    assert "journal" in forgotten.unreached[0]
    assert forgotten.removed["hold"] == 1


def test_what_is_on_its_way_into_the_journal_is_said(opened: Callable[..., Backend]) -> None:
    backend = opened()
    published(backend, connector(retention=Retention(journal_days=7)))
    assert any("may not be in the journal yet" in sentence for sentence in backend.traces.forget(JO).remains)
