"""`diy replay` and `diy audiences resync`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.cli.sending_again import ask, finish
from relay.cli.session import Session
from relay.configuration import read
from relay.connectors.live import live
from relay.connectors.publishing import Publishing
from relay.domain.clock import SystemClock
from relay.pangolin.server import InThread
from tests.clock import TurnedClock
from tests.unit.cli.conftest import TOKEN, Diy
from worker.catalog import Catalog
from worker.retention import discard
from worker.tick import tick

JOURNAL = "retention: {journal: 7d}\n"


@pytest.fixture
def kept(diy: Diy, pangolin: InThread) -> Diy:
    """Its journal is on since two days ago."""
    document = Path(diy.document(base_url=pangolin.url, more=JOURNAL)).read_text()
    long_ago = EmbeddedBackend.open(diy.state, TurnedClock(time.time() - 2 * 86_400))
    Publishing(long_ago, describe, "somebody").apply(document)
    long_ago.close()
    diy.fine("secrets", "set", "pangolin-hmac", input="an-hmac-secret\n")
    diy.fine("secrets", "set", "pangolin-basic", input="mapp:a:password\n")
    diy.fine("secrets", "set", "pangolin-token", input=TOKEN)
    return diy


class Partner:
    """What somebody does at the partner by hand."""

    def __init__(self, diy: Diy, pangolin: InThread) -> None:
        self._diy, self._pangolin = diy, pangolin

    def members(self, audience: str = "a.1") -> set[str]:
        return {user["id"] for user in self._call("GET", audience, "/users").json()["users"]}

    def remove(self, *users: str, audience: str = "a.1") -> None:
        self._call("DELETE", audience, "/users", {"users": [{"id": user} for user in users]})

    def delete_list(self, audience: str = "a.1") -> None:
        self._call("DELETE", audience, "")

    def _call(self, method: str, audience: str, path: str, body: Any = None) -> requests.Response:
        partner_id = self._diy.json("audiences", "show", "pangolin", audience)["partner_id"]
        url = f"{self._pangolin.url}/api/audiences/{partner_id}{path}"
        answer = requests.request(method, url, json=body, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
        assert answer.status_code == 200, answer.text
        return answer


@pytest.fixture
def partner(kept: Diy, pangolin: InThread) -> Partner:
    return Partner(kept, pangolin)


def receive(diy: Diy, audience: str, *users: str) -> None:
    diy.receive(audience, *users, journal_days=7)
    diy.work()


# replay
def test_a_replay_sends_again_what_the_journal_has(kept: Diy, partner: Partner) -> None:
    receive(kept, "a.1", "u1", "u2")
    partner.remove("u1", "u2")
    shown = kept.fine("replay", "--connector", "pangolin", "--since", "2h", "--yes")
    assert "Asked for." in shown
    kept.work()
    assert partner.members() == {"u1", "u2"}
    done = kept.json("audiences", "show", "pangolin", "a.1")["replay"]
    assert (done["sent"], done["overtaken"], done["ended_at"] is not None) == (2, 0, True)
    assert "2 mutations sent again, 0 left out" in kept.fine("audiences", "show", "pangolin", "a.1")


def test_a_replay_says_what_it_will_do_and_asks(kept: Diy, partner: Partner) -> None:
    receive(kept, "a.1", "u1", "u2")
    receive(kept, "b.1", "u1")
    partner.remove("u1")
    result = kept("replay", "--connector", "pangolin", "--since", "1d", input="n\n")
    assert result.exit_code == 1
    assert "Send it again to 2 audiences of pangolin?" in result.stderr
    assert [line.split()[:4] for line in result.stdout.splitlines()[1:3]] == [["a.1", "-", "1", "2"], ["b.1", "-", "1", "1"]]
    kept.work()
    assert partner.members() == {"u2"}, "nothing was sent"


def test_a_replay_can_be_of_some_audiences_only(kept: Diy, partner: Partner) -> None:
    for audience in ("a.1", "b.1", "c.1"):
        receive(kept, audience, "u1")
        partner.remove("u1", audience=audience)
    kept.fine("replay", "--connector", "pangolin", "--audience", "a.1", "--audience", "c.1", "--since", "1d", "--yes")
    kept.work()
    assert [partner.members(audience) for audience in ("a.1", "b.1", "c.1")] == [{"u1"}, set(), {"u1"}]


def test_a_replay_that_is_waited_for_says_what_came_of_it(kept: Diy, partner: Partner) -> None:
    receive(kept, "a.1", "u1", "u2")
    receive(kept, "a.1", "u2", "u3", "u4")
    partner.remove("u1")
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            kept.work()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        (done,) = kept.json("replay", "--connector", "pangolin", "--since", "1d", "--yes", "--wait")
        table = kept.fine("replay", "--connector", "pangolin", "--since", "1d", "--yes", "--wait")
    finally:
        stop.set()
        worker.join()
    assert (done["audience"], done["replay"]["sent"], done["replay"]["overtaken"]) == ("a.1", 4, 1)
    assert table.splitlines()[-1].split()[:3] == ["a.1", "4", "1"]
    assert partner.members() == {"u1", "u2", "u3", "u4"}


def test_waiting_for_a_replay_ends_when_it_is_dropped(kept: Diy, partner: Partner) -> None:
    receive(kept, "a.1", "u1")
    kept.fine("holds", "pause", "pangolin")

    def drop() -> None:
        with kept.backend() as backend:
            while not backend.audiences.held():
                kept.work()
            discard(backend, SystemClock(), "pangolin", "a.1")

    dropping = threading.Thread(target=drop)
    dropping.start()
    result = kept("replay", "--connector", "pangolin", "--since", "1d", "--yes", "--wait")
    dropping.join()
    assert result.exit_code == 1
    assert "dropped, before it was through" in result.stdout


class Impatient(TurnedClock):
    """Turns as somebody waits; after so many seconds something is done."""

    def __init__(self, after_s: float, then: Callable[[], object]) -> None:
        super().__init__(time.time())
        self._left_s = after_s
        self._then = then

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        before, self._left_s = self._left_s, self._left_s - seconds
        if self._left_s <= 0 < before:
            self._then()


def waited_for(diy: Diy, clock: TurnedClock) -> None:
    """`diy replay --wait`, on this clock."""
    session = Session(read({"STATE_DIR": str(diy.state), "BACKEND": "embedded"}), clock, as_json=False, quiet=False, create=False)
    try:
        connector = live(session.backend.connectors, "pangolin")
        finish(session, "pangolin", [ask(session, connector, "a.1", since=0.0)], wait=True)
    finally:
        session.close()


@pytest.mark.parametrize(("after_s", "times"), [(3, 0), (20, 1)])
def test_waiting_where_no_worker_runs_is_told_once_and_how_to_start_one(
    kept: Diy, partner: Partner, capsys: pytest.CaptureFixture[str], after_s: float, times: int
) -> None:
    receive(kept, "a.1", "u1")

    waited_for(kept, Impatient(after_s, kept.work))

    assert capsys.readouterr().err.count("no worker runs. To start one, in another terminal: diy worker") == times


def test_waiting_for_what_an_operator_keeps_waiting_is_told_with_its_reason(
    kept: Diy, partner: Partner, capsys: pytest.CaptureFixture[str]
) -> None:
    receive(kept, "a.1", "u1")
    kept.fine("connectors", "disable", "pangolin")

    def enable() -> None:
        kept.fine("connectors", "enable", "pangolin")
        kept.work()
        with kept.backend() as backend:
            tick(backend, Catalog(backend, SystemClock()), SystemClock())
        kept.work()

    class Working(Impatient):
        """A worker takes what is in the queue at once."""

        def sleep(self, seconds: float) -> None:
            kept.work()
            super().sleep(seconds)

    waited_for(kept, Working(20, enable))

    said = capsys.readouterr().err
    assert "the connector does not run" in said
    assert "no worker" not in said


@pytest.mark.parametrize(
    ("command", "stands"),
    [
        (("connectors", "disable", "pangolin"), "off"),
        (("holds", "pause", "pangolin"), "paused"),
        (("holds", "pause", "pangolin", "a.1"), "paused"),
        (("connectors", "enable", "pangolin"), "flows"),
    ],
)
def test_a_replay_says_how_each_audience_stands(kept: Diy, partner: Partner, command: tuple[str, ...], stands: str) -> None:
    receive(kept, "a.1", "u1")
    kept.fine(*command)

    shown = kept("replay", "--connector", "pangolin", "--since", "1d", input="n\n").stdout

    assert shown.splitlines()[1].split()[-1] == stands


def test_waiting_for_a_replay_that_another_one_follows_at_once_ends_well(
    kept: Diy, partner: Partner, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is one record of an audience's replays, and it is the other one's before anybody looks."""
    receive(kept, "a.1", "u1")
    environment = {"STATE_DIR": str(kept.state), "BACKEND": "embedded"}
    session = Session(read(environment), SystemClock(), as_json=False, quiet=True, create=False)
    try:
        connector = live(session.backend.connectors, "pangolin")
        first, _second = (ask(session, connector, "a.1", since=0.0) for _ in range(2))
        kept.work()
        finish(session, "pangolin", [first], wait=True)
    finally:
        session.close()
    assert "another replay followed" in capsys.readouterr().out


