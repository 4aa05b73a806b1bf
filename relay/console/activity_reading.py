"""What the activity page shows: attempts as they happen, and what came of them over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from relay.backends.interfaces import ATTEMPTS_KEPT, Reports
from relay.console import timelines
from relay.console.happened import Verdict, counted, verdict
from relay.console.timelines import SPANS, Bucket, Span
from relay.domain.outcome import Report

Result = Literal["needs a look", "delivered", "rejected", "to be tried again", "superseded", "skipped", "on hold"]
RESULTS: tuple[Result, ...] = get_args(Result)

_OUTCOME: dict[Result, str] = {
    "delivered": "delivered",
    "rejected": "rejected",
    "to be tried again": "retry",
    "superseded": "superseded",
    "skipped": "skipped",
}

_FAILED: frozenset[Result] = frozenset({"needs a look", "rejected", "to be tried again"})
"""Which the store can find by itself."""

STEPS = (50, 200, ATTEMPTS_KEPT)
"""So many attempts are looked at, first, and as somebody asks for older ones."""

ROWS = 100
"""Attempts on a page at most."""

MOST_SUMMED = 10
"""So many connectors at most are read one by one for the minutes of all."""


class Asked(msgspec.Struct, frozen=True):
    """What somebody wants to see. audience: a part of its ID; result: empty for all. back: how many attempts are looked at; skip:
    how many of those that were found are on pages before."""

    connector: str = ""
    audience: str = ""
    result: str = ""
    span: str = "day"
    back: int = STEPS[0]
    skip: int = 0

    @property
    def narrows(self) -> bool:
        """Whether it leaves attempts out."""
        return bool(self.connector or self.audience or self.result)


class Row(msgspec.Struct, frozen=True):
    """One attempt."""

    report: Report
    verdict: Verdict
    counts: list[str]


class Attempts(msgspec.Struct, frozen=True):
    """Newest first. looked_at: how many there were to choose from. older: how many to look at for older ones; 0: there are none.
    older_skip: how many of them to pass over then."""

    rows: tuple[Row, ...]
    looked_at: int
    older: int
    older_skip: int


class Timelines(msgspec.Struct, frozen=True):
    """What happened over a span of time."""

    span: Span
    buckets: tuple[Bucket, ...]
    outcomes: timelines.Outcomes
    latencies: timelines.Latencies


def asked_of(arguments: Mapping[str, str]) -> Asked:
    """From an address; what it says wrongly is not heeded."""
    back, skip = arguments.get("back", ""), arguments.get("skip", "")
    return Asked(
        connector=arguments.get("connector", ""),
        audience=arguments.get("audience", "").strip(),
        result=arguments.get("result", "") if arguments.get("result") in RESULTS else "",
        span=next((span.name for span in SPANS if span.name == arguments.get("span")), Asked().span),
        back=next((step for step in STEPS if str(step) == back), STEPS[0]),
        skip=int(skip) if skip.isascii() and skip.isdecimal() and len(skip) < 6 else 0,
    )


def attempts_of(reports: Reports, asked: Asked) -> Attempts:
    """The attempts that were asked for. Looks at no more than `asked.back`; with a filter, at the next step's number, since most
    may be left out."""
    limit = asked.back if asked.back != STEPS[0] or not (asked.audience or asked.result) else STEPS[1]
    found = reports.attempts(asked.connector or None, limit=limit + 1, failed_only=asked.result in _FAILED, brief=True)
    more = len(found) > limit
    matching = [one for one in found[:limit] if _is_asked(asked, one)]
    rows = tuple(Row(one, verdict(one), counted(one)) for one in matching[asked.skip : asked.skip + ROWS])
    looked_at, after = min(len(found), limit), asked.skip + ROWS
    if len(matching) > after:
        return Attempts(rows, looked_at, limit, after)
    older = next((step for step in STEPS if step > limit), 0) if more else 0
    return Attempts(rows, looked_at, older, after if len(matching) == after else asked.skip)


def timelines_of(reports: Reports, connectors: list[str], asked: Asked, now: float) -> Timelines | None:
    """None: minutes are kept by connector, and there are too many to be summed up."""
    span = next(span for span in SPANS if span.name == asked.span)
    chosen = asked.connector or None
    first = timelines.first_at(span, now)
    counts: dict[int, dict[str, int]] = {}
    if span.step_s < 3_600:
        if chosen is None and len(connectors) > MOST_SUMMED:
            return None
        for name in [chosen] if chosen else connectors:
            for minute, numbers in reports.by_minute(name, since=first):
                _add(counts.setdefault(minute, {}), numbers)
        took = _by_step(reports, chosen, span, first)
    else:
        counts = reports.sums_by_hour(chosen, since=first)
        took = reports.latencies_by_hour(chosen, since=first)
    some = timelines.buckets(span, now, counts, took)
    return Timelines(span, some, timelines.draw_outcomes(span, some), timelines.draw_latencies(span, some))


def _by_step(reports: Reports, connector: str | None, span: Span, first: int) -> dict[int, dict[int, int]]:
    """Latencies are told from a moment on: what is between two of these is the one without the other."""
    moments = range(first, first + span.length_s, span.step_s)
    since = [reports.latencies(connector, since=moment) for moment in moments]
    return {
        # What is delivered between two readings must not make a number negative.
        moment: {bound: max(0, number - later.get(bound, 0)) for bound, number in earlier.items()}
        for moment, earlier, later in zip(moments, since, [*since[1:], {}], strict=True)
    }


def _is_asked(asked: Asked, report: Report) -> bool:
    if asked.audience.lower() not in report.audience.lower():
        return False
    if asked.result == "on hold":
        return bool(report.held)
    outcome = next((name for result, name in _OUTCOME.items() if result == asked.result), "")
    return not outcome or bool(report.counts.get(outcome))


def _add(total: dict[str, int], numbers: Mapping[str, int]) -> None:
    for name, number in numbers.items():
        total[name] = total.get(name, 0) + number
