"""A person is taken out of the embedded queue and journal, and out of the files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Leased
from relay.backends.interfaces.traces import MOST_KEYS
from relay.domain.audience import Waiting
from relay.domain.connector import Retention
from relay.domain.errors import TurnLost
from relay.domain.message import VERSION, Direction, Message, Mutation, Replay, decode
from relay.domain.outcome import hash_user
from relay.domain.person import Person
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, connector, held, published, rejection, request

ADDRESS = "jo.canary@example.com"
JO = Person(ADDRESS)


class SleepingClock(TurnedClock):
    """Turned by its user's sleep, during which something else may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.meanwhile()
        super().sleep(seconds)


@pytest.fixture
def clock() -> SleepingClock:
    return SleepingClock()


@pytest.fixture
def backend(state_dir: Path, clock: SleepingClock) -> Iterator[EmbeddedBackend]:
    opened = EmbeddedBackend.open(state_dir, clock)
    yield opened
    opened.close()


def _message(*users: str, audience: str = "a.1", direction: Direction = "joined", journal_days: int = 0) -> Message:
    """`jo` among the users is the person."""
    return Message(
        version=VERSION,
        kind="change",
        connector="pangolin",
        audience=audience,
        request_id="-".join(users),
        received_at=BEGINNING,
        mutations=tuple(
            Mutation(index=index, direction=direction, user={"id": user, "email": ADDRESS} if user == "jo" else {"id": user})
            for index, user in enumerate(users)
        ),
        journal_days=journal_days,
    )


def _users(message: Message) -> list[str]:
    return [mutation.user["id"] for mutation in message.mutations]


def _take(backend: EmbeddedBackend, most: int = 1) -> Leased:
    leased = backend.queue.take(most=most)
    assert leased is not None
    return leased


def _drained(backend: EmbeddedBackend) -> list[list[str]]:
    """Who is in the messages that are handed out, one after the other."""
    found = []
    while (leased := backend.queue.take()) is not None:
        found.append(_users(decode(leased.body)))
        assert backend.queue.acknowledge(leased)
    assert backend.queue.depth().messages == 0
    return found


# the queue
def test_a_person_is_found_in_the_queue(backend: EmbeddedBackend) -> None:
    later = replace(_message("jo", audience="a.1", direction="left"), received_at=BEGINNING + 5)
    backend.queue.publish([_message("u1", "jo", audience="a.2"), later])
    _take(backend)
    first, second = backend.traces.find(JO).traces
    assert (first.place, first.audience, first.index, first.at, first.in_turn) == ("queue", "a.2", 1, BEGINNING, True)
    assert (second.audience, second.direction, second.at, second.in_turn) == ("a.1", "left", BEGINNING + 5, False)


QUEUES = [
    ([["u1", "jo"], ["jo", "u2"], ["u3"]], [["u1"], ["u2"], ["u3"]]),
    ([["jo"], ["u1"], ["u2"]], [["u1"], ["u2"]]),
    ([["u1"], ["jo"], ["u2"]], [["u1"], ["u2"]]),
    ([["u1"], ["u2"], ["jo"]], [["u1"], ["u2"]]),
    ([["jo"], ["jo"], ["jo"]], []),
    ([["jo"]], []),
]


