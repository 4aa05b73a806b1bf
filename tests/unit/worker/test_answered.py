"""Messages that somebody waits for: delivered at once or left to the source, in the order of their audience, with a reply."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

import pytest

from relay.domain.message import NEWEST, Direction, Message, Mutation
from relay.domain.reply import VERSION, MutationReply, Reply
from tests.promise.world import World
from tests.unit.worker.given import members, warm

WAIT_S = 20.0


def change(user: str, direction: Direction = "joined", index: int = 0) -> Mutation:
    return Mutation(index, direction, {"id": user})


def ask(world: World, mutations: Sequence[Mutation], *, part: int = 0, request_id: str = "") -> str:
    """Puts a message into the queue whose end somebody waits for; its request's ID."""
    now = world.clock.now()
    request_id = request_id or uuid.uuid4().hex
    message = Message(
        NEWEST, "change", "pangolin", world.prefix + "a.1", request_id, now, part, tuple(mutations), answer_by=now + WAIT_S
    )
    world.backend.queue.publish([message])
    return request_id


def reply(world: World, request_id: str) -> Reply | None:
    found: Reply | None = world.backend.replies.find(request_id, 0)
    return found


def outcomes(given: Reply | None) -> list[tuple[str, str]]:
    assert given is not None
    return [(one.outcome, one.code) for one in given.mutations]


def test_it_is_delivered_and_each_mutation_has_its_outcome(world: World) -> None:
    warm(world)
    world.faults(reject_users=["bad"])
    asked = ask(world, [change("u1"), change("bad", index=1), change("u0", "left", 2)])
    world.work()
    given = reply(world, asked)
    assert outcomes(given) == [("delivered", ""), ("rejected", "user_rejected"), ("delivered", "")]
    assert given is not None
    assert given.mutations[1].hint
    assert (given.reason, given.due_at) == ("", 0)
    assert members(world) == {"u1"}
    assert (1, "user_rejected") in world.rejected(), "kept as any other rejection"


def test_an_unknown_audience_is_made_first(world: World) -> None:
    asked = ask(world, [change("u1")])
    world.work()
    assert outcomes(reply(world, asked)) == [("delivered", "")]
    assert members(world) == {"u1"}


@pytest.mark.parametrize(
    ("fault", "reason", "least_s"),
    [({"status": 429, "retry_after": 77}, "come_back_later", 77), ({"unauthorized": True}, "credentials_refused", 20)],
)
def test_what_the_partner_does_not_take_is_the_sources_to_send_again(
    world: World, fault: dict[str, object], reason: str, least_s: float
) -> None:
    warm(world)
    world.faults(**fault)
    asked = ask(world, [change("u1")])
    world.work()
    given = reply(world, asked)
    assert outcomes(given) == [("retry", "")]
    assert given is not None
    assert given.reason == reason
    assert given.due_at - world.clock.now() >= least_s - 1
    assert world.held() is None
    world.faults()
    world.tick(1_000)
    assert not world.work(), "nothing of it is left"
    assert members(world) == {"u0"}


def test_a_call_that_may_still_take_effect_keeps_what_came_later_behind_it(make_world: Callable[..., World]) -> None:
    world = make_world(answer="500ms")
    warm(world)
    world.faults(hang=True, calls=1)
    first = ask(world, [change("u1")])
    world.work()
    assert outcomes(reply(world, first)) == [("retry", "")]
    assert world.held() is not None
    second = ask(world, [change("u1", "left")])
    world.work()
    given = reply(world, second)
    assert outcomes(given) == [("retry", "")]
    assert given is not None
    assert given.reason == "partner_unavailable"
    world.tick(300)
    world.work()
    assert world.held() is None
    third = ask(world, [change("u1", "left")])
    world.work()
    assert outcomes(reply(world, third)) == [("delivered", "")]
    assert members(world) == {"u0"}


def test_nothing_overtakes_what_waits_in_the_queue(world: World) -> None:
    warm(world)
    world.accept([("a.1", "u1", "joined")])
    asked = ask(world, [change("u1", "left")])
    world.work()
    assert reply(world, asked) is None
    assert members(world) == {"u0", "u1"}
    world.work()
    assert outcomes(reply(world, asked)) == [("delivered", "")]
    assert members(world) == {"u0"}


def test_nothing_overtakes_what_waits_in_the_hold(world: World) -> None:
    warm(world)
    world.publishing().set_enabled("pangolin", False)
    world.accept([("a.1", "u1", "joined")])
    world.work()
    world.publishing().set_enabled("pangolin", True)
    asked = ask(world, [change("u1", "left")])
    world.work()
    given = reply(world, asked)
    assert outcomes(given) == [("retry", "")]
    assert given is not None
    assert given.reason == "connector_off"
    world.drain()
    assert members(world) == {"u0", "u1"}


def test_an_audience_that_gathers_is_not_waited_for_where_nothing_waits(make_world: Callable[..., World]) -> None:
    world = make_world(max_age="10m")
    asked = ask(world, [change("u1")])
    world.work()
    assert outcomes(reply(world, asked)) == [("delivered", "")]


