"""The embedded back end: one SQLite file and a few small ones in STATE_DIR; one machine, no account."""

from __future__ import annotations

import os
from pathlib import Path

from relay.backends.embedded.audiences import EmbeddedAudiences
from relay.backends.embedded.audit import EmbeddedAudit
from relay.backends.embedded.connectors import EmbeddedConnectors
from relay.backends.embedded.database import Database
from relay.backends.embedded.drafts import EmbeddedDrafts
from relay.backends.embedded.files import remove_leftovers
from relay.backends.embedded.inbound import EmbeddedInbound
from relay.backends.embedded.journal import EmbeddedJournal
from relay.backends.embedded.notices import EmbeddedNotices
from relay.backends.embedded.owners import Owners
from relay.backends.embedded.publisher import EmbeddedPublisher
from relay.backends.embedded.queue import LEASE_S, EmbeddedQueue
from relay.backends.embedded.replies import EmbeddedReplies
from relay.backends.embedded.reports import EmbeddedReports
from relay.backends.embedded.secrets import EmbeddedSecrets
from relay.backends.embedded.tidying import Tidying
from relay.backends.embedded.tokens import EmbeddedTokens
from relay.backends.embedded.traces import EmbeddedTraces
from relay.backends.interfaces import (
    Audiences,
    Audit,
    Connectors,
    Drafts,
    InboundStore,
    Journal,
    Notices,
    Replies,
    Reports,
    Secrets,
    Tokens,
    Traces,
)
from relay.domain.clock import Clock
from relay.domain.errors import ConfigurationError

__all__ = ["EmbeddedBackend"]

_DATABASE = "relay.db"
_SECRETS = "secrets"


class EmbeddedBackend:
    """`interfaces.Backend` on SQLite. See `open`."""

    queue: EmbeddedQueue
    audiences: Audiences
    connectors: Connectors
    reports: Reports
    replies: Replies
    tokens: Tokens
    secrets: Secrets
    inbound: InboundStore
    audit: Audit
    notices: Notices
    drafts: Drafts
    traces: Traces
    journal: Journal

    def __init__(self, state_dir: Path, clock: Clock, *, lease_s: float) -> None:
        self.database = Database(state_dir / _DATABASE)
        self._state_dir = state_dir
        self._clock = clock
        self._queue = EmbeddedQueue(self.database, Owners(state_dir / "workers"), clock, lease_s=lease_s)
        self.queue = self._queue
        self.audiences = EmbeddedAudiences(self.database, clock)
        self._journal = EmbeddedJournal(self.database)
        self.journal = self._journal
        self.connectors = EmbeddedConnectors(self.database, self._journal, clock)
        self.reports = EmbeddedReports(self.database)
        self.replies = EmbeddedReplies(self.database)
        self.tokens = EmbeddedTokens(self.database, clock)
        self.secrets = EmbeddedSecrets(state_dir / _SECRETS, clock)
        self.inbound = EmbeddedInbound(state_dir / "inbound.json")
        self.audit = EmbeddedAudit(self.database, clock)
        self.notices = EmbeddedNotices(self.database)
        self.drafts = EmbeddedDrafts(self.database)
        self.traces = EmbeddedTraces(self.database, clock)

    @classmethod
    def open(cls, state_dir: Path, clock: Clock, *, create: bool = True, lease_s: float = LEASE_S) -> EmbeddedBackend:
        """The back end whose state is in `state_dir`. Neither connects nor starts a thread: servers fork after this.

        create: makes what is not there, readable by its owner only. Otherwise, where there is no database, and where nothing can
        be made, raises `ConfigurationError`. lease_s: seconds for which a message that was taken belongs to its taker.
        """
        absolute = state_dir.absolute()
        database = absolute / _DATABASE
        if create:
            try:
                absolute.mkdir(mode=0o700, parents=True, exist_ok=True)
                (absolute / _SECRETS).mkdir(mode=0o700, exist_ok=True)
                os.close(os.open(database, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            except OSError as error:
                raise ConfigurationError(f"STATE_DIR {absolute} cannot be used: {error.strerror}.") from error
        elif not database.is_file():
            raise ConfigurationError(
                f"There is no state in {absolute} (STATE_DIR): `make run` or `diy connectors apply` makes one."
            )
        return cls(absolute, clock, lease_s=lease_s)

    def publisher(self) -> EmbeddedPublisher:
        """A publisher for the receiver, with a thread of its own from its first publish on."""
        return EmbeddedPublisher(self.database, self._clock)

    def tidy(self) -> None:
        """See `interfaces.Backend.tidy`."""
        Tidying(self.database, self._journal, self._clock).tidy()
        for directory in (self._state_dir, self._state_dir / _SECRETS):
            if directory.is_dir():
                remove_leftovers(directory)

    def close(self) -> None:
        """Closes connections and gives up what this process still has leased. Publishers are closed before, by their users."""
        self._queue.close()
        self.database.close()
