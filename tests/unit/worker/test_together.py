"""Messages of one audience that wait one behind the other in the queue have one turn, and what becomes of them is one write."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import Leased
from relay.domain.audience import Hold
from relay.domain.errors import StoreUnavailable
from relay.domain.message import NEWEST, VERSION, Message, Mutation
from relay.domain.outcome import Report
from tests.promise.world import Abort, World
from tests.unit.worker.given import members, warm
from worker import turn
from worker.turn import MOST_TOGETHER

JOIN_1 = [("a.1", "u1", "joined"), ("a.1", "u2", "joined")]
LEAVE_1 = [("a.1", "u1", "left"), ("a.1", "u3", "joined")]
JOIN_4 = [("a.1", "u4", "joined"), ("a.1", "u2", "left")]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "_GIVE_BACK_S", 0.0)
    monkeypatch.setattr(turn, "_UNREADABLE_GIVE_BACK_S", 0.0)


class Work(NamedTuple):
    """What a worker was handed, and the attempts that came of it, oldest first."""

    handed: int
    attempts: list[Report]


def work(world: World) -> Work:
    """As a worker's thread does."""
    known = {one.attempt_id for one in world.backend.reports.attempts(limit=1_000)}
    leased = world.queue.take(most=MOST_TOGETHER)
    assert leased is not None
    world.worker.handle(leased)
    made = [one for one in world.backend.reports.attempts(limit=1_000) if one.attempt_id not in known]
    return Work(1 + len(leased.following), made[::-1])


def accept(world: World, *requests: Sequence[tuple[str, str, str]]) -> list[str]:
    """Each a message of its own; their request IDs."""
    found = []
    for mutations in requests:
        world.accept(mutations)
        audience, user, _ = mutations[-1]
        found.append(world.accepted[world.prefix + audience, user][0])
    return found


def put(world: World, kind: Any, *users: str, **more: Any) -> Message:
    """A message that no receiver wrote so."""
    message = Message(
        version=more.pop("version", VERSION),
        kind=kind,
        connector="pangolin",
        audience=world.prefix + "a.1",
        request_id=uuid.uuid4().hex,
        received_at=world.clock.now(),
        mutations=tuple(Mutation(index=index, user={"id": user}) for index, user in enumerate(users)),
    )
    message = replace(message, **more)
    world.queue.publish([message])
    return message


def waiting(world: World) -> list[str]:
    """Request IDs of what waits in the hold, in order."""
    return [one.message.request_id for one in world.backend.audiences.peek("pangolin", world.prefix + "a.1", limit=99)]


def hold(world: World) -> Hold:
    found = world.held()
    assert found is not None
    return found


# delivered


def test_they_are_one_attempt_of_their_net_effect(world: World) -> None:
    warm(world)
    before = len(world.calls())
    requests = accept(world, JOIN_1, LEAVE_1, JOIN_4)
    done = work(world)
    assert done.handed == 3
    [attempt] = done.attempts
    assert attempt.request_ids == tuple(requests)
    assert attempt.counts == {"superseded": 2, "delivered": 4}
    assert len(world.calls()) == before + 2, "one for those who joined, one for those who left"
    assert members(world) == {"u0", "u3", "u4"}
    assert world.queue.depth().messages == 0
    world.assert_last_mutation_wins()


def test_they_share_the_partners_calls_and_none_is_larger_than_it_takes(make_world: Callable[..., World]) -> None:
    world = make_world(max_items=4)
    warm(world)
    before = len(world.calls())
    accept(world, *([("a.1", f"u{number}-{one}", "joined") for one in range(3)] for number in range(3)))
    assert len(work(world).attempts) == 1
    assert [call["count"] for call in world.calls()[before:]] == [4, 4, 1]


def test_no_more_have_a_turn_together_than_others_can_wait_for(make_world: Callable[..., World]) -> None:
    world = make_world()
    warm(world)
    requests = accept(world, *([("a.1", f"u{number}-{one}", "joined") for one in range(120)] for number in range(6)))
    assert [attempt.request_ids for attempt in work(world).attempts] == [tuple(requests[:4])], "500 mutations"

    slow = make_world(max_items=1)
    warm(slow)
    requests = accept(slow, *([("a.1", f"u{number}", "joined")] for number in range(12)))
    assert [attempt.request_ids for attempt in work(slow).attempts] == [tuple(requests[:10])], "ten calls"
    slow.drain()
    slow.assert_last_mutation_wins()


