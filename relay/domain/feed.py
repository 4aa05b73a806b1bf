"""A feed of the second source (mediarithmics) as a use of a connector: what it may choose, and what it chose."""

from __future__ import annotations

from typing import Any

import msgspec

LOGINS = "login."
"""How the names of all logins' tokens begin."""


class Use(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an audience uses its connector, where not as the document says. Kept in the audience's record.

    feed      the feed's ID at the source
    settings  settings of the adapter that the feed sets itself, by field name
    login     name of the feed's own access to the partner (see `worker.logins`); empty: the connector's
    """

    feed: str
    settings: dict[str, Any] = {}
    login: str = ""

    @property
    def in_words(self) -> str:
        """For an operator; of the settings only the names."""
        its_own = [*([f"settings of its own: {', '.join(sorted(self.settings))}"] if self.settings else [])]
        its_own += ["a login of its own"] if self.login else []
        return f"{self.feed}, with {' and '.join(its_own)}" if its_own else self.feed


def logins_of(connector: str) -> str:
    """How the names of all tokens of a connector's logins begin. Names of connectors have no dots."""
    return f"{LOGINS}{connector}."


class FeedRow(msgspec.Struct, frozen=True):
    """What an action makes of a mutation. mapped: the partner's fields, as the mapping gives them; prepared: as the partner wants
    them."""

    mapped: dict[str, Any]
    prepared: dict[str, Any]


class OfferedSetting(msgspec.Struct, frozen=True):
    """A setting that a feed may set. choices: the values that are allowed; empty: any. dynamic: the partner is asked for them."""

    name: str
    title: str
    required: bool = False
    choices: tuple[str, ...] = ()
    dynamic: bool = False


class Offered(msgspec.Struct, frozen=True):
    """A live connector as feeds may use it.

    audience_id   whose ID audiences have here: see `domain.connector.Inbound`
    journal_days  see `domain.message.Message`
    settings      those that a feed may set
    connectable   somebody can allow the access in a browser
    columns       action → its partner fields, in the order of the document
    realms        the realms of which mappings use `agent.<realm>`
    running       it is switched on and not paused
    missing       sentences about what it lacks; while there are any, or it is not running, nothing is delivered
    """

    name: str
    title: str
    audience_id: str
    journal_days: int = 0
    settings: tuple[OfferedSetting, ...] = ()
    connectable: bool = False
    columns: dict[str, tuple[str, ...]] = {}
    realms: tuple[str, ...] = ()
    running: bool = True
    missing: tuple[str, ...] = ()
