"""The parts `limits`, `timeouts` and `retention` of a document."""

from __future__ import annotations

from relay.domain.connector import BatchLimits, Limits, RateLimits, Retention, Timeouts
from relay.reading import values
from relay.reading.section import Section

_MOST = 1_000_000_000
_YEAR_S = 365 * 86_400.0

MOST_CONNECT_S = 30.0
MOST_ANSWER_S = 60.0
"""The longest time-outs that a document may ask for."""

_RATE = RateLimits()
_TIMEOUTS = Timeouts()
_RETENTION = Retention()

_JOURNAL_DAYS = {"off": 0, "1d": 1, "7d": 7, "30d": 30}


def read_limits(document: Section, defaults: BatchLimits) -> Limits:
    """`limits`; what is not there comes from the adapter's defaults."""
    section = document.section("limits", ("batch", "rate"))
    rate = section.section("rate", ("calls", "items", "per", "concurrency"))
    return Limits(
        batch=read_batch(section, "batch", defaults),
        rate=RateLimits(
            calls=rate.read("calls", values.whole(1, _MOST), _RATE.calls),
            items=rate.read("items", values.whole(1, _MOST), _RATE.items),
            per_s=rate.read("per", values.duration(0.001, 86_400.0), _RATE.per_s),
            concurrency=rate.read("concurrency", values.whole(1, 1_000), _RATE.concurrency),
        ),
    )


def read_batch(parent: Section, key: str, defaults: BatchLimits) -> BatchLimits:
    """The batch limits under this key."""
    section = parent.section(key, ("max_items", "max_bytes", "max_age"))
    return BatchLimits(
        max_items=section.read("max_items", values.whole(1, _MOST), defaults.max_items),
        max_bytes=section.read("max_bytes", values.size(1, 1024**3), defaults.max_bytes),
        max_age_s=section.read("max_age", values.duration(0.0, _YEAR_S), defaults.max_age_s),
    )


def read_timeouts(document: Section) -> Timeouts:
    """`timeouts`. Connecting and the longest answer together stay below the 120 s that a turn may take: a call that cannot
    end within them would never be started."""
    section = document.section("timeouts", ("connect", "answer", "batch_answer"))
    return Timeouts(
        connect_s=section.read("connect", values.duration(0.001, MOST_CONNECT_S), _TIMEOUTS.connect_s),
        answer_s=section.read("answer", values.duration(0.001, MOST_ANSWER_S), _TIMEOUTS.answer_s),
        batch_answer_s=section.read("batch_answer", values.duration(0.001, MOST_ANSWER_S), _TIMEOUTS.batch_answer_s),
    )


def read_retention(document: Section) -> Retention:
    """`retention`."""
    section = document.section("retention", ("rejections", "holds", "warning", "journal"))
    age = values.duration(60.0, 10 * _YEAR_S)
    retention = Retention(
        rejections_s=section.read("rejections", age, _RETENTION.rejections_s),
        holds_s=section.read("holds", age, _RETENTION.holds_s),
        warning_s=section.read("warning", age, _RETENTION.warning_s),
        journal_days=_JOURNAL_DAYS[section.read("journal", values.choice(*_JOURNAL_DAYS), "off")],
    )
    if retention.warning_s >= retention.holds_s:
        key = "warning" if section.given("warning") else "holds"
        section.problem(key, "The warning must come before held batches become rejections (`warning` below `holds`).")
    return retention