def test_a_long_queue_is_looked_through_in_parts(backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.backends.embedded.traces._AT_ONCE", 3)
    monkeypatch.setattr("relay.backends.embedded.traces._BYTES_AT_ONCE", 100)
    backend.queue.publish([_message("jo" if number % 4 else "u1", f"v{number}") for number in range(20)])
    assert len(backend.traces.find(JO).traces) == 15
    assert backend.traces.forget(JO).removed["queue"] == 15


@pytest.mark.parametrize(("queued", "left"), QUEUES, ids=str)
def test_others_keep_their_order_in_the_queue(backend: EmbeddedBackend, queued: list[list[str]], left: list[list[str]]) -> None:
    backend.queue.publish([_message(*users) for users in queued])
    forgotten = backend.traces.forget(JO)
    assert forgotten.removed["queue"] == sum(users.count("jo") for users in queued)
    assert backend.queue.depth().messages == len(left)
    assert _drained(backend) == left


def test_what_comes_later_follows_an_emptied_message(backend: EmbeddedBackend) -> None:
    backend.queue.publish([_message("jo")])
    backend.traces.forget(JO)
    backend.queue.publish([_message("u1"), _message("u2")])
    assert _drained(backend) == [["u1"], ["u2"]]


def test_a_removal_that_is_queued_is_kept(backend: EmbeddedBackend) -> None:
    backend.queue.publish([_message("jo"), _message("jo", direction="left")])
    forgotten = backend.traces.forget(JO)
    assert [(trace.place, trace.direction) for trace in forgotten.kept] == [("queue", "left")]
    assert forgotten.removed["queue"] == 1
    assert _drained(backend) == [["jo"]]


def test_a_message_that_was_given_back_loses_the_person_and_keeps_its_delay(
    backend: EmbeddedBackend, clock: SleepingClock
) -> None:
    backend.queue.publish([_message("jo", "u1")])
    backend.queue.give_back(_take(backend), delay_s=30)
    backend.traces.forget(JO)
    assert backend.queue.take() is None
    clock.advance(31)
    assert _drained(backend) == [["u1"]]


def test_others_can_write_in_between(backend: EmbeddedBackend, clock: SleepingClock) -> None:
    backend.queue.publish([_message("jo") for _ in range(50)])
    clock.meanwhile = lambda: backend.queue.publish([_message("u1")])
    assert backend.traces.forget(JO).removed["queue"] == 50
    assert len(_drained(backend)) >= 5


# what a worker has in hand
def test_what_a_worker_has_in_hand_is_waited_for(backend: EmbeddedBackend, clock: SleepingClock) -> None:
    backend.queue.publish([_message("jo", "u1"), _message("jo", "u2")])
    leased = _take(backend)
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=leased.position, message_id=leased.message_id)

    def end() -> None:
        backend.audiences.join(turn, decode(leased.body), request())
        assert backend.queue.acknowledge(leased)
        clock.meanwhile = lambda: None

    clock.meanwhile = end
    forgotten = backend.traces.forget(JO)
    assert forgotten.in_turn == ()
    assert (forgotten.removed["queue"], forgotten.removed["hold"]) == (1, 1)
    assert [_users(batch.message) for batch in backend.audiences.peek("pangolin", "a.1", limit=9)] == [["u1"]]
    assert _drained(backend) == [["u2"]]


def test_what_a_worker_keeps_in_hand_is_said_and_stays_as_it_is(backend: EmbeddedBackend, clock: SleepingClock) -> None:
    backend.queue.publish([_message("jo", "u1"), _message("jo", "u2")])
    leased = _take(backend)
    forgotten = backend.traces.forget(JO)
    assert [(trace.place, trace.request_id, trace.in_turn) for trace in forgotten.in_turn] == [("queue", "jo-u1", True)]
    assert forgotten.removed["queue"] == 1
    assert clock.now() < BEGINNING + 60
    assert backend.queue.acknowledge(leased)
    assert _drained(backend) == [["u2"]]
    assert backend.traces.forget(JO).in_turn == ()


def test_what_a_worker_has_in_hand_behind_another_message_is_waited_for(
    backend: EmbeddedBackend, clock: SleepingClock
) -> None:
    backend.queue.publish([_message("u1"), _message("jo", "u2"), _message("jo", "u3"), _message("jo", "u4")])
    leased = _take(backend, most=3)
    assert [trace.in_turn for trace in backend.traces.find(JO).traces] == [True, True, False]
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=leased.position, message_id=leased.message_id)

    def end() -> None:
        assert [_users(decode(one.body)) for one in leased.following] == [["jo", "u2"], ["jo", "u3"]], "as it was handed out"
        with backend.queue.finish(turn, leased, 2):
            behind = replace(turn, message_id=leased.following[1].message_id)
            backend.audiences.join(behind, decode(leased.following[1].body), request())
        clock.meanwhile = lambda: None

    clock.meanwhile = end
    forgotten = backend.traces.forget(JO)
    assert forgotten.in_turn == ()
    assert (forgotten.removed["queue"], forgotten.removed["hold"]) == (1, 1)
    assert [_users(batch.message) for batch in backend.audiences.peek("pangolin", "a.1", limit=9)] == [["u3"]]
    assert _drained(backend) == [["u4"]]


