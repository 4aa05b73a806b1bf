"""`diy holds` and `diy audiences`: what waits, and what an operator does about it."""

from __future__ import annotations

import click
import pytest
import requests

from relay.cli.session import Session
from relay.pangolin.server import InThread
from tests.unit.cli.conftest import Diy


def test_a_pause_lets_changes_wait_and_a_resume_delivers_them(connected: Diy) -> None:
    diy = connected
    diy.hold("a.1", "user-1", "user-2")
    (hold,) = diy.json("holds", "list")
    assert (hold["connector"], hold["audience"], hold["reason"]) == ("pangolin", "a.1", "paused")
    assert (hold["batches"], hold["mutations"]) == (1, 2)
    diy.fine("holds", "resume", "pangolin")
    resume_due(diy)
    assert diy.json("holds", "list") == []
    assert diy.json("audiences", "describe", "pangolin", "a.1")["size"] == 2


def test_one_audience_can_be_paused_and_resumed_alone(connected: Diy) -> None:
    diy = connected
    diy.receive("a.1", "user-1")
    diy.receive("b.1", "user-1")
    diy.work()
    diy.fine("holds", "pause", "pangolin", "a.1")
    diy.receive("a.1", "user-2", "user-3")
    diy.receive("b.1", "user-2", "user-3")
    diy.work()
    assert [hold["audience"] for hold in diy.json("holds", "list")] == ["a.1"]
    diy.fine("holds", "resume", "pangolin", "a.1")
    resume_due(diy)
    assert diy.json("audiences", "describe", "pangolin", "a.1")["size"] == 3


def test_resuming_a_connector_that_is_off_says_that_it_goes_on_waiting(diy: Diy) -> None:
    diy.apply()
    diy.hold()
    diy.fine("connectors", "disable", "pangolin")
    assert "diy connectors enable pangolin" in diy("holds", "resume", "pangolin").stderr


def test_one_audience_of_a_paused_connector_cannot_be_resumed_alone(diy: Diy) -> None:
    diy.apply()
    diy.hold("a.1")
    result = diy("holds", "resume", "pangolin", "a.1")
    assert result.exit_code == 2
    assert "diy holds resume pangolin" in result.stderr


def test_showing_a_hold_tells_its_batches_and_no_identifiers(diy: Diy) -> None:
    diy.apply()
    diy.hold("a.1", "secret-person-1", "secret-person-2")
    shown = diy.json("holds", "show", "pangolin", "a.1")
    (batch,) = shown["first_batches"]
    assert (batch["kind"], batch["mutations"], batch["request_id"]) == ("change", 2, "request-a.1-2")
    assert "secret-person" not in str(shown)
    assert "secret-person" not in diy("holds", "show", "pangolin", "a.1").output
    assert "secret-person" not in diy("audiences", "show", "pangolin", "a.1").output


def test_discarding_asks_and_turns_what_waits_into_rejections(diy: Diy) -> None:
    diy.apply()
    diy.hold("a.1", "user-1", "user-2")
    assert diy("holds", "discard", "pangolin", "a.1", input="n\n").exit_code == 1
    assert diy.json("holds", "list")
    diy.fine("holds", "discard", "pangolin", "a.1", "--yes")
    assert diy.json("holds", "list") == []
    assert [one["code"] for one in diy.json("rejections", "list", "pangolin")] == ["discarded", "discarded"]


def test_what_joined_while_somebody_was_asked_is_not_discarded(diy: Diy, monkeypatch: pytest.MonkeyPatch) -> None:
    diy.apply()
    diy.hold("a.1", "user-1", "user-2")

    def answer(*_: object, **__: object) -> bool:
        diy.receive("a.1", "user-3")
        diy.work()
        return True

    monkeypatch.setattr(click, "confirm", answer)
    result = diy("holds", "discard", "pangolin", "a.1")

    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "1 batch dropped; see diy rejections list pangolin.")
    assert "1 batch that joined since the question was asked: kept, and on hold still." in result.stderr
    (hold,) = diy.json("holds", "list")
    assert (hold["batches"], hold["mutations"]) == (1, 1)
    assert len(diy.json("rejections", "list", "pangolin")) == 2


def test_where_the_stores_clock_is_ahead_nothing_is_dropped_and_it_is_said(diy: Diy, monkeypatch: pytest.MonkeyPatch) -> None:
    diy.apply()
    diy.hold("a.1", "user-1")
    monkeypatch.setattr(Session, "now", property(lambda session: session.clock.now() - 3600))

    result = diy("holds", "discard", "pangolin", "a.1", "--yes")

    assert result.exit_code == 1
    assert "joined, by the store's clock, after you were asked" in result.stderr
    assert diy.json("holds", "list")[0]["batches"] == 1


def test_what_was_delivered_while_somebody_was_asked_is_not_said_to_be_discarded(
    connected: Diy, monkeypatch: pytest.MonkeyPatch
) -> None:
    diy = connected
    diy.hold("a.1", "user-1", "user-2")

    def answer(*_: object, **__: object) -> bool:
        diy.fine("holds", "resume", "pangolin")
        resume_due(diy)
        return True

    monkeypatch.setattr(click, "confirm", answer)
    result = diy("holds", "discard", "pangolin", "a.1")

    assert result.exit_code == 1
    assert "nothing was dropped" in result.stderr
    assert diy.json("rejections", "list", "pangolin") == []