def test_a_connector_that_is_off_is_named_as_the_reason(world: World) -> None:
    warm(world)
    world.publishing().set_enabled("pangolin", False)
    asked = ask(world, [change("u1")])
    world.work()
    given = reply(world, asked)
    assert given is not None
    assert (given.reason, given.due_at) == ("connector_off", 0)
    assert "switched off" in given.hint
    assert world.held() is None


def test_what_nobody_waits_for_any_more_is_not_sent(world: World) -> None:
    warm(world)
    before = len(world.calls())
    asked = ask(world, [change("u1")])
    world.clock.advance(WAIT_S)
    world.work()
    assert reply(world, asked) is None
    assert len(world.calls()) == before
    assert world.queue.depth().messages == 0


def test_a_worker_that_dies_before_the_reply_is_followed_by_one_that_gives_it(world: World) -> None:
    from tests.promise.world import Abort

    def die(_count: int, name: str) -> None:
        if name == "after send":
            raise Abort

    warm(world)
    asked = ask(world, [change("u1")])
    world.work(on=die)
    assert reply(world, asked) is None
    world.work()
    assert outcomes(reply(world, asked)) == [("delivered", "")]


def test_a_message_that_kills_its_worker_is_given_up_and_not_held(world: World) -> None:
    from tests.promise.world import Abort

    def die(_count: int, name: str) -> None:
        if name == "before send":
            raise Abort

    warm(world)
    asked = ask(world, [change("u1")])
    for _ in range(2):
        world.work(on=die)
    world.work()
    assert world.held() is None
    assert world.queue.depth().messages == 0
    assert reply(world, asked) is None


# a publish that was repeated, so that the queue holds both parts of a request twice


def told_by_the_first_time(world: World) -> None:
    """u0 left and joined, in two parts; of the second time only the first part is delivered yet."""
    warm(world)
    asked = uuid.uuid4().hex
    for _ in range(2):
        ask(world, [change("u0", "left")], request_id=asked)
        ask(world, [change("u0", "joined", 1)], part=1, request_id=asked)
    for _ in range(2):
        world.work()
    told = [world.backend.replies.find(asked, part) for part in (0, 1)]
    assert [outcomes(each) for each in told] == [[("delivered", "")]] * 2
    world.work()
    assert members(world) == set()


def test_a_user_does_not_stay_removed_though_the_second_part_comes_too_late(world: World) -> None:
    told_by_the_first_time(world)
    world.clock.advance(WAIT_S)
    world.work()
    assert members(world) == {"u0"}


def test_a_user_does_not_stay_removed_though_the_partner_does_not_take_the_second_part(world: World) -> None:
    told_by_the_first_time(world)
    world.faults(status=503)
    world.work()
    assert world.held() is not None, "nobody sends it again"
    world.faults()
    world.tick(300)
    world.work()
    assert members(world) == {"u0"}


def test_a_user_does_not_stay_removed_though_the_second_part_finds_its_audience_held(world: World) -> None:
    told_by_the_first_time(world)
    world.publishing().set_enabled("pangolin", False)
    world.work()
    (waiting,) = world.backend.audiences.peek("pangolin", world.prefix + "a.1", limit=10)
    assert waiting.message.answer_by == 0, "nobody waits for it in the hold"
    world.publishing().set_enabled("pangolin", True)
    world.drain()
    assert members(world) == {"u0"}


def test_a_user_does_not_stay_removed_though_the_second_part_kills_its_worker(world: World) -> None:
    from tests.promise.world import Abort

    def die(_count: int, name: str) -> None:
        if name == "before send":
            raise Abort

    told_by_the_first_time(world)
    for _ in range(2):
        world.work(on=die)
    world.work()
    held = world.held()
    assert held is not None
    assert held.reason == "crashed"
    world.tick(300)
    world.work()
    assert members(world) == {"u0"}


@pytest.mark.parametrize("trouble", [{"status": 503}, {"hang": True, "calls": 1}])
def test_a_feed_that_has_not_looked_yet_is_not_told_to_send_again_what_was_delivered(
    make_world: Callable[..., World], trouble: dict[str, object]
) -> None:
    world = make_world(answer="500ms")
    warm(world)
    asked = ask(world, [change("u1")])
    ask(world, [change("u1")], request_id=asked)
    world.work()
    world.faults(**trouble)
    world.work()
    assert world.held() is not None
    assert outcomes(reply(world, asked)) == [("delivered", "")]


def test_a_feed_that_has_not_looked_yet_is_not_told_to_send_again_what_waits_behind_others(world: World) -> None:
    warm(world)
    asked = ask(world, [change("u1")])
    ask(world, [change("u1")], request_id=asked)
    world.work()
    world.publishing().set_enabled("pangolin", False)
    world.work()
    assert world.held() is not None
    assert outcomes(reply(world, asked)) == [("delivered", "")]


