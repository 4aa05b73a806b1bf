"""Tokens on Firestore: of all workers that find one expired, one refreshes it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from relay.backends.google.tokens import GoogleTokens
from relay.backends.interfaces import Token
from relay.domain.clock import SystemClock
from relay.domain.errors import Conflict
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING
from tests.emulators import Emulators, place
from tests.unit.google.interposed import Interposed
from tests.unit.google.token_users import Partner, use_token
from worker.tokens import SharedTokens

ROOT = Path(__file__).parents[3]
TOKEN = Token(access="access-1", expires_at=BEGINNING + 3_600, refresh="refresh-1")


@pytest.fixture
def variables(emulators: Emulators) -> dict[str, str]:
    return place(emulators)


@pytest.fixture
def documents(variables: dict[str, str]) -> Interposed:
    return Interposed(variables)


@pytest.fixture
def tokens(documents: Interposed) -> GoogleTokens:
    return GoogleTokens(documents, TurnedClock())


def _expired(variables: dict[str, str]) -> None:
    tokens = GoogleTokens(Interposed(variables), SystemClock())
    assert tokens.lease("pangolin", owner="somebody", for_s=30)
    tokens.put("pangolin", Token(access="old", expires_at=time.time(), refresh="first"), owner="somebody")


def test_eight_threads_that_find_a_token_expired_refresh_it_once(variables: dict[str, str], tmp_path: Path) -> None:
    _expired(variables)
    journal = tmp_path / "journal"
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(use_token(variables, journal))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["access for first"] * 8
    assert Partner(journal).used == ["first"]


def test_eight_processes_that_find_a_token_expired_refresh_it_once(variables: dict[str, str], tmp_path: Path) -> None:
    _expired(variables)
    journal, start = tmp_path / "journal", tmp_path / "start"
    command = [sys.executable, "-m", "tests.unit.google.token_users", str(journal), str(start)]
    environment = {**variables, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    start.touch()
    answers = [process.communicate()[0] for process in processes]
    assert answers == ["access for first\n"] * 8
    assert Partner(journal).used == ["first"]


def test_a_token_that_another_has_refreshed_just_before_the_lease_is_not_refreshed_again(
    variables: dict[str, str], tmp_path: Path
) -> None:
    _expired(variables)
    journal = tmp_path / "journal"
    documents = Interposed(variables)
    documents.before_commit = lambda: _ignore(use_token(variables, journal))
    tokens = GoogleTokens(documents, SystemClock())
    assert SharedTokens(tokens, SystemClock()).get("pangolin", Partner(journal).obtain) == "access for first"
    assert Partner(journal).used == ["first"]
    assert tokens.lease("pangolin", owner="a third", for_s=30)


def test_of_two_who_lease_at_the_same_moment_one_has_the_lease(variables: dict[str, str], tokens: GoogleTokens) -> None:
    documents = Interposed(variables)
    documents.before_commit = lambda: _ignore(tokens.lease("t", owner="w1", for_s=30))
    assert not GoogleTokens(documents, TurnedClock()).lease("t", owner="w2", for_s=30)


def test_a_token_is_not_stored_over_that_of_one_who_took_the_lease_meanwhile(
    documents: Interposed, tokens: GoogleTokens, variables: dict[str, str]
) -> None:
    clock = TurnedClock()
    clock.advance(60)
    other = GoogleTokens(Interposed(variables), clock)
    tokens.lease("t", owner="w1", for_s=30)
    documents.before_commit = lambda: _ignore(other.lease("t", owner="w2", for_s=30))
    with pytest.raises(Conflict):
        tokens.put("t", TOKEN, owner="w1")
    assert tokens.get("t") is None


def test_a_token_whose_confirmation_got_lost_is_stored(documents: Interposed, tokens: GoogleTokens) -> None:
    documents.lose_confirmation()
    assert tokens.lease("t", owner="w1", for_s=30)
    documents.lose_confirmation()
    tokens.put("t", TOKEN, owner="w1")
    assert tokens.get("t") == TOKEN
    with pytest.raises(Conflict):
        tokens.put("t", TOKEN, owner="w1")


def test_a_lease_whose_release_got_no_confirmation_is_free(documents: Interposed, tokens: GoogleTokens) -> None:
    tokens.lease("t", owner="w1", for_s=30)
    documents.lose_confirmation()
    tokens.release("t", owner="w1")
    assert tokens.lease("t", owner="w2", for_s=30)


def test_a_lease_that_another_took_meanwhile_is_not_released(
    documents: Interposed, tokens: GoogleTokens, variables: dict[str, str]
) -> None:
    clock = TurnedClock()
    clock.advance(60)
    other = GoogleTokens(Interposed(variables), clock)
    tokens.lease("t", owner="w1", for_s=30)
    documents.before_commit = lambda: _ignore(other.lease("t", owner="w2", for_s=30))
    tokens.release("t", owner="w1")
    assert not other.lease("t", owner="w3", for_s=30)


def test_a_name_may_be_anything(tokens: GoogleTokens) -> None:
    for name in ("pangolin@sandbox/oauth", "..", "__x__"):
        assert tokens.lease(name, owner="w1", for_s=30)
        tokens.put(name, Token(access=name, expires_at=0), owner="w1")
    assert [token and token.access for token in map(tokens.get, ("pangolin@sandbox/oauth", "..", "__x__"))] == [
        "pangolin@sandbox/oauth", "..", "__x__",
    ]  # fmt: skip


def test_a_token_in_use_costs_one_read(documents: Interposed, tokens: GoogleTokens) -> None:
    assert documents.cost(lambda: tokens.lease("t", owner="w1", for_s=30)) == (1, 1)
    assert documents.cost(lambda: tokens.lease("t", owner="w2", for_s=30)) == (1, 0)
    assert documents.cost(lambda: tokens.put("t", TOKEN, owner="w1")) == (1, 1)
    assert documents.cost(lambda: tokens.release("t", owner="w1")) == (1, 0)
    tokens.lease("t", owner="w1", for_s=30)
    assert documents.cost(lambda: tokens.release("t", owner="w1")) == (1, 1)
    assert documents.cost(lambda: tokens.get("t")) == (1, 0)


def _ignore(_value: object) -> None:
    return
