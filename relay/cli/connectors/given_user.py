"""A user given on the command line as the DMP would send it: one mutation, by the DMP's names of its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from relay.domain.connector import Connector
from relay.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from relay.operating.given_user import GivenUser

EXAMPLE = """'{"Email": "ann@example.com"}'"""


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


def read_user(given: dict[str, Any], connector: Connector) -> GivenUser:
    """Raises `ConfigurationError` where the receiver could not read it."""
    from relay.operating.given_user import read_user as read

    try:
        return read(given, connector)
    except ConfigurationError as error:
        raise ConfigurationError(f"--user: {error}") from None
