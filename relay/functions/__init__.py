"""What stands behind each function of `main.py`: the parts put together, each process loading only its own."""

from __future__ import annotations

import sys

import relay.configuration
from relay.backends import open_backend
from relay.domain.errors import ConfigurationError
from relay.functions.creating import create
from relay.functions.delivering import deliver
from relay.functions.feeding import feed, load_feeds_ahead
from relay.functions.operating import console
from relay.functions.receiving import load_ahead, receive
from relay.functions.ticking import tick

__all__ = ["begin", "console", "create", "deliver", "feed", "receive", "tick"]


def begin() -> None:
    """Before the process serves a function. Ends it with one clear line if it cannot run as configured, or if there is no state
    to work on."""
    try:
        configuration = relay.configuration.read()
        if configuration.function == "console":
            relay.configuration.refuse_known_console_password(configuration)
            _check_roles(configuration.console_roles)
        if configuration.function == "external_feed":
            relay.configuration.refuse_open_feeds(configuration)
        open_backend(configuration, create=False)
        if configuration.function == "diy":
            load_ahead()
        if configuration.function == "external_feed":
            load_feeds_ahead()
    except ConfigurationError as error:
        sys.exit(f"diy-relay: {error}")


def _check_roles(text: str) -> None:
    from relay.console.roles import RoleList

    RoleList(text)
