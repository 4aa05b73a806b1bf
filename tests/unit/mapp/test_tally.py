"""What was accepted, in a line a minute."""

from __future__ import annotations

import json

import pytest

from handlers.mapp.request_log import RequestRecord
from handlers.mapp.tally import Tally
from tests.clock import TurnedClock
from tests.unit.mapp.conftest import Lines
from tests.unit.mapp.edge import Edge, user


def _record(mutations: int, audiences: int = 1) -> RequestRecord:
    record = RequestRecord("r")
    record.mutations, record.audiences = mutations, audiences
    return record


def _lines(capfd: pytest.CaptureFixture[str]) -> list[tuple[int, int, int]]:
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    return [(one["requests"], one["mutations"], one["audiences"]) for one in lines if one["event"] == "received"]


def test_the_first_request_has_a_line_at_once_and_the_others_one_together_after_a_minute(
    capfd: pytest.CaptureFixture[str],
) -> None:
    clock = TurnedClock()
    tally = Tally(clock)
    tally.add(_record(5, 2))
    assert _lines(capfd) == [(1, 5, 2)]
    for _ in range(3):
        clock.advance(19)
        tally.add(_record(10))
    assert _lines(capfd) == []
    clock.advance(3)
    tally.add(_record(1))
    assert _lines(capfd) == [(4, 31, 4)]


def test_a_request_without_mutations_does_not_count(capfd: pytest.CaptureFixture[str]) -> None:
    Tally(TurnedClock()).add(_record(0))
    assert _lines(capfd) == []


def test_what_the_receiver_accepted_is_in_it_and_what_it_refused_is_not(edge: Edge, lines: Lines) -> None:
    assert edge.add(user("u1"), user("u2")).status_code == 200
    assert edge.post({"Mutations": []}, type="NO_SUCH_TYPE").status_code == 400
    received = [line for line in lines() if line["event"] == "received"]
    assert [(line["requests"], line["mutations"], line["audiences"]) for line in received] == [(1, 2, 1)]
