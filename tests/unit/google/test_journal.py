"""The journal on Cloud Storage: what a replay reads of it, and when it says that not everything is there yet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, suppress
from typing import BinaryIO

import pytest

from relay.backends.google.storage import Bucket, Stored
from relay.domain.errors import ConfigurationError, JournalBehind, StoreUnavailable
from relay.local_run.cloud_storage import StorageServer
from relay.local_run.kept_objects import Listing, Refused, Shown
from tests.clock import TurnedClock
from tests.unit.google.journal_bucket import BATCH_S, BEGAN, JournalBucket, batch, micros, replay

LATER = BEGAN + 3600.0


@pytest.fixture
def bucket() -> Iterator[JournalBucket]:
    server = StorageServer()
    clock = TurnedClock()
    yield JournalBucket(server, clock)
    server.close()


# order


def test_batches_come_in_the_order_in_which_they_were_taken_whatever_the_objects(bucket: JournalBucket) -> None:
    bucket.export((BEGAN + 3, batch("third")), (BEGAN + 4, batch("other", audience="b")))
    bucket.export((BEGAN + 1, batch("first")), (BEGAN + 4, batch("fourth")), finished_at=BEGAN + 60)
    bucket.export((BEGAN + 2, batch("second", "too")), days=30, finished_at=BEGAN + 10)

    assert bucket.users() == [("first",), ("second", "too"), ("third",), ("fourth",)]
    assert bucket.users("b") == [("other",)]
    assert bucket.users("nobody's") == []


def test_what_was_taken_at_the_same_moment_is_in_the_order_of_requests_and_their_parts(bucket: JournalBucket) -> None:
    bucket.export(
        (BEGAN, batch("late", received_at=BEGAN + 0.002)),
        (BEGAN, batch("second part", request_id="r", part=1)),
        (BEGAN, batch("first part", request_id="r")),
    )

    assert bucket.users() == [("first part",), ("second part",), ("late",)]


def test_a_reader_can_stop_between_batches_of_one_moment_and_go_on_there(bucket: JournalBucket) -> None:
    bucket.export(*((BEGAN, batch(str(part), request_id="r", part=part)) for part in range(5)))

    entries = list(bucket.journal.entries("acme", "a", since=0.0, after=0, until=None))

    assert len({entry.position for entry in entries}) == 5
    assert bucket.users(after=entries[2].position) == [("3",), ("4",)]
    assert [entry.accepted_at for entry in entries] == [BEGAN] * 5


def test_what_pubsub_wrote_twice_comes_once(bucket: JournalBucket) -> None:
    message = batch("once")
    bucket.export((BEGAN, message), (BEGAN + 1, batch("next")))
    bucket.export((BEGAN, message), finished_at=BEGAN + 90)

    assert bucket.users() == [("once",), ("next",)]


def test_what_was_published_again_since_its_confirmation_got_lost_comes_at_its_last_place(bucket: JournalBucket) -> None:
    message = batch("twice")
    bucket.export((BEGAN, message), (BEGAN + 1, batch("between")), (BEGAN + 2, message))

    assert bucket.users() == [("between",), ("twice",)]


def test_what_was_accepted_before_the_moment_asked_for_is_left_out(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("before")), (BEGAN + 10, batch("at")), (BEGAN + 20, batch("after")))

    assert bucket.users(since=BEGAN + 10) == [("at",), ("after",)]


def test_an_object_that_was_begun_before_the_moment_is_looked_into(bucket: JournalBucket) -> None:
    bucket.export((BEGAN + 500, batch("late in it")), finished_at=BEGAN)

    assert bucket.users(since=BEGAN + 400) == [("late in it",)]


def test_an_audience_is_found_whatever_attribute_has_the_ordering_key_and_without_one(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("a")), (BEGAN, batch("b", audience="b")), key=False)

    assert bucket.users() == [("a",)]


def test_audiences_with_any_name_are_found(bucket: JournalBucket) -> None:
    name = "Käufer/2026 %2F " + "x" * 700
    bucket.export((BEGAN, batch("one", audience=name)), (BEGAN, batch("other", audience=name + "y")))

    assert bucket.users(name) == [("one",)]


@pytest.mark.parametrize("kept_bytes", [1, 700, 5_000])
def test_more_than_fits_into_memory_comes_in_the_same_order(
    bucket: JournalBucket, kept_bytes: int
) -> None:
    expected = [(f"{number:03d}",) for number in range(60)]
    for start in (40, 0, 20):
        taken = ((BEGAN + number, batch(expected[number][0])) for number in range(start, start + 20))
        bucket.export(*taken, finished_at=BEGAN + 100)

    assert bucket.users(journal=bucket.opened(kept_bytes=kept_bytes)) == expected


# whether everything is there


def test_a_replay_waits_until_its_own_message_has_arrived(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("one")))
    bucket.turn_to(LATER + 5 * BATCH_S)

    with pytest.raises(JournalBehind, match="takes up to 120 s"):
        bucket.users(until=LATER)

    bucket.export((LATER, replay()))
    assert bucket.users(until=LATER) == [("one",)]


def test_the_replay_of_another_audience_says_nothing(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("one")), (LATER, replay("b")), (LATER, replay(connector="other")))
    bucket.turn_to(LATER + 5 * BATCH_S)

    with pytest.raises(JournalBehind):
        bucket.users(until=LATER)


def test_a_later_message_of_the_audience_shows_too_that_all_before_it_has_arrived(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("one")), (LATER + 10, batch("later")))
    bucket.turn_to(LATER + 5 * BATCH_S)

    assert bucket.users(until=LATER) == [("one",)]


def test_it_waits_for_objects_that_may_be_unfinished_although_its_message_has_arrived(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("one")), (LATER, replay()))
    bucket.turn_to(LATER + 2 * BATCH_S - 1)

    with pytest.raises(JournalBehind):
        bucket.users(until=LATER)

    bucket.turn_to(LATER + 2 * BATCH_S)
    assert bucket.users(until=LATER) == [("one",)]


def test_what_was_accepted_behind_the_replay_is_left_to_the_hold(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("one")), (LATER, replay()), (LATER, batch("same moment")), (LATER + 1, batch("later")))
    bucket.turn_to(LATER + 5 * BATCH_S)

    assert bucket.users(until=LATER) == [("one",), ("same moment",)]
    assert bucket.users(until=None) == [("one",), ("same moment",), ("later",)]


def test_where_nothing_arrives_for_long_the_reason_says_what_to_look_at(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("one")))
    bucket.turn_to(LATER + 1800)

    with pytest.raises(JournalBehind, match=r"For 30 minutes .*gcloud pubsub subscriptions list"):
        bucket.users(until=LATER)


def test_a_replay_that_has_waited_until_everything_before_it_grew_too_old_ends(bucket: JournalBucket) -> None:
    bucket.turn_to(LATER + 2 * 86400)

    assert bucket.users(until=LATER) == []


def test_a_replay_that_has_begun_goes_on_though_its_own_message_grew_too_old(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("one")), (BEGAN + 1, batch("two")))
    marker = bucket.export((LATER, replay()))
    bucket.turn_to(LATER + 5 * BATCH_S)
    first = next(bucket.journal.entries("acme", "a", since=0.0, after=0, until=micros(LATER)))
    bucket.kept.delete(marker)
    bucket.turn_to(LATER + 2 * 86400)

    assert bucket.users(after=first.position, until=LATER) == [("two",)]


def test_a_journal_that_stopped_long_ago_is_not_taken_for_whole(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("one")))
    bucket.turn_to(LATER + 2 * 86400)

    with pytest.raises(JournalBehind):
        bucket.users(until=LATER)


def test_a_replay_that_waited_until_what_it_sends_next_grew_too_old_does_not_jump_over_it(bucket: JournalBucket) -> None:
    taken = [bucket.export((BEGAN + number * 86400, batch(str(number)))) for number in range(4)]
    bucket.export((BEGAN + 4 * 86400, replay()))
    until = BEGAN + 4 * 86400
    bucket.turn_to(until + 5 * BATCH_S)
    first = next(bucket.journal.entries("acme", "a", since=0.0, after=0, until=micros(until)))
    bucket.turn_to(BEGAN + 7.5 * 86400)
    assert bucket.users(after=first.position, until=until) == [("1",), ("2",), ("3",)], "what it stands at is still there"

    bucket.kept.delete(taken[0])
    bucket.turn_to(BEGAN + 8.5 * 86400)
    bucket.kept.delete(taken[1])

    with pytest.raises(JournalBehind, match=r"grown too old.*diy holds discard.*have the DMP send"):
        bucket.users(after=first.position, until=until)


def test_a_replay_whose_place_was_erased_goes_on_as_long_as_nothing_can_have_grown_too_old(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("goes")), (BEGAN + 1, batch("stays")), (LATER, replay()))
    bucket.turn_to(LATER + 5 * BATCH_S)
    first = next(bucket.journal.entries("acme", "a", since=0.0, after=0, until=micros(LATER)))
    bucket.journal.forget(lambda mutation: mutation.user["id"] == "goes")
    bucket.turn_to(BEGAN + 6.9 * 86400)

    assert bucket.users(after=first.position, until=LATER) == [("stays",)]


# trouble


def test_without_a_bucket_the_reason_names_the_variable(bucket: JournalBucket) -> None:
    journal = bucket.opened(JOURNAL_BUCKET="")

    with pytest.raises(JournalBehind, match="JOURNAL_BUCKET is not set"):
        bucket.users(until=BEGAN, journal=journal)
    with pytest.raises(ConfigurationError, match="JOURNAL_BUCKET is not set"):
        journal.sizes("acme", since=0.0)


def test_a_bucket_that_does_not_exist_is_named(bucket: JournalBucket) -> None:
    with pytest.raises(ConfigurationError, match="has no bucket 'misspelt'"):
        bucket.opened(JOURNAL_BUCKET="misspelt").sizes("acme", since=0.0)


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (403, ConfigurationError, "lacks a role on the bucket 'the-journal'"),
        (401, ConfigurationError, "lacks a role"),
        (429, StoreUnavailable, "overloaded"),
        (503, StoreUnavailable, "in trouble"),
    ],
)
def test_what_passes_by_itself_is_told_from_what_needs_somebody(
    bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch, status: int, error: type[Exception], said: str
) -> None:
    def refuse(**_: object) -> None:
        raise Refused(status, "no")

    monkeypatch.setattr(bucket.kept, "list", refuse)

    with pytest.raises(error, match=said):
        bucket.journal.sizes("acme", since=0.0)


def test_a_read_that_fails_in_passing_is_tried_again(bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.export((BEGAN, batch("one")))
    answers = iter([503, 429])
    real = bucket.kept.get

    def shaky(name: str, *, generation: str = "") -> tuple[Shown, bytes]:
        for status in answers:
            raise Refused(status, "in passing")
        return real(name, generation=generation)

    monkeypatch.setattr(bucket.kept, "get", shaky)

    assert bucket.users() == [("one",)]


def test_a_service_that_is_not_reached_is_a_store_that_is_unavailable(bucket: JournalBucket) -> None:
    with pytest.raises(StoreUnavailable, match="could not be reached"):
        bucket.opened(STORAGE_EMULATOR_HOST="127.0.0.1:1").sizes("acme", since=0.0)


@pytest.mark.parametrize("content", [b"", b"no Avro at all", b"Obj\x01"])
def test_an_object_that_pubsub_did_not_write_is_named_and_not_passed_over(bucket: JournalBucket, content: bytes) -> None:
    bucket.export((BEGAN, batch("one")))
    bucket.kept.put("7/2027-01-15T08:00:00Z_mine.avro", content)

    with pytest.raises(JournalBehind, match="08:00:00Z_mine"):
        bucket.users()
    with pytest.raises(ConfigurationError, match="08:00:00Z_mine"):
        bucket.journal.sizes("acme", since=0.0)


@pytest.mark.parametrize("cut", [1, 20, 300])
def test_a_damaged_object_is_not_taken_for_a_short_one(bucket: JournalBucket, cut: int) -> None:
    name = bucket.export(*((BEGAN + number, batch("x" * 100)) for number in range(100)))
    _, content = bucket.kept.get(name)
    bucket.kept.put(name, content[:-cut])

    with pytest.raises(JournalBehind, match="damaged"):
        bucket.users()


def test_an_object_that_grew_too_old_while_it_was_listed_is_left_out(
    bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = bucket.export((BEGAN, batch("old")), days=1)
    bucket.export((BEGAN + 100, batch("young")))
    real = bucket.kept.list

    def list_then_delete(*, prefix: str, start: str, size: int, token: str) -> Listing:
        listing = real(prefix=prefix, start=start, size=size, token=token)
        with suppress(Refused):
            bucket.kept.delete(old)
        return listing

    monkeypatch.setattr(bucket.kept, "list", list_then_delete)

    assert bucket.users() == [("young",)]


def test_an_object_that_was_rewritten_since_it_was_listed_is_read_as_it_is_now(
    bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.export((BEGAN, batch("goes", "stays")))
    eraser = bucket.opened()
    real = bucket.kept.get
    erased = False

    def get_after_erasure(name: str, *, generation: str = "") -> object:
        nonlocal erased
        if not erased:
            erased = True
            assert eraser.forget(lambda mutation: mutation.user["id"] == "goes") == 1
        return real(name, generation=generation)

    monkeypatch.setattr(bucket.kept, "get", get_after_erasure)

    assert bucket.users() == [("stays",)]


# how it is read


def test_what_was_read_of_an_object_is_remembered(bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.export((BEGAN, batch("one")), (BEGAN, batch("other", audience="b")))
    assert bucket.users() == [("one",)]
    reads: list[str] = []
    real = bucket.kept.get

    def noted(name: str, *, generation: str = "") -> tuple[Shown, bytes]:
        reads.append(name)
        return real(name, generation=generation)

    monkeypatch.setattr(bucket.kept, "get", noted)

    assert bucket.users() == [("one",)]
    assert reads == []
    bucket.export((BEGAN + 1, batch("two")))
    assert bucket.users() == [("one",), ("two",)]
    assert len(reads) == 1


def test_more_objects_than_one_page_of_the_list_are_found(bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.backends.google.storage._PAGE", 2)
    for number in range(5):
        bucket.export((BEGAN + number, batch(str(number))))

    assert bucket.users() == [("0",), ("1",), ("2",), ("3",), ("4",)]


def test_a_replay_that_has_come_far_does_not_ask_for_objects_of_long_ago(
    bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(5):
        bucket.export((BEGAN + day * 86400, batch(str(day))))
    positions = [entry.position for entry in bucket.journal.entries("acme", "a", since=0.0, after=0, until=None)]
    starts: list[str] = []
    real = bucket.kept.list

    def noted(*, prefix: str, start: str, size: int, token: str) -> Listing:
        starts.append(start)
        return real(prefix=prefix, start=start, size=size, token=token)

    monkeypatch.setattr(bucket.kept, "list", noted)

    assert bucket.users(after=positions[3]) == [("4",)]
    assert all(start.partition("/")[2] > "2027-01-18T07" for start in starts)


def test_a_large_journal_is_read_in_several_turns_none_of_which_lasts_too_long(
    bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [(f"{number:02d}",) for number in range(60)]
    for number, (user,) in enumerate(expected):
        bucket.export((BEGAN + number, batch(user)))
    real = bucket.kept.get

    def slow(name: str, *, generation: str = "") -> tuple[Shown, bytes]:
        bucket.clock.advance(15)
        return real(name, generation=generation)

    monkeypatch.setattr(bucket.kept, "get", slow)

    with pytest.raises(JournalBehind, match="still being read"):
        bucket.users()
    for _ in range(30):
        with suppress(JournalBehind):
            assert bucket.users() == expected
            return
    pytest.fail("it begins anew each time")


def test_a_journal_that_does_not_fit_into_memory_is_read_further_at_each_time_and_no_object_anew(
    bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [(f"{number:03d}",) for number in range(150)]
    for number, (user,) in enumerate(expected):
        bucket.export((BEGAN + 60 * number, batch(user)))
    journal = bucket.opened(kept_bytes=4_000)
    reads: list[str] = []
    real = bucket.kept.get

    def slow(name: str, *, generation: str = "") -> tuple[Shown, bytes]:
        reads.append(name)
        bucket.clock.advance(2)
        return real(name, generation=generation)

    monkeypatch.setattr(bucket.kept, "get", slow)
    entries = None
    for _ in range(20):
        with suppress(JournalBehind):
            entries = bucket.users(journal=journal)
            break

    assert entries == expected
    assert len(reads) <= 2 * len(expected), "each once to know of it, and once more to send it"


def test_what_is_read_again_is_read_by_several_threads_and_given_before_all_of_it_is_there(
    bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(150):
        bucket.export((BEGAN + 60 * number, batch(str(number))))
    journal = bucket.opened(kept_bytes=4_000)
    assert len(bucket.users(journal=journal)) == 150
    readers: list[str] = []
    real = Bucket.read

    def noted(self: Bucket, stored: Stored) -> AbstractContextManager[BinaryIO]:
        readers.append(threading.current_thread().name)
        return real(self, stored)

    monkeypatch.setattr(Bucket, "read", noted)

    with closing(journal.entries("acme", "a", since=0.0, after=0, until=None)) as entries:
        next(entries)
        assert len(readers) < 50
        assert len(list(entries)) == 149
    assert threading.current_thread().name not in readers


def test_one_reading_goes_through_the_journal_at_a_time(bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.backends.google.journal._IN_TURN_S", 0.01)
    bucket.export((BEGAN, batch("one")), (BEGAN, batch("other", audience="b")))
    begun, go_on = threading.Event(), threading.Event()
    real = bucket.kept.get

    def slow(name: str, *, generation: str = "") -> tuple[Shown, bytes]:
        begun.set()
        go_on.wait(20)
        return real(name, generation=generation)

    monkeypatch.setattr(bucket.kept, "get", slow)
    other = threading.Thread(target=bucket.users, args=("b",))
    other.start()
    try:
        assert begun.wait(20)
        with pytest.raises(JournalBehind, match="being read for other audiences"):
            bucket.users()
    finally:
        go_on.set()
        other.join()

    assert bucket.users() == [("one",)]


# what there is of it


def test_sizes_are_by_audience_and_count_what_was_written_twice_once(bucket: JournalBucket) -> None:
    message = batch("one", "two")
    bucket.export((BEGAN + 1, message), (BEGAN + 2, batch("three")), (BEGAN + 3, replay()))
    bucket.export((BEGAN + 1, message), (BEGAN, batch("four", audience="b")), (BEGAN, batch("five", connector="other")))

    sizes = bucket.journal.sizes("acme", since=0.0)

    assert [(size.audience, size.batches, size.items, size.first_at) for size in sizes] == [
        ("a", 2, 3, BEGAN + 1),
        ("b", 1, 1, BEGAN),
    ]
    assert [size.batches for size in bucket.journal.sizes("acme", since=BEGAN + 2)] == [1]


def test_a_receiver_knows_of_the_journal_within_a_minute_and_a_margin(bucket: JournalBucket) -> None:
    assert bucket.journal.late_s == 120


# erasure


def test_forgetting_takes_a_user_out_of_every_batch_and_leaves_the_others(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("goes", "stays")), (BEGAN + 1, batch("goes")), (LATER, replay()))
    bucket.export((BEGAN + 2, batch("goes", audience="b", connector="other")), days=30)
    untouched = bucket.export((BEGAN + 3, batch("stays too")))
    before = bucket.kept.get(untouched)

    assert bucket.journal.forget(lambda mutation: mutation.user["id"] == "goes") == 3

    bucket.turn_to(LATER + 5 * BATCH_S)
    assert bucket.users(until=LATER) == [("stays",), ("stays too",)]
    assert bucket.kept.get(untouched) == before
    assert not any(b"goes" in bucket.kept.get(name)[1] for name in bucket.names())
    assert not any(name.startswith("30/") for name in bucket.names()), "an object with nothing left in it goes"


def test_a_rewritten_object_grows_old_with_what_it_holds(bucket: JournalBucket) -> None:
    name = bucket.export((BEGAN, batch("goes", "stays", "goes next")))
    born = bucket.kept.get(name)[0].time_created

    bucket.journal.forget(lambda mutation: mutation.user["id"] == "goes")
    bucket.journal.forget(lambda mutation: mutation.user["id"] == "goes next")

    assert bucket.kept.get(name)[0].custom_time == born
    assert bucket.users() == [("stays",)]


def test_two_who_forget_at_once_undo_nothing_of_each_other(bucket: JournalBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.export((BEGAN, batch("first", "second", "stays")))
    other = bucket.opened()
    real = bucket.kept.put
    raced = False

    def put_after_another(name: str, content: bytes, **words: object) -> object:
        nonlocal raced
        if not raced:
            raced = True
            other.forget(lambda mutation: mutation.user["id"] == "second")
        return real(name, content, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(bucket.kept, "put", put_after_another)

    assert bucket.journal.forget(lambda mutation: mutation.user["id"] == "first") == 1
    assert bucket.users() == [("stays",)]


def test_who_is_looked_for_is_found_with_the_batches_of_any_connector(bucket: JournalBucket) -> None:
    message = batch("wanted", "other")
    bucket.export((BEGAN, message), (BEGAN + 1, batch("other")))
    bucket.export((BEGAN, message), (BEGAN + 2, batch("wanted", connector="second")))

    found = list(bucket.journal.find(lambda mutation: mutation.user["id"] == "wanted"))

    assert [(entry.message.connector, entry.accepted_at) for entry in found] == [("acme", BEGAN), ("second", BEGAN + 2)]


def test_a_position_of_the_journal_is_finer_than_one_of_the_queue_and_in_its_order(bucket: JournalBucket) -> None:
    bucket.export((BEGAN, batch("one")))

    (entry,) = bucket.journal.entries("acme", "a", since=0.0, after=0, until=None)

    assert entry.position == micros(BEGAN) * 1_000