def test_a_replay_of_a_journal_that_is_off_is_refused_and_says_what_to_do(connected: Diy) -> None:
    result = connected("replay", "--connector", "pangolin", "--since", "2h", "--yes")
    assert result.exit_code == 1
    assert "retention.journal" in result.stderr


def test_a_replay_says_what_the_journal_does_not_reach(kept: Diy) -> None:
    assert "reaches back to" not in kept.fine("replay", "--connector", "pangolin", "--since", "1d", "--yes")
    shown = kept.fine("replay", "--connector", "pangolin", "--since", "3d", "--yes")
    assert "reaches back to" in shown
    assert "keeps 7 days" in shown


def test_nothing_in_the_journal_is_no_error(kept: Diy) -> None:
    assert "has nothing that was accepted since" in kept.fine("replay", "--connector", "pangolin", "--since", "1h")
    assert kept.json("replay", "--connector", "pangolin", "--since", "1h") == []


def test_a_replay_is_written_down(kept: Diy) -> None:
    receive(kept, "a.1", "u1")
    kept.fine("replay", "--connector", "pangolin", "--since", "1d", "--yes")
    entry = kept.json("audit", "--limit", "1")[0]
    assert (entry["what"], entry["subject"], entry["by"]) == ("replay", "pangolin/a.1", "the-operator")
    assert "1 audience" in entry["detail"]


