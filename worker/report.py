"""What an attempt leaves behind: its report, its rejections, its one wide log line. No identifier of a person in any of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relay.domain.audience import Waiting
from relay.domain.message import Message, Mutation
from relay.domain.outcome import VERSION, CallReport, Rejection, Report, Result, hash_user
from relay.wide_log import log
from worker.plan import Pending

_MOST_EXCEPTIONS = 1_000

_MOST_REQUESTS = 1_000
"""A hold of small batches brings thousands together in an attempt, and a thousand attempts are kept."""

_MOST_LOGGED = 100
"""Requests that are named in a log line: all of those that have a turn together; a hold can bring more."""

_KEPT_AS_REJECTION = frozenset({"unreadable"})
"""Codes of skipped mutations that are kept among the rejections: nobody else has them."""


def rejections_of(results: Iterable[tuple[Pending, Result]], at: float) -> list[Rejection]:
    """The rejections among these results."""
    return [
        rejection(pending.message, pending.mutation, action=result.action, code=result.code, hint=result.hint, at=at)
        for pending, result in results
        if result.outcome == "rejected" or result.code in _KEPT_AS_REJECTION
    ]


def rejections_of_waiting(waiting: Iterable[Waiting], *, code: str, hint: str, at: float) -> list[Rejection]:
    """What becomes of batches that leave their hold without having been delivered."""
    return [
        rejection(batch.message, mutation, action="", code=code, hint=hint, at=at)
        for batch in waiting
        for mutation in batch.message.mutations
    ]


def rejection(message: Message, mutation: Mutation, *, action: str, code: str, hint: str, at: float) -> Rejection:
    """The record of one mutation refused for good."""
    return Rejection(
        version=VERSION,
        connector=message.connector,
        audience=message.audience,
        request_id=message.request_id,
        index=mutation.index,
        direction=mutation.direction,
        user_hash=hash_user(mutation.user_key) if mutation.user else "",
        action=action,
        code=code,
        hint=hint,
        at=at,
    )


def make_report(
    *,
    attempt_id: str,
    connector_version: int,
    messages: Sequence[Message],
    results: Iterable[tuple[Pending, Result]],
    counts: dict[str, int],
    calls: Sequence[CallReport],
    began_at: float,
    ended_at: float,
    problem: str,
    hint: str,
    held: str,
    due_at: float | None,
) -> Report:
    """The report of one attempt at these messages of one audience."""
    first = messages[0]
    # Of what is tried again there is nothing to say but its number.
    exceptions = [result for _, result in results if result.outcome not in ("delivered", "retry")]
    return Report(
        version=VERSION,
        attempt_id=attempt_id,
        connector=first.connector,
        connector_version=connector_version,
        audience=first.audience,
        kind=first.kind,
        request_ids=tuple(dict.fromkeys(message.request_id for message in messages))[:_MOST_REQUESTS],
        at=began_at,
        duration_ms=round((ended_at - began_at) * 1000, 1),
        counts=counts,
        calls=tuple(calls),
        exceptions=tuple(exceptions[:_MOST_EXCEPTIONS]),
        problem=problem,
        hint=hint,
        held=held,
        due_at=due_at or 0,
        lag_ms=round((ended_at - min(message.wanted_at for message in messages)) * 1000, 1),
    )


def log_attempt(report: Report) -> None:
    """The attempt as one wide line. Request IDs are the correlation IDs: the receiver's line and the partner call carry them."""
    log(
        "attempt",
        "WARNING" if report.problem else "INFO",
        attempt=report.attempt_id,
        connector=report.connector,
        connector_version=report.connector_version,
        audience=report.audience,
        kind=report.kind,
        requests=report.request_ids[:_MOST_LOGGED],
        duration_ms=report.duration_ms,
        lag_ms=report.lag_ms,
        calls=len(report.calls),
        call_ms=round(sum(call.duration_ms for call in report.calls), 1),
        statuses=[call.status for call in report.calls][:20],
        problem=report.problem,
        hint=report.hint,
        held=report.held,
        due_at=report.due_at,
        **report.counts,
    )
