"""Replays: what the journal has is sent again, in its order, in front of what came since."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import Any

import pytest

import worker.replay
from relay.backends.interfaces import Journaled, JournalSize
from relay.domain.audience import Replayed, Waiting
from relay.domain.errors import JournalBehind
from relay.domain.message import VERSION, Message, Mutation, Replay
from tests.clock import TurnedClock
from tests.promise.world import World
from tests.unit.worker.given import members
from worker.budget import Budget
from worker.replay import Replaying
from worker.retention import discard, retire_old

DAY = 86_400


Make = Callable[..., World]


@pytest.fixture
def keeping(make_world: Make) -> Make:
    """Makes worlds whose journals are on since a minute ago."""

    def make(**options: Any) -> World:
        world = make_world(journal="7d", **options)
        world.clock.advance(60)
        return world

    return make


@pytest.fixture
def world(keeping: Make) -> World:
    return keeping()


def ask(world: World, *, since: float = 0.0, audience: str = "a.1") -> str:
    """A replay; the ID of its request."""
    return world.replay(audience, since=since)


def work(world: World) -> None:
    """Until nothing is left to do now."""
    while world.work():
        pass


def replayed(world: World) -> Replayed:
    record = world.backend.audiences.get("pangolin", world.prefix + "a.1")
    assert record is not None
    assert record.replayed is not None
    found: Replayed = record.replayed
    return found


def reason(world: World) -> str | None:
    hold = world.held()
    return hold.reason if hold else None


def sent(world: World, before: int) -> list[tuple[str, int]]:
    """The calls since then: what they did, with how many users."""
    names = {"POST": "add", "DELETE": "remove"}
    return [(names[call["method"]], call["count"]) for call in world.calls()[before:]]


def lost(world: World) -> int:
    """`u1` joined and left, `u2` and `u3` joined; then the partner lost them. The number of calls up to here."""
    world.accept([("a.1", "u1", "joined"), ("a.1", "u2", "joined")])
    world.accept([("a.1", "u1", "left"), ("a.1", "u3", "joined")])
    work(world)
    world.take_out("a.1", ["u2", "u3"])
    assert members(world) == set()
    return len(world.calls())


def many(world: World) -> set[str]:
    """2,700 users who joined by three requests, a hundred of whom the partner lost; all of them."""
    for number in range(3):
        world.accept([("a.1", f"u{number}-{one}", "joined") for one in range(900)])
    work(world)
    everybody = members(world)
    world.take_out("a.1", sorted(everybody)[:100])
    return everybody


# what is sent again


def test_what_the_partner_lost_is_sent_again(world: World) -> None:
    lost(world)
    ask(world)
    work(world)
    assert members(world) == {"u2", "u3"}
    assert world.held() is None
    assert world.backend.queue.depth().messages == 0


def test_what_a_later_mutation_has_overtaken_is_not_sent_again(world: World) -> None:
    before = lost(world)
    request_id = ask(world)
    work(world)
    assert sent(world, before) == [("add", 2), ("remove", 1)]
    done = replayed(world)
    assert (done.request_id, done.replay.sent, done.replay.overtaken) == (request_id, 3, 1)
    assert done.ended_at


def test_only_what_was_accepted_since_is_sent_again(world: World) -> None:
    world.accept([("a.1", "u1", "joined")])
    work(world)
    world.clock.advance(60)
    world.accept([("a.1", "u2", "joined")])
    work(world)
    world.take_out("a.1", ["u1", "u2"])
    ask(world, since=world.clock.now() - 30)
    work(world)
    assert members(world) == {"u2"}


def test_a_clock_that_was_set_back_leaves_nothing_out_that_was_accepted_later(world: World) -> None:
    since = world.clock.now()
    world.accept([("a.1", "u1", "joined")])
    world.clock.advance(-3600)
    world.accept([("a.1", "u2", "joined")])
    work(world)
    world.take_out("a.1", ["u1", "u2"])
    ask(world, since=since)
    work(world)
    assert members(world) == {"u1", "u2"}


def test_a_clock_that_was_set_back_leaves_nothing_out_where_a_turn_ends_in_the_middle(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mapping makes one user of `U1` and `u1`, so that both are sent."""
    monkeypatch.setattr(worker.replay, "MOST_BATCHES", 1)
    since = world.clock.now()
    world.accept([("a.1", "U1", "joined")])
    work(world)
    world.clock.advance(-3600, monotonic=False)
    world.accept([("a.1", "u1", "left"), ("a.1", "u2", "joined")])
    work(world)
    world.clock.advance(3700)
    world.accept([("a.1", "u3", "joined")])
    work(world)
    ask(world, since=since)
    ended = False

    def end_the_turn(_count: int, name: str) -> None:
        nonlocal ended
        if name == "after settle" and not ended:
            ended = True
            world.clock.advance(116)

    while world.work(end_the_turn):
        pass
    assert ended
    assert members(world) == {"u2", "u3"}
    assert world.held() is None