def test_what_a_worker_keeps_in_hand_behind_another_message_is_said_and_stays_as_it_is(
    backend: EmbeddedBackend, clock: SleepingClock
) -> None:
    backend.queue.publish([_message("u1"), _message("jo", "u2"), _message("jo", "u3")])
    leased = _take(backend, most=2)
    forgotten = backend.traces.forget(JO)
    assert [(trace.request_id, trace.in_turn) for trace in forgotten.in_turn] == [("jo-u2", True)]
    assert forgotten.removed["queue"] == 1
    backend.queue.give_back(leased, delay_s=0)
    assert backend.traces.forget(JO).in_turn == ()
    assert _drained(backend) == [["u1"], ["u2"], ["u3"]]


def test_what_was_in_hand_behind_another_message_and_is_not_now_needs_no_waiting(
    backend: EmbeddedBackend, clock: SleepingClock
) -> None:
    """Its worker has ended, and another one has the first message alone."""
    backend.queue.publish([_message("u1"), _message("jo", "u2")])
    backend.queue.give_back(_take(backend, most=2), delay_s=0)
    _take(backend, most=2)
    assert [trace.in_turn for trace in backend.traces.find(JO).traces] == [False]
    assert backend.traces.forget(JO).removed["queue"] == 1
    assert clock.now() < BEGINNING + 1


def test_a_removal_in_hand_needs_no_waiting(backend: EmbeddedBackend, clock: SleepingClock) -> None:
    backend.queue.publish([_message("jo", direction="left")])
    _take(backend)
    forgotten = backend.traces.forget(JO)
    assert (len(forgotten.kept), forgotten.in_turn) == (1, ())
    assert clock.now() < BEGINNING + 1


def test_a_worker_whose_time_is_over_has_nothing_in_hand(backend: EmbeddedBackend, clock: SleepingClock) -> None:
    backend.queue.publish([_message("jo"), _message("u1")])
    leased = _take(backend)
    clock.advance(200)
    assert backend.traces.forget(JO).removed["queue"] == 1
    assert not backend.queue.acknowledge(leased)
    assert _drained(backend) == [["u1"]]


def test_a_turn_that_had_the_hold_in_hand_is_waited_for_since_it_may_reject(
    backend: EmbeddedBackend, clock: SleepingClock
) -> None:
    held(backend, "a.1", _message("jo", "u1"))
    backend.queue.publish([replace(_message(), kind="resume")])
    leased = _take(backend)
    forgotten = backend.traces.forget(JO)
    assert [(trace.place, trace.in_turn) for trace in forgotten.in_turn] == [("hold", True)]
    assert forgotten.removed["hold"] == 1
    held(backend, "a.1", _message("jo", "u2"))
    clock.meanwhile = lambda: backend.queue.acknowledge(leased)
    assert backend.traces.forget(JO).in_turn == ()


def test_what_a_turn_rejects_meanwhile_is_found_by_what_was_seen_before(backend: EmbeddedBackend, clock: SleepingClock) -> None:
    backend.queue.publish([_message("jo")])
    leased = _take(backend)

    def reject() -> None:
        backend.reports.add_rejections([rejection(user_hash=hash_user("jo"))])
        assert backend.queue.acknowledge(leased)
        clock.meanwhile = lambda: None

    clock.meanwhile = reject
    assert backend.traces.forget(JO).removed["rejections"] == 1


