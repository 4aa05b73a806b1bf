"""`diy users`: where a person is, and how they are forgotten."""

from __future__ import annotations

import pytest

from relay.backends.interfaces.traces import MOST_KEYS
from relay.domain.message import VERSION, Message, Mutation, Replay
from relay.domain.outcome import hash_user
from relay.pangolin.server import InThread
from tests.contract.backends.given import held
from tests.unit.cli.conftest import Diy

WHO = "user-1"
JOURNAL = "retention: {journal: 7d}\n"


def _table(output: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in output.splitlines()[1:]]


# finding
def test_a_person_is_found_with_where_and_why(diy: Diy) -> None:
    diy.apply()
    diy.hold("a.1", "user-2", WHO)
    diy.receive("a.2", WHO, direction="left")
    held, queued = diy.json("users", "find", WHO)["traces"]
    assert (held["place"], held["reason"], held["audience"], held["index"]) == ("hold", "paused", "a.1", 1)
    assert (held["direction"], held["identifiers"], held["request_id"]) == ("joined", ["id"], "request-a.1-2")
    assert (queued["place"], queued["audience"], queued["direction"]) == ("queue", "a.2", "left")
    shown = diy("users", "find", WHO)
    assert [row[1:6] for row in _table(shown.stdout)] == [
        ["pangolin", "a.1", "joined", "hold", "paused"],
        ["pangolin", "a.2", "left", "queue", "-"],
    ]
    assert "No journal is kept by pangolin" in shown.stderr


def test_a_rejected_person_is_found_with_the_code(connected: Diy, pangolin: InThread) -> None:
    connected.receive("a.1", "not an id of pangolin's" * 100, WHO)
    connected.work()
    (trace,) = connected.json("users", "find", "not an id of pangolin's" * 100)["traces"]
    assert (trace["place"], trace["action"]) == ("rejections", "Add")
    assert trace["reason"]


def test_a_delivered_person_is_found_in_the_journal(connected: Diy, pangolin: InThread) -> None:
    connected.apply(base_url=pangolin.url, more=JOURNAL)
    connected.receive("a.1", WHO, journal_days=7)
    connected.work()
    (trace,) = connected.json("users", "find", WHO)["traces"]
    assert trace["place"] == "journal"
    assert "was delivered" in connected("users", "find", WHO).stderr


def test_who_is_nowhere_is_not_found(diy: Diy) -> None:
    diy.apply()
    assert diy.fine("users", "find", WHO) == "Nothing here knows this person.\n"


# the identifier
@pytest.mark.parametrize("arguments", [[], ["-"]], ids=["nothing", "-"])
def test_the_identifier_is_read_from_standard_input(diy: Diy, arguments: list[str]) -> None:
    diy.apply()
    diy.hold("a.1", WHO)
    result = diy("users", "find", *arguments, input=f"{WHO}\n")
    assert len(_table(result.stdout)) == 1
    assert "remember" not in result.stderr
    assert "remember" in diy("users", "find", WHO).stderr


def test_the_identifier_is_never_shown_and_its_hash_is(diy: Diy) -> None:
    diy.apply()
    diy.hold("a.1", WHO)
    results = [diy(*command) for command in (("users", "find", WHO), ("users", "forget", WHO, "--yes"), ("audit",))]
    for result in results:
        assert WHO not in result.output
        assert hash_user(WHO)[:12] in result.output


@pytest.mark.parametrize("verb", ["find", "forget"])
def test_no_identifier_is_a_wrong_use(diy: Diy, verb: str) -> None:
    diy.apply()
    options = ["--yes"] if verb == "forget" else []
    result = diy("users", verb, *options, input="\n")
    assert result.exit_code == 2
    assert "No identifier is given" in result.stderr


# forgetting
def test_a_person_is_forgotten_after_a_summary(diy: Diy) -> None:
    diy.apply()
    diy.hold("a.1", "user-2", WHO)
    diy.receive("a.1", WHO)
    result = diy("users", "forget", WHO, input="y\n")
    assert result.exit_code == 0
    assert "Found: 1 in the queue, 1 in holds; 1 audience of pangolin." in result.stdout
    assert "Removed: 1 in the queue, 1 in holds." in result.stdout
    assert "let the DMP remove the user" in result.stdout
    assert "backups" in result.stdout
    assert diy.fine("users", "find", WHO) == "Nothing here knows this person.\n"
    assert [hold["mutations"] for hold in diy.json("holds", "list")] == [1]


