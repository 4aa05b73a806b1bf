"""One attempt, as its page shows it: what was called, what became of the mutations, and where its traces are."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

import msgspec

from relay.backends.interfaces import Backend
from relay.configuration import Configuration
from relay.console.exchanges_reading import ShownExchanges, shown_exchanges
from relay.console.happened import KINDS, OUTCOMES, Verdict, verdict
from relay.domain.outcome import CallReport, Report, Result

SAMPLES = 5
"""Mutations named of a group."""

MOST_REQUESTS = 20
"""Request IDs shown at once; the others behind a click."""

_NO_ANSWER = 0


class Group(msgspec.Struct, frozen=True):
    """Results that have outcome, action, code and hint in common. `samples`: request and place in it, of some."""

    outcome: str
    action: str
    code: str
    hint: str
    number: int
    samples: tuple[tuple[str, int], ...]


class Shown(msgspec.Struct, frozen=True):
    """An attempt. audience_name: empty where it has none. made_for: why it was made, in words. groups: of what was not delivered;
    missing: how many more results there were, which are in none. log_line: what finds its line in the log; log_search: where, if
    the log can be searched at an address."""

    report: Report
    verdict: Verdict
    audience_name: str
    made_for: str
    counts: tuple[tuple[str, int], ...]
    calls: tuple[CallReport, ...]
    groups: tuple[Group, ...]
    missing: int
    log_line: str
    log_search: str
    exchanges: ShownExchanges


def shown(backend: Backend, configuration: Configuration, report: Report) -> Shown:
    """The attempt as its page shows it."""
    audience = backend.audiences.get(report.connector, report.audience)
    told_apart = sum(number for outcome, number in report.counts.items() if outcome not in ("delivered", "retry"))
    return Shown(
        report=report,
        verdict=verdict(report),
        audience_name=audience.name if audience else "",
        made_for=KINDS.get(report.kind, report.kind),  # type: ignore[call-overload]
        counts=tuple((words, report.counts[outcome]) for outcome, words in OUTCOMES.items() if report.counts.get(outcome)),
        calls=report.calls,
        groups=grouped(report.exceptions),
        missing=max(0, told_apart - len(report.exceptions)),
        log_line=_log_line(configuration, report.attempt_id),
        log_search=_log_search(configuration, report.attempt_id),
        exchanges=shown_exchanges(backend.reports.exchanges(report.attempt_id), calls=len(report.calls)),
    )


def grouped(results: Iterable[Result]) -> tuple[Group, ...]:
    """The largest group first."""
    groups: dict[tuple[str, str, str, str], list[Result]] = {}
    for one in results:
        groups.setdefault((one.outcome, one.action, one.code, one.hint), []).append(one)
    return tuple(
        Group(OUTCOMES[some[0].outcome], *key[1:], len(some), tuple((one.request_id, one.index) for one in some[:SAMPLES]))
        for key, some in sorted(groups.items(), key=lambda item: -len(item[1]))
    )


def status_of(call: CallReport) -> str:
    """The partner's answer to a call."""
    return "no answer" if call.status == _NO_ANSWER else str(call.status)


def _log_line(configuration: Configuration, attempt_id: str) -> str:
    if configuration.backend == "google":
        return f'jsonPayload.attempt="{attempt_id}"'
    return f'"attempt":"{attempt_id}"'


def _log_search(configuration: Configuration, attempt_id: str) -> str:
    if configuration.backend != "google" or configuration.firestore_emulator or not configuration.google_cloud_project:
        return ""
    query, project = quote(_log_line(configuration, attempt_id), safe=""), quote(configuration.google_cloud_project, safe="")
    return f"https://console.cloud.google.com/logs/query;query={query}?project={project}"
