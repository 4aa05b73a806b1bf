"""A back end: all of its parts."""

from __future__ import annotations

from typing import Protocol

from relay.backends.interfaces.audiences import Audiences
from relay.backends.interfaces.audit import Audit
from relay.backends.interfaces.connectors import Connectors
from relay.backends.interfaces.credentials import InboundStore, Secrets, Tokens
from relay.backends.interfaces.drafts import Drafts
from relay.backends.interfaces.journal import Journal
from relay.backends.interfaces.notices import Notices
from relay.backends.interfaces.queue import Publisher, Queue
from relay.backends.interfaces.replies import Replies
from relay.backends.interfaces.reports import Reports
from relay.backends.interfaces.traces import Traces


class Backend(Protocol):
    """All of it. Opening a back end is cheap; each part connects when it is first used."""

    @property
    def queue(self) -> Queue: ...

    @property
    def audiences(self) -> Audiences: ...

    @property
    def connectors(self) -> Connectors: ...

    @property
    def reports(self) -> Reports: ...

    @property
    def replies(self) -> Replies: ...

    @property
    def tokens(self) -> Tokens: ...

    @property
    def secrets(self) -> Secrets: ...

    @property
    def inbound(self) -> InboundStore: ...

    @property
    def audit(self) -> Audit: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def notices(self) -> Notices | None:
        """None where another service watches the connectors, and a document may not ask for notices."""
        ...

    @property
    def drafts(self) -> Drafts: ...

    @property
    def traces(self) -> Traces: ...

    def publisher(self) -> Publisher: ...

    def tidy(self) -> None:
        """Deletes records whose age has passed: rejections and the journal (each connector's retention), attempts, counters (40
        days), audit (400 days), drafts (90 days), and versions that were never published (90 days; the newest version of a
        document stays). Held batches are the worker's to retire, since they become rejections."""
        ...

    def close(self) -> None: ...