@pytest.mark.parametrize(("users", "said"), [(2, "2 users, by their keys"), (MOST_KEYS + 1, "not seem to be one person's")])
def test_it_is_said_that_several_users_carry_the_identifier(diy: Diy, users: int, said: str) -> None:
    diy.apply()
    mutations = tuple(Mutation(index=number, user={"id": f"u{number}", "email": "shop@example.com"}) for number in range(users))
    with diy.backend() as backend:
        backend.queue.publish([Message(VERSION, "change", "pangolin", "a.1", "request-1", 1.0, mutations=mutations)])
    assert said in diy("users", "find", "shop@example.com").stderr
    assert said in diy("users", "forget", "shop@example.com", input="n\n").stdout


def test_who_does_not_confirm_keeps_everything(diy: Diy) -> None:
    diy.apply()
    diy.hold("a.1", WHO)
    assert diy("users", "forget", WHO, input="n\n").exit_code == 1
    assert len(diy.json("users", "find", WHO)["traces"]) == 1


def test_it_cannot_ask_where_the_identifier_is_piped_in(diy: Diy) -> None:
    diy.apply()
    diy.hold("a.1", WHO)
    result = diy("users", "forget", input=f"{WHO}\n")
    assert (result.exit_code, "--yes" in result.stderr) == (2, True)
    assert diy("users", "forget", "--yes", input=f"{WHO}\n").exit_code == 0
    assert diy.json("users", "find", WHO)["traces"] == []


def test_a_removal_that_waits_is_kept_and_said(diy: Diy) -> None:
    diy.apply()
    diy.fine("holds", "pause", "pangolin")
    diy.receive("a.1", WHO, direction="left")
    diy.work()
    shown = diy.fine("users", "forget", WHO, "--yes")
    assert "Kept: 1 removal of pangolin/a.1 (paused)" in shown
    assert len(diy.json("users", "find", WHO)["traces"]) == 1


def test_a_removal_that_a_replay_may_need_is_kept_and_said(connected: Diy, pangolin: InThread) -> None:
    connected.apply(base_url=pangolin.url, more=JOURNAL)
    connected.receive("a.1", WHO, direction="left", journal_days=7)
    connected.work()
    replay = Message(VERSION, "replay", "pangolin", "a.1", "request-9", 1.0, replay=Replay(since=1.0, until=1_000, cursor=1))
    with connected.backend() as backend:
        held(backend, "a.1", replay)
    result = connected("users", "forget", WHO, "--yes")
    assert result.exit_code == 1
    assert "Kept: 1 removal of pangolin/a.1 in the journal" in result.stdout
    assert "Run the command again when the replay has ended" in result.stdout


def test_the_summary_says_by_which_identifiers_a_person_was_found(diy: Diy) -> None:
    diy.apply()
    mutations = (Mutation(index=0, user={"id": "u1", "phone": "+49 170 1234567"}),)
    with diy.backend() as backend:
        backend.queue.publish([Message(VERSION, "change", "pangolin", "a.1", "request-1", 1.0, mutations=mutations)])
    assert "Known by: phone." in diy.fine("users", "forget", "0049 170 1234567", "--yes")


def test_what_a_worker_has_in_hand_is_said_and_to_be_repeated(diy: Diy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.backends.embedded.forgetting.TURN_PATIENCE_S", 0.2)
    diy.apply()
    diy.receive("a.1", WHO)
    with diy.backend() as backend:
        leased = backend.queue.take()
        assert leased is not None
        assert "in a worker's hands" in diy.fine("users", "find", WHO)
        result = diy("users", "forget", WHO, "--yes")
        assert result.exit_code == 1
        assert "A worker has 1 mutation of pangolin/a.1 in hand: run the command again" in result.stdout
        backend.queue.give_back(leased, delay_s=0)
    assert diy("users", "forget", WHO, "--yes").exit_code == 0


def test_forgetting_is_audited_by_the_hash_only(diy: Diy) -> None:
    diy.apply()
    diy.hold("a.1", WHO)
    diy.fine("users", "forget", WHO, "--yes")
    (entry,) = [one for one in diy.json("audit") if one["what"] == "forget user"]
    assert (entry["by"], entry["subject"]) == ("the-operator", hash_user(WHO))
    assert entry["detail"] == "queue 0, hold 1, journal 0, rejections 0, kept 0, in hand 0"
