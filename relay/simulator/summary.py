"""What a simulation measured, against the speeds that the DMP asks for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

UPLOAD_LIMIT_MS = 1000.0
CREATION_LIMIT_MS = 3000.0


class Speed(msgspec.Struct, frozen=True):
    """How long requests took, in milliseconds from the moment at which they were to start. `limit_ms` concerns the 99th
    percentile (Mapp's page "DIY Integrations")."""

    requests: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    limit_ms: float

    @property
    def within(self) -> bool:
        """Whether the DMP's limit is kept."""
        return self.p99_ms <= self.limit_ms


class Problem(msgspec.Struct, frozen=True):
    """Requests of one type that were answered alike, and not with 200. `status` 0: not answered."""

    request_type: str
    status: int
    error: str
    requests: int


class Summary(msgspec.Struct, frozen=True):
    """The whole simulation.

    joined, left  changes that were answered with 200
    skipped       requests that were not sent, because every user was in one under way
    passed        everything was answered with 200, and in time
    """

    url: str
    seed: int
    duration_s: float
    audiences: int
    joined: int
    left: int
    skipped: int
    creations: Speed
    uploads: Speed
    problems: tuple[Problem, ...]
    passed: bool


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank); 0 if there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def speed(values_ms: Sequence[float], limit_ms: float) -> Speed:
    """The percentiles of these durations."""
    p50, p95, p99 = (round(percentile(values_ms, percent), 1) for percent in (50, 95, 99))
    return Speed(len(values_ms), p50, p95, p99, limit_ms)


def problems(failures: Iterable[tuple[str, int, str]]) -> tuple[Problem, ...]:
    """Failures (request type, status, error), the same ones put together, the most frequent first."""
    counted = Counter(failures).most_common()
    return tuple(Problem(request_type, status, error, count) for (request_type, status, error), count in counted)


def as_text(summary: Summary) -> str:
    """The summary for a person, in a few lines."""
    sent = f"{summary.creations.requests + summary.uploads.requests} requests in {summary.duration_s:.1f} s"
    lines = [f"{sent}: {summary.joined} joined, {summary.left} left, {summary.audiences} audiences (seed {summary.seed})"]
    for title, measured in (("creations", summary.creations), ("uploads", summary.uploads)):
        if measured.requests:
            lines.append(
                f"  {title:<9}  p50 {measured.p50_ms:>7.1f} ms   p95 {measured.p95_ms:>7.1f} ms   p99 {measured.p99_ms:>7.1f} ms"
                f"   limit {measured.limit_ms:.0f} ms: {'kept' if measured.within else 'NOT KEPT'}"
            )
    if summary.skipped:
        lines.append(f"  {summary.skipped} requests were not sent: every user was in one under way (try more --users)")
    for problem in summary.problems:
        answer = f"answered {problem.status}" if problem.status else "not answered"
        lines.append(f"  {problem.requests} x {problem.request_type} {answer}: {problem.error}")
    lines.append("passed" if summary.passed else "FAILED")
    return "\n".join(lines)