def test_a_moment_is_said_as_long_ago_as_a_time_with_a_zone_or_in_local_time(kept: Diy, partner: Partner) -> None:
    receive(kept, "a.1", "u1")
    here = datetime.now().astimezone()
    for since in ("90m", "1h30m", (here - timedelta(hours=1)).isoformat(), f"{here - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}"):
        shown = kept.fine("replay", "--connector", "pangolin", "--since", since, "--yes")
        assert shown.splitlines()[1].startswith("a.1"), since
        assert ("by this machine's time zone" in shown) == (since[-6:-5] not in "+-" and since[-1] != "m")


@pytest.mark.parametrize("since", ["yesterday", "5", "2h ago", "2026-13-01", ""])
def test_what_is_no_moment_is_refused(kept: Diy, since: str) -> None:
    result = kept("replay", "--connector", "pangolin", "--since", since, "--yes")
    assert result.exit_code == 2
    assert "no moment" in result.stderr


def test_a_moment_in_the_future_is_refused(kept: Diy) -> None:
    assert kept("replay", "--connector", "pangolin", "--since", "2999-01-01T00:00Z", "--yes").exit_code == 2


@pytest.mark.parametrize("arguments", [["--connector", "nobody"], ["--connector", "pangolin", "--audience", "nobody"]])
def test_an_unknown_connector_or_audience_is_named(kept: Diy, arguments: list[str]) -> None:
    result = kept("replay", *arguments, "--since", "1h", "--yes")
    assert result.exit_code == 1
    assert "nobody" in result.stderr