def test_the_same_user_with_other_fields_is_sent_in_order(world: World) -> None:
    """They may be two rows at the partner: that is for the net effect to say, which knows the mapping."""
    prefix = world.prefix
    for direction, extra in (("add", {"Reason": "a"}), ("remove", {"Reason": "b"})):
        entry = {"Audience": f"{prefix}a.1", "User": "u1", "Operation": direction, **extra}
        body = json.dumps({"Type": "ADD_TO_AUDIENCE", "Mutations": [entry]}).encode()
        assert world.post("ADD_TO_AUDIENCE", body).status_code == 200
    work(world)
    ask(world)
    work(world)
    assert members(world) == set()
    assert replayed(world).replay.overtaken == 0


def test_other_audiences_are_left_alone(world: World) -> None:
    world.accept([("a.1", "u1", "joined"), ("a.2", "u1", "joined")])
    work(world)
    world.take_out("a.1", ["u1"])
    world.take_out("a.2", ["u1"])
    ask(world)
    work(world)
    assert (members(world, "a.1"), members(world, "a.2")) == ({"u1"}, set())


def test_what_could_not_be_read_is_recorded_once(keeping: Make) -> None:
    world = keeping(junk=True)
    world.accept([("a.1", "u1", "joined"), ("a.1", "u2", "joined")])
    work(world)
    ask(world)
    work(world)
    assert world.rejected() == [(2, "unreadable")]
    assert replayed(world).replay.sent == 2


def test_a_journal_that_has_nothing_ends_the_replay(world: World) -> None:
    world.accept([("a.1", "u1", "joined")])
    work(world)
    ask(world, since=world.clock.now() + 1)
    work(world)
    assert world.held() is None
    assert (replayed(world).replay.sent, replayed(world).ended_at) == (0, world.clock.now())


def test_a_replay_of_an_audience_that_nobody_has_seen_makes_none_at_the_partner(world: World) -> None:
    ask(world)
    work(world)
    assert world.members() == {}
    assert world.held() is None


def test_what_was_accepted_before_the_journal_was_on_everywhere_is_not_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One receiver may have kept a first change, and another one, which did not know yet, not the second."""
    late_s = 120.0
    monkeypatch.setattr(world.backend.journal, "late_s", late_s)
    publishing = world.publishing()
    publishing.apply(world.document.replace("7d", "off"))
    publishing.apply(world.document)
    world.clock.advance(late_s / 2)
    world.accept([("a.1", "u1", "joined")])
    world.clock.advance(late_s)
    world.accept([("a.1", "u2", "joined")])
    work(world)
    world.take_out("a.1", ["u1", "u2"])
    ask(world)
    work(world)
    assert members(world) == {"u2"}


def test_a_replay_that_was_asked_for_while_the_journal_was_switched_off_is_dropped(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is left of the journal, for a replay that waits, does not know that the user left since."""
    world.accept([("a.1", "u1", "joined")])
    work(world)
    world.backend.audiences.set_paused("pangolin", world.prefix + "a.1", True)
    ask(world)
    work(world)
    world.publishing().apply(world.document.replace("7d", "off"))
    world.accept([("a.1", "u1", "left")])
    request_id = ask(world)
    work(world)
    world.backend.audiences.set_paused("pangolin", world.prefix + "a.1", False)
    world.tick(61)
    work(world)
    assert members(world) == set()
    assert world.held() is None
    assert world.backend.queue.depth().messages == 0
    (line,) = (json.loads(line) for line in capfd.readouterr().err.splitlines() if '"replay_dropped"' in line)
    assert (line["request_id"], line["code"], line["replays"]) == (request_id, "journal_off", 1)


