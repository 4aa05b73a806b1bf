"""What the worker makes of a partner's answers: outcomes, holds and rejections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from adapters.registry import describe
from relay.connectors.publishing import Publishing
from relay.domain.errors import StoreUnavailable
from relay.domain.message import VERSION as MESSAGE_VERSION
from relay.domain.message import Message, Mutation
from relay.domain.outcome import hash_user
from tests.promise.world import World
from worker.retention import discard, retire_old
from worker.tick import tick

THREE = [("a.1", "u1", "joined"), ("a.1", "u2", "joined"), ("a.1", "u3", "joined")]


def members(world: World, audience: str = "a.1") -> set[str]:
    return world.members().get(world.prefix + audience, set())


def warm(world: World) -> None:
    """The audience exists, with one member."""
    world.accept([("a.1", "u0", "joined")])
    world.work()
    assert members(world) == {"u0"}


def test_a_user_that_the_partner_names_is_rejected_and_its_neighbours_are_delivered(world: World) -> None:
    world.faults(reject_users=["u2"])
    world.accept(THREE)
    world.work()
    assert members(world) == {"u1", "u3"}
    assert [index for index, _ in world.rejected()] == [1]
    [(_, rejection)] = world.backend.reports.rejections()
    assert rejection.user_hash == hash_user("u2")
    assert rejection.hint
    assert "u2" not in rejection.hint
    assert world.held() is None


def test_one_bad_user_in_a_call_that_is_refused_whole_is_found(world: World) -> None:
    world.faults(poison_users=["u2"])
    world.accept(THREE)
    world.work()
    assert members(world) == {"u1", "u3"}
    assert [index for index, _ in world.rejected()] == [1]


@pytest.mark.parametrize("fault", [{"reject_users": ["u1", "u2", "u3"]}, {"poison_users": ["u1", "u2", "u3"]}, {"status": 400}])
def test_where_everyone_is_refused_alike_nobody_is_rejected_and_the_audience_is_misconfigured(
    world: World, fault: dict[str, Any]
) -> None:
    warm(world)
    world.faults(**fault)
    world.accept(THREE)
    world.work()
    hold = world.held()
    assert hold is not None
    assert (hold.reason, hold.items) == ("misconfigured", 3)
    assert world.rejected() == []
    world.faults()
    world.tick(31)
    world.work()
    assert members(world) == {"u0", "u1", "u2", "u3"}


def test_a_single_user_that_is_refused_is_a_rejection(world: World) -> None:
    warm(world)
    world.faults(status=400)
    world.accept([("a.1", "u1", "joined")])
    world.work()
    assert world.held() is None
    assert len(world.rejected()) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 500}, "partner_unavailable"),
        ({"html": True}, "partner_unavailable"),
        ({"hang": True}, "partner_unavailable"),
        ({"unauthorized": True}, "credentials_refused"),
        ({"status": 429, "retry_after": 77}, "come_back_later"),
    ],
)
def test_trouble_is_a_hold_that_probes_and_heals_by_itself(
    make_world: Callable[..., World], fault: dict[str, Any], reason: str
) -> None:
    world = make_world(answer="500ms")
    warm(world)
    world.faults(**fault)
    world.accept(THREE)
    world.work()
    hold = world.held()
    assert hold is not None
    assert (hold.reason, hold.items, hold.batches) == (reason, 3, 1)
    assert world.backend.queue.depth().messages == 0, "trouble at the partner is never answered by giving a message back"
    world.faults()
    world.tick(300)
    world.work()
    assert members(world) == {"u0", "u1", "u2", "u3"}
    assert world.held() is None


def test_vain_probes_come_after_30_seconds_doubling_to_5_minutes(world: World) -> None:
    warm(world)
    world.faults(status=500)
    world.accept(THREE)
    world.work()
    waits = []
    for _ in range(6):
        hold = world.held()
        assert hold is not None
        assert hold.due_at is not None
        waits.append(hold.due_at - world.clock.now())
        world.tick(hold.due_at - world.clock.now() - 1)
        assert not world.work(), "not before it is due"
        world.tick(1.001)
        assert world.work()
    for wait, longest in zip(waits, [30, 60, 120, 240, 300, 300], strict=True):
        assert longest * 0.85 <= wait <= longest


def test_retry_after_is_obeyed_in_full_by_every_audience_of_the_account(world: World) -> None:
    warm(world)
    world.accept([("a.2", "u0", "joined")])
    world.work()
    before = len(world.calls())
    world.faults(status=429, retry_after=120)
    world.accept([("a.1", "u1", "joined")])
    world.work()
    world.faults()
    world.accept([("a.2", "u1", "joined")])
    world.work()
    world.tick(118)
    assert not world.work()
    assert len(world.calls()) == before + 1, "no call after the answer was recorded"
    world.tick(2.1)
    while world.work():
        pass
    assert members(world, "a.1") == members(world, "a.2") == {"u0", "u1"}


def test_a_short_retry_after_is_waited_for_within_the_turn(world: World) -> None:
    warm(world)
    world.faults(status=429, retry_after=1, calls=1)
    began = world.clock.now()
    world.accept([("a.1", "u1", "joined")])
    world.work()
    assert members(world) == {"u0", "u1"}
    assert world.held() is None
    assert 1 <= world.clock.now() - began < 3


def test_a_passing_error_is_repeated_within_the_turn_but_a_time_out_is_not(make_world: Callable[..., World]) -> None:
    world = make_world(answer="500ms")
    warm(world)
    world.faults(status=503, calls=2)
    world.accept([("a.1", "u1", "joined")])
    world.work()
    assert world.held() is None
    before = len(world.calls())
    world.faults(hang=True, calls=1)
    world.accept([("a.1", "u2", "joined")])
    world.work()
    assert world.held() is not None, "the first call may still be applied"
    assert len(world.calls()) == before + 1


def test_a_retry_repeats_only_what_is_not_yet_delivered(make_world: Callable[..., World]) -> None:
    world = make_world(max_items=2)
    world.accept([("a.1", f"u{number}", "joined") for number in range(4)])
    world.faults(poison_users=["u2", "u3"])
    world.work()
    assert members(world) == {"u0", "u1"}
    world.faults()
    world.drain()
    assert members(world) == {"u0", "u1"}
    assert len(world.rejected()) == 2, "two bad users beside good ones are rejections"


def test_what_is_held_is_netted_and_sent_in_order_with_what_came_later(world: World) -> None:
    warm(world)
    world.faults(status=500)
    world.accept(THREE)
    world.work()
    world.accept([("a.1", "u1", "left"), ("a.1", "u0", "left")])
    world.work()
    hold = world.held()
    assert hold is not None
    assert (hold.batches, hold.items) == (2, 5)
    world.faults()
    before = len(world.calls())
    world.tick(31)
    world.work()
    assert members(world) == {"u2", "u3"}
    assert [(call["method"], call["count"]) for call in world.calls()[before:]] == [("POST", 2), ("DELETE", 2)]


def test_a_connector_that_gathers_sends_when_its_age_is_reached(make_world: Callable[..., World]) -> None:
    world = make_world(max_age="60s")
    world.accept([("a.1", "u1", "joined")])
    world.work()
    world.tick(30)
    world.accept([("a.1", "u1", "left"), ("a.1", "u2", "joined")])
    world.work()
    hold = world.held()
    assert hold is not None
    assert (hold.reason, hold.items) == ("gathering", 3)
    world.tick(29)
    assert not world.work()
    world.tick(1.1)
    world.work()
    assert members(world) == {"u2"}


def test_a_connector_that_gathers_sends_at_once_when_its_count_is_reached(make_world: Callable[..., World]) -> None:
    world = make_world(max_age="60s", max_items=3)
    world.accept([("a.1", "u1", "joined"), ("a.1", "u2", "joined")])
    world.work()
    assert not world.work()
    world.accept([("a.1", "u3", "joined")])
    world.work()
    assert world.work(), "the resume on the audience's own key"
    assert members(world) == {"u1", "u2", "u3"}
    assert world.held() is None


def test_publishing_a_version_flushes_what_is_gathered(make_world: Callable[..., World]) -> None:
    world = make_world(max_age="60s")
    world.accept([("a.1", "u1", "joined")])
    world.work()
    Publishing(world.backend, describe, "test").apply(world.document.replace("60s", "0s"))
    world.tick(0)
    world.work()
    assert members(world) == {"u1"}


def test_the_rate_limit_holds_for_calls_and_what_is_over_it_waits_its_turn(make_world: Callable[..., World]) -> None:
    world = make_world(max_items=1, rate="{calls: 2, per: 60s}")
    world.accept(THREE)
    world.work()
    assert len(members(world)) < 3
    hold = world.held()
    assert hold is not None
    assert hold.reason == "come_back_later"
    world.drain()
    assert members(world) == {"u1", "u2", "u3"}


def test_an_unannounced_audience_is_created_under_its_id(world: World) -> None:
    warm(world)
    audience = world.backend.audiences.get("pangolin", world.prefix + "a.1")
    assert audience is not None
    assert audience.status == "ready"


def test_an_unannounced_audience_is_rejected_where_the_connector_says_so(make_world: Callable[..., World]) -> None:
    world = make_world(unknown="reject")
    world.accept(THREE[:1])
    world.work()
    assert world.rejected() == [(0, "unknown_audience")]
    body = msgspec.json.encode({"Type": "CREATE_AUDIENCE", "Name": "Shoes", "Audience": world.prefix + "a.1"})
    assert world.post("CREATE_AUDIENCE", body).status_code == 200
    world.accept(THREE[:1])
    world.work()
    assert members(world) == {"u1"}


def test_in_mode_partner_the_partners_id_is_the_key_and_an_unknown_one_waits(make_world: Callable[..., World]) -> None:
    world = make_world(mode="partner")
    body = msgspec.json.encode({"Type": "CREATE_AUDIENCE", "Name": "Shoes", "Audience": world.prefix + "a.1"})
    answer = msgspec.json.decode(world.post("CREATE_AUDIENCE", body).body)
    assert msgspec.json.decode(world.post("CREATE_AUDIENCE", body).body) == answer, "the same request again finds it"
    entry = world.backend.audiences.get("pangolin", answer["id"])
    assert entry is not None
    assert entry.partner_id == answer["id"]
    world.accept([("unknown", "u1", "joined")])
    world.work()
    hold = world.held("unknown")
    assert hold is not None
    assert hold.reason == "audience_not_ready"
    world.prefix, prefix = "", world.prefix
    world.accept([(answer["id"], "u1", "joined")])
    world.work()
    world.prefix = prefix
    assert members(world) == {"u1"}
    assert world.members().keys() == {world.prefix + "a.1"}, "nothing was created for the unknown one"


def test_a_paused_action_holds_its_audiences_and_a_skipped_one_skips_its_users(world: World) -> None:
    warm(world)
    publishing = Publishing(world.backend, describe, "test")
    publishing.set_action("pangolin", "Remove", "paused")
    world.accept([("a.1", "u0", "left"), ("a.1", "u1", "joined")])
    world.work()
    assert members(world) == {"u0"}
    assert world.held() is not None
    publishing.set_action("pangolin", "Remove", "skipped")
    world.tick(1)
    world.work()
    assert members(world) == {"u0", "u1"}
    assert world.held() is None
    publishing.set_action("pangolin", "Remove", None)
    world.accept([("a.1", "u0", "left")])
    world.work()
    assert members(world) == {"u1"}


def test_a_paused_audience_waits_and_the_others_do_not(world: World) -> None:
    warm(world)
    world.backend.audiences.set_paused("pangolin", world.prefix + "a.1", True)
    world.accept([("a.1", "u1", "joined"), ("a.2", "u1", "joined")])
    while world.work():
        pass
    assert members(world, "a.2") == {"u1"}
    assert members(world, "a.1") == {"u0"}
    world.tick(400)
    assert not world.work()
    world.backend.audiences.set_paused("pangolin", world.prefix + "a.1", False)
    world.tick(1)
    world.work()
    assert members(world) == {"u0", "u1"}


def test_an_incomplete_connector_holds_what_arrives_and_says_what_it_lacks(world: World) -> None:
    Publishing(world.backend, describe, "test").apply(world.document.replace("partner-token", "no-such-secret"))
    world.accept(THREE)
    world.work()
    hold = world.held()
    assert hold is not None
    assert hold.reason == "connector_off"
    assert "no-such-secret" in hold.detail
    Publishing(world.backend, describe, "test").set_secret("no-such-secret", world.authorization["Authorization"][7:])
    world.tick(11)
    world.work()
    assert members(world) == {"u1", "u2", "u3"}


class Poison(Exception):
    """A fault of ours, met whenever a certain batch is touched."""


def test_a_batch_that_ends_its_worker_three_times_waits_apart_and_is_tried_again_rarely(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm(world)
    real = world.worker.partners.open

    def broken(_connector: Any) -> Any:
        raise Poison("u1 is in this text and must not be logged")

    monkeypatch.setattr(world.worker.partners, "open", broken)
    world.accept([("a.1", "u1", "joined")])
    for _ in range(3):
        world.work()
        world.clock.advance(2)
    waits = []
    for _ in range(6):
        hold = world.held()
        assert hold is not None
        assert hold.due_at is not None
        assert hold.reason == "crashed"
        waits.append(round(hold.due_at - world.clock.now(), -1))
        world.tick(hold.due_at - world.clock.now() - 1)
        assert not world.work(), "not before it is due"
        world.tick(1.001)
        for _ in range(2):  # one try, and the turn that finds that it has crashed again
            assert world.work()
            world.clock.advance(2)
    assert waits == [300, 600, 1_200, 2_400, 3_600, 3_600]
    monkeypatch.setattr(world.worker.partners, "open", real)
    world.accept([("a.2", "u1", "joined"), ("a.1", "u2", "joined")])
    while world.work():
        pass
    assert members(world, "a.2") == {"u1"}, "the others go on"
    world.backend.audiences.make_due("pangolin", world.prefix + "a.1")
    world.tick(0)
    world.work()
    assert members(world) == {"u0", "u1", "u2"}


def test_a_store_that_fails_three_times_makes_no_batch_a_crashed_one(world: World) -> None:
    warm(world)
    world.accept([("a.1", "u1", "joined")])

    def fail(_count: int, name: str) -> None:
        if name == "before attempt":
            raise StoreUnavailable("The disk is full.")

    for _ in range(5):
        world.work(fail)
        world.clock.advance(2)
    world.work()
    assert world.held() is None
    assert members(world) == {"u0", "u1"}


def test_a_resume_that_comes_early_leaves_the_hold_alone(world: World) -> None:
    """Several can be published for one hold; after a time-out the partner must be left alone until the due time."""
    warm(world)
    world.faults(status=500)
    world.accept(THREE)
    world.work()
    record = world.backend.audiences.get("pangolin", world.prefix + "a.1")
    assert record is not None
    before = len(world.calls())
    for number in range(3):
        resume = Message(MESSAGE_VERSION, "resume", "pangolin", record.id, f"resume-{number}", world.clock.now())
        world.backend.queue.publish([resume])
        world.work()
    assert len(world.calls()) == before


def test_ticks_during_a_long_resume_publish_no_further_resumes(make_world: Callable[..., World]) -> None:
    world = make_world()
    warm(world)
    world.backend.connectors.set_paused("pangolin", True)
    for number in range(4):
        world.accept([("a.1", f"u{number}-{one}", "joined") for one in range(400)])
        world.work()
    world.backend.connectors.set_paused("pangolin", False)
    world.tick(1)

    def ticking(_count: int, name: str) -> None:
        if name == "after settle":
            world.clock.advance(2)
            tick(world.backend, world.worker.catalog, world.clock)

    assert world.work(ticking)
    assert not world.work(), "one resume was enough"
    assert len(members(world)) == 1_601


@pytest.mark.parametrize("after", [0, "Thu, 01 Jan 2004 00:00:00 GMT"])
def test_a_retry_after_that_is_over_already_does_not_make_a_hot_loop(world: World, after: int | str) -> None:
    warm(world)
    world.faults(status=429, retry_after=after)
    world.accept(THREE)
    turns = 0
    for _ in range(30):
        while world.work():
            turns += 1
        world.tick(1)
    assert turns <= 8
    world.drain()
    assert members(world) == {"u0", "u1", "u2", "u3"}


@pytest.mark.parametrize("place", ["front", "end"])
@pytest.mark.parametrize("bad", [2, 12, 30])
def test_many_bad_users_in_one_place_cost_the_good_ones_nothing(world: World, bad: int, place: str) -> None:
    users = [f"u{number}" for number in range(100)]
    refused = users[:bad] if place == "front" else users[-bad:]
    world.faults(poison_users=refused)
    world.accept([("a.1", user, "joined") for user in users])
    for _ in range(60):
        while world.work():
            pass
        if world.held() is None:
            break
        world.tick(300)
    assert members(world) == set(users) - set(refused)
    assert len(world.rejected()) == bad


def test_an_action_that_works_does_not_convict_the_users_of_one_that_does_not(world: World) -> None:
    warm(world)
    world.faults(reject_users=["u1", "u2", "u3"])
    world.accept([("a.1", "u9", "joined"), ("a.1", "u1", "left"), ("a.1", "u2", "left"), ("a.1", "u3", "left")])
    world.work()
    for _ in range(3):
        hold = world.held()
        assert hold is not None
        assert (hold.reason, hold.items) == ("misconfigured", 3)
        world.tick(301)
        world.work()
    assert members(world) == {"u0", "u9"}
    assert world.rejected() == []


def test_what_an_earlier_version_delivered_does_not_convict_the_users_of_a_wrong_one(make_world: Callable[..., World]) -> None:
    world = make_world(max_items=2)
    world.accept([("a.1", f"u{number}", "joined") for number in range(4)])
    world.faults(poison_users=["u2", "u3"], error_rate=0)
    world.backend.connectors.set_action("pangolin", "Remove", None)
    one = iter(range(1, 100))

    def down(_count: int, name: str) -> None:
        if name == "before send" and next(one) == 2:
            world.faults(status=500)

    world.work(down)
    hold = world.held()
    assert hold is not None
    assert hold.proof is not None
    world.faults(reject_users=["u2", "u3"])
    Publishing(world.backend, describe, "test").apply(world.document + "notes: another version\n")
    world.tick(31)
    world.work()
    hold = world.held()
    assert hold is not None
    assert hold.reason == "misconfigured"
    assert world.rejected() == []


@pytest.mark.parametrize("rate", ["{calls: 1, per: 5s}", "{calls: 2, per: 20s}"])
def test_the_search_for_a_bad_user_gets_further_with_a_call_a_turn(make_world: Callable[..., World], rate: str) -> None:
    world = make_world(rate=rate)
    users = [f"u{number}" for number in range(10)]
    world.faults(poison_users=["u4"])
    world.accept([("a.1", user, "joined") for user in users])
    for _ in range(200):
        while world.work():
            pass
        if world.held() is None:
            break
        world.tick(40)
    assert members(world) == set(users) - {"u4"}
    assert [code for _, code in world.rejected()] == ["call_refused"]


def test_an_unannounced_audience_is_rejected_from_a_hold_too(make_world: Callable[..., World]) -> None:
    world = make_world(unknown="reject")
    world.backend.connectors.set_paused("pangolin", True)
    world.accept(THREE[:1])
    world.work()
    world.backend.connectors.set_paused("pangolin", False)
    world.tick(1)
    world.work()
    assert world.rejected() == [(0, "unknown_audience")]
    assert members(world) == set()


def test_a_secret_that_cannot_be_read_holds_its_own_connector_and_no_other(world: World) -> None:
    document = world.document.replace("name: pangolin", "name: aaa", 1).replace("partner-token", "damaged")
    publishing = Publishing(world.backend, describe, "test")
    publishing.set_secret("damaged", "value")
    publishing.apply(document)
    (world.state / "secrets" / "damaged").write_bytes(b"\x00 damaged")
    world.clock.advance(11)
    world.backend.queue.publish(
        [Message(MESSAGE_VERSION, "change", "aaa", "x", "r", 1.0, mutations=(Mutation(0, user={"id": "u"}),))]
    )
    world.backend.connectors.set_paused("pangolin", True)
    world.accept(THREE)
    while world.work():
        pass
    record = world.backend.audiences.get("aaa", "x")
    assert record is not None
    assert record.hold is not None
    assert record.hold.reason == "connector_off"
    world.backend.connectors.set_paused("pangolin", False)
    world.tick(1)
    world.work()
    assert members(world) == {"u1", "u2", "u3"}


def test_a_switch_counts_in_the_middle_of_a_long_resume(make_world: Callable[..., World]) -> None:
    world = make_world()
    warm(world)
    world.backend.connectors.set_paused("pangolin", True)
    for number in range(4):
        world.accept([("a.1", f"u{number}-{one}", "joined") for one in range(400)])
        world.work()
    world.backend.connectors.set_paused("pangolin", False)
    world.tick(1)

    def switch(_count: int, name: str) -> None:
        if name == "after settle":
            world.backend.connectors.set_action("pangolin", "Add", "skipped")

    world.work(switch)
    assert len(members(world)) == 801, "the first step of two batches, and nothing after it"


def test_a_number_and_its_digits_as_text_are_one_row_at_the_partner(world: World) -> None:
    Publishing(world.backend, describe, "test").apply(world.document.replace("lower(user.id)", "fields.Number"))
    body = {"Mutations": [
        {"Audience": world.prefix + "a.1", "User": "a", "Number": 7, "Type": "remove"},
        {"Audience": world.prefix + "a.1", "User": "b", "Number": "7", "Type": "add"},
    ]}  # fmt: skip
    assert world.post("ADD_TO_AUDIENCE", msgspec.json.encode(body)).status_code == 200
    world.work()
    assert members(world) == {"7"}


def test_of_many_audiences_that_wait_for_the_rate_few_turns_are_in_vain_and_none_is_an_attempt(
    make_world: Callable[..., World],
) -> None:
    world = make_world(rate="{calls: 1, per: 3s}")
    for number in range(30):
        world.accept([(f"a.{number}", "u1", "joined")])
    turns = 0
    for _ in range(400):
        while world.work():
            turns += 1
        if not any(one.hold for one in world.backend.audiences.all()):
            break
        world.tick(3)
    assert {audience: users for audience, users in world.members().items() if users != {"u1"}} == {}
    assert turns < 30 * 15
    failed = world.backend.reports.attempts("pangolin", limit=1_000, failed_only=True)
    assert len(failed) <= 60, "creations that met the limit; turns that made no call are none"


def test_what_is_settled_without_a_call_is_recorded_though_the_call_is_postponed(make_world: Callable[..., World]) -> None:
    world = make_world(rate="{calls: 1, per: 60s}")
    Publishing(world.backend, describe, "test").apply(world.document.replace("lower(user.id)", "user.email"))
    body = {"Mutations": [{"Audience": world.prefix + "a.1", "User": "u1"}, {"Audience": world.prefix + "a.1", "Email": "e2"}]}
    assert world.post("ADD_TO_AUDIENCE", msgspec.json.encode(body)).status_code == 200
    for _ in range(3):
        while world.work():
            pass
        world.tick(61)
    world.drain()
    assert world.rejected() == [(0, "missing_field")]
    assert members(world) == {"e2"}


def test_a_discarded_hold_becomes_rejections(world: World) -> None:
    warm(world)
    world.faults(status=500)
    world.accept(THREE)
    world.work()
    assert discard(world.backend, world.clock, "pangolin", world.prefix + "a.1") == 1
    assert world.rejected() == [(0, "discarded"), (1, "discarded"), (2, "discarded")]
    assert world.held() is None


def test_what_has_waited_longer_than_30_days_becomes_rejections_and_is_warned_of_from_the_7th_on(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    warm(world)
    world.backend.audiences.set_paused("pangolin", world.prefix + "a.1", True)
    world.accept(THREE)
    world.work()
    world.clock.advance(8 * 86_400)
    assert retire_old(world.backend, world.worker.catalog, world.clock) == 0
    assert "hold_is_old" in capfd.readouterr().err
    world.accept([("a.1", "u9", "joined")])
    world.work()
    world.clock.advance(23 * 86_400)
    assert retire_old(world.backend, world.worker.catalog, world.clock) == 1
    assert world.rejected() == [(0, "held_too_long"), (1, "held_too_long"), (2, "held_too_long")]
    hold = world.held()
    assert hold is not None
    assert hold.items == 1, "what came later goes on waiting"


def test_an_attempt_leaves_one_report_and_one_log_line(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    world.faults(reject_users=["u2"])
    world.accept(THREE)
    world.work()
    [line] = [msgspec.json.decode(text) for text in capfd.readouterr().err.splitlines() if '"event":"attempt"' in text]
    [report] = world.backend.reports.attempts("pangolin")
    assert report.counts == {"delivered": 2, "rejected": 1}
    assert (line["attempt"], line["delivered"], line["requests"]) == (report.attempt_id, 2, list(report.request_ids))
    assert [(one.index, one.outcome) for one in report.exceptions] == [(1, "rejected")]
    assert world.backend.reports.totals("pangolin", since=0) == {"delivered": 2, "rejected": 1}


def test_mutations_that_cannot_be_read_are_kept_as_skipped_with_their_reason(world: World) -> None:
    body = msgspec.json.encode(
        {"Mutations": [{"Audience": world.prefix + "a.1", "User": "u1"}, {"Audience": world.prefix + "a.1"}, {"User": "u2"}]}
    )
    assert world.post("ADD_TO_AUDIENCE", body).status_code == 200
    while world.work():
        pass
    assert members(world) == {"u1"}
    assert world.rejected() == [(1, "unreadable"), (2, "unreadable")]
    assert world.backend.reports.totals("pangolin", since=0) == {"delivered": 1, "skipped": 2}


def test_an_audience_whose_creator_died_is_created_as_soon_as_its_claim_ends(world: World) -> None:
    record, mine = world.backend.audiences.claim_creation(
        "pangolin", world.prefix + "a.1", owner="dead", for_s=20, name="Shoes", customer=None
    )
    assert mine
    world.accept([("a.1", "u1", "joined")])
    world.work()
    hold = world.held()
    assert hold is not None
    assert (hold.reason, hold.due_at) == ("audience_not_ready", record.claim_until)
    world.tick(20.1)
    world.work()
    assert members(world) == {"u1"}
