"""Small charts as SVG, drawn on the server: bars of what was delivered, with what was rejected on top of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from markupsafe import Markup

from relay.health.wording import count

HEIGHT = 32.0
BAR = 5.0
GAP = 1.0
LEAST = 2.0
"""A number that is not 0 is seen, whatever it stands beside."""


class Bar(msgspec.Struct, frozen=True):
    """Mutations of one stretch of time."""

    delivered: int = 0
    rejected: int = 0


def bars(by_hour: Mapping[int, Mapping[str, int]], *, now: float, hours: int, each: int) -> list[Bar]:
    """The last so many hours in stretches of `each` hours, the oldest first; the last one ends with the hour that goes on.

    by_hour: start of an hour, seconds since the epoch → outcome → number."""
    end = int(now // 3600) * 3600 + 3600
    delivered, rejected = [0] * (hours // each), [0] * (hours // each)
    for hour, numbers in by_hour.items():
        place = len(delivered) - 1 - (end - 3600 - hour) // (3600 * each)
        if 0 <= place < len(delivered):
            delivered[place] += numbers.get("delivered", 0)
            rejected[place] += numbers.get("rejected", 0)
    return [Bar(*pair) for pair in zip(delivered, rejected, strict=True)]


def sparkline(series: Sequence[Bar], *, span: str) -> Markup:
    """The bars as an SVG that is as wide as its place, with what it shows in words. span: `last 7 days`."""
    most = max((bar.delivered + bar.rejected for bar in series), default=0)
    scale = HEIGHT / most if most else 0.0
    heights = [_heights(bar, scale) for bar in series]
    floor = [HEIGHT] * len(heights)
    delivered = _path(floor, [one for one, _ in heights])
    rejected = _path([HEIGHT - one for one, _ in heights], [other for _, other in heights])
    width = max(len(series) * (BAR + GAP) - GAP, BAR)
    return Markup(
        '<svg class="chart spark" viewBox="0 0 {width:g} {height:g}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        '<path class="floor" d="M0 {floor:g}h{width:g}v.5h-{width:g}z"/><path class="delivered" d="{delivered}"/>'
        '<path class="rejected" d="{rejected}"/></svg>'
    ).format(
        width=width,
        height=HEIGHT + 1,
        floor=HEIGHT + 0.5,
        label=_label(series, most, span),
        delivered=delivered,
        rejected=rejected,
    )


def _heights(bar: Bar, scale: float) -> tuple[float, float]:
    """Of its two parts. Where both together would be too high, the least heights being kept, the larger one gives way."""
    delivered, rejected = (max(LEAST, number * scale) if number else 0.0 for number in (bar.delivered, bar.rejected))
    over = max(0.0, delivered + rejected - HEIGHT)
    return (delivered - over, rejected) if delivered >= rejected else (delivered, rejected - over)


def _path(bottoms: Sequence[float], heights: Sequence[float]) -> str:
    """Rectangles on these bottoms; none where the height is 0."""
    return "".join(
        f"M{place * (BAR + GAP):g} {bottom:.1f}v-{height:.1f}h{BAR:g}v{height:.1f}z"
        for place, (bottom, height) in enumerate(zip(bottoms, heights, strict=True))
        if height
    )


def _label(series: Sequence[Bar], most: int, span: str) -> str:
    if not most:
        return f"In the {span} nothing was delivered and nothing rejected."
    delivered, rejected = sum(bar.delivered for bar in series), sum(bar.rejected for bar in series)
    return f"In the {span} {count(delivered, 'mutation')} delivered, {rejected:,} rejected; at most {most:,} in one bar."
