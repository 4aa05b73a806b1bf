"""Creation for the receiver in its own process (embedded): fulfils `handlers.creation.Creator`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

from relay.backends.interfaces import Backend
from relay.connector_threads import ConnectorThreads
from relay.domain.clock import Clock
from worker.catalog import Catalog
from worker.creation import Creation
from worker.partners import Partners


class InProcessCreator:
    """Creates in threads beside the receiver's loop, so that one that takes long goes on after its answer."""

    def __init__(self, backend: Backend, clock: Clock, *, stopping: Callable[[], bool] = lambda: False) -> None:
        """stopping: the process is to end, so no further call begins."""
        self._creation = Creation(backend, Catalog(backend, clock), Partners(backend, clock), clock, stopping=stopping)
        self._threads = ConnectorThreads("create")

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
        return await self._threads.run(connector, work)
