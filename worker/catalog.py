"""The connectors as they run: the live version's document, its mappings compiled, and what is missing before it can run."""

from __future__ import annotations

import threading
from typing import NamedTuple

import msgspec

from adapters.contract import Description, Operation
from adapters.registry import describe
from relay.backends.interfaces import Backend
from relay.connectors.completeness import in_a_row, missing
from relay.connectors.live import document_of
from relay.connectors.mapping import CompiledMapping, compile_mapping
from relay.domain.clock import Clock
from relay.domain.connector import Action, Connector, ConnectorState
from relay.domain.errors import NotFound

_SECRETS_GOOD_FOR_S = 10.0


class RunningAction(msgspec.Struct, frozen=True):
    """An action with what is needed to carry it out."""

    action: Action
    operation: Operation
    mapping: CompiledMapping


class Running(msgspec.Struct, frozen=True):
    """A live connector. `missing`: sentences, each with its full stop; while there are any it does not run."""

    connector: Connector
    description: Description
    actions: tuple[RunningAction, ...]
    missing: tuple[str, ...]


def running(connector: Connector, missing_parts: tuple[str, ...] = ()) -> Running:
    """The connector with its actions made ready. Raises `NotFound` where this program has no such adapter."""
    description = describe(connector.adapter, connector.settings)
    if description is None:
        raise NotFound(f"There is no adapter named {connector.adapter!r}.")
    actions = []
    for action in connector.actions:
        operation = description.operation(action.operation)
        if operation is None:
            raise NotFound(f"The adapter {connector.adapter!r} has no operation {action.operation!r}.")
        actions.append(RunningAction(action, operation, compile_mapping(action.mapping)))
    return Running(connector, description, tuple(actions), missing_parts)


class _Known(NamedTuple):
    """A connector as it was published then, and when its secrets were looked at."""

    live: int
    live_since: float
    running: Running
    looked_at: float


class Catalog:
    """Live connectors by name. A version never changes, so it is read once when it goes live; secrets are looked at every ten
    seconds."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def get(self, state: ConnectorState) -> Running:
        """The live version of this connector. Raises `NotFound` if none is published."""
        if not state.live:
            raise NotFound(f"No version of the connector {state.name!r} is published.")
        now = self._clock.now()
        with self._lock:
            known = self._known.get(state.name)
        if known is not None and (known.live, known.live_since) != (state.live, state.live_since):
            known = None
        if known is not None and 0 <= now - known.looked_at < _SECRETS_GOOD_FOR_S:
            return known.running
        fresh = known.running if known is not None else running(self._read(state))
        absent = tuple(in_a_row([one]) for one in missing(fresh.connector, fresh.description, self._backend.secrets))
        fresh = msgspec.structs.replace(fresh, missing=absent)
        with self._lock:
            self._known[state.name] = _Known(state.live, state.live_since, fresh, now)
        return fresh

    def _read(self, state: ConnectorState) -> Connector:
        document = document_of(state.name)
        version = self._backend.connectors.version(document, state.live)
        for connector in version.connectors:
            if connector.name == state.name:
                return connector
        raise NotFound(f"Version {state.live} of {document!r} has no connector {state.name!r}.")
