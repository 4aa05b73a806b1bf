"""Small charts: numbers in, bars and words out."""

from __future__ import annotations

import re

import pytest

from relay.console.charts import HEIGHT, LEAST, Bar, bars, sparkline

HOUR = 3600


def drawn(series: list[Bar]) -> list[tuple[str, float, float, float]]:
    """Kind, x, y and height of each bar."""
    shown = sparkline(series, span="x")
    found = []
    for kind in ("delivered", "rejected"):
        [path] = re.findall(f'class="{kind}" d="([^"]*)"', shown)
        for x, bottom, height in re.findall(r"M([\d.]+) ([\d.-]+)v-([\d.]+)h5v\3z", path):
            found.append((kind, float(x), float(bottom) - float(height), float(height)))
    return found


@pytest.mark.parametrize(
    ("hours_ago", "place"),
    [(0, 3), (1, 3), (2, 2), (3, 2), (7, 0), (8, None), (-1, None)],
)
def test_an_hour_counts_for_its_stretch_and_none_beyond_the_span(hours_ago: int, place: int | None) -> None:
    now = 1_000 * HOUR + 120.0

    found = bars({(1_000 - hours_ago) * HOUR: {"delivered": 5, "rejected": 2, "retry": 9}}, now=now, hours=8, each=2)

    assert found == [Bar(5, 2) if number == place else Bar() for number in range(4)]


def test_the_highest_bar_fills_the_height_and_the_others_are_in_proportion() -> None:
    assert drawn([Bar(100), Bar(50), Bar(0)]) == [("delivered", 0, 0, HEIGHT), ("delivered", 6, HEIGHT / 2, HEIGHT / 2)]


def test_one_rejection_among_a_million_is_seen_and_nothing_leaves_the_picture() -> None:
    found = drawn([Bar(1_000_000, 1), Bar(1, 1_000_000)])

    assert found == [
        ("delivered", 0, LEAST, HEIGHT - LEAST),
        ("delivered", 6, HEIGHT - LEAST, LEAST),
        ("rejected", 0, 0, LEAST),
        ("rejected", 6, 0, HEIGHT - LEAST),
    ]


def test_it_says_in_words_what_it_shows() -> None:
    label = 'aria-label="In the last day 1,003 mutations delivered, 2 rejected; at most 1,000 in one bar."'

    assert label in sparkline([Bar(1_000), Bar(3, 2)], span="last day")
    assert "nothing was delivered and nothing rejected" in sparkline([Bar(), Bar()], span="last day")
    assert "&lt;b&gt;" in sparkline([], span="<b>")
    assert "style" not in sparkline([Bar(1, 1)], span="x")
