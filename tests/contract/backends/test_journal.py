"""The journal: copies of accepted batches."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import Backend, Journaled, Leased
from relay.domain.connector import Connector, Retention
from relay.domain.message import Message, Replay
from tests.clock import TurnedClock
from tests.contract.backends.deliveries import Deliveries
from tests.contract.backends.given import BEGINNING, DAY, connector, held, message, published, request

pytestmark = pytest.mark.parametrize("place", ["embedded"], indirect=True)


def keeping(days: int = 7, name: str = "pangolin") -> Connector:
    return connector(name, retention=Retention(journal_days=days))


def publish(backend: Backend, *messages: Message, days: int = 7) -> None:
    """As a receiver does that knows that the journal is on."""

    async def publish() -> None:
        publisher = backend.publisher()
        await publisher.publish([replace(one, journal_days=days) for one in messages])
        await publisher.close()

    asyncio.run(publish())


def position(deliveries: Deliveries) -> int:
    """Of the last message that is handed out."""
    leased: Leased = deliveries.next()
    while True:
        deliveries.acknowledge(leased)
        following = deliveries.maybe()
        if following is None:
            return leased.position
        leased = following


def entries(
    backend: Backend, audience: str = "a.1", *, since: float = 0, after: int = 0, until: int | None = None
) -> list[Journaled]:
    return list(backend.journal.entries("pangolin", audience, since=since, after=after, until=until))


def who(found: list[Journaled]) -> list[list[str]]:
    return [[mutation.user["id"] for mutation in one.message.mutations] for one in found]


def test_what_is_accepted_is_kept_in_its_order_as_it_was(backend: Backend, clock: TurnedClock) -> None:
    published(backend, keeping())
    batches = [replace(message("a.1", f"u{number}", request_id=f"r{number}"), journal_days=7) for number in range(3)]
    publish(backend, *batches[:2])
    clock.advance(10)
    backend.queue.publish(batches[2:])
    found = entries(backend)
    assert [one.message for one in found] == batches
    assert [one.accepted_at for one in found] == [BEGINNING, BEGINNING, BEGINNING + 10]
    assert [one.position for one in found] == sorted({one.position for one in found})


def test_its_positions_are_those_of_the_queue(backend: Backend, deliveries: Deliveries) -> None:
    published(backend, keeping())
    publish(backend, message("a.1", "u1"))
    before = position(deliveries)
    publish(backend, message("a.1", "u2"))
    asked = replace(message("a.1", kind="replay"), replay=Replay(since=0.0))
    publish(backend, asked)
    until = position(deliveries)
    publish(backend, message("a.1", "u3"))
    assert who(entries(backend, until=until)) == [["u1"], ["u2"]]
    assert who(entries(backend, after=before, until=until)) == [["u2"]]
    assert who(entries(backend)) == [["u1"], ["u2"], ["u3"]]


def test_only_changes_are_kept(backend: Backend) -> None:
    published(backend, keeping())
    publish(backend, message("a.1", kind="created"), message("a.1", kind="resume"), message("a.1", "u2"))
    assert who(entries(backend)) == [["u2"]]


def test_it_begins_when_it_is_switched_on_and_ends_when_it_is_off_whatever_a_receiver_knows(backend: Backend) -> None:
    published(backend, keeping(0))
    publish(backend, message("a.1", "before"), days=7)
    assert who(entries(backend)) == []
    published(backend, keeping())
    publish(backend, message("a.1", "u1"), days=0)
    assert who(entries(backend)) == [["u1"]]


def test_audiences_and_connectors_are_kept_apart(backend: Backend) -> None:
    published(backend, keeping())
    published(backend, keeping(name="other"))
    publish(backend, message("a.1", "u1"), message("a.2", "u2"), message("a.1", "u3", connector="other"))
    assert who(entries(backend)) == [["u1"]]
    assert who(entries(backend, "a.2")) == [["u2"]]


def test_it_begins_with_the_first_that_was_accepted_since(backend: Backend, clock: TurnedClock) -> None:
    published(backend, keeping())
    for number in range(4):
        publish(backend, message("a.1", f"u{number}"))
        clock.advance(10)
    assert who(entries(backend, since=BEGINNING + 20)) == [["u2"], ["u3"]]
    assert who(entries(backend, since=BEGINNING + 31)) == []


def test_a_large_one_is_read_to_its_end(backend: Backend) -> None:
    published(backend, keeping())
    users = [f"user-{number}" * 10 for number in range(900)]
    publish(backend, *(message("a.1", *users, request_id=f"r{number}") for number in range(60)))
    found = entries(backend)
    assert [one.message.request_id for one in found] == [f"r{number}" for number in range(60)]
    assert [one.message.request_id for one in entries(backend, after=found[57].position)] == ["r58", "r59"]


def test_a_reader_may_stop_anywhere(backend: Backend) -> None:
    published(backend, keeping())
    publish(backend, *(message("a.1", f"u{number}") for number in range(5)))
    reading = backend.journal.entries("pangolin", "a.1", since=0, after=0, until=None)
    assert who([next(reading), next(reading)]) == [["u0"], ["u1"]]
    reading.close()
    publish(backend, message("a.1", "u5"))


def test_its_size_is_told_by_audience(backend: Backend, clock: TurnedClock) -> None:
    published(backend, keeping())
    publish(backend, message("b.1", "u1"), message("a.1", "u1", "u2"))
    clock.advance(10)
    publish(backend, message("a.1", "u3"))
    sizes = backend.journal.sizes("pangolin", since=0)
    assert [(one.audience, one.batches, one.items, one.first_at) for one in sizes] == [
        ("a.1", 2, 3, BEGINNING),
        ("b.1", 1, 1, BEGINNING),
    ]
    assert [(one.audience, one.items) for one in backend.journal.sizes("pangolin", since=BEGINNING + 5)] == [("a.1", 1)]
    assert backend.journal.sizes("nobody", since=0) == []


def test_its_age_is_limited_by_the_running_version(backend: Backend, clock: TurnedClock) -> None:
    published(backend, keeping(7))
    publish(backend, message("a.1", "u1"))
    clock.advance(6 * DAY)
    publish(backend, message("a.1", "u2"))
    backend.tidy()
    assert who(entries(backend)) == [["u1"], ["u2"]]
    clock.advance(1.5 * DAY)
    backend.tidy()
    assert who(entries(backend)) == [["u2"]]
    published(backend, keeping(1))
    assert who(entries(backend)) == [], "at once, and not with the next tidying"


def test_behind_a_position_it_goes_on_whatever_the_times_are(backend: Backend, clock: TurnedClock) -> None:
    published(backend, keeping())
    publish(backend, message("a.1", "u1"))
    clock.advance(-3600, monotonic=False)
    publish(backend, message("a.1", "u2"))
    first, _ = entries(backend, since=BEGINNING)
    assert who(entries(backend, since=BEGINNING, after=first.position)) == [["u2"]]


def test_what_was_accepted_after_the_clock_was_set_back_stays_for_as_long_as_what_came_before(
    backend: Backend, clock: TurnedClock
) -> None:
    """That a user joined, without that the user left since, would be wrong."""
    published(backend, keeping(1))
    publish(backend, message("a.1", "joins"))
    clock.advance(-7200, monotonic=False)
    publish(backend, message("a.1", "leaves"), message("a.2", "joins"))
    clock.advance(DAY + 3600)
    backend.tidy()
    assert (who(entries(backend, "a.1")), who(entries(backend, "a.2"))) == ([["joins"], ["leaves"]], [])
    clock.advance(3601)
    backend.tidy()
    assert who(entries(backend, "a.1")) == []


def test_of_many_audiences_and_large_batches_all_that_is_old_goes(backend: Backend, clock: TurnedClock) -> None:
    published(backend, keeping(1))
    users = [f"user-{number}" * 20 for number in range(1_000)]
    publish(backend, *(message("large", *users, request_id=f"r{number}") for number in range(60)))
    publish(backend, *(message(f"small.{number % 150}", "u1", request_id=f"r{number}") for number in range(450)))
    clock.advance(DAY + 1)
    publish(backend, message("large", "u2"), message("small.3", "u2"))
    backend.tidy()
    assert [(one.audience, one.items) for one in backend.journal.sizes("pangolin", since=0)] == [("large", 1), ("small.3", 1)]


def test_where_it_is_switched_off_all_of_it_goes_at_once_and_nothing_more_is_kept(backend: Backend) -> None:
    published(backend, keeping())
    publish(backend, message("a.1", "u1"))
    assert backend.connectors.state("pangolin").journal_since == BEGINNING
    published(backend, keeping(0))
    assert who(entries(backend)) == []
    publish(backend, message("a.1", "u2"))  # of a receiver that does not know yet
    assert who(entries(backend)) == []
    assert backend.connectors.state("pangolin").journal_since == 0


def test_an_older_version_with_a_journal_begins_it_anew(backend: Backend, clock: TurnedClock) -> None:
    published(backend, keeping())
    published(backend, keeping(0))
    clock.advance(10)
    backend.connectors.publish("pangolin", 1)
    assert backend.connectors.state("pangolin").journal_since == BEGINNING + 10
    publish(backend, message("a.1", "u1"))
    assert who(entries(backend)) == [["u1"]]


def test_what_a_replay_has_still_to_send_outlasts_its_age_and_the_journal(backend: Backend, clock: TurnedClock) -> None:
    """A part of it alone would undo what is at the partner."""
    published(backend, keeping(1))
    publish(backend, message("a.1", "u1"), message("a.2", "u1"))
    held(backend, "a.1", replace(message("a.1", kind="replay"), replay=Replay(since=0.0)), why=request("paused"))
    clock.advance(2 * DAY)
    backend.tidy()
    assert (who(entries(backend, "a.1")), who(entries(backend, "a.2"))) == ([["u1"]], [])
    published(backend, keeping(0))
    assert who(entries(backend, "a.1")) == [["u1"]]
    backend.audiences.drop("pangolin", "a.1", older_than=None, limit=9, reject=lambda _: [])
    backend.tidy()
    assert who(entries(backend, "a.1")) == []


def test_it_goes_with_its_connector(backend: Backend, deliveries: Deliveries) -> None:
    published(backend, keeping())
    published(backend, keeping(name="other"))
    publish(backend, message("a.1", "u1"), message("a.1", "u2", connector="other"))
    position(deliveries)
    backend.connectors.delete("pangolin")
    assert who(entries(backend)) == []
    assert [one.items for one in backend.journal.sizes("other", since=0)] == [1]
