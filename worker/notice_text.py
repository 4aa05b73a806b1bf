"""A notice as receivers get it: a JSON object for programs, one line for a chat, a mail for people."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from relay.domain.notice import Notice, Situation
from relay.health.causes import closer
from relay.health.wording import count, duration, moment, stopped

VERSION = 1
"""Of the JSON object. Fields may be added to it without another version."""


def trial_notice(connector: str, now: float) -> Notice:
    """What is sent to try whether notices arrive."""
    return Notice(uuid.uuid4().hex, connector, now, Situation(since=now))


def payload(notice: Notice, *, test: bool = False) -> dict[str, Any]:
    """The JSON object (docs/connectors.md, `notify`). Moments are in UTC, ages in seconds; None for what does not apply.

    test: it only tries whether notices arrive.
    """
    situation = notice.situation
    fine = situation.standing == "fine"
    return {
        "version": VERSION,
        "id": notice.id,
        "at": _iso(notice.at),
        "connector": notice.connector,
        "state": "test" if test else situation.standing,
        "reason": situation.reason,
        "since": _iso(situation.since),
        "meaning": notice.meaning,
        "detail": notice.detail,
        "what_to_do": notice.what_to_do,
        "audiences": notice.audiences,
        "batches": notice.batches,
        "mutations": notice.mutations,
        "lasted_s": round(notice.lasted_s) if fine and not test else None,
        "delivered": notice.delivered if fine and not test else None,
        "text": _for_chat(" ".join(filter(None, [f"{_begins(notice, test=test)}.", *sentences(notice, test=test)]))),
    }


def headline(notice: Notice, *, test: bool = False) -> str:
    """What happened, in a few words."""
    name = notice.connector
    if test:
        return f"{name}: a test of its notices"
    match notice.situation.standing:
        case "fine":
            return f"{name} delivers again" if notice.delivered else f"{name} is no longer on hold"
        case "on_hold":
            return f"{name} is on hold"
        case "credentials_refused":
            return f"{name}: the partner refuses the credentials"
        case _:
            return f"{name} needs someone"


def _begins(notice: Notice, *, test: bool) -> str:
    """A chat has no subject: what a headline says of the credentials, the sentence behind it says again."""
    if not test and notice.situation.standing == "credentials_refused":
        return f"{notice.connector} needs someone"
    return headline(notice, test=test)


def sentences(notice: Notice, *, test: bool = False) -> list[str]:
    """All that there is to say of it, in order."""
    if test:
        return ["Nothing is the matter; somebody wanted to see that it arrives."]
    situation = notice.situation
    if situation.standing == "fine":
        lasted = f"The trouble lasted {duration(notice.lasted_s)}, until {moment(situation.since)}."
        were = "was" if notice.delivered <= 1 else "were"
        delivered = f"{count(notice.delivered, 'mutation') if notice.delivered else 'Nothing'} {were} delivered since it began."
        return [lasted, delivered, _waiting(notice, "still ")]
    if said := closer(situation.reason, notice.meaning, notice.detail):
        why = [stopped(f"Since {moment(situation.since)}: {said}")]
    else:
        why = [f"Since {moment(situation.since)}: {notice.meaning}.", stopped(notice.detail) if notice.detail else ""]
    to_do = f"What to do: {notice.what_to_do}" if notice.what_to_do else "Nobody needs to do anything."
    return [*why, _waiting(notice), to_do]


def mail_text(notice: Notice, *, test: bool = False) -> str:
    """The body of a mail."""
    about = (f"Connector: {notice.connector}", f"Noticed: {moment(notice.at)}", f"ID: {notice.id}")
    return "".join(f"{line}\n" for line in (*filter(None, sentences(notice, test=test)), "", *about))


def _waiting(notice: Notice, still: str = "") -> str:
    if not notice.batches:
        return "Nothing waits because of it any more." if still else ""
    what = f"{count(notice.mutations, 'mutation')} in {count(notice.batches, 'batch', 'batches')}"
    return f"{what} of {count(notice.audiences, 'audience')} {still}{'waits' if notice.mutations == 1 else 'wait'}."


def _for_chat(text: str) -> str:
    """Slack shows these three as they are only when they are written so, and takes them for orders otherwise; a partner's words
    may hold them (https://docs.slack.dev/messaging/formatting-message-text#escaping)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
