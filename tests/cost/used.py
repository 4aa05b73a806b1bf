"""What a piece of work used of Google's services, as they bill it."""

from __future__ import annotations

import msgspec


class Used(msgspec.Struct, frozen=True):
    """Counts of one piece of work.

    publish_calls      calls of Pub/Sub's Publish
    messages, pushes   messages in them, and messages pushed
    throughput         bytes that Pub/Sub bills for both; at least 1,000 for each call and each push
    firestore_calls    round trips to Firestore
    reads, writes, deletes  documents
    expiring           documents that Firestore deletes later, when their time has come: each is one more delete
    accesses, lookups  Secret Manager: values (billed), and secrets without their values (not billed, a quota of their own)
    partner_calls      calls that the partner got
    """

    publish_calls: int = 0
    messages: int = 0
    pushes: int = 0
    throughput: int = 0
    firestore_calls: int = 0
    reads: int = 0
    writes: int = 0
    deletes: int = 0
    expiring: int = 0
    accesses: int = 0
    lookups: int = 0
    partner_calls: int = 0
