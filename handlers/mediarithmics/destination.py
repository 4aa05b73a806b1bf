"""What the feeds' function asks of connectors and partners: the interface that the composition root fills in (`worker.feeds`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from relay.domain.feed import FeedRow, Offered, Use
from relay.domain.message import Message


class Destination(Protocol):
    """Connectors as destinations of feeds. All methods block, and are called in threads; each may raise `StoreUnavailable`.

    connector  name of one; `NotFound` if it does not exist or no version of it is live
    audience   our ID of it, `mics.<datamart>.<segment>`
    """

    def connectors(self) -> list[Offered]:
        """All that are live, the default one first, then by name."""
        ...

    def offered(self, connector: str) -> Offered:
        """That one, as it is by now or was a few seconds ago."""
        ...

    def check(self, connector: str, use: Use) -> None:
        """Raises `DocumentError`, with the names of settings as paths, where the feed sets what it may not, or what the adapter
        does not understand."""
        ...

    def key_of(self, connector: str, audience: str) -> str | None:
        """Under which ID the audience is queued: its own, or in the mode `partner` the partner's; None there until it exists."""
        ...

    def agree(self, connector: str, audience: str, use: Use) -> None:
        """The audience is used so: as its record says, or, where that says nothing or is this feed's own, from now on. Raises
        `UsedOtherwise`: nothing may be delivered in another feed's way."""
        ...

    def rows(self, connector: str, use: Use, message: Message, *, handed_out: bool = False) -> list[dict[str, FeedRow]]:
        """For each of the message's mutations, in order: action → the row for the partner; nothing where no mapping accepts it.
        Calls nobody. handed_out: the platform gets them, so that nothing may be missing in them: `AudienceNotReady` where they
        need the partner's ID of the audience and there is none."""
        ...

    def create(
        self, connector: str, audience: str, use: Use, *, name: str, request_id: str, instead_of: str = ""
    ) -> None:
        """The audience exists at the partner and is used so from now on; the same call again finds it. It need not take members
        yet.

        Raises what `handlers.creation.Creator.create` does, and `UsedOtherwise` where another feed uses it otherwise,
        unless that is `instead_of`, which is gone at the source.
        """
        ...

    def require_ready(self, connector: str, audience: str, use: Use) -> None:
        """Returns once members can be sent; makes the audience at the partner where that has not happened yet. Raises
        `AudienceNotReady`, `NotFound` for an audience that was never announced, and what `create` does."""
        ...

    def look_at(self, connector: str, audience: str) -> Mapping[str, Any]:
        """What was received, what is stored and what the partner has: JSON, without an identifier in clear."""
        ...

    def options(self, connector: str, use: Use, field: str) -> list[tuple[str, str]]:
        """(value, label) of what this setting can be, given those that are set; asks the partner. Raises the `PartnerError`s."""
        ...

    def check_credentials(self, connector: str, use: Use, given: Mapping[str, str]) -> None:
        """Returns if the partner accepts the credentials: the connector's or the login's, with the `given` ones (secret field →
        value) in their place. Raises the `PartnerError`s."""
        ...

    def login_address(self, connector: str, *, redirect_uri: str, state: str, verifier: str) -> str:
        """Where somebody allows the access in a browser (PKCE, RFC 7636). Raises `Unsupported` where nobody has to."""
        ...

    def connect(self, connector: str, login: str, *, code: str, redirect_uri: str, verifier: str) -> str:
        """Exchanges the code and stores what comes of it under this login; returns the refresh token, empty if there is none.
        Raises the `PartnerError`s."""
        ...

    def adopt(self, connector: str, login: str, refresh_token: str) -> None:
        """Stores a refresh token that the platform keeps, unless there is one."""
        ...

    def is_connected(self, connector: str, login: str) -> bool:
        """Whether there is a token for this login."""
        ...

    def disconnect(self, login: str) -> None:
        """Forgets the tokens of this login, whatever connector they are for."""
        ...