def test_a_hold_says_that_a_replay_waits_in_it_and_discarding_what_becomes_of_it(kept: Diy, partner: Partner) -> None:
    receive(kept, "a.1", "u1")
    kept.fine("holds", "pause", "pangolin")
    kept.fine("replay", "--connector", "pangolin", "--since", "1d", "--yes")
    kept.work()
    assert kept.json("holds", "show", "pangolin", "a.1")["first_batches"][0]["kind"] == "replay"
    assert "in the journal" in kept.fine("holds", "show", "pangolin", "a.1")
    dropped = kept("holds", "discard", "pangolin", "a.1", "--yes")
    assert "1 replay" in dropped.stdout
    assert kept.json("rejections", "list", "pangolin") == []


# resync
def test_a_list_that_the_partner_lost_is_made_anew_and_filled(kept: Diy, partner: Partner) -> None:
    kept.fine("audiences", "create", "pangolin", "a.1", "--name", "Buyers")
    receive(kept, "a.1", "u1", "u2")
    lost = kept.json("audiences", "show", "pangolin", "a.1")["partner_id"]
    made_earlier(kept, "a.1")
    partner.delete_list()
    receive(kept, "a.1", "u3")
    assert kept.json("holds", "list")[0]["reason"] == "audience_gone"
    kept.fine("audiences", "resync", "pangolin", "a.1", "--anew", "--yes")
    resume(kept)
    assert kept.json("audiences", "show", "pangolin", "a.1")["partner_id"] != lost
    assert partner.members() == {"u1", "u2", "u3"}
    assert kept.json("holds", "list") == []


def test_a_resync_of_a_list_that_is_gone_points_to_making_it_anew(kept: Diy, partner: Partner) -> None:
    kept.fine("audiences", "create", "pangolin", "a.1", "--name", "Buyers")
    made_earlier(kept, "a.1")
    assert "--anew" not in kept.fine("audiences", "resync", "pangolin", "a.1", "--yes")
    kept.work()
    partner.delete_list()
    receive(kept, "a.1", "u1")
    assert kept.json("holds", "list")[0]["reason"] == "audience_gone"
    assert "--anew has it created there again first" in kept.fine("audiences", "resync", "pangolin", "a.1", "--yes")


def test_a_list_that_lost_its_members_is_filled_again(kept: Diy, partner: Partner) -> None:
    kept.fine("audiences", "create", "pangolin", "a.1", "--name", "Buyers")
    receive(kept, "a.1", "u1", "u2")
    made_earlier(kept, "a.1")
    partner.remove("u1")
    kept.fine("audiences", "resync", "pangolin", "a.1", "--yes")
    kept.work()
    assert partner.members() == {"u1", "u2"}


def test_what_the_journal_lacks_of_an_audience_is_said_and_nothing_is_done(kept: Diy, partner: Partner) -> None:
    receive(kept, "a.1", "u1", "u2")
    made_earlier(kept, "a.1", days=10)
    partner.remove("u1")
    result = kept("audiences", "resync", "pangolin", "a.1", "--anew", "--yes")
    assert result.exit_code == 1
    assert "What is lacking: users who joined before the journal begins" in result.stderr
    assert "--partial" in result.stderr
    kept.work()
    assert partner.members() == {"u2"}
    kept.fine("audiences", "resync", "pangolin", "a.1", "--partial", "--yes")
    kept.work()
    assert partner.members() == {"u1", "u2"}


