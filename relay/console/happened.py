"""What an attempt came to, in the words of the pages."""

from __future__ import annotations

from typing import Literal

import msgspec

from relay.domain.message import Kind
from relay.domain.outcome import Outcome, Report
from relay.health.wording import duration

OUTCOMES: dict[Outcome, str] = {
    "delivered": "delivered",
    "rejected": "rejected",
    "retry": "to be tried again",
    "superseded": "superseded by a later change",
    "skipped": "skipped",
}

KINDS: dict[Kind, str] = {
    "change": "users joined or left",
    "created": "the audience was created",
    "resume": "a hold was resumed",
    "replay": "a replay",
}
"""What the attempt was made for."""

Colour = Literal["good", "bad", "wait", ""]


class Verdict(msgspec.Struct, frozen=True):
    """An attempt in two or three words."""

    words: str
    colour: Colour = ""


def verdict(report: Report) -> Verdict:
    """The gravest of what came of it."""
    counts = report.counts
    if counts.get("rejected"):
        return Verdict("partly rejected" if counts.get("delivered") else "rejected", "bad")
    if report.held:
        return Verdict("partly on hold" if counts.get("delivered") else "on hold", "wait")
    if counts.get("retry"):
        return Verdict("to be tried again", "wait")
    if report.problem:
        return Verdict("trouble", "wait")
    return Verdict("delivered", "good") if counts.get("delivered") else Verdict("nothing to send")


def counted(report: Report) -> list[str]:
    """`120 delivered`, `3 rejected`: what became of the mutations, over all actions."""
    return [f"{report.counts[outcome]:,} {words}" for outcome, words in OUTCOMES.items() if report.counts.get(outcome)]


def took(milliseconds: float) -> str:
    """A length of time: `85 ms`, `1.2 s`, `3 min`."""
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1_000:.1f} s"
    return duration(milliseconds / 1_000)
