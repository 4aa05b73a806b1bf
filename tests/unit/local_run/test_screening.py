"""Which lines of the processes the terminal shows, and how."""

from __future__ import annotations

import json
import re

import pytest

from relay.local_run.screening import REPEATED_AFTER_S, Screening
from tests.clock import TurnedClock


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def screening(clock: TurnedClock) -> Screening:
    return Screening(clock.monotonic)


def line(severity: str, event: str = "attempt", **fields: object) -> str:
    return json.dumps({"time": "2026-03-01T11:00:05.123+00:00", "severity": severity, "event": event, **fields})


@pytest.mark.parametrize("severity", ["DEBUG", "INFO"])
def test_what_goes_well_is_not_shown(screening: Screening, severity: str) -> None:
    assert screening.text("worker", line(severity, counts=7)) is None


@pytest.mark.parametrize("severity", ["WARNING", "ERROR"])
def test_trouble_is_shown_in_short(screening: Screening, severity: str) -> None:
    trouble = line(
        severity,
        attempt="0f3c", requests=["r1"], connector="pangolin", audience="a.1", duration_ms=3.1, statuses=[503],
        problem="partner_unavailable", hint="Pangolin answered 503.", held="", status=0,
    )  # fmt: skip

    shown = screening.text("worker", trouble)

    assert shown is not None
    assert re.fullmatch(
        rf"worker   \| \d\d:\d\d:05 {severity} attempt connector=pangolin audience=a\.1 problem=partner_unavailable"
        r": Pangolin answered 503\.",
        shown,
    )


@pytest.mark.parametrize(
    "other",
    ["Traceback (most recent call last):", "{broken", "{}", '{"event": "x"}', "[1]", '{"severity": "INFO"}', "{" * 100_000],
)
def test_what_is_no_log_line_is_shown_as_it_is(screening: Screening, other: str) -> None:
    assert screening.text("console", other) == f"console  | {other}"
    assert screening.text("console", other) == f"console  | {other}"


@pytest.mark.parametrize("time", [None, 7, "noon"])
def test_a_line_without_a_time_is_shown_without_one(screening: Screening, time: object) -> None:
    assert screening.text("worker", line("ERROR", "turn_ended", time=time)) == "worker   | ERROR turn_ended"


def test_what_repeats_itself_is_shown_now_and_then_with_its_number(screening: Screening, clock: TurnedClock) -> None:
    def shown(name: str = "receiver", audience: str = "a.1") -> str:
        return screening.text(name, line("WARNING", "request", audience=audience, request_id=str(clock.now()))) or ""

    assert shown().endswith("request audience=a.1")
    assert [shown(), shown()] == ["", ""]
    assert shown(audience="b.2")
    assert shown(name="worker")
    clock.advance(REPEATED_AFTER_S)
    assert shown().endswith("request audience=a.1 (2 more like this before)")
    clock.advance(REPEATED_AFTER_S)
    assert shown().endswith("request audience=a.1")


@pytest.mark.parametrize("text", ["\x1b[2Jgone", "a\rb", "bell\x07"])
def test_nothing_that_a_process_writes_can_steer_the_terminal(screening: Screening, text: str) -> None:
    for written in (text, line("ERROR", hint=text)):
        shown = screening.text("worker", written)
        assert shown
        assert shown.isprintable()
