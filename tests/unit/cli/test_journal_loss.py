"""A version that keeps a shorter journal than the one that runs does not go live before somebody has been asked."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.connectors.live import live
from relay.connectors.publishing import Publishing
from relay.domain.connector import ConnectorState
from relay.domain.message import VERSION, Message, Mutation
from relay.health.journal_loss import out_of_reach
from tests.clock import TurnedClock
from tests.unit.cli.conftest import Diy

WEEK = "retention: {journal: 7d}\n"
DAY = "retention: {journal: 1d}\n"
DAYS_AGO_S = 3 * 86_400


@pytest.fixture
def kept(diy: Diy) -> Diy:
    """Version 1 without a journal; version 2, with one, runs since three days ago. It has two mutations."""
    long_ago = EmbeddedBackend.open(diy.state, TurnedClock(time.time() - DAYS_AGO_S))
    try:
        for more in ("", WEEK):
            Publishing(long_ago, describe, "somebody").apply(Path(diy.document(more=more)).read_text())
    finally:
        long_ago.close()
    diy.receive("a.1", "u1", "u2", journal_days=7)
    return diy


def change(audience: str, *users: str) -> Message:
    mutations = tuple(Mutation(index=index, direction="joined", user={"id": user}) for index, user in enumerate(users))
    return Message(
        version=VERSION,
        kind="change",
        connector="pangolin",
        audience=audience,
        request_id="request-1",
        received_at=0.0,
        mutations=mutations,
        journal_days=7,
    )


def journaled(diy: Diy) -> int:
    with diy.backend() as backend:
        return sum(size.batches for size in backend.journal.sizes("pangolin", since=0))


def running(diy: Diy) -> int:
    version: int = diy.json("connectors", "list")[0]["version"]
    return version


def shorter(diy: Diy, verb: str) -> list[str]:
    """The command line that makes a version without a journal the one that runs."""
    return {
        "rollback": ["connectors", "rollback", "pangolin"],
        "publish": ["connectors", "publish", "pangolin", "1"],
        "apply": ["connectors", "apply", diy.document(more="title: Another\n")],
    }[verb]


@pytest.mark.parametrize("verb", ["rollback", "publish", "apply"])
def test_a_version_without_a_journal_says_what_it_deletes_and_asks(kept: Diy, verb: str) -> None:
    result = kept(*shorter(kept, verb), input="n\n")
    assert result.exit_code == 1
    assert "The journal of pangolin would be switched off: 1 batch with 2 mutations, accepted since 20" in result.stderr
    assert (running(kept), journaled(kept)) == (2, 1)
    assert kept(*shorter(kept, verb), input="y\n").exit_code == 0
    assert (running(kept) != 2, journaled(kept)) == (True, 0)


@pytest.mark.parametrize("verb", ["rollback", "publish", "apply"])
def test_yes_answers_and_what_goes_is_said_all_the_same(kept: Diy, verb: str) -> None:
    result = kept(*shorter(kept, verb), "--yes")
    assert (result.exit_code, journaled(kept)) == (0, 0)
    assert "1 batch with 2 mutations" in result.stderr


def test_where_nobody_can_answer_the_journal_stays(kept: Diy) -> None:
    assert kept(*shorter(kept, "rollback")).exit_code == 1
    assert (running(kept), journaled(kept)) == (2, 1)


def test_a_document_from_standard_input_leaves_nobody_to_ask(kept: Diy) -> None:
    text = Path(kept.document()).read_text()
    result = kept("connectors", "apply", "-", input=text)
    assert (result.exit_code, running(kept), journaled(kept)) == (2, 2, 1)
    assert "add --yes" in result.stderr
    kept.fine("connectors", "apply", "-", "--yes", input=text)
    assert journaled(kept) == 0


def test_fewer_days_ask_for_nothing_where_nothing_is_older(kept: Diy) -> None:
    result = kept("connectors", "apply", kept.document(more=DAY))
    assert (result.exit_code, "would" in result.stderr) == (0, False)
    assert (running(kept), journaled(kept)) == (3, 1)


def test_fewer_days_delete_what_is_older_and_only_that_is_asked_about(kept: Diy) -> None:
    two_days_ago = EmbeddedBackend.open(kept.state, TurnedClock(time.time() - 2 * 86_400))
    try:
        two_days_ago.queue.publish([change("a.2", "u1", "u2", "u3")])
    finally:
        two_days_ago.close()
    result = kept("connectors", "apply", kept.document(more=DAY))
    assert (result.exit_code, journaled(kept)) == (1, 2)
    assert "would keep 1 day instead of 7: 1 batch with 3 mutations" in result.stderr
    assert kept("connectors", "apply", kept.document(more=DAY), input="y\n").exit_code == 0
    assert journaled(kept) == 1


def test_a_draft_deletes_nothing_and_asks_nothing(kept: Diy) -> None:
    kept.fine("connectors", "apply", kept.document(more="title: Another\n"), "--draft")
    assert journaled(kept) == 1


def test_an_empty_journal_is_switched_off_without_a_question(diy: Diy) -> None:
    diy.apply(more=WEEK)
    diy.fine("connectors", "apply", diy.document())
    assert running(diy) == 2


def test_an_environment_that_the_version_has_no_more_loses_its_journal(diy: Diy) -> None:
    sandbox = "environments: {sandbox: {settings: {base_url: 'http://127.0.0.1:1'}}}\n"
    diy.apply(more=WEEK + sandbox)
    diy.receive("a.1", "u1", connector="pangolin@sandbox", journal_days=7)
    result = diy("connectors", "apply", diy.document(more=WEEK))
    assert (result.exit_code, running(diy)) == (1, 1)
    assert "The journal of pangolin@sandbox would be switched off: 1 batch with 1 mutation" in result.stderr


def test_deleting_a_document_says_what_goes_of_its_journal(kept: Diy) -> None:
    assert "1 batch with 2 mutations" in kept("connectors", "delete", "pangolin", input="n\n").stderr


@pytest.mark.parametrize(
    ("days", "since_days", "said"),
    [
        (0, 3, "would be switched off: what was accepted since 1970-04-08 00:00:00 UTC could not be sent again any more."),
        (0, 30, "would be switched off: what was accepted since 1970-04-04 00:00:00 UTC could not"),
        (1, 3, "would keep 1 day instead of 7: what was accepted since 1970-04-08 00:00:00 UTC and before 1970-04-10 "),
        (1, 0.5, ""),
    ],
)
def test_where_it_stays_until_its_age_what_no_replay_reaches_any_more_is_said(
    kept: Diy, days: int, since_days: float, said: str
) -> None:
    now = 100 * 86_400.0
    with kept.backend() as backend:
        connector = live(backend.connectors, "pangolin")
    found = out_of_reach(connector, ConnectorState(name="pangolin", journal_since=now - since_days * 86_400), days, now)
    assert said in found
    assert bool(said) == bool(found)