# its place in the order


def test_what_comes_meanwhile_comes_after_it(world: World) -> None:
    lost(world)
    ask(world)
    world.accept([("a.1", "u2", "left"), ("a.1", "u4", "joined")])
    work(world)
    assert members(world) == {"u3", "u4"}


def test_what_was_overtaken_after_it_was_asked_for_is_not_sent_either(world: World) -> None:
    before = lost(world)
    ask(world)
    world.accept([("a.1", "u2", "left"), ("a.1", "u3", "left")])
    work(world)
    assert sent(world, before) == [("remove", 1), ("remove", 2)], "u1, then what came since"


def test_behind_a_hold_it_keeps_the_holds_reason_until_its_place_comes(world: World) -> None:
    lost(world)
    world.faults(status=500)
    world.accept([("a.1", "u4", "joined")])
    work(world)
    ask(world)
    work(world)
    assert reason(world) == "partner_unavailable"
    world.faults()
    world.tick(31)
    work(world)
    assert members(world) == {"u2", "u3", "u4"}


def test_a_connector_that_gathers_sends_what_it_has_gathered_and_the_replay_at_once(keeping: Make) -> None:
    world = keeping(max_age="60s")
    world.accept([("a.1", "u1", "joined")])
    work(world)
    world.tick(61)
    work(world)
    world.take_out("a.1", ["u1"])
    world.accept([("a.1", "u2", "joined")])
    work(world)
    assert reason(world) == "gathering"
    ask(world)
    work(world)
    assert members(world) == {"u1", "u2"}
    assert world.held() is None


def test_two_replays_are_done_one_after_the_other(world: World) -> None:
    lost(world)
    world.backend.connectors.set_paused("pangolin", True)
    first = ask(world)
    work(world)
    world.accept([("a.1", "u2", "left")])
    second = ask(world)
    work(world)
    world.backend.connectors.set_paused("pangolin", False)
    ended: list[str] = []

    def note(_count: int, name: str) -> None:
        if name == "after expand" and replayed(world).ended_at:
            ended.append(replayed(world).request_id)

    world.tick(1)
    while world.work(note):
        pass
    assert ended == [first, second]
    assert members(world) == {"u3"}
    assert world.held() is None


@pytest.mark.parametrize("switch", ["off", "paused", "audience paused", "action paused"])
def test_it_waits_while_the_connector_does_and_goes_on_by_itself(world: World, switch: str) -> None:
    lost(world)
    backend, audience = world.backend, world.prefix + "a.1"

    def turn(on: bool) -> None:
        match switch:
            case "off":
                backend.connectors.set_enabled("pangolin", on)
            case "paused":
                backend.connectors.set_paused("pangolin", not on)
            case "audience paused":
                backend.audiences.set_paused("pangolin", audience, not on)
            case "action paused":
                backend.connectors.set_action("pangolin", "Remove", None if on else "paused")

    turn(False)
    ask(world)
    work(world)
    assert members(world) == set()
    assert reason(world) == ("connector_off" if switch in ("off", "action paused") else "paused")
    turn(True)
    world.tick(61)
    work(world)
    assert members(world) == {"u2", "u3"}


def test_a_connector_that_is_switched_off_in_the_middle_goes_on_where_it_was(world: World) -> None:
    everybody = many(world)

    def switch_off(_count: int, name: str) -> None:
        if name == "after expand":
            world.backend.connectors.set_enabled("pangolin", False)

    ask(world)
    while world.work(switch_off):
        pass
    assert reason(world) == "connector_off"
    assert replayed(world).replay.sent == 900
    world.backend.connectors.set_enabled("pangolin", True)
    world.tick(61)
    work(world)
    assert members(world) == everybody
    assert replayed(world).replay.sent == 2_700


