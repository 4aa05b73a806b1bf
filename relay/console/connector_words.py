"""What a connector's document says of sizes, times and ways in, as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from relay.domain.connector import BatchLimits, Connector, RateLimits, Trigger
from relay.health.wording import count, duration_in_words
from relay.reading.quantities import format_size

ON: dict[Trigger, str] = {
    "created": "an audience is created",
    "joined": "a user joins an audience",
    "left": "a user leaves an audience",
}
"""When an action is done."""

NATURE = {
    "create": "makes the audience at the partner",
    "set": "of several changes of a user the last one counts",
    "event": "every change is sent",
}


def limits(connector: Connector) -> tuple[str, ...]:
    """How much at once, and how often."""
    return (batch(connector.limits.batch), _gathering(connector.limits.batch), *_rate(connector.limits.rate))


def batch(of: BatchLimits) -> str:
    """The largest call."""
    return f"One call to the partner carries at most {count(of.max_items, 'user')} and {size(of.max_bytes)}."


def size(of: int) -> str:
    """`10 MB`, `512 KB`, `100 bytes`."""
    text = format_size(of)
    number = text.rstrip("BKMG")
    return f"{int(number):,} {text.removeprefix(number) or 'bytes'}"


def _gathering(of: BatchLimits) -> str:
    if not of.max_age_s:
        return "Changes are sent at once, together with what already waits."
    return f"Changes are gathered for up to {duration_in_words(of.max_age_s)}, to be sent in larger calls."


def _rate(rate: RateLimits) -> Iterator[str]:
    most = [count(number, noun) for number, noun in ((rate.calls, "call"), (rate.items, "user")) if number is not None]
    period = duration_in_words(rate.per_s)
    yield f"At most {' and '.join(most)} in any {period}." if most else "There is no limit to how many calls are made in a time."
    yield f"A worker serves up to {count(rate.concurrency, 'audience')} at once."


def times(connector: Connector) -> tuple[str, ...]:
    """How long an answer may take."""
    timeouts = connector.timeouts
    return (
        f"To connect to the partner may take {duration_in_words(timeouts.connect_s)}, an answer "
        f"{duration_in_words(timeouts.answer_s)}, and one to a call with several users "
        f"{duration_in_words(timeouts.batch_answer_s)}. What takes longer is tried again.",
    )


def retention(connector: Connector) -> tuple[str, ...]:
    """How long things are kept."""
    kept = connector.retention
    journal = (
        f"Accepted changes are kept in the journal for {count(kept.journal_days, 'day')}, so that they can be sent again. They "
        "are personal data."
        if kept.journal_days
        else "There is no journal: what the partner has taken cannot be sent again from here."
    )
    return (
        f"Rejections are kept for {duration_in_words(kept.rejections_s)}.",
        f"What waits for {duration_in_words(kept.warning_s)} is shown as needing somebody; after "
        f"{duration_in_words(kept.holds_s)} it becomes rejections.",
        journal,
    )


def ways_in(connector: Connector) -> tuple[str, ...]:
    """How the DMP's requests are taken."""
    inbound = connector.inbound
    by_feeds = f"A feed may set: {', '.join(inbound.feed_settings)}." if inbound.feed_settings else "A feed sets no setting."
    if inbound.source == "mediarithmics":
        return ("Only feeds of mediarithmics use it; the public receiver does not know it.", by_feeds)
    unknown = "is created at the partner" if inbound.unknown_audience == "create" else "is refused"
    sentences = [
        f"A request may be as large as {size(inbound.max_body_bytes)}.",
        f"An audience that the DMP did not announce {unknown}."
        if inbound.audience_id == "own"
        else "The answer to CREATE_AUDIENCE carries the partner's ID, and an ID that the partner never gave out waits.",
    ]
    if inbound.customers:
        sentences.append(f"Only for the customers {', '.join(str(one) for one in inbound.customers)}.")
    if inbound.feed_settings:
        sentences.append(by_feeds)
    return tuple(sentences)


def told(connector: Connector) -> tuple[str, ...]:
    """Who is told when it needs somebody; empty: nobody. Of a webhook only its host: the path can be a secret."""
    notify = connector.notify
    found = []
    if notify.webhook_secret:
        found.append(f"A webhook, whose address is the secret {notify.webhook_secret}.")
    elif notify.webhook:
        found.append(f"A webhook at {urlsplit(notify.webhook).hostname}.")
    if notify.email:
        found.append(f"By mail: {notify.email}.")
    return tuple(found)