def test_what_an_operator_does_is_written_down(diy: Diy) -> None:
    diy.apply()
    diy.hold("a.1")
    diy.fine("holds", "resume", "pangolin")
    diy.fine("holds", "discard", "pangolin", "a.1", "--yes")
    with diy.backend() as backend:
        entries = backend.audit.newest(limit=3)
    assert [(one.what, one.subject, one.by) for one in reversed(entries)] == [
        ("pause", "pangolin", "the-operator"),
        ("resume", "pangolin", "the-operator"),
        ("discard", "pangolin/a.1", "the-operator"),
    ]


def test_who_did_what_is_shown_oldest_first(diy: Diy) -> None:
    diy.apply()
    diy.fine("holds", "pause", "pangolin")
    diy.fine("holds", "resume", "pangolin")
    entries = diy.json("audit", "--limit", "2")
    assert [(one["by"], one["what"], one["subject"]) for one in entries] == [
        ("the-operator", "pause", "pangolin"),
        ("the-operator", "resume", "pangolin"),
    ]
    assert "pause" in diy.fine("audit")


def test_a_paused_audience_is_not_said_to_be_tried_again(connected: Diy) -> None:
    with connected.backend() as backend:
        backend.audiences.link("pangolin", "a.1", partner_id="pg_nothing")
    connected.receive("a.1", "user-1")
    connected.work()
    assert connected.json("holds", "list")[0]["due_at"] is not None
    for paused in (["pangolin"], ["pangolin", "a.1"]):
        connected.fine("holds", "pause", *paused)
        assert connected.json("holds", "list")[0]["due_at"] is None
        assert "(in " not in connected.fine("holds", "list")
        connected.fine("holds", "resume", "pangolin")


def test_an_audience_is_created_at_the_partner_once(connected: Diy, pangolin: InThread) -> None:
    diy = connected
    first = diy.json("audiences", "create", "pangolin", "a.1", "--name", "Buyers")
    again = diy.json("audiences", "create", "pangolin", "a.1", "--name", "Buyers")
    assert (first["status"], first["partner_id"]) == ("ready", again["partner_id"])
    assert diy.json("audiences", "describe", "pangolin", "a.1")["name"] == "Buyers"


def test_in_the_partners_mode_an_audience_is_listed_under_the_partners_id(diy: Diy, pangolin: InThread) -> None:
    diy.apply(base_url=pangolin.url, mode="partner")
    made = diy.json("audiences", "create", "pangolin", "a.1", "--name", "Buyers")
    assert made["id"] == made["partner_id"]


def test_linking_says_which_audience_of_the_partner_it_is(connected: Diy, pangolin: InThread) -> None:
    diy = connected
    made = requests.post(
        f"{pangolin.url}/api/audiences",
        json={"name": "Elsewhere"},
        headers={"Authorization": f"Bearer {pangolin.token}"},
        timeout=30,
    )
    elsewhere = made.json()["id"]
    linked = diy.json("audiences", "link", "pangolin", "a.1", elsewhere)
    assert (linked["partner_id"], linked["status"]) == (elsewhere, "ready")
    assert diy.json("audiences", "describe", "pangolin", "a.1")["name"] == "Elsewhere"


def test_two_audiences_are_not_linked_to_one_at_the_partner(connected: Diy) -> None:
    diy = connected
    diy.fine("audiences", "link", "pangolin", "a.1", "7")
    refused = diy("audiences", "link", "pangolin", "a.2", "7")
    assert refused.exit_code == 1
    assert "'7', which is the audience 'a.1'" in refused.output
    assert "Link the other one elsewhere first" in refused.output
    diy.fine("audiences", "link", "pangolin", "a.1", "8")
    assert diy.json("audiences", "link", "pangolin", "a.2", "7")["partner_id"] == "7"
    assert diy.json("audiences", "link", "pangolin", "a.2", "7")["partner_id"] == "7", "it is that one already"


def test_linking_for_an_unknown_connector_fails_and_records_nothing(diy: Diy) -> None:
    diy.apply()
    assert diy("audiences", "link", "pangolim", "a.1", "7").exit_code == 1
    assert diy.json("audiences", "list") == []


def test_an_audience_shows_its_last_attempts(connected: Diy) -> None:
    diy = connected
    diy.receive("a.1", "user-1", "user-2")
    diy.work()
    (attempt,) = diy.json("audiences", "show", "pangolin", "a.1")["attempts"]
    assert attempt["counts"] == {"delivered": 2}


def resume_due(diy: Diy) -> None:
    """What a worker does with holds that are due."""
    from relay.domain.clock import SystemClock
    from worker.catalog import Catalog
    from worker.tick import tick

    with diy.backend() as backend:
        tick(backend, Catalog(backend, SystemClock()), SystemClock())
    diy.work()
