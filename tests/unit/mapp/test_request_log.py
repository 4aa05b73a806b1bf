"""One line for a request at most, and nothing in it that came with the request."""

from __future__ import annotations

import io
import sys

import pytest

from relay.wide_log import log
from tests.unit.mapp.conftest import Lines
from tests.unit.mapp.edge import AUDIENCE, CREDENTIALS, SECRET, Edge, basic, broken_stderr, connector, user


def endless() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


def test_accepted_changes_and_validations_write_no_line(edge: Edge, lines: Lines) -> None:
    edge.add(user())
    edge.post(type="VALIDATE")
    edge.request("GET")
    assert [line for line in lines() if line["event"] == "request"] == []


def test_a_creation_writes_one(edge: Edge, lines: Lines) -> None:
    answer = edge.create(Name="Secret plans")
    [line] = lines()
    assert line.pop("duration_ms") >= 0
    assert line.pop("time")
    assert line == {
        "severity": "INFO",
        "event": "request",
        "request_id": answer.headers["X-Request-Id"],
        "connector": "pangolin",
        "type": "CREATE_AUDIENCE",
        "status": 200,
    }


def test_a_rejected_signature_is_a_warning(edge: Edge, lines: Lines) -> None:
    edge.post(type="VALIDATE", sign="wrong")
    [line] = lines()
    assert (line["severity"], line["status"], line["error"]) == ("WARNING", 401, "signature_refused")


def test_a_request_of_which_nothing_could_be_read_says_how_much_it_was(edge: Edge, lines: Lines) -> None:
    edge.add({}, {}, {}, Audience="a.1")
    [line] = lines()
    assert (line["mutations"], line["unreadable"], line["audiences"], line["error"]) == (3, 3, 1, "none_readable")


def test_a_log_that_cannot_be_written_changes_no_answer(edge: Edge) -> None:
    with broken_stderr():
        assert edge.post(type="VALIDATE", sign="wrong").status_code == 401
        assert edge.create().status_code == 200
        assert edge.request("PUT").status_code == 405


@pytest.mark.parametrize("stderr", [None, io.StringIO()], ids=["none at all", "one without bytes"])
def test_a_process_without_standard_error_logs_nothing_and_goes_on(monkeypatch: pytest.MonkeyPatch, stderr: object) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    log("anything")


@pytest.mark.parametrize("value", ["\ud800", endless()], ids=["half a character", "no end"])
def test_a_field_that_cannot_be_written_costs_the_fields_and_not_the_line(lines: Lines, value: object) -> None:
    log("happened", "WARNING", value=value)
    [line] = lines()
    assert (line["event"], line["severity"], "fields_lost" in line) == ("happened", "WARNING", True)


@pytest.mark.parametrize("status", [400, 401, 404, 405, 413])
def test_nothing_that_came_with_a_request_is_logged_or_repeated(edge: Edge, lines: Lines, status: int) -> None:
    canary = "canary-7f3a"
    limit = 2_000 if status == 413 else 10_000
    edge.serve(connector(credentials=(CREDENTIALS,), max_body_bytes=limit))
    answer = edge.request(
        "PUT" if status == 405 else "POST",
        f"/{canary} {canary}" if status == 404 else f"/pangolin?type={canary if status == 400 else 'ADD_TO_AUDIENCE'}&x={canary}",
        {canary: canary, "Mutations": [{"Audience": canary, canary: canary}], "Pad": "x" * 3_000},
        sign=canary if status == 401 else SECRET,
        credentials=CREDENTIALS,
        headers={"X-Canary": canary, "User-Agent": canary, "X-Request-Id": canary},
    )
    [line] = lines()
    assert (answer.status_code, line["status"]) == (status, status)
    everything = f"{line} {answer.text} {answer.headers}"
    for secret in (canary, SECRET, CREDENTIALS, basic(CREDENTIALS), AUDIENCE):
        assert secret not in everything