def test_an_attempt_says_in_the_log_of_which_requests_it_is(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    warm(world)
    requests = accept(world, *([("a.1", f"u{number}", "joined")] for number in range(30)))
    capsys.readouterr()
    work(world)
    said = capsys.readouterr()
    [line] = [json.loads(one) for one in (said.out + said.err).splitlines() if '"attempt"' in one]
    assert line["requests"] == requests


def test_the_last_one_of_the_turn_is_what_the_audience_has_had(world: World) -> None:
    warm(world)
    accept(world, JOIN_1, LEAVE_1)
    leased = world.queue.take(most=MOST_TOGETHER)
    assert leased is not None
    world.worker.handle(leased)
    record = world.backend.audiences.get("pangolin", world.prefix + "a.1")
    assert record is not None
    assert record.position == leased.following[-1].position


# what does not go together


def _created(world: World) -> None:
    put(world, "created", name="Shoes")


def _resume(world: World) -> None:
    put(world, "resume")


def _replay(world: World) -> None:
    world.replay("a.1")


def _answered(world: World) -> None:
    put(world, "change", "u9", version=NEWEST, answer_by=world.clock.now() + 20)


def _unreadable(world: World) -> None:
    put(world, "change", mutations=(Mutation(0, unreadable="no user"),))


OTHERS = [_created, _resume, _replay, _answered, _unreadable]


@pytest.mark.parametrize("other", OTHERS, ids=lambda each: each.__name__.strip("_"))
def test_one_that_is_no_plain_change_ends_what_goes_together_and_has_its_own_turn(
    make_world: Callable[..., World], other: Callable[[World], None]
) -> None:
    world = make_world(journal="7d")
    world.clock.advance(60)
    warm(world)
    requests = accept(world, JOIN_1, LEAVE_1)
    other(world)
    requests += accept(world, JOIN_4, [("a.1", "u5", "joined")])

    first = work(world)
    assert first.handed == (5 if other is _unreadable else 2), "what others come with is in nobody's hand"
    assert [attempt.request_ids for attempt in first.attempts] == [tuple(requests[:2])]
    assert world.queue.depth().messages == 3

    second = work(world)
    assert not any(set(attempt.request_ids) & set(requests) for attempt in second.attempts)
    assert world.queue.depth().messages >= 2, "itself and nothing behind it"

    third = work(world)
    assert third.handed >= 2, "nothing went wrong, so they come together again"
    if other is not _replay:  # which holds what comes behind it
        assert [attempt.request_ids for attempt in third.attempts] == [tuple(requests[2:])]
    world.unreadable |= {(one.request_id, 0) for _, one in world.backend.reports.rejections() if one.code == "unreadable"}
    world.drain()
    world.assert_last_mutation_wins()


def test_one_that_this_program_cannot_read_ends_what_goes_together_and_stays_in_the_queue(world: World) -> None:
    warm(world)
    requests = accept(world, JOIN_1, LEAVE_1)
    put(world, "change", "u9", version=NEWEST + 1)
    accept(world, JOIN_4)
    assert [attempt.request_ids for attempt in work(world).attempts] == [tuple(requests)]
    for _ in range(3):
        assert work(world).attempts == []
        assert world.queue.depth().messages == 2
    assert members(world) == {"u0", "u2", "u3"}


def test_a_plain_change_behind_another_message_is_not_taken_into_its_turn(world: World) -> None:
    put(world, "created", name="Shoes")
    requests = accept(world, JOIN_1, LEAVE_1)
    first, second = work(world), work(world)
    assert first.handed == 1
    assert [attempt.counts for attempt in first.attempts] in ([], [{}])
    assert [attempt.request_ids for attempt in second.attempts] == [tuple(requests)]


# what must wait


def _paused(world: World) -> None:
    world.backend.connectors.set_paused("pangolin", True)


def _off(world: World) -> None:
    world.publishing().set_enabled("pangolin", False)


def _gathering(world: World) -> None:
    world.publishing().apply(world.gathering("600s"))


def _held(world: World) -> None:
    world.faults(status=500)
    world.accept([("a.1", "u9", "joined")])
    work(world)
    world.faults()


@pytest.mark.parametrize(
    ("reason", "wait"), [("paused", _paused), ("connector_off", _off), ("gathering", _gathering), ("partner_unavailable", _held)]
)
def test_where_the_audience_must_wait_all_join_in_order_under_their_own_ids(
    world: World, reason: str, wait: Callable[[World], None]
) -> None:
    warm(world)
    wait(world)
    there, before = len(waiting(world)) if reason == "partner_unavailable" else 0, len(world.calls())
    requests = accept(world, JOIN_1, LEAVE_1, JOIN_4)
    leased = world.queue.take(most=MOST_TOGETHER)
    assert leased is not None
    world.worker.handle(leased)
    assert waiting(world)[there:] == requests
    ids = [one.message_id for one in world.backend.audiences.peek("pangolin", world.prefix + "a.1", limit=99)]
    assert ids[there:] == [leased.message_id, *(one.message_id for one in leased.following)]
    assert (hold(world).reason, hold(world).batches) == (reason, there + 3)
    assert world.queue.depth().messages == 0
    assert len(world.calls()) == before
    world.drain()
    assert members(world) == {"u0", "u3", "u4"} | ({"u9"} if there else set())
    world.assert_last_mutation_wins()


def test_what_gathers_goes_out_once_it_is_enough_of_all_of_them(make_world: Callable[..., World]) -> None:
    world = make_world(max_age="600s", max_items=5)
    accept(world, JOIN_1, LEAVE_1)
    work(world)
    assert not hold(world).asked_at
    accept(world, JOIN_4, [("a.1", "u5", "joined")])
    work(world)
    assert hold(world).asked_at
    work(world)
    assert members(world) == {"u3", "u4", "u5"}


def test_where_it_cannot_be_asked_for_what_is_enough_nothing_of_the_turn_is_written(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(max_age="600s", max_items=3)
    accept(world, JOIN_1, LEAVE_1)

    def fails(*_: Any) -> None:
        raise StoreUnavailable("The disk is full: nothing more can be stored.")

    with monkeypatch.context() as broken:
        broken.setattr(world.queue, "publish", fails)
        work(world)
    assert world.held() is None
    assert world.queue.depth().messages == 2
    work(world)
    work(world)
    assert hold(world).asked_at
    world.drain()
    world.assert_last_mutation_wins()


# trouble in the middle


def test_single_users_whom_the_partner_refuses_alike_are_rejected_as_they_would_be_one_by_one(world: World) -> None:
    warm(world)
    world.faults(reject_users=["u5", "u6"])
    accept(world, [("a.1", "u5", "joined")], [("a.1", "u6", "joined")])
    [attempt] = work(world).attempts
    assert attempt.counts == {"rejected": 2}
    assert world.held() is None


def test_two_users_of_one_request_whom_the_partner_refuses_alike_wait(world: World) -> None:
    warm(world)
    world.faults(reject_users=["u5", "u6", "u7"])
    accept(world, [("a.1", "u5", "joined")], [("a.1", "u6", "joined"), ("a.1", "u7", "joined")])
    [attempt] = work(world).attempts
    assert attempt.counts == {"retry": 3}
    assert hold(world).reason == "misconfigured"


def test_users_whom_the_partner_refuses_are_rejected_once_and_their_neighbours_delivered(world: World) -> None:
    warm(world)
    world.faults(reject_users=["u2"], poison_users=["u5"])
    requests = accept(
        world, JOIN_1, [("a.1", "u5", "joined"), ("a.1", "u6", "joined")], [("a.1", "u7", "joined"), ("a.1", "u8", "joined")]
    )
    work(world)
    world.drain()
    rejected = sorted((one.request_id, one.index, one.code) for _, one in world.backend.reports.rejections())
    assert rejected == sorted([(requests[0], 1, "user_rejected"), (requests[1], 0, "call_refused")])
    assert members(world) == {"u0", "u1", "u6", "u7", "u8"}
    world.assert_last_mutation_wins()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 500}, "partner_unavailable"),
        ({"status": 429, "retry_after": 90}, "come_back_later"),
        ({"unauthorized": True}, "credentials_refused"),
    ],
)
def test_trouble_at_the_partner_leaves_each_of_them_in_the_hold_in_order(
    world: World, fault: dict[str, Any], reason: str
) -> None:
    warm(world)
    world.faults(**fault)
    requests = accept(world, JOIN_1, LEAVE_1, JOIN_4)
    [attempt] = work(world).attempts
    assert attempt.held == reason
    assert waiting(world) == requests[1:], "of the first one nothing is left: those behind it have taken its place"
    assert hold(world).reason == reason
    assert world.queue.depth().messages == 0
    if "retry_after" in fault:
        assert hold(world).due_at is not None
        assert hold(world).due_at == pytest.approx(world.clock.now() + 90, abs=1)
    world.faults()
    world.drain()
    world.assert_last_mutation_wins()


