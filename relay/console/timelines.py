"""What happened over the last hour, day or week, as drawings: numbers in, places on a picture out. `timelines.html` makes SVG
of it.

Units of a drawing are its own: `WIDTH` by its height, and it is shown as wide as its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, TypeVar

import msgspec

Key = TypeVar("Key")

WIDTH = 480.0
_LEFT, _RIGHT = 68.0, 10.0
_TITLE, _PANEL, _BETWEEN, _AXIS = 22.0, 52.0, 14.0, 24.0
_LATENCY_HEIGHT = 200.0
_LEAST = 2.0
"""A number that is not 0 is seen, whatever it stands beside."""

NEVER_ENDING_MS = 600_000
"""Above it there is one class only: what waited in a hold."""

Shown = Literal["delivered", "rejected", "retry"]
OUTCOMES: tuple[tuple[Shown, str], ...] = (("delivered", "Delivered"), ("rejected", "Rejected"), ("retry", "To be tried again"))


class Span(msgspec.Struct, frozen=True):
    """How far back a drawing goes. length_s, step_s: seconds, of all and of one bar; marks_s: between the labels of its axis."""

    name: str
    label: str
    length_s: int
    step_s: int
    marks_s: int


SPANS: tuple[Span, ...] = (
    Span("hour", "last hour", 3_600, 300, 900),
    Span("day", "last day", 86_400, 3_600, 4 * 3_600),
    Span("week", "last week", 7 * 86_400, 6 * 3_600, 86_400),
)


class Bucket(msgspec.Struct, frozen=True):
    """What a bar stands for. at: its start, seconds since the epoch. counts: outcome → number. median_ms, most_ms: half of what
    was delivered took up to so long, and 95 of 100; None where nothing was."""

    at: int
    counts: dict[str, int]
    median_ms: int | None = None
    most_ms: int | None = None


def first_at(span: Span, now: float) -> int:
    """Where the drawing begins, seconds since the epoch; its last bar holds this moment."""
    return int(now // span.step_s) * span.step_s + span.step_s - span.length_s


def buckets(
    span: Span, now: float, counts: Mapping[int, Mapping[str, int]], latencies: Mapping[int, Mapping[int, int]]
) -> tuple[Bucket, ...]:
    """The bars, the oldest first. counts, latencies: moment → outcome, or upper bound of a class in ms → number."""
    first = first_at(span, now)
    places = range(span.length_s // span.step_s)
    summed = [_summed(counts, first + place * span.step_s, span.step_s) for place in places]
    timed = [_summed(latencies, first + place * span.step_s, span.step_s) for place in places]
    return tuple(
        Bucket(first + place * span.step_s, summed[place], within(timed[place], 0.5), within(timed[place], 0.95))
        for place in places
    )


def within(classes: Mapping[int, int], share: float) -> int | None:
    """The upper bound in ms that this share of them does not exceed; None where there is none."""
    needed, so_far = share * sum(classes.values()), 0
    for bound in sorted(classes):
        so_far += classes[bound]
        if so_far >= needed and so_far:
            return bound
    return None


def latency(within_ms: int | None) -> str:
    """`up to 500 ms`; the last class has no end."""
    if within_ms is None:
        return "–"
    return "longer than 10 min" if within_ms > NEVER_ENDING_MS else f"up to {_short(within_ms)}"


# what is drawn


class Tick(msgspec.Struct, frozen=True):
    """A label on an axis, and where it is on it."""

    at: float
    label: str


class Bar(msgspec.Struct, frozen=True):
    """One stretch of time: its column on the picture, the bar in it (of height 0: none), and what it says."""

    x: float
    y: float
    width: float
    height: float
    says: str


class Panel(msgspec.Struct, frozen=True):
    """The bars of one outcome on a scale of their own, so that three that were rejected are seen beside a million delivered."""

    kind: Shown
    title: str
    title_y: float
    top: float
    floor: float
    scale: tuple[Tick, ...]
    bars: tuple[Bar, ...]


class Outcomes(msgspec.Struct, frozen=True):
    """The panels below each other, on one axis of time. `summary`: what they show, in words."""

    height: float
    left: float
    right: float
    panels: tuple[Panel, ...]
    times: tuple[Tick, ...]
    axis_y: float
    summary: str


class Dot(msgspec.Struct, frozen=True):
    x: float
    y: float
    says: str


class Curve(msgspec.Struct, frozen=True):
    """One line. `strokes`: its points, apart where nothing was delivered between them."""

    kind: Literal["median", "most"]
    label: str
    strokes: tuple[str, ...]
    dots: tuple[Dot, ...]


class Latencies(msgspec.Struct, frozen=True):
    """Two lines over a scale on which each step is ten times the one before it. Empty `curves`: nothing was delivered."""

    height: float
    left: float
    right: float
    top: float
    floor: float
    scale: tuple[Tick, ...]
    times: tuple[Tick, ...]
    axis_y: float
    curves: tuple[Curve, ...]
    summary: str


def draw_outcomes(span: Span, some: Sequence[Bucket]) -> Outcomes:
    """What was delivered, rejected and left to be tried again."""
    each = _TITLE + _PANEL + _BETWEEN
    panels = tuple(_panel(span, some, kind, label, place * each) for place, (kind, label) in enumerate(OUTCOMES))
    axis_y = len(OUTCOMES) * each - _BETWEEN
    said = [f"{sum(one.counts.get(kind, 0) for one in some):,} {label.lower()}" for kind, label in OUTCOMES]
    return Outcomes(
        axis_y + _AXIS, _LEFT, WIDTH - _RIGHT, panels, _times(span, some), axis_y, f"In the {span.label}: {', '.join(said)}."
    )


def draw_latencies(span: Span, some: Sequence[Bucket]) -> Latencies:
    """How long it took from the request to the end of the attempt that delivered it."""
    top, floor = _TITLE + 8, _LATENCY_HEIGHT - _AXIS
    known = [bound for one in some for bound in (one.median_ms, one.most_ms) if bound is not None]
    marks = _marks(known)
    low, high = math.log10(marks[0]), math.log10(marks[-1])

    def height_of(within_ms: int) -> float:
        return round(floor - (math.log10(min(within_ms, _LONGER)) - low) / (high - low) * (floor - top), 1)

    curves = (
        _curve(span, some, "median", "half of them", [one.median_ms for one in some], height_of),
        _curve(span, some, "most", "95 of 100", [one.most_ms for one in some], height_of),
    )
    longest = max((one.most_ms for one in some if one.most_ms is not None), default=None)
    summary = (
        f"In the {span.label} nothing was delivered."
        if longest is None
        else f"In the {span.label} 95 of 100 mutations took {latency(longest)} at the slowest."
    )
    return Latencies(
        _LATENCY_HEIGHT,
        _LEFT,
        WIDTH - _RIGHT,
        top,
        floor,
        tuple(Tick(height_of(mark), "longer" if mark == _LONGER else _short(mark)) for mark in marks),
        _times(span, some),
        floor,
        curves if known else (),
        summary,
    )


def _panel(span: Span, some: Sequence[Bucket], kind: Shown, label: str, y: float) -> Panel:
    numbers = [one.counts.get(kind, 0) for one in some]
    most = round_up(max(numbers, default=0))
    top, floor = y + _TITLE, y + _TITLE + _PANEL
    width = (WIDTH - _LEFT - _RIGHT) / len(some)
    bars = []
    for place, (one, number) in enumerate(zip(some, numbers, strict=True)):
        height = max(_LEAST, number / most * _PANEL) if number else 0.0
        says = f"{stretch(span, one.at)}: {number:,} {label.lower()}"
        bars.append(Bar(round(_LEFT + place * width, 1), round(floor - height, 1), round(width, 1), round(height, 1), says))
    scale = (Tick(floor, "0"), Tick(top, compact(most)))
    return Panel(kind, f"{label}: {sum(numbers):,}", y + _TITLE - 8, top, floor, scale, tuple(bars))


def _curve(
    span: Span,
    some: Sequence[Bucket],
    kind: Literal["median", "most"],
    label: str,
    values: Iterable[int | None],
    height_of: Callable[[int], float],
) -> Curve:
    width = (WIDTH - _LEFT - _RIGHT) / len(some)
    strokes: list[list[str]] = [[]]
    dots = []
    for place, (one, value) in enumerate(zip(some, values, strict=True)):
        if value is None:
            strokes.append([])
            continue
        x, y = round(_LEFT + (place + 0.5) * width, 1), height_of(value)
        strokes[-1].append(f"{x:g},{y:g}")
        dots.append(Dot(x, y, f"{stretch(span, one.at)}: {label} took {latency(value)}"))
    return Curve(kind, label, tuple(" ".join(points) for points in strokes if len(points) > 1), tuple(dots))


# scales


def round_up(number: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50, …: where a scale ends."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if number <= factor * size:
                return factor * size
        size *= 10


def compact(number: int) -> str:
    """`500`, `20k`, `5M`."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:g}{unit}"
    return str(number)


