"""What the rest of the project asks of a back end. Every back end passes the suite in `tests/contract/backends`.

All methods may raise `StoreUnavailable`. "Now" comes from the clock that the back end was opened with.
"""

from relay.backends.interfaces.audiences import Audiences, AudienceSummary, HoldSummary, Turn
from relay.backends.interfaces.audit import Audit, AuditEntry
from relay.backends.interfaces.backend import Backend
from relay.backends.interfaces.connectors import Connectors
from relay.backends.interfaces.credentials import InboundStore, SecretInfo, Secrets, Token, Tokens
from relay.backends.interfaces.drafts import Draft, Drafts
from relay.backends.interfaces.journal import Journal, Journaled, JournalSize
from relay.backends.interfaces.kept import ATTEMPTS_KEPT, AUDIT_KEPT_S, COUNTERS_KEPT_S, DRAFTS_KEPT_S, FAILED_ATTEMPTS_KEPT_S
from relay.backends.interfaces.notices import Notices
from relay.backends.interfaces.queue import Following, Leased, Publisher, PullQueue, PushQueue, Queue, QueueDepth
from relay.backends.interfaces.replies import Replies
from relay.backends.interfaces.reports import LATENCY_CLASSES_MS, RejectionCode, Reports, latency_class
from relay.backends.interfaces.traces import Forgotten, Found, Trace, Traces

__all__ = [
    "ATTEMPTS_KEPT",
    "AUDIT_KEPT_S",
    "COUNTERS_KEPT_S",
    "DRAFTS_KEPT_S",
    "FAILED_ATTEMPTS_KEPT_S",
    "LATENCY_CLASSES_MS",
    "AudienceSummary",
    "Audiences",
    "Audit",
    "AuditEntry",
    "Backend",
    "Connectors",
    "Draft",
    "Drafts",
    "Following",
    "Forgotten",
    "Found",
    "HoldSummary",
    "InboundStore",
    "Journal",
    "JournalSize",
    "Journaled",
    "Leased",
    "Notices",
    "Publisher",
    "PullQueue",
    "PushQueue",
    "Queue",
    "QueueDepth",
    "RejectionCode",
    "Replies",
    "Reports",
    "SecretInfo",
    "Secrets",
    "Token",
    "Tokens",
    "Trace",
    "Traces",
    "Turn",
    "latency_class",
]
