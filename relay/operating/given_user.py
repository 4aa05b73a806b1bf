"""A user who is tried out: given as the DMP would send it, or made up."""

from __future__ import annotations

from typing import Any, NamedTuple

from handlers.inbound import CompiledInbound
from handlers.mapp.field_names import DEFAULT_IDENTIFIERS, DEFAULT_USER
from handlers.mapp.reading import NO_USER, FromBody
from relay.domain.connector import Connector, InboundConnector
from relay.domain.errors import ConfigurationError
from relay.domain.message import Mutation
from relay.domain.outcome import hash_user

_SAMPLE_EMAIL = "sample@example.com"
_SAMPLE_PHONE = "+15555550100"

SAMPLE_USER = {
    "id": "sample-user",
    "email": _SAMPLE_EMAIL,
    "email_sha256": hash_user(_SAMPLE_EMAIL),
    "phone": _SAMPLE_PHONE,
    "phone_sha256": hash_user(_SAMPLE_PHONE),
    "idfa": "00000000-0000-4000-8000-000000000001",
    "gaid": "00000000-0000-4000-8000-000000000002",
    "cookie_id": "sample-cookie",
}
"""Nobody. Every canonical identifier is there, so that any mapping has something to show."""

SAMPLE_AUDIENCE = "a000000000sample.100000000000000001"
"""Has the form of the DMP's, and is none."""

SAMPLE_NAME = "Sample audience"

_NO_AUDIENCE = "(no audience)"
"""So that a user who comes without one can be read."""


class GivenUser(NamedTuple):
    """A mutation as the receiver has read it. `audience`: the one that it names; empty if it names none. `own_direction`: whether
    it says itself if the user joined or left."""

    mutation: Mutation
    audience: str
    own_direction: bool


def read_user(given: dict[str, Any], connector: Connector) -> GivenUser:
    """One entry of the DMP's request. Raises `ConfigurationError` where the receiver could not read it."""
    reader = CompiledInbound(InboundConnector(connector.name, connector.inbound)).reader
    ((audience, joined),) = reader.read([given], FromBody("joined", _NO_AUDIENCE))
    if joined.unreadable is not None:
        raise ConfigurationError(f"{joined.unreadable}{_where_identifiers_are(connector, joined.unreadable)}")
    ((_, left),) = reader.read([given], FromBody("left", _NO_AUDIENCE))
    return GivenUser(joined, "" if audience == _NO_AUDIENCE else audience, joined.direction == left.direction)


def _where_identifiers_are(connector: Connector, reason: str) -> str:
    if reason != NO_USER:
        return ""
    fields = connector.inbound.fields
    user = DEFAULT_USER if fields.user is None else fields.user
    others = DEFAULT_IDENTIFIERS if fields.identifiers is None else fields.identifiers
    return f" {connector.name} reads identifiers from {', '.join([*user, *others])}."
