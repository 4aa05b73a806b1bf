"""A user given on the command line as the DMP would send it: one mutation, by the DMP's names of its fields."""

from __future__ import annotations

from typing import Any, NamedTuple

import click
import msgspec

from relay.domain.connector import Connector, InboundConnector
from relay.domain.errors import ConfigurationError
from relay.domain.message import Mutation

EXAMPLE = """'{"Email": "ann@example.com"}'"""


_NO_AUDIENCE = "(no audience)"
"""So that a user who comes without one can be read."""


class _JsonObject(click.ParamType[dict[str, Any]]):
    name = "JSON"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        try:
            given = msgspec.json.decode(str(value).encode())
        except (ValueError, RecursionError):  # text that is not UTF-8 and numbers that are too large among them
            self.fail(f"This is not valid JSON. A user looks like {EXAMPLE}.", param, ctx)
        if not isinstance(given, dict):
            self.fail(f"This must be one JSON object, such as {EXAMPLE}.", param, ctx)
        return given


user_option = click.option(
    "--user", "given", type=_JsonObject(), metavar="JSON", help=f"The user as the DMP sends it, such as {EXAMPLE}."
)


class GivenUser(NamedTuple):
    """A mutation as the receiver has read it. `audience`: the one that it names; empty if it names none. `own_direction`: whether
    it says itself if the user joined or left."""

    mutation: Mutation
    audience: str
    own_direction: bool


def read_user(given: dict[str, Any], connector: Connector) -> GivenUser:
    """Raises `ConfigurationError` where the receiver could not read it."""
    from handlers.inbound import CompiledInbound
    from handlers.mapp.reading import FromBody

    reader = CompiledInbound(InboundConnector(connector.name, connector.inbound)).reader
    ((audience, joined),) = reader.read([given], FromBody("joined", _NO_AUDIENCE))
    if joined.unreadable is not None:
        raise ConfigurationError(f"--user: {joined.unreadable}{_where_identifiers_are(connector, joined.unreadable)}")
    ((_, left),) = reader.read([given], FromBody("left", _NO_AUDIENCE))
    return GivenUser(joined, "" if audience == _NO_AUDIENCE else audience, joined.direction == left.direction)


def _where_identifiers_are(connector: Connector, reason: str) -> str:
    from handlers.mapp.field_names import DEFAULT_IDENTIFIERS, DEFAULT_USER
    from handlers.mapp.reading import NO_USER

    if reason != NO_USER:
        return ""
    fields = connector.inbound.fields
    user = DEFAULT_USER if fields.user is None else fields.user
    others = DEFAULT_IDENTIFIERS if fields.identifiers is None else fields.identifiers
    return f" {connector.name} reads identifiers from {', '.join([*user, *others])}."
