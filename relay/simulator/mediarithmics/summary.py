"""What a simulation of the platform measured, and whether it got through."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from relay.simulator.summary import Problem, percentile


class Pace(msgspec.Struct, frozen=True):
    """How long requests of one route took, in milliseconds, repetitions and waits in between not counted."""

    requests: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


class FeedSummary(msgspec.Struct, frozen=True):
    """The whole simulation.

    joined, left   users of whom the function said that they are taken
    rejected       users whom the partner refused for good
    not_eligible   users of whom the connector can use no identifier
    retries        requests that were sent again because the function asked for it
    skipped        requests that were not sent, because every user was in one under way
    lines          lines of assembled files
    asked          route → what was answered to a question that changes nothing
    gateway_calls  resource → how often the function asked the gateway for it
    passed         every request got through, and every question was answered as is right with a connector to Pangolin
    """

    url: str
    seed: int
    delivery: str
    duration_s: float
    audiences: int
    joined: int
    left: int
    rejected: int
    not_eligible: int
    retries: int
    skipped: int
    lines: int
    creations: Pace
    updates: Pace
    batches: Pace
    asked: dict[str, str]
    gateway_calls: dict[str, int]
    problems: tuple[Problem, ...]
    passed: bool


def pace(values_ms: Sequence[float]) -> Pace:
    """The percentiles of these durations."""
    p50, p95, p99 = (round(percentile(values_ms, percent), 1) for percent in (50, 95, 99))
    return Pace(len(values_ms), p50, p95, p99)


def as_text(summary: FeedSummary) -> str:
    """The summary for a person, in a few lines, without the verdict."""
    requests = summary.creations.requests + summary.updates.requests + summary.batches.requests
    lines = [
        f"{requests} requests in {summary.duration_s:.1f} s, delivery {summary.delivery}: {summary.joined} joined, "
        f"{summary.left} left, {summary.audiences} audiences (seed {summary.seed})"
    ]
    for title, measured in (("creations", summary.creations), ("updates", summary.updates), ("batches", summary.batches)):
        if measured.requests:
            lines.append(
                f"  {title:<9}  p50 {measured.p50_ms:>7.1f} ms   p95 {measured.p95_ms:>7.1f} ms   p99 {measured.p99_ms:>7.1f} ms"
            )
    if summary.asked:
        lines.append("  asked: " + ", ".join(f"{route} {said}" for route, said in summary.asked.items()))
    told = ", ".join(f"{name} {count}" for name, count in sorted(summary.gateway_calls.items()))
    lines.append(f"  the function asked the gateway for: {told or 'nothing'}")
    for number, said in (
        (summary.rejected, "users were rejected by the partner for good"),
        (summary.not_eligible, "users have no identifier that the connector can use"),
        (summary.retries, "requests were sent again, as the function asked"),
        (summary.skipped, "requests were not sent: every user was in one under way (try more --users)"),
        (summary.lines, "lines were assembled to files"),
    ):
        if number:
            lines.append(f"  {number} {said}")
    for problem in summary.problems:
        answer = f"answered {problem.status}" if problem.status else "not answered"
        lines.append(f"  {problem.requests} x {problem.request_type} {answer}: {problem.error}")
    return "\n".join(lines)
