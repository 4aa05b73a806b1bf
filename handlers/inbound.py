"""What the receiver knows of its connectors: the inbound document, kept in memory and read again off the request path."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

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

FIRST_READ_WAIT_S = 5.0
"""They wait so long for the first copy, which a client may have to be connected for."""

REREAD_WAIT_S = 0.5
"""So long a request that would be refused waits for a newer copy."""


_views: WeakSet[InboundView] = WeakSet()


def _forget_threads() -> None:
    for view in _views:
        view.after_fork_in_child()


os.register_at_fork(after_in_child=_forget_threads)


class CompiledInbound:
    """One connector as the receiver uses it; everything that can be computed before a request comes is computed here.

    hmac_keys      the live HMAC secrets, as bytes; empty: nothing can be authentic
    basic_digests  SHA-256 of the live Basic credentials (`user:password`, both given), so that comparing them takes the same
                   time whatever their length
    basic_headers  SHA-256 of the headers `Authorization` by which nearly everybody sends them
    local_only     one of its live secrets is among the printed ones of a local run
    reader         how its mutations are read
    journal_days   days for which its accepted batches are kept to be sent again
    """

    __slots__ = ("basic_digests", "basic_headers", "hmac_keys", "inbound", "journal_days", "local_only", "name", "reader")

    def __init__(self, connector: InboundConnector) -> None:
        self.name = connector.name
        self.inbound: Inbound = connector.inbound
        # An empty secret would make every request authentic that was signed with nothing.
        self.hmac_keys: tuple[bytes, ...] = tuple(secret.encode() for secret in connector.hmac_secrets if secret)
        pairs = [pair.encode() for pair in connector.basic_credentials if is_user_and_password(pair)]
        self.basic_digests: tuple[bytes, ...] = tuple(hashlib.sha256(pair).digest() for pair in pairs)
        self.basic_headers: tuple[bytes, ...] = tuple(
            hashlib.sha256(b"Basic " + base64.b64encode(pair)).digest() for pair in pairs
        )
        self.local_only = not _LOCAL_VALUES.isdisjoint((*connector.hmac_secrets, *connector.basic_credentials))
        self.reader = MutationReader(connector.inbound)
        self.journal_days = connector.journal_days


class InboundView:
    """The connectors by name, from the last good copy of the inbound document.

    A daemon thread asks the store whether it has changed: for the first request, then every `reread_s` seconds, and when a
    request would be refused by an older copy (`reread`). It is started once in each process, so that servers may load the program
    and fork.
    """

    def __init__(self, store: InboundStore, *, reread_s: float, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or SystemClock()
        self._reread_s = reread_s
        self._known: _Known | None = None
        self._looked_at: float | None = None
        self._failing = False
        self._watches: dict[int, _Watch] = {}
        self._own: _Watch | None = None
        """The one of this process, once it runs: to ask for the process's ID is a system call."""
        _views.add(self)
        self._closed = False

    async def connector(self, name: str) -> CompiledInbound | None:
        """The connector of that name, the default one for the empty name, None if there is none. Waits only for the first copy.

        Raises `StoreUnavailable` as long as the document could never be read.
        """
        watch = self._watching()
        if self._known is None:
            await self._ask(watch, pause_s=FIRST_READ_PAUSE_S, wait_s=FIRST_READ_WAIT_S)
        known = self._known
        if known is None:
            raise StoreUnavailable("The connectors cannot be read at the moment.")
        return known.connectors.get(name or known.default)

    def latest(self, name: str) -> CompiledInbound | None:
        """The same from the copy that is there, without waiting for anything; None as well as long as there is none."""
        self._watching()
        known = self._known
        return None if known is None else known.connectors.get(name or known.default)

    def is_due(self) -> bool:
        """Whether the copy is old enough for `reread` to look at the document."""
        return self._looked_at is None or self._clock.monotonic() - self._looked_at >= self._reread_s

    async def reread(self) -> None:
        """Has the document looked at again where the copy is older than `reread_s`, and waits for that, within bounds: for a
        request that would else be refused by what was true before.

        The thread may have had no processor since the last request: Cloud Run takes it away in between
        (https://cloud.google.com/run/docs/configuring/billing-settings). Those who are refused again and again cause one look in
        `reread_s` seconds, all of them together, and wait for no other.
        """
        if self.is_due():
            await self._ask(self._watching(), pause_s=self._reread_s, wait_s=REREAD_WAIT_S)

    def read_ahead(self) -> None:
        """Reads the document in this thread, before the first request. No thread starts, so that a server may fork afterwards;
        what the reading connects to is the store's matter. A failure is logged, and the first request tries again."""
        self._look()

    def close(self) -> None:
        """Ends the thread; the last copy stays usable."""
        self._closed = True
        watch = self._watches.get(os.getpid())
        if watch is not None:
            watch.ended = True
            watch.woken.set()
            if watch.thread.is_alive():
                watch.thread.join(timeout=5)

    async def _ask(self, watch: _Watch, *, pause_s: float, wait_s: float) -> None:
        """Has the thread look now, unless somebody asked for it less than `pause_s` ago; waits until it has, `wait_s` from when
        it was asked at most."""
        if self._closed:
            return
        now = self._clock.monotonic()
        if watch.asked is None or watch.asked.done():
            if watch.asked is not None and now - watch.asked_at < pause_s:
                return
            watch.asked, watch.asked_at = Future(), now
            watch.woken.set()
        left = watch.asked_at + wait_s - now
        if left > 0:
            await asyncio.wait([asyncio.wrap_future(watch.asked)], timeout=left)

    def _watching(self) -> _Watch:
        """This process's watch, whose thread runs."""
        if self._own is not None:
            return self._own
        made = _Watch(self._keep_looking)
        # One dictionary operation decides who starts the thread; no lock, since one that was held at a fork stays held.
        watch = self._watches.setdefault(os.getpid(), made)
        if watch is made and not self._closed:
            watch.thread.start()
        self._own = watch
        return watch

    def after_fork_in_child(self) -> None:
        """The thread is not here."""
        self._own = None

    def _keep_looking(self, watch: _Watch) -> None:
        while True:
            watch.woken.wait(self._reread_s)
            watch.woken.clear()
            if watch.ended:
                return
            asked = watch.asked  # before looking: who asks from now on may not be content with this look
            # Without this thread no rotated secret would ever take effect again, and nobody would be told.
            with suppress(Exception):
                self._look()
            if asked is not None and not asked.done():
                asked.set_result(None)

    def _look(self) -> None:
        """Takes over a changed document. Whatever goes wrong (it was deleted, too), the last good copy stays, and the first
        failure is logged."""
        began = self._clock.monotonic()  # not when it ended: in between the processor may be gone for long
        try:
            mark = self._store.changed()  # before reading: a change in between is found the next time
            if self._known is None or mark != self._known.mark:
                document = self._store.read()
                if document is None and self._known is not None and self._known.written:
                    raise NotFound("The inbound document is gone.")
                self._known = _Known(document, mark)
            self._looked_at = began
        except Exception as error:
            if not self._failing:
                log("inbound_unreadable", "ERROR", exception=type(error).__name__, copy_kept=self._known is not None)
            self._failing = True
        else:
            if self._failing:
                log("inbound_readable_again")
            self._failing = False


class _Watch:
    """The thread of one process that looks at the document.

    woken     it is to look now, or to end
    asked     done when it has looked after having been asked; None if it never was
    asked_at  monotonic seconds
    """

    __slots__ = ("asked", "asked_at", "ended", "thread", "woken")

    def __init__(self, keep_looking: Callable[[_Watch], None]) -> None:
        self.woken = threading.Event()
        self.ended = False
        self.asked: Future[None] | None = None
        self.asked_at = 0.0
        self.thread = threading.Thread(target=keep_looking, args=(self,), name="inbound-document", daemon=True)


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