# the journal
@pytest.fixture
def journaling(backend: EmbeddedBackend) -> EmbeddedBackend:
    published(backend, connector(retention=Retention(journal_days=7)))
    return backend


def _journaled(backend: EmbeddedBackend) -> list[list[str]]:
    return [_users(decode(body)) for (body,) in backend.database.rows("SELECT body FROM journal ORDER BY position")]


def test_a_person_leaves_the_journal_with_all_that_is_there_of_them(journaling: EmbeddedBackend) -> None:
    journaling.queue.publish(
        [
            _message("u1", "jo", journal_days=7),
            _message("jo", direction="left", journal_days=7),
            _message("u2", journal_days=7),
        ]
    )
    _drained(journaling)
    assert [trace.place for trace in journaling.traces.find(JO).traces] == ["journal", "journal"]
    forgotten = journaling.traces.forget(JO)
    assert (forgotten.removed["journal"], forgotten.kept) == (2, ())
    assert _journaled(journaling) == [["u1"], ["u2"]]
    assert [size.items for size in journaling.journal.sizes("pangolin", since=0)] == [2]


def test_a_replay_under_way_does_not_put_the_person_back_into_the_hold(journaling: EmbeddedBackend) -> None:
    journaling.queue.publish([_message("jo", "u1", journal_days=7)])
    _drained(journaling)
    replay = replace(_message(), kind="replay", replay=Replay(since=BEGINNING, until=1_000))
    held(journaling, "a.1", replay)
    turn = journaling.audiences.begin_turn("pangolin", "a.1", position=9, message_id="resume")
    (waiting,) = journaling.audiences.waiting(turn, max_items=9, max_bytes=1_000_000)
    read = [Waiting(0, "journal-1", _message("jo", "u1"), 0, BEGINNING)]
    journaling.traces.forget(JO)
    with pytest.raises(TurnLost):
        journaling.audiences.expand(turn, waiting, read, replay)
    assert journaling.traces.find(JO).traces == ()


def _directions(backend: EmbeddedBackend) -> list[str]:
    bodies = [body for (body,) in backend.database.rows("SELECT body FROM journal ORDER BY position")]
    return [mutation.direction for body in bodies for mutation in decode(body).mutations]


def test_a_removal_stays_in_the_journal_while_a_replay_may_have_sent_the_person_again(journaling: EmbeddedBackend) -> None:
    journaling.queue.publish([_message("jo", journal_days=7), _message("jo", direction="left", journal_days=7)])
    _drained(journaling)
    held(journaling, "a.1", replace(_message(), kind="replay", replay=Replay(since=BEGINNING, until=1_000, cursor=1, sent=1)))
    forgotten = journaling.traces.forget(JO)
    assert forgotten.removed["journal"] == 1
    assert [(trace.place, trace.direction, trace.reason) for trace in forgotten.kept] == [("journal", "left", "replaying")]
    assert _directions(journaling) == ["left"]
    journaling.audiences.drop("pangolin", "a.1", older_than=None, limit=9, reject=lambda _batch: [])
    again = journaling.traces.forget(JO)
    assert (again.removed["journal"], again.kept) == (1, ())


def test_a_removal_does_not_leave_the_journal_without_what_brings_its_user_back(journaling: EmbeddedBackend) -> None:
    joined = replace(_message("jo", journal_days=7), mutations=(Mutation(index=0, user={"id": "jo"}),))
    journaling.queue.publish([joined, _message("jo", direction="left", journal_days=7), _message("u1", journal_days=7)])
    _drained(journaling)
    assert journaling.traces.forget(JO).removed["journal"] == 2
    assert _journaled(journaling) == [["u1"]]


