"""`diy status`: when someone must act, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from relay.backends import open_backend
from relay.backends.interfaces import Backend, QueueDepth
from relay.configuration import Configuration
from relay.domain.audience import HOLD_REASONS, NEEDS_SOMEONE, HoldReason, HoldRequest
from relay.domain.clock import SystemClock
from relay.domain.message import VERSION, Message, Mutation
from relay.health.advice import ADVICE
from relay.health.concerns import about_queue
from relay.health.survey import Health, look
from tests.unit.cli.conftest import Diy

DAY_S = 86_400.0


@pytest.fixture
def backend(diy: Diy) -> Iterator[Backend]:
    diy.apply()
    opened = open_backend(Configuration(state_dir=diy.state), SystemClock(), create=False)
    yield opened
    opened.close()


def kinds(health: Health, *, act: bool) -> set[str]:
    everything = [*health.concerns, *(concern for one in health.connectors for concern in one.concerns)]
    return {concern.kind for concern in everything if concern.act is act}


def hold(backend: Backend, reason: HoldReason, *, due_at: float | None, received_at: float, detail: str = "") -> None:
    message = Message(
        version=VERSION,
        kind="change",
        connector="pangolin",
        audience="a.1",
        request_id="r1",
        received_at=received_at,
        mutations=(Mutation(index=0, user={"id": "u1"}),),
    )
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=1, message_id="m1")
    backend.audiences.join(turn, message, HoldRequest(reason, due_at, detail))


def test_a_complete_connector_with_nothing_waiting_needs_nobody(diy: Diy) -> None:
    diy.apply()
    result = diy("status")
    assert result.exit_code == 0
    assert "Nothing needs anybody." in result.stdout


def test_an_incomplete_connector_names_what_is_missing_and_how_to_set_it(diy: Diy) -> None:
    diy.fine("connectors", "apply", diy.document())
    result = diy("status")
    assert result.exit_code == 1
    assert "diy secrets set pangolin-token" in result.stdout


def test_an_incomplete_connector_that_is_off_is_only_mentioned(diy: Diy) -> None:
    diy.fine("connectors", "apply", diy.document())
    diy.fine("connectors", "disable", "pangolin")
    assert diy("status").exit_code == 0


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["connectors", "disable", "pangolin"], "off"),
        (["holds", "pause", "pangolin"], "paused"),
        (["actions", "disable", "pangolin", "Add", "--pause"], "action_off"),
    ],
)
def test_what_an_operator_switched_off_is_mentioned_with_the_way_back(diy: Diy, command: list[str], kind: str) -> None:
    diy.apply()
    diy.fine(*command)
    status = diy.json("status")
    (concern,) = status["connectors"][0]["concerns"]
    assert (concern["kind"], concern["act"], status["someone_must_act"]) == (kind, False, False)
    way_back = concern["do"].split()[1:]
    diy.fine(*[word.strip("'") for word in way_back])
    assert diy.json("status")["connectors"][0]["concerns"] == []


@pytest.mark.parametrize("reason", HOLD_REASONS)
def test_a_hold_calls_someone_if_and_only_if_it_does_not_pass_by_itself(backend: Backend, reason: HoldReason) -> None:
    now = SystemClock().now()
    backend.audiences.link("pangolin", "a.1", partner_id="7")
    hold(backend, reason, due_at=now + 60, received_at=now)
    health = look(backend, now)
    assert health.someone_must_act is (reason in NEEDS_SOMEONE)
    if reason in NEEDS_SOMEONE:
        assert kinds(health, act=True) == {f"hold_{reason}"}


def test_every_reason_of_a_hold_has_its_advice() -> None:
    assert set(ADVICE) == set(HOLD_REASONS)
    assert all(ADVICE[reason].do for reason in NEEDS_SOMEONE)


def test_the_advice_for_a_paused_connector_is_to_resume_the_connector(diy: Diy) -> None:
    diy.apply()
    diy.hold("a.1")
    advice = diy.json("holds", "show", "pangolin", "a.1")["what_to_do"]
    assert advice == "diy holds resume pangolin"
    diy.fine(*advice.split()[1:])
    diy.fine("holds", "pause", "pangolin", "a.1")
    assert diy.json("holds", "show", "pangolin", "a.1")["what_to_do"] == "diy holds resume pangolin a.1"


def test_a_partners_words_cannot_steer_the_terminal(backend: Backend, diy: Diy) -> None:
    now = SystemClock().now()
    hold(backend, "audience_gone", due_at=now + 60, received_at=now, detail="\x1b[2Jgone\nNothing needs anybody.")
    output = diy("status").stdout
    assert "\x1b" not in output
    assert "\nNothing needs anybody" not in output


def test_the_advice_names_the_connector_the_audience_and_the_partners_words(backend: Backend, diy: Diy) -> None:
    now = SystemClock().now()
    hold(backend, "audience_gone", due_at=now + 60, received_at=now, detail="The list was deleted.")
    output = diy("status").stdout
    assert "The list was deleted" in output
    assert "diy audiences link pangolin a.1 PARTNER_ID" in output


def test_changes_for_an_audience_that_nobody_announced_call_someone(backend: Backend) -> None:
    now = SystemClock().now()
    hold(backend, "audience_not_ready", due_at=now + 60, received_at=now)
    assert kinds(look(backend, now), act=True) == {"hold_audience_not_ready"}


def test_batches_older_than_the_warning_age_call_someone_whatever_the_reason(backend: Backend) -> None:
    now = SystemClock().now()
    hold(backend, "partner_unavailable", due_at=now + 60, received_at=now)
    assert kinds(look(backend, now + 6.9 * DAY_S), act=True) == {"no_worker"}
    assert kinds(look(backend, now + 7.1 * DAY_S), act=True) == {"no_worker", "old_hold"}


def test_a_hold_that_is_overdue_means_that_no_worker_runs(backend: Backend) -> None:
    now = SystemClock().now()
    backend.audiences.link("pangolin", "a.1", partner_id="7")
    hold(backend, "partner_unavailable", due_at=now + 60, received_at=now)
    assert kinds(look(backend, now + 60 + 119), act=True) == set()
    assert kinds(look(backend, now + 60 + 121), act=True) == {"no_worker"}


def test_a_connector_that_is_off_has_no_overdue_holds(backend: Backend) -> None:
    now = SystemClock().now()
    hold(backend, "partner_unavailable", due_at=now, received_at=now)
    backend.connectors.set_enabled("pangolin", False)
    assert "no_worker" not in kinds(look(backend, now + 3600), act=True)


def test_a_queue_that_nobody_takes_from_means_that_no_worker_runs(diy: Diy) -> None:
    diy.apply()
    diy.receive("a.1", "user-1")
    assert diy("status").exit_code == 0, "it was only just queued"
    assert about_queue(QueueDepth(messages=1, leased=0, oldest_s=29)) is None
    assert about_queue(QueueDepth(messages=2, leased=1, oldest_s=99)) is None
    found = about_queue(QueueDepth(messages=1, leased=0, oldest_s=31))
    assert found is not None
    assert (found.kind, found.act, found.do) == ("no_worker", True, "diy worker")


def test_a_creation_that_failed_for_good_calls_someone(backend: Backend) -> None:
    now = SystemClock().now()
    backend.audiences.claim_creation("pangolin", "a.1", owner="me", for_s=30, name="A", customer=None)
    backend.audiences.creation_failed("pangolin", "a.1", owner="me", error="The name is taken.", final=True)
    assert kinds(look(backend, now), act=True) == {"creation_failed"}


def test_rejections_of_the_last_hour_are_mentioned(connected_with_rejections: Diy) -> None:
    result = connected_with_rejections("status")
    assert result.exit_code == 0
    assert "1 mutation rejected in the last hour." in result.stdout
    assert "diy rejections list pangolin" in result.stdout


@pytest.fixture
def connected_with_rejections(connected: Diy) -> Diy:
    connected.receive("a.1", "fine", "x" * 5_000)
    connected.work()
    return connected


def test_no_connector_is_mentioned(diy: Diy) -> None:
    diy.fine("secrets", "set", "some-token", input="value")
    result = diy("status")
    assert result.exit_code == 0
    assert "diy connectors apply FILE" in result.stdout


def test_a_draft_that_never_ran_is_mentioned(diy: Diy) -> None:
    diy.fine("connectors", "apply", diy.document(), "--draft")
    status = diy.json("status")
    assert not status["someone_must_act"]
    (connector,) = status["connectors"]
    assert (connector["standing"], [one["do"] for one in connector["concerns"]]) == (
        "not_published",
        ["diy connectors publish pangolin 1"],
    )
    assert [one["name"] for one in diy.json("connectors", "list")] == ["pangolin"]


def test_a_paused_action_shows_in_how_the_connector_stands_and_in_the_advice(diy: Diy) -> None:
    diy.apply()
    diy.fine("actions", "disable", "pangolin", "Add", "--pause")
    diy.receive("a.1", "user-1")
    diy.work()
    assert diy.json("status")["connectors"][0]["standing"] == "paused"
    (hold,) = diy.json("holds", "list")
    assert (hold["reason"], hold["what_to_do"]) == ("connector_off", "diy actions enable pangolin Add")
    assert "an action of the connector is paused" in diy.fine("holds", "show", "pangolin", "a.1")
    diy.fine(*hold["what_to_do"].split()[1:])
    assert diy.json("status")["connectors"][0]["standing"] != "paused"


def test_mutations_that_could_not_be_read_are_mentioned_and_not_as_rejected(connected: Diy) -> None:
    unread = Mutation(index=0, unreadable="It names no user.")
    message = Message(VERSION, "change", "pangolin", "a.1", "r1", SystemClock().now(), mutations=(unread,))
    with connected.backend() as backend:
        backend.queue.publish([message])
    connected.work()
    result = connected("status")
    assert result.exit_code == 0
    assert "1 mutation of the last hour could not be read, as the DMP sent them." in result.stdout
    assert "rejected in the last hour" not in result.stdout


def test_a_paused_audience_is_mentioned_before_anything_waits_in_it(connected: Diy) -> None:
    connected.receive("a.1", "user-1")
    connected.work()
    connected.fine("holds", "pause", "pangolin", "a.1")
    (concern,) = connected.json("status")["connectors"][0]["concerns"]
    assert (concern["act"], concern["do"]) == (False, "diy holds resume pangolin a.1")


def test_a_secret_that_notices_need_and_that_is_not_set_calls_for_someone(diy: Diy) -> None:
    diy.apply(more="notify: {webhook: hook-url}\n")

    result = diy("status")

    assert result.exit_code == 1
    assert "Nobody is told how it stands: The secret 'hook-url' (address of the webhook) is not set." in result.stdout
    assert "-> diy secrets set hook-url" in result.stdout
    diy.fine("secrets", "set", "hook-url", input="https://hooks.example.com/1\n")
    assert "Nobody is told" not in diy.fine("status")
