"""Requests as the DMP sends them, and what is made of the answers."""

from __future__ import annotations

import pytest

from relay.simulator.dmp import Answer, DmpAudience, create_body, is_loopback, sign
from relay.simulator.summary import percentile
from relay.simulator.traffic import fate


def test_a_signature_is_the_hmac_sha1_of_the_body_in_hexadecimal() -> None:
    # RFC 2202, case 2.
    assert sign("Jefe", b"what do ya want for nothing?") == "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"


def test_a_creation_looks_like_the_one_on_mapps_page() -> None:
    body = create_body(DmpAudience("a5940e473cea659.356693871497425011", "Test audience"), 123)

    assert body == (
        b'{"Type":"CREATE_AUDIENCE","Name":"Test audience","Customer":123,"Audience":"a5940e473cea659.356693871497425011"}'
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200), "accepted"),
        (Answer(400), "not_accepted"),
        (Answer(302), "not_accepted"),
        (Answer(503), "perhaps_accepted"),
        (Answer(0, reached=True), "unanswered"),
        (Answer(0, reached=False), "not_accepted"),
    ],
)
def test_what_an_answer_says_about_the_changes(answer: Answer, expected: str) -> None:
    assert fate(answer) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8080/pangolin", True),
        ("http://127.9.9.9/", True),
        ("http://localhost:1/", True),
        ("http://[::1]:8080/", True),
        ("https://relay.example.com/", False),
        ("http://localhost.example.com/", False),
        ("http://127.0.0.1.example.com/", False),
        ("http://10.0.0.1/", False),
        ("http://0.0.0.0/", False),
    ],
)
def test_only_this_machine_is_loopback(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 99, 0),
        ([5], 50, 5),
        ([1, 2, 3, 4], 50, 2),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 101)), 95, 95),
        ([3, 1, 2], 99, 3),
    ],
)
def test_percentiles_are_values_that_were_measured(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected
