"""What the worker makes of a partner's answers: outcomes, holds and rejections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from adapters.pangolin import Pangolin
from adapters.registry import describe
from relay.backends.interfaces import Turn
from relay.connectors.publishing import Publishing
from relay.domain.audience import Audience, Waiting
from tests.promise.world import World
from tests.unit.worker.given import THREE, members, warm


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


def test_a_success_that_cannot_be_read_is_not_repeated_at_once(world: World) -> None:
    warm(world)
    before = len(world.calls())
    world.faults(html=True)
    world.accept([("a.1", "u1", "joined")])
    world.work()
    assert len(world.calls()) == before + 1, "it may have been applied"
    hold = world.held()
    assert hold is not None
    assert hold.due_at is not None
    assert hold.due_at - world.clock.now() > 20


def test_a_success_that_does_not_account_for_all_users_is_not_repeated_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm(world)
    before = len(world.calls())
    monkeypatch.setattr(Pangolin, "results", lambda *_: [])
    world.accept([("a.1", "u1", "joined")])
    world.work()
    assert len(world.calls()) == before + 1
    [report] = world.backend.reports.attempts("pangolin", limit=1)
    assert report.problem == "unaccounted"


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


@pytest.mark.parametrize("settled", [False, True], ids=["nothing is settled", "one user is settled"])
def test_a_batch_of_which_nothing_is_settled_stays_in_the_hold_as_it_was_taken(
    make_world: Callable[..., World], settled: bool
) -> None:
    world = make_world(max_items=1)
    warm(world)
    world.faults(status=500)
    world.accept(THREE)
    world.work()
    seen: list[tuple[Waiting, Waiting]] = []
    real = world.backend.audiences.settle

    def settle(turn: Turn, *, taken: Sequence[Waiting], rest: Sequence[Waiting], **named: Any) -> Audience:
        seen.extend(zip(taken, rest, strict=True))
        after: Audience = real(turn, taken=taken, rest=rest, **named)
        return after

    world.tapped.audiences.settle = settle

    def down(_count: int, name: str) -> None:
        if name == "after send":
            world.faults(status=500)

    if settled:
        world.faults()
    world.tick(31)
    world.work(down)
    [(taken, rest)] = seen
    assert (rest is taken) == (not settled)
    assert len(rest.message.mutations) == (2 if settled else 3)
