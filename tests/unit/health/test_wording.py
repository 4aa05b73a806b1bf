"""Numbers and lengths of time in sentences."""

from __future__ import annotations

import pytest

from relay.health.wording import count, duration, duration_in_words, moment, relative


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86399, "23 h"), (86400 * 12.5, "12 d")],
)
def test_a_length_of_time_is_in_its_largest_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (600, "10 minutes"),
        (5_400, "1 hour 30 minutes"),
        (90_061.5, "1 day 1 hour 1 minute 1 second 500 milliseconds"),
        (0.0001, "no time"),
    ],
)
def test_a_length_of_time_in_words_is_told_in_full(seconds: float, text: str) -> None:
    assert duration_in_words(seconds) == text


def test_a_number_agrees_with_its_noun() -> None:
    assert [count(1, "batch", "batches"), count(2, "batch", "batches")] == ["1 batch", "2 batches"]
    assert count(1_000, "hold") == "1,000 holds"


def test_a_moment_is_in_utc_everywhere() -> None:
    assert moment(1_772_362_805.9) == "2026-03-01 11:00:05 UTC"


def test_what_is_about_now_is_now() -> None:
    assert [relative(90), relative(0.9), relative(-0.9), relative(-90)] == ["in 1 min", "now", "now", "1 min ago"]