def test_what_was_delivered_before_the_trouble_is_not_repeated(make_world: Callable[..., World]) -> None:
    world = make_world(max_items=2)
    warm(world)
    before = len(world.calls())
    requests = accept(
        world,
        [("a.1", "v1", "joined"), ("a.1", "v2", "joined")],
        [("a.1", "v3", "joined"), ("a.1", "v4", "joined"), ("a.1", "v5", "joined")],
        [("a.1", "v6", "joined")],
    )

    def trouble(_count: int, name: str) -> None:
        if name == "after send" and len(world.calls()) == before + 2:
            world.faults(status=429, retry_after=600)

    world.effects.on = trouble
    [attempt] = work(world).attempts
    world.effects.on = None
    assert attempt.counts == {"delivered": 4, "retry": 2}
    assert waiting(world) == requests[1:]
    left = [
        [mutation.user["id"] for mutation in one.message.mutations]
        for one in world.backend.audiences.peek("pangolin", world.prefix + "a.1", limit=9)
    ]
    assert left == [["v5"], ["v6"]]
    world.drain()
    assert members(world) == {"u0", *(f"v{number}" for number in range(1, 7))}
    taken = [call["count"] for call in world.calls()[before:] if call["status"] == 200]
    assert taken == [2, 2, 2], "nobody was sent twice"


