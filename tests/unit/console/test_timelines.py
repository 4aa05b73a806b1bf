"""The drawings of what happened: bars and lines on readable scales."""

from __future__ import annotations

import pytest

from relay.console import timelines
from relay.console.timelines import (
    SPANS,
    Span,
    buckets,
    compact,
    draw_latencies,
    draw_outcomes,
    first_at,
    latency,
    round_up,
    within,
)

NOW = 1_800_000_000.0
HOUR, DAY, WEEK = SPANS


@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.name)
def test_the_last_bar_holds_this_moment_and_the_first_is_a_whole_span_before(span: Span) -> None:
    some = buckets(span, NOW, {}, {})

    assert some[-1].at <= NOW < some[-1].at + span.step_s
    assert some[0].at == first_at(span, NOW)
    assert some[-1].at + span.step_s - some[0].at == span.length_s


def test_what_lies_outside_of_the_span_is_left_out_and_what_lies_in_a_bar_is_summed_up() -> None:
    first = first_at(WEEK, NOW)
    counts = {first - 3_600: {"delivered": 100}, first: {"delivered": 1}, first + 5 * 3_600: {"delivered": 2, "rejected": 3}}

    some = buckets(WEEK, NOW, counts, {})

    assert some[0].counts == {"delivered": 3, "rejected": 3}
    assert sum(one.counts.get("delivered", 0) for one in some) == 3


@pytest.mark.parametrize(
    ("classes", "median", "most"),
    [
        ({}, None, None),
        ({100: 1}, 100, 100),
        ({100: 50, 500: 50}, 100, 500),
        ({500: 5, 100: 95}, 100, 100),
        ({100: 94, 500: 6}, 100, 500),
        ({100: 0}, None, None),
    ],
)
def test_half_and_95_of_100_are_told_by_the_upper_bound_of_their_class(
    classes: dict[int, int], median: int | None, most: int | None
) -> None:
    assert (within(classes, 0.5), within(classes, 0.95)) == (median, most)


@pytest.mark.parametrize(
    ("within_ms", "said"),
    [
        (None, "–"),
        (50, "up to 50 ms"),
        (2_000, "up to 2 s"),
        (600_000, "up to 10 min"),
        (2_592_000_000, "longer than 10 min"),
    ],
)
def test_a_latency_says_that_it_is_a_bound(within_ms: int | None, said: str) -> None:
    assert latency(within_ms) == said


@pytest.mark.parametrize(("number", "end", "label"), [(0, 1, "1"), (3, 5, "5"), (700, 1_000, "1k"), (1_500_001, 2_000_000, "2M")])
def test_a_scale_ends_with_a_round_number(number: int, end: int, label: str) -> None:
    assert round_up(number) == end
    assert compact(end) == label


def test_three_rejections_are_seen_beside_a_million_delivered() -> None:
    counts = {first_at(DAY, NOW): {"delivered": 1_000_000, "rejected": 1}, int(NOW) - 3_600: {"rejected": 100}}
    some = buckets(DAY, NOW, counts, {})

    delivered, rejected, retry = draw_outcomes(DAY, some).panels

    assert rejected.bars[0].height >= 2
    assert rejected.scale[-1].label == "100"
    assert delivered.title == "Delivered: 1,000,000"
    assert {bar.height for bar in retry.bars} == {0}


@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.name)
def test_everything_that_is_drawn_is_inside_of_the_picture(span: Span) -> None:
    step = span.step_s
    first = first_at(span, NOW)
    counts = {first + place * step: {"delivered": 10**place, "rejected": place} for place in range(12)}
    times = {first + place * step: {bound: 1} for place, bound in enumerate((1, 5, 100, 2_000, 600_000, 2_592_000_000))}
    some = buckets(span, NOW, counts, times)

    outcomes, latencies = draw_outcomes(span, some), draw_latencies(span, some)

    for panel in outcomes.panels:
        for bar in panel.bars:
            assert panel.top <= bar.y
            assert bar.y + bar.height <= panel.floor + 0.2
            assert bar.x + bar.width <= timelines.WIDTH
    for curve in latencies.curves:
        for dot in curve.dots:
            assert latencies.top <= dot.y <= latencies.floor
    assert 3 <= len(outcomes.times) <= 8


def test_a_line_is_broken_where_nothing_was_delivered() -> None:
    first = first_at(DAY, NOW)
    times = {first + place * 3_600: {100: 1} for place in (0, 1, 2, 5, 6)}

    median, _ = draw_latencies(DAY, buckets(DAY, NOW, {}, times)).curves

    assert [len(points.split()) for points in median.strokes] == [3, 2]
    assert len(median.dots) == 5


def test_without_any_delivery_there_is_a_scale_and_no_line() -> None:
    drawing = draw_latencies(DAY, buckets(DAY, NOW, {}, {}))

    assert drawing.curves == ()
    assert drawing.summary == "In the last day nothing was delivered."
    assert len(drawing.scale) > 1


@pytest.mark.parametrize("bound", [1, 10, 50, 600_000, 2_592_000_000])
def test_one_single_class_is_drawn_on_a_scale_of_two_marks_at_least(bound: int) -> None:
    some = buckets(DAY, NOW, {}, {int(NOW): {bound: 1}})

    drawing = draw_latencies(DAY, some)

    assert len(drawing.scale) >= 2
    assert drawing.top <= drawing.curves[0].dots[0].y <= drawing.floor
