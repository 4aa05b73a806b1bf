"""Creation for the receiver in its own process (embedded): fulfils `handlers.creation.Creator`."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from relay.backends.interfaces import Backend
from relay.domain.clock import Clock
from worker.catalog import Catalog
from worker.creation import Creation
from worker.partners import Partners

_THREADS_EACH = 8


class InProcessCreator:
    """Creates in threads beside the receiver's loop, so that one that takes long goes on after its answer.

    Each connector has threads of its own: a partner that does not answer keeps those of its connector busy, and nobody else's.
    Used on one event loop.
    """

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._creation = Creation(backend, Catalog(backend, clock), Partners(backend, clock), clock)
        self._threads: dict[str, ThreadPoolExecutor] = {}

    async def create(
        self,
        *,
        connector: str,
        audience: str,
        name: str,
        customer: int | str | None,
        mode: Literal["own", "partner"],
        request_id: str,  # noqa: ARG002 - the protocol's; a creation is found by its reference
    ) -> str:
        """The partner's ID; see the protocol. `connector` is one that exists: its threads are kept."""
        work = functools.partial(
            self._creation.for_source, connector, audience, name=name, customer=customer, mode=mode
        )
        return await asyncio.get_running_loop().run_in_executor(self._threads_of(connector), work)

    def _threads_of(self, connector: str) -> ThreadPoolExecutor:
        threads = self._threads.get(connector)
        if threads is None:
            threads = self._threads[connector] = ThreadPoolExecutor(_THREADS_EACH, thread_name_prefix=f"create-{connector}")
        return threads
