"""What the home page shows of the connectors: read at once for all of them, chosen and put in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import get_args

import msgspec
from markupsafe import Markup

from adapters.registry import called, describe
from relay.backends.interfaces import Backend, QueueDepth
from relay.connectors.live import document_of
from relay.console.charts import bars, sparkline
from relay.domain.connector import Connector
from relay.health.concerns import Concern
from relay.health.survey import ConnectorHealth, Standing, look

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
BARS = 25
"""An hour each: of a day, the first and the last one are parts of an hour."""

CARDS = 25
"""Most documents on a page, which an open browser reads again every few seconds."""

NEEDS_SOMEBODY = "needs somebody"
STATES: tuple[str, ...] = (NEEDS_SOMEBODY, *get_args(Standing))
"""What the page can be narrowed to."""

BASE = "none"
"""Stands for connectors that are no environment's."""


class Chosen(msgspec.Struct, frozen=True):
    """What to show; empty: all."""

    state: str = ""
    environment: str = ""
    adapter: str = ""

    @property
    def anything(self) -> bool:
        """Whether not all are shown."""
        return self != Chosen()


class Mutations(msgspec.Struct, frozen=True):
    """How many in the last hour, day and week."""

    hour: int = 0
    day: int = 0
    week: int = 0


class Row(msgspec.Struct, frozen=True):
    """One connector.

    adapter  its name; empty where no version is published. partner: what it is called
    concern  the first one, those that need a person before the others; more: how many others there are
    missing  how many things it lacks before it can run
    hours    of the last day, see `Reports.by_hour`; seen at `now`
    """

    health: ConnectorHealth
    environment: str
    adapter: str
    partner: str
    concern: Concern | None
    more: int
    missing: int
    delivered: Mutations
    rejected: Mutations
    hours: Mapping[int, Mapping[str, int]]
    now: float

    @property
    def chart(self) -> Markup:
        """Its last day, for a page that shows it."""
        return sparkline(bars(self.hours, now=self.now, hours=BARS, each=1), span="last 24 hours")

    @property
    def needs_somebody(self) -> bool:
        """Whether a person must act."""
        return self.concern is not None and self.concern.act

    @property
    def can_be_switched(self) -> bool:
        """Whether a version of it is published."""
        return self.health.standing != "not published"

    @property
    def is_on(self) -> bool:
        return self.health.standing != "off"


class Card(msgspec.Struct, frozen=True):
    """A document with its connectors, the one without an environment first."""

    document: str
    title: str
    rows: tuple[Row, ...]

    @property
    def needs_somebody(self) -> bool:
        """Whether a person must act for any of them."""
        return any(row.needs_somebody for row in self.rows)


class Overview(msgspec.Struct, frozen=True):
    """The page.

    queue         None where it cannot tell
    concerns      those that belong to no connector
    connectors    how many there are, shown or not; acting: for how many of them a person must act
    environments  what there is to choose from; adapters, too: name → title
    more          documents behind those on this page
    """

    queue: QueueDepth | None
    concerns: tuple[Concern, ...]
    cards: tuple[Card, ...]
    connectors: int
    acting: int
    environments: tuple[str, ...]
    adapters: dict[str, str]
    more: int


def overview_of(backend: Backend, now: float, chosen: Chosen, *, skip: int = 0) -> Overview:
    """Looks at everything; asks no partner. skip: so many documents are left out at the beginning. Raises `StoreUnavailable`."""
    health = look(backend, now)
    hours = backend.reports.by_hour(None, since=now - DAY_S)
    week = backend.reports.totals_of_all(since=now - WEEK_S)
    rows = [
        _row(one, health.running.get(one.name), hours.get(one.name, {}), week.get(one.name, {}), now)
        for one in health.connectors
    ]
    cards = sorted(_cards(row for row in rows if _fits(row, chosen)), key=_place)
    return Overview(
        queue=health.queue,
        concerns=tuple(concern for concern in health.concerns if concern.kind != "no_connector"),
        cards=tuple(cards[skip : skip + CARDS]),
        connectors=len(rows),
        acting=sum(row.needs_somebody for row in rows),
        environments=tuple(sorted({row.environment for row in rows if row.environment})),
        adapters=_titles({row.adapter for row in rows if row.adapter}),
        more=max(0, len(cards) - skip - CARDS),
    )


def _row(
    health: ConnectorHealth,
    connector: Connector | None,
    hours: Mapping[int, Mapping[str, int]],
    week: Mapping[str, int],
    now: float,
) -> Row:
    urgent_first = sorted(health.concerns, key=lambda concern: not concern.act)
    return Row(
        health=health,
        environment=health.name.partition("@")[2],
        adapter=connector.adapter if connector else "",
        partner=called(connector) if connector else "",
        concern=urgent_first[0] if urgent_first else None,
        more=max(0, len(urgent_first) - 1),
        missing=sum(concern.kind == "incomplete" for concern in health.concerns),
        delivered=Mutations(health.delivered, _sum(hours, "delivered"), week.get("delivered", 0)),
        rejected=Mutations(health.rejected, _sum(hours, "rejected"), week.get("rejected", 0)),
        hours=hours,
        now=now,
    )


def _titles(adapters: Iterable[str]) -> dict[str, str]:
    titles = {name: described.title if (described := describe(name)) else name for name in adapters}
    return dict(sorted(titles.items(), key=lambda item: item[1].casefold()))


def _sum(hours: Mapping[int, Mapping[str, int]], outcome: str) -> int:
    return sum(counts.get(outcome, 0) for counts in hours.values())


def _fits(row: Row, chosen: Chosen) -> bool:
    states = {"", row.health.standing, NEEDS_SOMEBODY if row.needs_somebody else ""}
    return (
        chosen.state in states
        and chosen.environment in ("", row.environment or BASE)
        and chosen.adapter in ("", row.adapter)
    )


def _cards(rows: Iterable[Row]) -> list[Card]:
    documents: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        documents[document_of(row.health.name)].append(row)
    return [
        Card(document, next((row.health.title for row in some if row.health.title), document), tuple(some))
        for document, some in ((name, sorted(found, key=lambda row: row.environment)) for name, found in documents.items())
    ]


def _place(card: Card) -> tuple[bool, str, str]:
    return not card.needs_somebody, card.title.casefold(), card.document