def test_a_new_version_in_the_middle_counts_from_its_next_part_on(world: World) -> None:
    everybody = many(world)

    def publish(_count: int, name: str) -> None:
        if name == "after expand" and replayed(world).replay.sent == 1_800:
            world.publishing().apply(world.document.replace("lower(user.id)", "\"join('', ['x', user.id])\""))

    ask(world)
    while world.work(publish):
        pass
    added = members(world) - everybody
    assert len(added) == 1_800
    assert {user[0] for user in added} == {"x"}
    assert replayed(world).ended_at


# trouble on its way


def test_a_partner_that_fails_in_the_middle_gets_the_rest_later(world: World) -> None:
    everybody = many(world)
    before = len(world.calls())

    def fail(_count: int, name: str) -> None:
        if name == "before send" and len(world.calls()) - before == 12:
            world.faults(status=500)

    ask(world)
    while world.work(fail):
        pass
    assert reason(world) == "partner_unavailable"
    assert 0 < replayed(world).replay.sent < 2_700
    assert not replayed(world).ended_at
    world.faults()
    world.tick(31)
    work(world)
    assert members(world) == everybody
    assert replayed(world).replay.sent == 2_700
    assert world.held() is None


def test_a_journal_that_is_behind_is_looked_at_again_a_minute_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lost(world)

    def behind(*_arguments: Any, **_named: Any) -> Generator[Journaled, None, None]:
        raise JournalBehind("It is being written.")
        yield

    with monkeypatch.context() as patched:
        patched.setattr(world.backend.journal, "entries", behind)
        ask(world)
        work(world)
        hold = world.held()
        assert hold is not None
        assert (hold.reason, hold.detail, hold.probes) == ("replaying", "It is being written.", 0)
        assert hold.due_at == world.clock.now() + 60
        world.tick(59)
        assert not world.work()
    world.tick(1)
    work(world)
    assert members(world) == {"u2", "u3"}


def test_a_replay_that_comes_behind_its_position_asks_for_another_place(world: World) -> None:
    """As after two publishes whose times are not in their order."""
    lost(world)
    request_id = ask(world)
    later = world.backend.queue.take()
    assert later is not None
    world.backend.queue.give_back(later, delay_s=0)
    world.backend.audiences.begin_turn("pangolin", world.prefix + "a.1", position=later.position + 1, message_id="other")
    for _ in range(20):
        world.work()
        world.tick(1)
    assert members(world) == {"u2", "u3"}
    assert replayed(world).request_id == request_id
    assert replayed(world).replay.until == later.position + 1


def test_a_discarded_replay_leaves_the_partner_as_it_is_and_makes_no_rejections(world: World) -> None:
    lost(world)
    world.backend.connectors.set_paused("pangolin", True)
    ask(world)
    work(world)
    world.accept([("a.1", "u5", "joined")])
    work(world)
    assert discard(world.backend, world.clock, "pangolin", world.prefix + "a.1") == (2, 1)
    assert world.rejected() == [(0, "discarded")], "of the one who had not been sent, and of nobody in the journal"
    world.backend.connectors.set_paused("pangolin", False)
    world.tick(1)
    work(world)
    assert members(world) == set()


def test_a_replay_that_was_discarded_while_its_turn_goes_on_stays_discarded(world: World) -> None:
    lost(world)
    ask(world)
    world.work()

    def drop(_count: int, name: str) -> None:
        if name == "before expand":
            discard(world.backend, world.clock, "pangolin", world.prefix + "a.1")

    world.work(drop)
    work(world)
    assert world.held() is None
    assert members(world) == set()


def test_a_replay_that_waits_too_long_leaves_with_its_hold(world: World) -> None:
    lost(world)
    world.backend.connectors.set_paused("pangolin", True)
    ask(world)
    work(world)
    world.clock.advance(31 * DAY)
    assert retire_old(world.backend, world.worker.catalog, world.clock) == 1
    assert (world.held(), world.rejected()) == (None, [])


