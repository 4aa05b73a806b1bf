"""What is said of holds: once for all that wait for the same, and not at all where nothing is amiss."""

from __future__ import annotations

import pytest

from relay.backends.interfaces import AudienceSummary, HoldSummary
from relay.domain.audience import HOLD_REASONS, Audience, Hold, HoldReason
from relay.domain.connector import Action, BatchLimits, Connector, ConnectorState, Inbound, Limits
from relay.health.advice import due_at, needs_someone, what_to_do
from relay.health.concerns import Concern, Held, about_holds, about_overdue, about_paused, about_queue

STATE = ConnectorState("shop", live=1)
NOW = 1_800_000_000.0


def held(
    audience: str, reason: HoldReason, *, detail: str = "", batches: int = 2, paused: bool = False, due_at: float = NOW
) -> Held:
    hold = Hold(reason, NOW - 10, due_at, detail, batches=batches, items=5)
    return Held(Audience(1, "shop", audience, partner_id="7", paused=paused, hold=hold), hold)


def test_audiences_that_wait_for_the_same_are_one_concern() -> None:
    found = list(about_holds([held(f"a.{number}", "credentials_refused", detail="No.") for number in range(3)], STATE, None))

    assert found == [
        Concern(
            True,
            "hold_credentials_refused",
            "6 batches of 3 audiences wait: the partner refuses the credentials (No).",
            "set the right ones, then it is tried at once: diy secrets list; or, if the partner was wrong: diy holds resume shop",
        )
    ]


def test_audiences_that_need_different_things_are_told_apart() -> None:
    held_for_different_things = [
        held("a.1", "audience_gone"),
        held("a.2", "audience_gone"),
        held("a.3", "credentials_refused", detail="One."),
        held("a.4", "credentials_refused", detail="Two."),
    ]

    assert len(list(about_holds(held_for_different_things, STATE, None))) == 4


@pytest.mark.parametrize("reason", HOLD_REASONS)
def test_every_hold_is_mentioned_but_what_gathers_and_what_the_connectors_state_explains(reason: HoldReason) -> None:
    mentioned = bool(list(about_holds([held("a.1", reason)], STATE, None)))

    assert mentioned is (reason not in ("gathering", "connector_off"))


def test_a_pause_of_the_connector_is_not_said_again_for_each_audience() -> None:
    paused = ConnectorState("shop", live=1, paused=True)

    assert list(about_holds([held("a.1", "paused")], paused, None)) == []
    [concern] = about_holds([held("a.1", "partner_unavailable", paused=True)], STATE, None)
    assert (concern.kind, concern.act, concern.do) == ("hold_paused", False, "diy holds resume shop a.1")


def test_one_batch_waits_and_several_wait() -> None:
    [one] = about_holds([held("a.1", "crashed", batches=1)], STATE, None)
    [two] = about_holds([held("a.1", "crashed", batches=2)], STATE, None)

    assert one.what.startswith("1 batch of audience a.1 waits: ")
    assert two.what.startswith("2 batches of audience a.1 wait: ")


def test_what_is_due_is_overdue_two_minutes_later_and_says_for_how_long() -> None:
    sums = [
        AudienceSummary(2, {}, {"crashed": HoldSummary(2, next_due=NOW + 60), "paused": HoldSummary(1, next_due=None)}),
        AudienceSummary(1, {}, {"partner_unavailable": HoldSummary(1, next_due=NOW)}),
    ]

    assert about_overdue(sums, NOW + 120) is None
    found = about_overdue(sums, NOW + 600)
    assert found == Concern(True, "no_worker", "No worker tries again what is due, the longest since 10 min.", "diy worker")


def test_who_should_have_looked_at_an_overdue_hold_depends_on_who_calls_the_worker() -> None:
    overdue = [AudienceSummary(1, {}, {"partner_unavailable": HoldSummary(1, next_due=NOW - 3600)})]

    asked, pushed = about_overdue(overdue, NOW), about_overdue(overdue, NOW, pushed=True)

    assert asked
    assert pushed
    assert (asked.kind, asked.do) == (pushed.kind, "diy worker") == ("no_worker", "diy worker")
    assert "Cloud Scheduler" in pushed.do


def test_of_a_queue_that_cannot_tell_nothing_is_said() -> None:
    assert about_queue(None) is None


def test_a_change_under_the_dmps_own_id_needs_someone_where_it_was_answered_with_another() -> None:
    hold = Hold("audience_not_ready", NOW, NOW + 60, batches=1, items=1)
    for partner_id in (None, "pg_7"):
        audience = Audience(1, "shop", "a.1", status="ready", partner_id=partner_id, answers_to="pg_7", hold=hold)
        [concern] = about_holds([Held(audience, hold)], STATE, None)
        assert needs_someone(audience, hold)
        assert (concern.act, concern.kind) == (True, "hold_audience_not_ready")
        assert "the DMP still sends under its own ID; it was answered as pg_7" in concern.what
        assert "diy holds discard shop a.1" in concern.do


