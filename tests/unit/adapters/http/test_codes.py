"""What counts as a partner's own code for what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.http.looking import code_of


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("invalid_id", "invalid_id"),
        ("OAuthException.190", "OAuthException.190"),
        (10007, "10007"),
        ("REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --", "REQUIRED_FIELD_MISSING"),
        ("UNABLE_TO_LOCK_ROW:unable to obtain\nexclusive access", "UNABLE_TO_LOCK_ROW"),
        ("Ann: is not known", ""),
        ("ann@example.com", ""),
        ("This user is not accepted.", ""),
        (True, ""),
        (None, ""),
    ],
)
def test_a_code_is_a_word_a_short_number_or_the_word_in_capitals_before_a_text(value: Any, code: str) -> None:
    assert code_of(value) == code
