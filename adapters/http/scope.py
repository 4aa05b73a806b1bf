"""What templates see: the values, and the names by which they are known before there are values."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from adapters.contract import Row, Target
from adapters.http.filters import Room
from adapters.http.grammar import Names
from adapters.http.templates import Placeholder
from adapters.partner import AUDIENCE
from relay.domain.clock import Clock
from relay.domain.malformed import Malformed
from relay.expressions.times import rfc3339_of_epoch

_CALL_IDS = uuid.UUID("0d1c8f2e-52b4-5e0e-9b0a-6f0f0f0a8c11")
"""Name space of the UUIDs of calls."""

NEW_AUDIENCE = ("id", "name", "reference")
"""What is known of an audience that is to be made or found."""

KNOWN_AUDIENCE = (*NEW_AUDIENCE, "partner_id")


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class Scope(msgspec.Struct, frozen=True):
    """`context`: what every template of a request sees. `rows`: what those that are filled once for each user see beside it.
    `room`: what there is room for in the request that is being filled."""

    context: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...] = ()
    room: Room = msgspec.field(default_factory=Room)

    def having(self, **more: Any) -> Scope:
        """The same, and these values, for another request."""
        return Scope({**self.context, **more}, self.rows)

    def of_each(self) -> Iterator[Scope]:
        """The same for each user."""
        return (Scope({**self.context, **row}, self.rows, self.room) for row in self.rows)


class Values(dict[str, Any]):
    """Of a row: what it has. Fields that it does not have are null, and not among its members."""

    def __init__(self, values: Mapping[str, Any], fields: Collection[str]) -> None:
        super().__init__(values)
        self._fields = fields

    def __missing__(self, name: str) -> None:
        if name not in self._fields:
            raise KeyError(name)


def name_in_templates(value: object) -> str:
    """Reads a name that templates can use."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise Malformed("A name here has letters, digits and underscores, at most 63, and does not begin with a digit.")
    return value


def general_names(parameters: Mapping[str, Any], **more: Names | None) -> Names:
    """What templates everywhere know, and these names."""
    return {"parameters": dict.fromkeys(parameters), "now": None, **more}


def with_rows(names: Names, fields: Collection[str], *, single: bool) -> Names:
    """The names, and those for users. `single`: a call carries one."""
    of_rows: Names = {"rows": None, "call_id": None}
    return {**names, **of_rows, **(of_one(fields) if single else {})}


def of_one(fields: Collection[str]) -> Names:
    """Names for one user; `fields` empty: they could not be read."""
    return {"row": dict.fromkeys(fields) or None, "event_id": None, "received_at": None}


def general(parameters: Mapping[str, Any], clock: Clock, **more: Any) -> Scope:
    """The values behind `general_names`."""
    return Scope({"parameters": parameters, "now": rfc3339_of_epoch(clock.now()), **more})


def of_rows(scope: Scope, rows: Sequence[Row], fields: Collection[str], *, single: bool) -> Scope:
    """The values behind `with_rows`."""
    moments = {at: rfc3339_of_epoch(at) for at in {row.at for row in rows}}  # those of one message have the same
    event_ids = [row.event_id for row in rows]
    each = tuple(
        {"row": Values(row.values, fields), "event_id": event_id, "received_at": moments[row.at]}
        for row, event_id in zip(rows, event_ids, strict=True)
    )
    call_id = uuid.uuid5(_CALL_IDS, "\n".join(event_ids))
    together = {"rows": [one["row"] for one in each], "call_id": str(call_id)}
    return Scope({**scope.context, **together, **(each[0] if single else {})}, each)


def of_target(target: Target) -> dict[str, Any]:
    """`audience`, with a placeholder where the partner has none yet."""
    partner_id = target.partner_id or Placeholder(AUDIENCE)
    return {"id": target.id, "name": target.name, "reference": target.reference, "partner_id": partner_id}


def of_new(name: str, reference: str) -> dict[str, Any]:
    """`audience`, of one that is to be made. Its reference is the connector's name and its ID."""
    return {"id": reference.partition("/")[2], "name": name, "reference": reference}
