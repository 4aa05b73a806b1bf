"""What the receiver knows of its connectors: the inbound document, kept in memory and read again off the request path."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from handlers.mapp.reading import MutationReader
from relay.configuration import LOCAL_SECRETS
from relay.domain.clock import Clock, SystemClock
from relay.domain.connector import VERSION, Inbound, InboundConnector, InboundDocument
from relay.domain.credentials import is_user_and_password
from relay.domain.errors import NotFound, StoreUnavailable
from relay.wide_log import log

if TYPE_CHECKING:
    from relay.backends.interfaces import InboundStore

_LOCAL_VALUES = frozenset(LOCAL_SECRETS.values())

FIRST_READ_PAUSE_S = 1.0
"""As long as there is no copy at all, requests try to read at most this often; in between they are told to come again."""


class CompiledInbound:
    """One connector as the receiver uses it; everything that can be computed before a request comes is computed here.

    hmac_keys      the live HMAC secrets, as bytes; empty: nothing can be authentic
    basic_digests  SHA-256 of the live Basic credentials (`user:password`, both given), so that comparing them takes the same
                   time whatever their length
    local_only     one of its live secrets is among the printed ones of a local run
    reader         how its mutations are read
    """

    __slots__ = ("basic_digests", "hmac_keys", "inbound", "local_only", "name", "reader")

    def __init__(self, connector: InboundConnector) -> None:
        self.name = connector.name
        self.inbound: Inbound = connector.inbound
        # An empty secret would make every request authentic that was signed with nothing.
        self.hmac_keys: tuple[bytes, ...] = tuple(secret.encode() for secret in connector.hmac_secrets if secret)
        self.basic_digests: tuple[bytes, ...] = tuple(
            hashlib.sha256(pair.encode()).digest() for pair in connector.basic_credentials if is_user_and_password(pair)
        )
        self.local_only = not _LOCAL_VALUES.isdisjoint((*connector.hmac_secrets, *connector.basic_credentials))
        self.reader = MutationReader(connector.inbound)


class InboundView:
    """The connectors by name, from the last good copy of the inbound document.

    The document is read at the first use; from then on a daemon thread asks the store every `reread_s` seconds whether it has
    changed. The thread is started once in each process, so that servers may load the program and fork.
    """

    def __init__(self, store: InboundStore, *, reread_s: float, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or SystemClock()
        self._reread_s = reread_s
        self._known: _Known | None = None
        self._failing = False
        self._first_try_at: float | None = None
        self._stops: dict[int, threading.Event] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._closed = False

    def connector(self, name: str) -> CompiledInbound | None:
        """The connector of that name, the default one for the empty name, None if there is none.

        Raises `StoreUnavailable` as long as the document could never be read.
        """
        if os.getpid() not in self._stops:
            self._watch()
        known = self._known
        if known is None:
            known = self._read_first()
        return known.connectors.get(name or known.default)

    def close(self) -> None:
        """Ends the thread; the last copy stays usable."""
        self._closed = True
        stop = self._stops.get(os.getpid())
        thread = self._threads.get(os.getpid())
        if stop is not None:
            stop.set()
        if thread is not None:
            thread.join(timeout=5)

    def _read_first(self) -> _Known:
        now = self._clock.monotonic()
        if self._first_try_at is None or now - self._first_try_at >= FIRST_READ_PAUSE_S:
            self._first_try_at = now
            self._reread()
        if self._known is None:
            raise StoreUnavailable("The connectors cannot be read at the moment.")
        return self._known

    def _watch(self) -> None:
        stop = threading.Event()
        # One dictionary operation decides who starts the thread; no lock, since one that was held at a fork stays held.
        if self._stops.setdefault(os.getpid(), stop) is not stop or self._closed:
            return
        thread = threading.Thread(target=self._keep_rereading, args=(stop,), name="inbound-document", daemon=True)
        self._threads[os.getpid()] = thread
        thread.start()

    def _keep_rereading(self, stop: threading.Event) -> None:
        while not stop.wait(self._reread_s):
            # Without this thread no rotated secret would ever take effect again, and nobody would be told.
            with suppress(Exception):
                self._reread()

    def _reread(self) -> None:
        """Takes over a changed document. Whatever goes wrong (it was deleted, too), the last good copy stays, and the first
        failure is logged."""
        try:
            mark = self._store.changed()  # before reading: a change in between is found the next time
            if self._known is None or mark != self._known.mark:
                document = self._store.read()
                if document is None and self._known is not None and self._known.written:
                    raise NotFound("The inbound document is gone.")
                self._known = _Known(document, mark)
        except Exception as error:
            if not self._failing:
                log("inbound_unreadable", "ERROR", exception=type(error).__name__, copy_kept=self._known is not None)
            self._failing = True
        else:
            if self._failing:
                log("inbound_readable_again")
            self._failing = False


class _Known:
    """A good copy. `mark`: what the store's `changed` said for it. `written`: there was a document at all."""

    __slots__ = ("connectors", "default", "mark", "written")

    def __init__(self, document: InboundDocument | None, mark: object) -> None:
        self.mark = mark
        self.written = document is not None
        self.default = document.default if document is not None else ""
        connectors = document.connectors if document is not None else ()
        if document is not None and document.version > VERSION:
            raise StoreUnavailable(f"The inbound document was written as version {document.version}; this reads {VERSION}.")
        self.connectors: Mapping[str, CompiledInbound] = {each.name: CompiledInbound(each) for each in connectors}
