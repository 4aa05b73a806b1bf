"""The google back end: Pub/Sub, Firestore and Secret Manager through their official clients, Cloud Storage by HTTP.

Each part is imported and made when it is first used: the public receiver, which only publishes, loads neither Firestore nor
Secret Manager, and nothing connects before a server has forked.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from relay.backends.google.channels import Channels
from relay.configuration import Configuration
from relay.domain.clock import Clock
from relay.domain.connector import Retention
from relay.domain.errors import ConfigurationError, NotFound
from relay.domain.outcome import Rejection

if TYPE_CHECKING:
    from relay.backends.google.audiences import GoogleAudiences
    from relay.backends.google.audit import GoogleAudit
    from relay.backends.google.connectors import GoogleConnectors
    from relay.backends.google.documents import Documents, Write
    from relay.backends.google.drafts import GoogleDrafts
    from relay.backends.google.inbound import GoogleInbound
    from relay.backends.google.journal import GoogleJournal
    from relay.backends.google.publisher import GooglePublisher
    from relay.backends.google.queue import GoogleQueue
    from relay.backends.google.replies import GoogleReplies
    from relay.backends.google.reports import GoogleReports
    from relay.backends.google.secrets import GoogleSecrets
    from relay.backends.google.tokens import GoogleTokens
    from relay.backends.google.traces import GoogleTraces

__all__ = ["GoogleBackend"]


T = TypeVar("T")


class _Part(Generic[T]):
    """A part of the back end, made at its first use, by one thread."""

    def __init__(self, make: Callable[[GoogleBackend], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __get__(self, backend: GoogleBackend, _owner: type[GoogleBackend]) -> T:
        parts = backend.parts
        if self not in parts:
            with backend.making:
                if self not in parts:
                    parts[self] = self._make(backend)
        made: T = parts[self]
        return made


class GoogleBackend:
    """`interfaces.Backend` on Google Cloud. See `open`."""

    notices = None
    """Cloud Monitoring watches (deploy/monitoring)."""

    def __init__(self, configuration: Configuration, clock: Clock, chance: random.Random | None = None) -> None:
        self._configuration = configuration
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._channels = Channels(configuration)
        self.making = threading.RLock()
        self.parts: dict[object, Any] = {}

    @classmethod
    def open(cls, configuration: Configuration, clock: Clock) -> GoogleBackend:
        """The back end in the project that the configuration names. Neither connects nor starts a thread: servers fork after
        this. Raises `ConfigurationError` where no project is named."""
        if not configuration.google_cloud_project:
            raise ConfigurationError("BACKEND=google needs GOOGLE_CLOUD_PROJECT: the ID of the project that everything is in.")
        return cls(configuration, clock)

    @_Part
    def queue(self) -> GoogleQueue:
        """See `interfaces.PushQueue`."""
        from relay.backends.google.queue import GoogleQueue

        return GoogleQueue(self._channels, self._configuration, self._clock)

    @_Part
    def audiences(self) -> GoogleAudiences:
        """See `interfaces.Audiences`."""
        from relay.backends.google.audiences import GoogleAudiences

        return GoogleAudiences(self._documents, self._clock, self._rejection_writes)

    @_Part
    def connectors(self) -> GoogleConnectors:
        """See `interfaces.Connectors`."""
        from relay.backends.google.connectors import GoogleConnectors

        bucket = self._configuration.journal_bucket
        return GoogleConnectors(self._documents, self._clock, self.audiences, journal_bucket=bucket)

    @_Part
    def reports(self) -> GoogleReports:
        """See `interfaces.Reports`."""
        from relay.backends.google.reports import GoogleReports

        return GoogleReports(self._documents, self._clock, self._chance, self._retention_of)

    @_Part
    def tokens(self) -> GoogleTokens:
        """See `interfaces.Tokens`."""
        from relay.backends.google.tokens import GoogleTokens

        return GoogleTokens(self._documents, self._clock)

    @_Part
    def secrets(self) -> GoogleSecrets:
        """See `interfaces.Secrets`."""
        from relay.backends.google.secrets import GoogleSecrets

        return GoogleSecrets(self._channels, self._configuration, self._clock)

    @_Part
    def inbound(self) -> GoogleInbound:
        """See `interfaces.InboundStore`."""
        from relay.backends.google.inbound import GoogleInbound

        return GoogleInbound(self._channels, self._configuration)

    @_Part
    def audit(self) -> GoogleAudit:
        """See `interfaces.Audit`."""
        from relay.backends.google.audit import GoogleAudit

        return GoogleAudit(self._documents, self._clock)

    @_Part
    def journal(self) -> GoogleJournal:
        """See `interfaces.Journal`."""
        from relay.backends.google.journal import GoogleJournal

        return GoogleJournal(self._channels, self._configuration, self._clock)

    @_Part
    def traces(self) -> GoogleTraces:
        """See `interfaces.Traces`."""
        from relay.backends.google.traces import GoogleTraces

        return GoogleTraces(self._documents, self._clock, self.connectors, self.journal)

    @_Part
    def replies(self) -> GoogleReplies:
        """See `interfaces.Replies`."""
        from relay.backends.google.replies import GoogleReplies

        return GoogleReplies(self._documents)

    @_Part
    def drafts(self) -> GoogleDrafts:
        """See `interfaces.Drafts`."""
        from relay.backends.google.drafts import GoogleDrafts

        return GoogleDrafts(self._documents)

    @_Part
    def _documents(self) -> Documents:
        from relay.backends.google.documents import Documents

        return Documents(self._channels, self._configuration)

    def publisher(self) -> GooglePublisher:
        """A publisher for the receiver."""
        from relay.backends.google.publisher import GooglePublisher

        return GooglePublisher(self._channels, self._configuration, self._clock)

    def tidy(self) -> None:
        """See `interfaces.Backend.tidy`."""
        from relay.backends.google.tidying import Tidying

        Tidying(self._documents, self._clock, self._retention_of).tidy()

    def close(self) -> None:
        """Closes the connections. Publishers are closed before, by their users."""
        self._channels.close()

    def _rejection_writes(self, rejections: Sequence[Rejection]) -> list[Write]:
        return self.reports.rejection_writes(rejections)

    def _retention_of(self, connector: str) -> Retention:
        """How long the connector's live version keeps things; as by default where none is live."""
        try:
            live = self.connectors.state(connector).live
            versions = self.connectors.version(connector.partition("@")[0], live).connectors
        except NotFound:
            return Retention()
        return next((one.retention for one in versions if one.name == connector), Retention())