_LONGER = 6_000_000
"""Where what has no end is drawn, in ms."""

_SCALE = (1, 10, 100, 1_000, 10_000, 60_000, NEVER_ENDING_MS, _LONGER)


def _marks(known: Sequence[int]) -> list[int]:
    """The part of the scale that holds them all, two marks at least."""
    if not known:
        return [10, 100, 1_000]
    least, most = min(known), min(max(known), _LONGER)
    first = max(place for place, mark in enumerate(_SCALE) if mark <= least) if least < _LONGER else len(_SCALE) - 2
    last = min(place for place, mark in enumerate(_SCALE) if mark >= most)
    return list(_SCALE[min(first, len(_SCALE) - 2) : max(last, first + 1) + 1])


def _short(ms: int) -> str:
    for size, unit in ((60_000, "min"), (1_000, "s")):
        if ms >= size:
            return f"{ms / size:.3g} {unit}"
    return f"{ms} ms"


# time


def stretch(span: Span, at: int) -> str:
    """The time of a bar, UTC: `Mon 17, 06:00 to 12:00`."""
    begin, end = (datetime.fromtimestamp(moment, tz=UTC) for moment in (at, at + span.step_s))
    return f"{begin:%a} {begin.day}, {begin:%H:%M} to {end:%H:%M}"


def _times(span: Span, some: Sequence[Bucket]) -> tuple[Tick, ...]:
    width = (WIDTH - _LEFT - _RIGHT) / len(some)
    ticks = []
    for place, one in enumerate(some):
        if one.at % span.marks_s == 0:
            moment = datetime.fromtimestamp(one.at, tz=UTC)
            label = f"{moment:%a}" if span.marks_s >= 86_400 else f"{moment:%H:%M}"
            ticks.append(Tick(round(_LEFT + place * width, 1), label))
    return tuple(ticks)


def _summed(numbers: Mapping[int, Mapping[Key, int]], begin: int, step_s: int) -> dict[Key, int]:
    total: dict[Key, int] = {}
    for moment, inner in numbers.items():
        if begin <= moment < begin + step_s:
            for key, number in inner.items():
                total[key] = total.get(key, 0) + number
    return total
