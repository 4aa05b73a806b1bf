"""Why something waits is said once, as closely as it is known."""

from __future__ import annotations

import pytest

from relay.domain.audience import HoldReason
from relay.health.advice import ADVICE
from relay.health.causes import cause


@pytest.mark.parametrize(
    ("reason", "detail", "said"),
    [
        (
            "credentials_refused",
            "The partner does not accept the credentials (status 401).",
            "the partner does not accept the credentials (status 401)",
        ),
        ("credentials_refused", "The token has ended.", "the partner refuses the credentials (The token has ended)"),
        (
            "partner_unavailable",
            "The partner has trouble (status 503).",
            "the partner has trouble (status 503); it is tried again by itself",
        ),
        (
            "partner_unavailable",
            "Ample (api.example:443) cannot be reached: its name is not known.",
            "Ample (api.example:443) cannot be reached: its name is not known; it is tried again by itself",
        ),
        (
            "partner_unavailable",
            "The partner (api.example:443) sent an answer that cannot be read as HTTP; whether it did what was asked is unknown.",
            "the partner (api.example:443) sent an answer that cannot be read as HTTP; whether it did what was asked is unknown; "
            "it is tried again by itself",
        ),
        (
            "partner_unavailable",
            "The answer is no JSON.",
            "the partner cannot take anything just now; it is tried again by itself (The answer is no JSON)",
        ),
        ("audience_gone", "The partner no longer has this audience.", "the partner no longer has this audience"),
        ("crashed", "", "handling its first batch ended the worker several times"),
    ],
)
def test_what_the_partners_answer_says_more_closely_is_not_said_twice(reason: HoldReason, detail: str, said: str) -> None:
    assert cause(reason, ADVICE[reason].meaning, detail) == said
