"""Why something waits, in one sentence: what the reason means, and what the partner's answer said of it, nothing of it twice."""

from __future__ import annotations

from relay.domain.audience import HoldReason

_SAID: dict[HoldReason, tuple[str, ...]] = {
    "credentials_refused": ("does not accept the credentials", "does not accept the access token", "refuses the credentials"),
    "partner_unavailable": (
        "cannot be reached", "has trouble", "did not answer", "had no answer", "was not ready", "could not take this",
        "broke the connection", "cannot be read as HTTP",
    ),
    "audience_not_ready": ("cannot take members yet",),
    "audience_gone": ("no longer has this audience",),
}  # fmt: skip
"""Words by which the detail of a hold says what its reason means, too (they are those of `adapters`, and of their documents)."""


def cause(reason: HoldReason | None, meaning: str, detail: str) -> str:
    """For the end of a sentence, without its full stop: `the partner refuses the credentials (the token has ended)`; or, where
    the detail says the same more closely, the detail in place of it."""
    return closer(reason, meaning, detail) or (f"{meaning} ({detail.rstrip('.')})" if detail else meaning)


def closer(reason: HoldReason | None, meaning: str, detail: str) -> str:
    """The detail in place of what it says more closely, and the rest of the meaning; empty where it says something else."""
    if reason is None or not any(words in detail for words in _SAID.get(reason, ())):
        return ""
    said = f"the {detail.removeprefix('The ')}" if detail.startswith("The ") else detail
    return "; ".join(filter(None, (said.rstrip("."), meaning.partition("; ")[2])))
