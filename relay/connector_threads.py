"""Threads beside an event loop, so many for each connector."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_THREADS_EACH = 8


class ConnectorThreads:
    """Each connector has threads of its own: a partner that does not answer keeps those of its connector busy, and nobody else's.
    Used on one event loop. The connectors are ones that exist: their threads are kept."""

    def __init__(self, purpose: str) -> None:
        """purpose: how the threads are named."""
        self._purpose = purpose
        self._threads: dict[str, ThreadPoolExecutor] = {}

    async def run(self, connector: str, work: Callable[[], T]) -> T:
        """What `work` returns or raises. It goes on where nobody waits for it any more."""
        threads = self._threads.get(connector)
        if threads is None:
            threads = ThreadPoolExecutor(_THREADS_EACH, thread_name_prefix=f"{self._purpose}-{connector}")
            self._threads[connector] = threads
        return await asyncio.get_running_loop().run_in_executor(threads, work)