def test_the_next_user_does_not_wait_for_a_second_time_of_what_was_left_to_its_source(world: World) -> None:
    warm(world)
    world.faults(status=503)
    asked = ask(world, [change("u1")])
    ask(world, [change("u1")], request_id=asked)
    for _ in range(2):
        world.work()
        assert outcomes(reply(world, asked)) == [("retry", "")]
    assert world.held() is None, "its source sends it again"
    world.faults()
    following = ask(world, [change("u2")])
    world.work()
    assert outcomes(reply(world, following)) == [("delivered", "")]


def test_the_next_user_does_not_wait_for_what_comes_again_since_it_was_not_acknowledged(world: World) -> None:
    from tests.promise.world import Abort

    def die(_count: int, name: str) -> None:
        if name == "before acknowledge":
            raise Abort

    warm(world)
    world.faults(status=503)
    asked = ask(world, [change("u1")])
    world.work(on=die)
    assert outcomes(reply(world, asked)) == [("retry", "")]
    world.work()
    assert world.held() is None, "its source sends it again"
    world.faults()
    following = ask(world, [change("u2")])
    world.work()
    assert outcomes(reply(world, following)) == [("delivered", "")]


def test_what_was_left_to_its_source_is_not_sent_when_its_second_time_comes_too_late(world: World) -> None:
    warm(world)
    world.faults(status=503)
    asked = ask(world, [change("u1")])
    ask(world, [change("u1")], request_id=asked)
    world.work()
    world.faults()
    world.clock.advance(WAIT_S)
    world.work()
    assert members(world) == {"u0"}
    assert world.queue.depth().messages == 0


def test_a_reply_of_a_newer_version_does_not_keep_its_message_in_the_queue(world: World) -> None:
    warm(world)
    asked = ask(world, [change("u1")])
    world.backend.replies.give(Reply(VERSION + 1, asked, 0, world.clock.now(), (MutationReply(0, "delivered"),)))
    world.faults(status=503)
    world.work()
    assert world.queue.depth().messages == 0
    assert world.held() is not None, "it may say that it was delivered"
    world.faults()
    world.tick(300)
    world.work()
    assert members(world) == {"u0", "u1"}


# rows that were made before


def made(user: str, action: str, row: str, index: int, direction: Direction = "joined") -> Mutation:
    return Mutation(index, direction, {"id": user}, made={action: {"id": row}})


def test_a_row_that_was_made_before_is_sent_as_it_is(world: World) -> None:
    warm(world)
    asked = ask(world, [made("u1", "Add", "ROW-1", 0), made("u0", "Remove", "u0", 1, "left")])
    world.work()
    assert outcomes(reply(world, asked)) == [("delivered", ""), ("delivered", "")]
    assert members(world) == {"ROW-1"}, "the mapping would have written it in lower case"


def test_of_rows_with_the_same_keys_only_the_last_is_sent(world: World) -> None:
    warm(world)
    asked = ask(world, [made("u1", "Add", "u1", 0), made("u1", "Remove", "u1", 1, "left")])
    world.work()
    assert outcomes(reply(world, asked)) == [("superseded", ""), ("delivered", "")]
    assert members(world) == {"u0"}


def test_a_row_of_an_action_that_is_gone_is_not_counted_as_delivered(world: World) -> None:
    warm(world)
    asked = ask(world, [made("u1", "An action of an older version", "u1", 0)])
    world.work()
    assert outcomes(reply(world, asked)) == [("skipped", "no_action")]


def test_a_person_is_found_among_rows_that_were_made_and_wait(make_world: Callable[..., World]) -> None:
    from relay.domain.person import Person

    world = make_world(answer="500ms")
    warm(world)
    world.faults(hang=True, calls=1)
    ask(world, [made("u1", "Add", "u1", 0)])
    world.work()
    (waiting,) = world.backend.audiences.peek("pangolin", world.prefix + "a.1", limit=10)
    assert Person("u1").matches(waiting.message.mutations[0])
    assert waiting.message.answer_by == 0, "nobody waits for it in the hold"


def test_a_made_row_that_the_operation_cannot_use_is_rejected_and_costs_no_neighbour(world: World) -> None:
    warm(world)
    bad = Mutation(0, "joined", {"id": "u1"}, made={"Add": {"other": "x"}})
    asked = ask(world, [bad, made("u2", "Add", "u2", 1)])
    world.work()
    assert outcomes(reply(world, asked)) == [("rejected", "missing_field"), ("delivered", "")]
    assert members(world) == {"u0", "u2"}


def test_users_who_are_all_refused_alike_are_rejected_since_their_source_is_told(world: World) -> None:
    warm(world)
    world.faults(reject_users=["b1", "b2"])
    asked = ask(world, [change("b1"), change("b2", index=1)])
    world.work()
    given = reply(world, asked)
    assert outcomes(given) == [("rejected", "user_rejected")] * 2
    assert given is not None
    assert given.reason == ""


def test_a_mapping_that_fails_for_all_is_told_too(make_world: Callable[..., World]) -> None:
    world = make_world()
    warm(world)
    world.publishing().apply(world.document.replace("lower(user.id)", "to_number(user.email)", 1))
    asked = ask(world, [change("b1"), change("b2", index=1)])
    world.work()
    assert {outcome for outcome, _ in outcomes(reply(world, asked))} == {"rejected"}