def test_what_waited_in_the_queue_for_the_first_turn_of_an_audience_is_sent_again(kept: Diy, partner: Partner) -> None:
    """Nobody announced it, so it is on record since that turn, and a worker may have been off for long before."""
    receive(kept, "a.1", "u1")
    made_earlier(kept, "a.1", days=-1 / 24)
    partner.remove("u1")
    result = kept("audiences", "resync", "pangolin", "a.1", "--yes")
    assert result.exit_code == 1
    assert "It was never announced, so it is not known" in result.stderr
    kept.fine("audiences", "resync", "pangolin", "a.1", "--partial", "--yes")
    kept.work()
    assert partner.members() == {"u1"}


def test_an_audience_that_was_announced_after_the_journal_began_is_whole_in_it(kept: Diy, partner: Partner) -> None:
    kept.fine("audiences", "create", "pangolin", "a.1", "--name", "Buyers")
    made_earlier(kept, "a.1", days=2 - 1 / 1440)  # a minute after
    receive(kept, "a.1", "u1")
    partner.remove("u1")
    kept.fine("audiences", "resync", "pangolin", "a.1", "--yes")
    kept.work()
    assert partner.members() == {"u1"}
    made_earlier(kept, "a.1", days=2 + 1 / 1440)
    assert kept("audiences", "resync", "pangolin", "a.1", "--yes").exit_code == 1


def test_without_a_journal_a_list_can_be_made_anew_empty(connected: Diy, pangolin: InThread) -> None:
    partner = Partner(connected, pangolin)
    connected.receive("a.1", "u1")
    connected.work()
    partner.delete_list()
    assert connected("audiences", "resync", "pangolin", "a.1", "--partial", "--yes").exit_code == 1
    assert connected("audiences", "resync", "pangolin", "a.1", "--anew", "--yes").exit_code == 1
    connected.fine("audiences", "resync", "pangolin", "a.1", "--anew", "--partial", "--yes")
    connected.work()
    assert partner.members() == set()


def test_an_audience_known_by_the_partners_id_cannot_be_made_anew(diy: Diy) -> None:
    diy.apply(mode="partner", more=JOURNAL)
    with diy.backend() as backend:
        backend.audiences.remember_answer("pangolin", "a.1", partner_id="pg_1", name="Buyers")
    result = diy("audiences", "resync", "pangolin", "pg_1", "--anew", "--partial", "--yes")
    assert result.exit_code == 1
    assert "diy audiences link pangolin pg_1" in result.stderr
    assert "pangolin pg_1" in diy("audiences", "resync", "pangolin", "a.1", "--yes").stderr, "the record to use"


def test_a_resync_is_written_down(kept: Diy) -> None:
    receive(kept, "a.1", "u1")
    kept.fine("audiences", "resync", "pangolin", "a.1", "--anew", "--partial", "--yes")
    entry = kept.json("audit", "--limit", "1")[0]
    assert (entry["what"], entry["subject"]) == ("resync audience", "pangolin/a.1")
    assert "replay" in entry["detail"]


def made_earlier(diy: Diy, audience: str, *, days: float = 1.0) -> None:
    """It is on record since then."""
    with diy.backend() as backend, backend.database.transaction() as connection:
        connection.execute(
            "UPDATE audiences SET record = CAST(json_set(CAST(record AS TEXT), '$.created_at', ?) AS BLOB) WHERE id = ?",
            (time.time() - days * 86_400, audience),
        )


def resume(diy: Diy) -> None:
    """What is due is asked for and done."""
    with diy.backend() as backend:
        tick(backend, Catalog(backend, SystemClock()), SystemClock())
    diy.work()