def test_removals_of_many_who_share_an_identifier_stay_in_the_journal(journaling: EmbeddedBackend) -> None:
    many = [f"u{number}" for number in range(MOST_KEYS + 1)]
    left = tuple(Mutation(index=index, direction="left", user={"id": user, "email": ADDRESS}) for index, user in enumerate(many))
    journaling.queue.publish([_message(*many, journal_days=7), replace(_message(journal_days=7), mutations=left)])
    _drained(journaling)
    forgotten = journaling.traces.forget(JO)
    assert (forgotten.removed["journal"], len(forgotten.kept)) == (0, MOST_KEYS + 1)
    assert _journaled(journaling) == [many, many]
    assert journaling.traces.forget(Person("u1")).removed["journal"] == 2


# what cannot be looked into
def test_a_batch_of_a_newer_program_is_said(backend: EmbeddedBackend) -> None:
    backend.queue.publish([replace(_message("jo"), version=VERSION + 5)])
    assert "newer program" in backend.traces.find(JO).unseen[0]
    assert "newer program" in backend.traces.forget(JO).unreached[0]


# the files
def _readable(state_dir: Path, text: bytes = ADDRESS.encode()) -> list[str]:
    return [file.name for file in sorted(state_dir.rglob("*")) if file.is_file() and text in file.read_bytes()]


def test_what_was_delivered_is_not_readable_in_the_database_any_more(backend: EmbeddedBackend, state_dir: Path) -> None:
    backend.queue.publish([_message("jo", *(f"u{number}" for number in range(300)))])
    _drained(backend)
    backend.database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert _readable(state_dir) == []


def test_a_forgotten_person_is_in_no_file(journaling: EmbeddedBackend, state_dir: Path) -> None:
    journaling.queue.publish([_message("jo", "u1", journal_days=7), _message("u2", "jo", audience="a.2")])
    for number in range(40):
        held(journaling, f"b.{number}", _message(*("jo", f"u{number}") * 3, audience=f"b.{number}"))
    assert _readable(state_dir) != []
    assert journaling.traces.forget(JO).unreached == ()
    assert _readable(state_dir) == []


def _leave_a_copy(backend: EmbeddedBackend) -> None:
    """In a part of the file that is not used, as SQLite does now and then."""
    with closing(backend.database.connect()) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("INSERT INTO audit (at, record) VALUES (1, ?)", (f'"{ADDRESS.upper()}"'.encode(),))
        connection.execute("DELETE FROM audit")


def test_a_copy_in_an_unused_part_of_a_small_file_is_rewritten_away(backend: EmbeddedBackend, state_dir: Path) -> None:
    _leave_a_copy(backend)
    assert backend.traces.forget(JO).unreached == ()
    assert _readable(state_dir, ADDRESS.upper().encode()) == []


def test_a_copy_in_a_large_file_is_said_and_rewritten_away_when_asked(
    backend: EmbeddedBackend, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.backends.embedded.forgetting.SMALL_BYTES", 0)
    _leave_a_copy(backend)
    (sentence,) = backend.traces.forget(JO).unreached
    assert "--compact" in sentence
    assert ADDRESS not in sentence
    assert backend.traces.forget(JO, compact=True).unreached == ()
    assert _readable(state_dir, ADDRESS.upper().encode()) == []


def test_copies_of_what_is_kept_in_a_large_file_are_to_be_looked_for_again(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.backends.embedded.forgetting.SMALL_BYTES", 0)
    _leave_a_copy(backend)
    backend.queue.publish([_message("jo", direction="left")])
    (sentence,) = backend.traces.forget(JO).unreached
    assert "Run the command again" in sentence
    assert "--compact" in sentence
    _drained(backend)
    assert "with --compact" in backend.traces.forget(JO).unreached[0]


def test_a_reader_that_stands_in_the_way_of_emptying_the_log_is_said(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.backends.embedded.erasure._CHECKPOINT_TRIES", 2)
    backend.queue.publish([_message("jo")])
    with closing(sqlite3.connect(backend.database.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        backend.queue.publish([_message("u1")])
        (sentence,) = backend.traces.forget(JO).unreached
    assert "Run the command again" in sentence
    assert backend.traces.forget(JO).unreached == ()
