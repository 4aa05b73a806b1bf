"""What a month costs: a formula over the tables of docs/operations.md.

`python -m tests.cost.month` prints the page's tables of months: whoever changes a price, a count or an assumption on the page
prints them anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from tests.cost import page

MONTHS = (1_000_000, 100_000_000)
"""Mutations."""

GIB = 2**30

LEAST_THROUGHPUT = 1_000
"""Bytes that Pub/Sub bills of a publish call or a push."""

ROUNDED_UP_TO_S = 0.1
"""Cloud Run rounds the time of an instance up to it."""


class Traffic(NamedTuple):
    """mutations: in a month. Of each request: so many mutations, in so many audiences."""

    title: str
    mutations: float
    mutations_in_request: float
    audiences_in_request: float

    @property
    def requests(self) -> float:
        return self.mutations / self.mutations_in_request

    @property
    def messages(self) -> float:
        """One for each audience of each request."""
        return self.requests * self.audiences_in_request

    @property
    def mutations_in_message(self) -> float:
        return self.mutations / self.messages


class Item(NamedTuple):
    """One billed item: how many units of its price, and what they cost, in USD; `free`: what the free tier takes off that."""

    name: str
    units: float
    cost: float
    free: float


class Page:
    """The page's numbers. `text`: another page."""

    def __init__(self, text: str | None = None) -> None:
        self._text = text

    def _column(self, heading: str, title: str) -> dict[str, float]:
        return {name: page.number(row[title]) for name, row in page.table(heading, self._text).items()}

    @cached_property
    def price(self) -> Mapping[str, float]:
        return self._column("Prices", "USD")

    @cached_property
    def per(self) -> Mapping[str, float]:
        """Units that the price is for."""
        return self._column("Prices", "for")

    @cached_property
    def free(self) -> Mapping[str, float]:
        return self._column("Prices", "free a month")

    @cached_property
    def given(self) -> Mapping[str, float]:
        """What is assumed or was measured."""
        return self._column("What the months assume", "value")

    @cached_property
    def cpu(self) -> Mapping[str, float]:
        """Milliseconds of CPU."""
        return self._column("CPU time", "ms")

    @cached_property
    def used(self) -> Mapping[str, Mapping[str, float]]:
        """Piece of work → column → count."""
        rows = page.table("What each piece of work uses", self._text)
        return {name: {title: page.number(cell) for title, cell in row.items()} for name, row in rows.items()}


def bill(traffic: Traffic, given: Page) -> list[Item]:
    """The month's items, in the order of the table of prices."""
    quantities = _quantities(traffic, given)
    return [_item(name, quantities[name], given.price[name] / given.per[name], given.free[name]) for name in given.price]


def _item(name: str, units: float, price: float, free: float) -> Item:
    return Item(name, units, units * price, min(units, free) * price)


def _quantities(traffic: Traffic, given: Page) -> dict[str, float]:
    """Units of each price. A message's counts are those of a request to one audience that is known."""
    say, message, tick, tidy = (
        given.given,
        given.used["request, 1 audience"],
        given.used["`tick`, nothing held"],
        given.used["tidying, nothing old"],
    )
    month_s = say["seconds in a month"]
    ticks, tidyings = month_s / 60, month_s / 3_600
    messages, requests = traffic.messages, traffic.requests
    diy_s = _instance_s(
        requests,
        say["answer of `diy`, s"],
        given.cpu["`diy`, a request"] + given.cpu["`diy`, each message"] * traffic.audiences_in_request,
        say["requests at once in an instance of `diy`"],
        given,
    )
    deliver_s = _instance_s(
        messages,
        say["turn of `deliver`, s"],
        given.cpu["`deliver`, a message"] + given.cpu["`deliver`, each mutation"] * traffic.mutations_in_message,
        say["messages at once in an instance of `deliver`"],
        given,
    )
    tick_s = (ticks + tidyings) * _rounded(say["`tick` with nothing held, s"])
    size = max(LEAST_THROUGHPUT, say["bytes of a message"] + say["bytes of a mutation in it"] * traffic.mutations_in_message)
    kept_months = say["attempts are kept, days"] * 86_400 / month_s
    stored = messages * kept_months * say["bytes stored for an attempt"] / GIB
    accesses = month_s / 60 * (1 + say["secrets of all connectors"])  # one instance of each, at work in every minute
    called = requests + messages + ticks + tidyings
    line = say["bytes of an attempt's log line"] + say["bytes that Logging adds to a line"]
    logged = (messages + ticks + tidyings) * line + called * say["bytes of a request's log entry"]
    return {
        "Cloud Run: requests": called,
        "Cloud Run: CPU, vCPU-s": diy_s + deliver_s + tick_s,
        "Cloud Run: memory, GiB-s": diy_s * say["memory of `diy`, GiB"] + deliver_s * say["memory of `deliver`, GiB"]
        + tick_s * say["memory of `tick`, GiB"],
        "Cloud Run: idle CPU, vCPU-s": max(0.0, month_s - diy_s),
        "Cloud Run: idle memory, GiB-s": max(0.0, month_s - diy_s) * say["memory of `diy`, GiB"],
        "Pub/Sub: throughput, GiB": 2 * messages * size / GIB,
        "Firestore: reads": messages * message["reads"] + ticks * tick["reads"] + tidyings * tidy["reads"],
        "Firestore: writes": messages * message["writes"],
        "Firestore: deletes by age": messages * message["deleted later"],
        "Firestore: storage, GiB": stored,
        "Firestore: backups, GiB": stored * say["backups at a time"],
        "Secret Manager: versions": say["versions of secrets"],
        "Secret Manager: accesses": accesses,
        "Scheduler: jobs": 2,
        "Logging: GiB": logged / GIB,
        "Artifact Registry: GiB": say["images, GiB"],
        "Internet, Europe: GiB": (
            messages * message["partner"] * say["bytes to the partner for a call"]
            + traffic.mutations * say["bytes to the partner for a mutation"]
        )
        / GIB,
    }  # fmt: skip