def test_old_batches_that_are_sent_again_make_no_hold_an_old_one(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """It is warned of what has waited for a week: nobody has waited for these."""
    lost(world)
    world.clock.advance(6 * DAY)
    world.faults(status=500)
    ask(world)
    work(world)
    world.clock.advance(2 * DAY)
    hold = world.held()
    assert hold is not None
    assert hold.batches > 1, "they are in the hold"
    assert hold.oldest_at == pytest.approx(world.clock.now() - 2 * DAY, abs=60)
    assert retire_old(world.backend, world.worker.catalog, world.clock) == 0
    assert "hold_is_old" not in capfd.readouterr().err


def test_its_attempts_are_as_late_as_the_replay_and_not_as_old_as_the_requests(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    lost(world)
    world.clock.advance(DAY)
    capfd.readouterr()
    ask(world)
    work(world)
    attempts = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"event":"attempt"' in line]
    assert [attempt["lag_ms"] for attempt in attempts] == [0]


def test_it_is_logged_when_it_begins_and_when_it_has_ended(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    lost(world)
    request_id = ask(world)
    work(world)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"replay_' in line]
    assert [line["event"] for line in lines] == ["replay_began", "replay_ended"]
    assert {line["request_id"] for line in lines} == {request_id}
    assert (lines[1]["sent"], lines[1]["overtaken"]) == (3, 1)


# a large journal


def test_a_journal_that_is_larger_than_what_is_looked_at_ahead_ends_the_same(
    keeping: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.replay, "WINDOW", 3)
    monkeypatch.setattr(worker.replay, "MOST_BATCHES", 2)
    world = keeping()
    for number in range(12):
        world.accept([("a.1", f"u{number % 5}", "joined" if number % 3 else "left"), ("a.1", f"v{number}", "joined")])
    work(world)
    meant = members(world)
    world.take_out("a.1", sorted(meant))
    ask(world)
    work(world)
    assert members(world) == meant
    assert replayed(world).replay.overtaken == 7
    assert replayed(world).replay.sent == 17


def test_a_look_ahead_that_has_no_time_sends_more_than_it_must_in_the_right_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost(world)
    monkeypatch.setattr(worker.replay, "SHARE_OF_TIME", -1.0)  # over at once
    monkeypatch.setattr(worker.replay, "_TIME_EVERY", 1)
    ask(world)
    work(world)
    assert members(world) == {"u2", "u3"}
    assert replayed(world).replay.sent == 4


def test_a_turn_whose_time_is_over_leaves_the_rest_to_the_next(world: World) -> None:
    everybody = many(world)

    def pass_time(_count: int, name: str) -> None:
        if name == "after settle" and world.effects.names.count(name) == 1:
            world.clock.advance(116)

    ask(world)
    turns = 0
    while world.work(pass_time):
        turns += 1
    assert turns == 5, "the replay, and a resume for each part and for the end"
    assert members(world) == everybody
    assert world.held() is None


class Listed:
    """A journal whose entries are these."""

    late_s = 0.0

    def __init__(self, *entries: Journaled) -> None:
        self._entries = entries

    def sizes(self, connector: str, *, since: float) -> list[JournalSize]:
        raise AssertionError("A turn does not ask.")

    def entries(
        self, connector: str, audience_id: str, *, since: float, after: int, until: int | None
    ) -> Generator[Journaled, None, None]:
        yield from (entry for entry in self._entries if after < entry.position <= (until or 1_000_000))


def test_batches_of_one_position_are_put_in_front_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish times can be equal; the cursor, which is a position, could not tell what is left of them."""
    monkeypatch.setattr(worker.replay, "MOST_BATCHES", 2)
    entries = [
        Journaled(position, 1.0, Message(VERSION, "change", "c", "a", f"r{number}", 1.0, mutations=(joined(f"u{number}"),)))
        for number, position in enumerate([10, 20, 20, 20, 30])
    ]
    asked = Message(VERSION, "replay", "c", "a", "replay", 1.0, replay=Replay(since=0.0, until=100))
    parts = []
    rest: Message | None = asked
    while rest is not None:
        assert rest.replay is not None
        reading = Replaying(Listed(*entries), "c", "a", Budget(TurnedClock()))  # each turn anew
        expansion = reading.next(Waiting(1, "m", rest, 0, 0.0), rest.replay, max_items=1_000)
        assert expansion is not None
        parts.append([batch.message.request_id for batch in expansion.batches])
        rest = expansion.rest
    assert parts == [["r0", "r1", "r2", "r3"], ["r4"], []]


def joined(user: str) -> Mutation:
    return Mutation(0, user={"id": user})
