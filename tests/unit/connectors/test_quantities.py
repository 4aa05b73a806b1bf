"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.malformed import Malformed
from relay.reading.quantities import format_duration, format_size, parse_duration, parse_size


@given(st.integers(min_value=0, max_value=10**12))
def test_a_duration_is_read_as_it_was_written(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(min_value=0, max_value=10**12 - 1))
def test_a_size_is_read_as_it_was_written(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.text(alphabet="0123456789dhms. -+BKMG", max_size=8) | st.none() | st.integers() | st.booleans())
def test_anything_is_read_or_refused_with_a_sentence(value: object) -> None:
    for parse in (parse_duration, parse_size):
        try:
            outcome: object = parse(value)
        except Malformed as problem:
            outcome = str(problem)
        assert outcome >= 0 if isinstance(outcome, int | float) else str(outcome).startswith("This must be a")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("0s", 0), ("1h30m", 5400), ("7d", 604_800), ("1m", 60), ("1m1ms", 60.001), ("90m", 5400)],
)
def test_a_duration_has_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("value", ["", "5", "s", "5 s", "1.5s", "-1s", "30m1h", "1h1h", "5sec", "٥s", 5, 0, None, True, ["5s"]])
def test_a_duration_without_or_with_a_wrong_unit_is_refused(value: object) -> None:
    with pytest.raises(Malformed):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "size"), [("1MB", 1_048_576), ("512KB", 524_288), ("100", 100), (100, 100), ("7B", 7), ("1GB", 1024**3), (0, 0)]
)
def test_a_size_is_a_number_of_bytes_or_has_a_unit(value: object, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", ["", "MB", "1 MB", "1.5MB", "1mb", "-1", -1, 1.0, True, None, "1TB"])
def test_a_size_in_another_form_is_refused(value: object) -> None:
    with pytest.raises(Malformed):
        parse_size(value)