def _instance_s(number: float, duration_s: float, cpu_ms: float, at_once: float, given: Page) -> float:
    """Seconds that instances are billed for so many requests, spread evenly over the month. Whichever is largest: the share of
    the time in which any is under way at all, the instances that hold all that are, the instances whose CPU does the work."""
    month_s = given.given["seconds in a month"]
    load = given.given["load of an instance"]
    under_way = number * _rounded(duration_s) / month_s
    return month_s * max(1 - math.exp(-under_way), under_way / (load * at_once), number * cpu_ms / 1_000 / load / month_s)


def _rounded(seconds: float) -> float:
    return math.ceil(round(seconds / ROUNDED_UP_TO_S, 6)) * ROUNDED_UP_TO_S


# the tables


def traffics(mutations: int, given: Page) -> list[Traffic]:
    """The columns of a month's table. The last one is the dearest that can happen: every mutation is a message of its own, in
    requests that the DMP sends because a second has passed, or each in its own."""
    a_second = max(1.0, mutations / given.given["seconds in a month"])
    return [
        Traffic("1 audience", mutations, 100, 1),
        Traffic("10 audiences", mutations, 100, 10),
        Traffic("100 audiences", mutations, 100, 100),
        Traffic("a request a second", mutations, a_second, a_second),
    ]


def lines(mutations: int, given: Page) -> list[str]:
    """The table of a month, in Markdown."""
    columns = traffics(mutations, given)
    bills = [bill(column, given) for column in columns]
    rows = [
        f"| {items[0].name} | {' | '.join(f'{_short(one.units)} · {_usd(one.cost)}' for one in items)} |"
        for items in zip(*bills, strict=True)
    ]
    return [
        f"| | {' | '.join(column.title for column in columns)} |",
        "|---|" + "--:|" * len(columns),
        f"| requests, messages | {' | '.join(f'{_short(one.requests)}, {_short(one.messages)}' for one in columns)} |",
        *rows,
        _sum("**sum**", [sum(one.cost for one in items) for items in bills]),
        _sum("after what is free", [sum(one.cost - one.free for one in items) for items in bills]),
        _sum("for a million mutations", [sum(one.cost for one in items) / mutations * 1e6 for items in bills]),
    ]


def _sum(title: str, values: Iterable[float]) -> str:
    shown = [_usd(value) for value in values]
    return f"| {title} | {' | '.join(f'**{one}**' if '**' in title else one for one in shown)} |"


def _usd(value: float) -> str:
    return f"${value:,.2f}" if value < 1_000 else f"${value:,.0f}"


def _short(value: float) -> str:
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.2g}" if value < 1 else f"{value:.3g}"


def main() -> None:
    given = Page()
    for mutations in MONTHS:
        print(f"\n### {heading(mutations)}\n")
        print("\n".join(lines(mutations, given)))


def heading(mutations: int) -> str:
    return f"{mutations // 1_000_000} million mutations a month"


if __name__ == "__main__":
    main()
