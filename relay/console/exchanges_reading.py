"""What went to the partner in an attempt and what came back, as the attempt's page shows it: masked, and said to be."""

from __future__ import annotations

from typing import Any

import msgspec

from relay.console.happened import took
from relay.domain.exchange import Content, Exchange, Exchanges

NOT_KEPT = (
    "What was sent and answered is not kept of this attempt: it is older than this part of the program, or there have been 1,000 "
    "more of this connector since."
)


class Side(msgspec.Struct, frozen=True):
    """What was sent, or answered. text: to be shown as it is; empty where there was none, or it is not kept (`note`)."""

    text: str
    note: str


class ShownExchange(msgspec.Struct, frozen=True):
    """One of them. sentence: what it was and what came of it. users: the number in it, the DMP's request, the place there."""

    sentence: str
    sent: Side
    answered: Side
    users: tuple[tuple[int, str, int], ...]


class ShownExchanges(msgspec.Struct, frozen=True):
    """Those of an attempt. left_out: how many more there were; note: why there are none."""

    exchanges: tuple[ShownExchange, ...] = ()
    left_out: int = 0
    note: str = ""


def shown_exchanges(exchanges: Exchanges | None, *, calls: int) -> ShownExchanges:
    """calls: how many the attempt made."""
    if exchanges is None:
        return ShownExchanges(note=NOT_KEPT if calls else "")
    return ShownExchanges(tuple(_shown(one) for one in exchanges.kept), exchanges.left_out)


def _shown(one: Exchange) -> ShownExchange:
    return ShownExchange(
        sentence=_sentence(one),
        sent=_side(f"{one.method} {one.url}", one.sent_headers, one.sent),
        answered=_side(f"Status {one.status}" if one.status else "", one.answered_headers, one.answered),
        users=tuple((number, request_id, place) for number, (request_id, place) in enumerate(one.users, 1)),
    )


def _sentence(one: Exchange) -> str:
    whom = f" for {one.items:,} user{'' if one.items == 1 else 's'}" if one.items else ""
    what = f"{one.operation.replace('_', ' ').capitalize()}{whom}" if one.operation else "A call before any user was sent"
    if one.status:
        return f"{what}: the partner answered {one.status} after {took(one.duration_ms)}."
    return f"{what}: no answer after {took(one.duration_ms)} ({one.problem.replace('_', ' ')})."


def _side(first: str, headers: dict[str, str], content: Content) -> Side:
    head = [first, *(f"{name}: {value}" for name, value in headers.items())] if first else []
    body = _body(content)
    size = f"{content.size:,} bytes. " if content.size and content.note else ""
    return Side("\n".join([*head, *(["", body] if body else [])]), f"{size}{content.note}")


def _body(content: Content) -> str:
    if not content.masked:
        return ""
    if content.kind == "csv":
        return "\n".join(_line(line) for line in msgspec.json.decode(content.masked))
    return msgspec.json.format(content.masked, indent=2)


def _line(line: Any) -> str:
    return ", ".join(str(cell) for cell in line) if isinstance(line, list) else str(line)