def test_a_paused_audience_is_not_forgotten_while_nothing_waits_in_it() -> None:
    idle = [Audience(1, "shop", "a.1", paused=True), Audience(1, "shop", "a.2")]
    waiting = held("a.3", "partner_unavailable", paused=True).audience

    assert list(about_paused([*idle, waiting], STATE)) == [
        Concern(False, "audience_paused", "The audience a.1 is paused; what comes in waits.", "diy holds resume shop a.1")
    ]
    assert list(about_paused(idle, ConnectorState("shop", live=1, paused=True))) == []


@pytest.mark.parametrize(("name", "called"), [("Fans", "“Fans” (a.1)"), ("", "a.1"), ("a.1", "a.1")])
def test_an_audience_is_called_by_its_name_and_by_the_id_that_commands_take(name: str, called: str) -> None:
    [concern] = about_paused([Audience(1, "shop", "a.1", paused=True, name=name)], STATE)

    assert concern.what == f"The audience {called} is paused; what comes in waits."


def test_what_waits_for_a_paused_action_is_let_go_by_that_action() -> None:
    one = held("a.1", "connector_off")
    connector = Connector(
        name="shop", document="shop", document_version=1, adapter="pangolin", inbound=Inbound(hmac_secret="s"),
        actions=(Action("Add {x}", "joined", "add"),), limits=Limits(BatchLimits(1, 1)),
    )  # fmt: skip

    def advised(state: ConnectorState) -> str:
        return what_to_do(one.audience, one.hold, connector, state)

    assert advised(ConnectorState("shop", live=1, actions={"Add {x}": "paused"})) == "diy actions enable shop 'Add {x}'"
    assert advised(ConnectorState("shop", live=1, actions={"Gone": "paused"})) == "see why it does not run: diy status"
    assert advised(ConnectorState("shop", live=1, enabled=False)) == "diy connectors enable shop"


def test_what_is_misconfigured_may_be_the_fault_of_the_users_that_wait() -> None:
    [concern] = about_holds([held("a.1", "misconfigured")], STATE, None)

    assert "if it is the users themselves that cannot be sent, drop what waits: diy holds discard shop a.1" in concern.do


def test_a_paused_audience_is_not_tried_again_by_itself() -> None:
    paused, other = held("a.1", "partner_unavailable", paused=True), held("a.1", "partner_unavailable")

    assert (due_at(paused.audience, paused.hold), due_at(other.audience, other.hold)) == (None, NOW)


@pytest.mark.parametrize(("state", "due"), [
    (ConnectorState("shop", live=1), NOW),
    (ConnectorState("shop", live=1, paused=True), None),
    (ConnectorState("shop", live=1, enabled=False), None),
])  # fmt: skip
def test_nothing_of_a_connector_that_is_paused_or_off_is_tried_again_by_itself(state: ConnectorState, due: float | None) -> None:
    one = held("a.1", "partner_unavailable")

    assert due_at(one.audience, one.hold, state) == due
    assert Held(one.audience, one.hold, state).due_at == due


REQUEST = {"method": "POST", "path": "/a", "body": "{{ rows }}"}
OPERATIONS = {"add": {"effect": "add", "fields": {"email": None}, "request": REQUEST}}


def http_connector(**settings: object) -> Connector:
    return Connector(
        name="shop", document="shop", document_version=1, adapter="http", inbound=Inbound(hmac_secret="s"), actions=(),
        limits=Limits(BatchLimits(1, 1)), settings={"base_url": "https://acme.example", "operations": OPERATIONS, **settings},
        secrets={"client_id": "shop-id", "client_secret": "shop-secret"},
    )  # fmt: skip


def test_where_somebody_has_to_allow_the_access_they_are_told_how_before_secrets_are() -> None:
    auth = {"type": "oauth2", "token_url": "https://acme.example/token"}
    consent = {**auth, "grant": "authorization_code", "authorize_url": "https://acme.example/authorize"}
    refused = [held("a.1", "credentials_refused")]

    [concern] = about_holds(refused, STATE, http_connector(auth=consent))
    [other] = about_holds(refused, STATE, http_connector(auth={**auth, "grant": "client_credentials"}))

    assert concern.what.endswith("the partner gives no access.")
    assert concern.do.startswith("allow it, then it is tried at once: diy connectors connect shop; ")
    assert other.do.startswith("set the right ones, then it is tried at once: diy secrets set shop-id")
    assert "diy connectors connect" not in other.do


def test_an_audience_that_is_linked_by_hand_is_not_waited_for_in_vain() -> None:
    hold = Hold("audience_not_ready", NOW, NOW + 60, batches=1, items=1)
    audience = Audience(1, "shop", "a.1", hold=hold)

    [concern] = about_holds([Held(audience, hold)], STATE, http_connector(audience_id="linked"))

    assert concern.act
    assert "nobody has said yet which audience at the partner this is" in concern.what
    assert "diy audiences link shop a.1 PARTNER_ID" in concern.do
    assert "by itself" not in concern.what
    assert "announced" not in concern.do
