"""Where the calls that block are made: the gateway's, the partners' by connector, and the store's apart from each other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from relay.connector_threads import ConnectorThreads

T = TypeVar("T")

_GATEWAY = 128
"""They do nothing but wait, and each feed that is new to a process needs five answers."""

_STORE = 16
_READING = 2


class Threads:
    """Bounded pools: a gateway or a partner that does not answer keeps its own threads busy, and nobody else's."""

    def __init__(self) -> None:
        self._gateway = ThreadPoolExecutor(_GATEWAY, thread_name_prefix="feed-gateway")
        self._store = ThreadPoolExecutor(_STORE, thread_name_prefix="feed-store")
        self._reading = ThreadPoolExecutor(_READING, thread_name_prefix="feed-reading")
        self._partners = ConnectorThreads("feed")

    async def gateway(self, work: Callable[[], T]) -> T:
        """What the platform's gateway is asked."""
        return await asyncio.get_running_loop().run_in_executor(self._gateway, work)

    async def store(self, work: Callable[[], T]) -> T:
        """What concerns only connectors, mappings and the store."""
        return await asyncio.get_running_loop().run_in_executor(self._store, work)

    async def reading(self, work: Callable[[], T]) -> T:
        """What calls nobody and takes a while: a large body is read, or messages are made of it."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    async def partner(self, connector: str, work: Callable[[], T]) -> T:
        """What may call the partner. The connector is one that exists."""
        return await self._partners.run(connector, work)


async def within(work: Awaitable[T], seconds: float) -> T:
    """What the work comes to. Raises `TimeoutError` where that takes longer; the work goes on all the same, also where the
    request that waits for it is gone."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_look)
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        raise TimeoutError
    return task.result()


def _look(task: asyncio.Future[T]) -> None:
    """At its error, which may have nobody else to look at it."""
    if not task.cancelled():
        task.exception()