def test_what_a_turn_has_no_time_for_joins_the_hold_in_order_and_goes_on_at_once(make_world: Callable[..., World]) -> None:
    world = make_world(max_items=1)
    warm(world)
    requests = accept(world, JOIN_1, [("a.1", "u3", "joined")], [("a.1", "u4", "joined")])

    def late(_count: int, name: str) -> None:
        if name == "after send" and world.effects.names.count(name) == 2:
            world.clock.advance(119)

    world.effects.names = []
    world.effects.on = late
    done = work(world)
    world.effects.on = None
    assert [attempt.counts for attempt in done.attempts] == [{"delivered": 2, "retry": 2}]
    assert waiting(world) == requests[1:]
    assert hold(world).asked_at, "its resume is queued"
    world.drain()
    assert members(world) == {"u0", "u1", "u2", "u3", "u4"}


# trouble with the store, and with ourselves


def _failing(world: World, monkeypatch: pytest.MonkeyPatch, *, when: str) -> None:
    """The store fails as what became of them is written: before any of it, in the middle, or at the end."""
    part, name = {
        "first": (world.backend.reports, "attempt"),
        "middle": (world.backend.audiences, "join"),
        "last": (world.queue, "_holds"),
    }[when]

    def fails(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("The disk is full: nothing more can be stored.")

    monkeypatch.setattr(part, name, fails)


@pytest.mark.parametrize("when", ["first", "middle", "last"])
def test_where_the_store_fails_at_the_end_all_come_again_and_nothing_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    warm(world)
    world.faults(status=500)
    requests = accept(world, JOIN_1, LEAVE_1, JOIN_4)
    attempts = len(world.backend.reports.attempts())
    with monkeypatch.context() as broken:
        _failing(world, broken, when=when)
        leased = world.queue.take(most=MOST_TOGETHER)
        assert leased is not None
        world.worker.handle(leased)
    assert len(world.backend.reports.attempts()) == attempts
    assert waiting(world) == []
    record = world.backend.audiences.get("pangolin", world.prefix + "a.1")
    assert record is not None
    assert (record.position, record.hold) == (leased.position, None)
    assert world.queue.depth().messages == 3, "nothing is acknowledged"
    world.clock.advance(1_000)  # where it is not given back, since that fails too, the lease runs out
    assert [work(world).handed for _ in requests] == [1, 1, 1]
    assert waiting(world) == requests
    world.faults()
    world.drain()
    world.assert_last_mutation_wins()


def test_a_store_that_fails_again_and_again_sets_nothing_aside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    warm(world)
    accept(world, JOIN_1, LEAVE_1)
    for _ in range(5):
        with monkeypatch.context() as broken:
            _failing(world, broken, when="last" if world.queue.depth().leased else "first")
            leased = world.queue.take(most=MOST_TOGETHER)
            assert leased is not None
            world.worker.handle(leased)
        world.clock.advance(200)
    while world.queue.depth().messages:
        work(world)
    assert world.held() is None
    assert members(world) == {"u0", "u2", "u3"}


class Poisonous:
    """An adapter that fails, or ends its process, where a certain user is among those that it is to send."""

    def __init__(self, inner: Any, error: type[BaseException]) -> None:
        self._inner, self._error = inner, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def open(self, *given: Any) -> Any:
        adapter, error = self._inner.open(*given), self._error

        class Opened:
            def __getattr__(self, name: str) -> Any:
                return getattr(adapter, name)

            def send(self, operation: Any, target: Any, rows: Any, *more: Any, **named: Any) -> Any:
                if "u-kills" in repr(rows):
                    raise error
                return adapter.send(operation, target, rows, *more, **named)

        return Opened()


@pytest.mark.parametrize("error", [ValueError, Abort], ids=["a fault of ours", "the end of the worker"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_of_several_that_end_their_worker_together_only_the_one_that_does_is_set_aside(
    world: World, error: type[BaseException], place: int
) -> None:
    warm(world)
    batches = [[("a.1", f"u{number}", "joined")] for number in range(1, 4)]
    batches[place] = [("a.1", "u-kills", "joined")]
    requests = accept(world, *batches)

    handed: list[tuple[int, str]] = []
    for _ in range(20):
        poisonous: Any = Poisonous(world.worker.partners, error)
        world.worker.partners = poisonous
        leased = world.queue.take(most=MOST_TOGETHER)
        if leased is None:
            break
        handed.append((1 + len(leased.following), leased.message_id))
        try:
            world.worker.handle(leased)
        except Abort:
            world.restart()
    assert [number for number, _ in handed] == [3, *[1] * (len(handed) - 1)], "once together, and then alone"
    assert hold(world).reason == "crashed"
    assert waiting(world) == requests[place:], "the one that does, and what came behind it since"
    assert members(world) == {"u0", *(user for batch in batches[:place] for _, user, _ in batch)}
    world.restart()
    world.drain()
    world.assert_last_mutation_wins()


def test_what_comes_while_a_turn_is_under_way_has_the_next_one(world: World) -> None:
    warm(world)
    accept(world, JOIN_1, LEAVE_1)
    leased = world.queue.take(most=MOST_TOGETHER)
    assert leased is not None
    accept(world, JOIN_4)
    assert world.queue.take(most=MOST_TOGETHER) is None
    world.worker.handle(leased)
    assert world.queue.depth().messages == 1
    assert work(world).handed == 1
    assert members(world) == {"u0", "u3", "u4"}


def test_a_worker_whose_lease_has_run_out_ends_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    warm(world)
    requests = accept(world, JOIN_1, LEAVE_1)

    def late(_count: int, name: str) -> None:
        if name == "after send":
            world.clock.advance(151)

    world.effects.on = late
    leased: Leased | None = world.queue.take(most=MOST_TOGETHER)
    assert leased is not None
    world.worker.handle(leased)
    world.effects.on = None
    assert world.queue.depth().messages == 2
    attempts = [attempt for _ in requests for attempt in work(world).attempts]
    assert [attempt.request_ids for attempt in attempts] == [(requests[0],), (requests[1],)]
    world.assert_last_mutation_wins()
