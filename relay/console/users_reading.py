"""What the page about one person shows: each change of theirs that is known here, in order, with what has become of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from relay.backends.interfaces import Backend, Found, Trace
from relay.domain.audience import Audience, HoldReason
from relay.domain.outcome import Outcome, Report
from relay.domain.person import Person
from relay.health import people
from relay.health.advice import ADVICE, hold_reason

MOST_TRACES = 200
"""Shown, the newest."""

MOST_AUDIENCES = 50
"""Whose names and holds are read."""

MOST_CONNECTORS = 5
MOST_ATTEMPTS = 200
"""Looked through of each connector, for what became of what was sent."""

_ALL_EXCEPTIONS = 1_000
"""An attempt with so many may have had more."""

Became = Literal["waits in the queue", "waits in a hold", "refused", "delivered", "superseded", "skipped", "sent or passed over"]

_COLOURS: dict[Became, str] = {
    "waits in the queue": "wait",
    "waits in a hold": "wait",
    "refused": "bad",
    "delivered": "good",
}

_BECAME: dict[Outcome, Became] = {
    "delivered": "delivered",
    "rejected": "refused",
    "retry": "sent or passed over",
    "superseded": "superseded",
    "skipped": "skipped",
}

_Place = tuple[str, str, str, int]
"""Connector, audience, request and index: which mutation it is."""


class Change(msgspec.Struct, frozen=True):
    """One mutation of the person.

    accepted_at  when its request came in, seconds since the epoch; 0: not known any more
    at           of what became of it, where that is known; else 0
    why, hint    in words; `hint` is the partner's
    due_at       of its hold; 0: none, or not by itself
    attempt_id   the last attempt that is known to have held it
    """

    connector: str
    audience: str
    audience_name: str
    direction: str
    accepted_at: float
    became: Became
    colour: str
    at: float
    why: str
    hint: str
    due_at: float
    action: str
    known_by: tuple[str, ...]
    request_id: str
    index: int
    user_hash: str
    attempt_id: str


class Answer(msgspec.Struct, frozen=True):
    """What is known of a person. hash: of what was typed. user_hashes: under which their rejections are. earlier: older changes
    that are not shown. notes: what is to be known of it, and what cannot be told."""

    hash: str
    user_hashes: tuple[str, ...]
    changes: tuple[Change, ...]
    earlier: int
    notes: tuple[str, ...]
    summary: tuple[str, ...]


def answer_of(backend: Backend, person: Person) -> Answer:
    """Looks into everything that is kept."""
    found = backend.traces.find(person)
    changes, earlier = _changes(backend, found)
    without = people.without_journal(backend.connectors.states())
    return Answer(
        hash=person.hash,
        user_hashes=tuple(sorted({trace.user_hash for trace in found.traces if trace.user_hash})),
        changes=changes,
        earlier=earlier,
        notes=(*people.several(found), *without, *found.unseen),
        summary=tuple(people.summary(found)),
    )


def _changes(backend: Backend, found: Found) -> tuple[tuple[Change, ...], int]:
    """The newest, oldest of them first, and how many came before."""
    # What the journal has is told by where else it is: a copy stays there whatever becomes of the mutation.
    elsewhere = {_place(trace) for trace in found.traces if trace.place != "journal"}
    accepted = {_place(trace): trace.at for trace in found.traces if trace.place != "rejections"}
    shown = [trace for trace in found.traces if trace.place != "journal" or _place(trace) not in elsewhere]
    newest = shown[-MOST_TRACES:]
    audiences = _audiences(backend, newest)
    sent = _Sent(backend, newest)
    changes = tuple(
        _change(one, audiences.get((one.connector, one.audience)), accepted.get(_place(one), 0.0), sent) for one in newest
    )
    return changes, len(shown) - len(newest)


def _change(trace: Trace, audience: Audience | None, accepted_at: float, sent: _Sent) -> Change:
    report = sent.last(trace)
    became, why, hint, action, at, due_at = _fate(trace, audience, report)
    return Change(
        connector=trace.connector,
        audience=trace.audience,
        audience_name=audience.name if audience else "",
        direction=trace.direction,
        accepted_at=accepted_at,
        became=became,
        colour=_COLOURS.get(became, ""),
        at=at,
        why=why,
        hint=hint,
        due_at=due_at,
        action=action,
        known_by=trace.identifiers,
        request_id=trace.request_id,
        index=trace.index,
        user_hash=trace.user_hash,
        attempt_id=report.attempt_id if report else "",
    )


def _fate(trace: Trace, audience: Audience | None, report: Report | None) -> tuple[Became, str, str, str, float, float]:
    """What became of it, why, the hint, the action, when, and when it is tried again."""
    if trace.place == "queue":
        why = "a worker has it in hand just now" if trace.in_turn else "its turn has not come yet"
        return "waits in the queue", why, "", "", 0.0, 0.0
    if trace.place == "hold":
        hold = audience.hold if audience else None
        reason = hold_reason(audience, hold) if audience and hold else trace.reason
        return "waits in a hold", _meaning(reason), hold.detail if hold else "", "", 0.0, (hold.due_at or 0.0) if hold else 0.0
    if trace.place == "rejections":
        return "refused", trace.reason, trace.hint, trace.action, trace.at, 0.0
    return _journaled(trace, report)


def _journaled(trace: Trace, report: Report | None) -> tuple[Became, str, str, str, float, float]:
    if report is None:
        why = "delivered, overtaken by a later change, or skipped: the attempt is not among those that were looked through"
        return "sent or passed over", why, "", "", 0.0, 0.0
    ended = report.at + report.duration_ms / 1_000
    result = next((one for one in report.exceptions if (one.request_id, one.index) == (trace.request_id, trace.index)), None)
    if result is not None:
        became = _BECAME[result.outcome]
        why = "a later change of the same user took its place" if became == "superseded" else result.code
        return became, why, result.hint, result.action, ended, 0.0
    if _says_delivered(report):
        return "delivered", "", "", "", ended, 0.0
    return "sent or passed over", "see the attempt: it does not tell its users apart", "", "", ended, 0.0


def _says_delivered(report: Report) -> bool:
    """Whether all that it does not name otherwise was delivered."""
    whole = not report.counts.get("retry") and not report.held and len(report.exceptions) < _ALL_EXCEPTIONS
    return whole and bool(report.counts.get("delivered"))


def _meaning(reason: str) -> str:
    known: HoldReason | None = next((one for one in ADVICE if one == reason), None)
    return ADVICE[known].meaning if known else reason.replace("_", " ")


def _place(trace: Trace) -> _Place:
    return trace.connector, trace.audience, trace.request_id, trace.index


def _audiences(backend: Backend, traces: Iterable[Trace]) -> dict[tuple[str, str], Audience]:
    keys = list(dict.fromkeys((trace.connector, trace.audience) for trace in reversed(list(traces))))[:MOST_AUDIENCES]
    return backend.audiences.several(keys)


class _Sent:
    """The attempts in which the requests of these traces were, of the connectors that the newest of them are of."""

    def __init__(self, backend: Backend, traces: list[Trace]) -> None:
        wanted = {(trace.connector, trace.audience, trace.request_id) for trace in traces}
        connectors = list(dict.fromkeys(trace.connector for trace in reversed(traces)))[:MOST_CONNECTORS]
        self._last: dict[tuple[str, str, str], Report] = {}
        for connector in connectors:
            for report in backend.reports.attempts(connector, limit=MOST_ATTEMPTS):
                for request_id in report.request_ids:
                    key = (connector, report.audience, request_id)
                    if key in wanted:
                        self._last.setdefault(key, report)

    def last(self, trace: Trace) -> Report | None:
        """The newest one with this trace's request and audience."""
        return self._last.get((trace.connector, trace.audience, trace.request_id))
