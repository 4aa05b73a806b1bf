"""The connectors as they run: the live version's document, its mappings compiled, and what is missing before it can run."""

from __future__ import annotations

import math
import threading
from typing import NamedTuple

import msgspec

from adapters.contract import Description, Operation
from adapters.registry import describe
from relay.backends.interfaces import Backend
from relay.connectors.completeness import in_a_row, missing, missing_settings
from relay.connectors.live import document_of
from relay.connectors.mapping import CompiledMapping, compile_mapping
from relay.connectors.overriding import overridden
from relay.domain.clock import Clock
from relay.domain.connector import Action, Connector, ConnectorState
from relay.domain.errors import DocumentError, Misconfigured, NotFound
from relay.domain.feed import Use
from worker.recent import Recent

_SECRETS_GOOD_FOR_S = 10.0

_MOST_USES = 500


class RunningAction(msgspec.Struct, frozen=True):
    """An action with what is needed to carry it out."""

    action: Action
    operation: Operation
    mapping: CompiledMapping


class Running(msgspec.Struct, frozen=True):
    """A live connector, as its document says or as a feed uses it.

    missing  sentences, each with its full stop; while there are any it does not run
    use      the feed's; None: as the document says
    base     where there is a use: as the document says
    """

    connector: Connector
    description: Description
    actions: tuple[RunningAction, ...]
    missing: tuple[str, ...]
    use: Use | None = None
    base: Running | None = None

    @property
    def login(self) -> str:
        """See `Use`."""
        return self.use.login if self.use is not None else ""


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
        self._used: Recent[tuple[str, bytes], tuple[Connector, Running]] = Recent(_MOST_USES)

    def get(self, state: ConnectorState) -> Running:
        """The live version of this connector. Raises `NotFound` if none is published."""
        now = self._clock.now()
        known = self._find(state)
        if known is not None and 0 <= now - known.looked_at < _SECRETS_GOOD_FOR_S:
            return known.running
        fresh = known.running if known is not None else running(self._read(state))
        absent = tuple(in_a_row([one]) for one in missing(fresh.connector, fresh.description, self._backend.secrets))
        fresh = msgspec.structs.replace(fresh, missing=absent)
        with self._lock:
            self._known[state.name] = _Known(state.live, state.live_since, fresh, now)
        return fresh

    def without_secrets(self, state: ConnectorState) -> Running:
        """The same, and no secret is looked at: `missing` is what was found last, if anything ever was."""
        known = self._find(state)
        if known is not None:
            return known.running
        fresh = running(self._read(state))
        with self._lock:
            self._known[state.name] = _Known(state.live, state.live_since, fresh, -math.inf)
        return fresh

    def used(self, running: Running, use: Use | None) -> Running:
        """The connector as this feed uses it; None: as the document says, whatever it was before. Looks at nothing in the store.
        Raises `Misconfigured` where what the feed sets does not fit the connector (any more)."""
        base = running.base or running
        if use is None:
            return base
        if not use.settings:
            return msgspec.structs.replace(base, use=use, base=base)
        key = (base.connector.name, msgspec.json.encode(use.settings, order="deterministic"))
        known = self._used.find(key)
        if known is not None and known[0] is base.connector:
            fitted = known[1]
        else:
            fitted = _fitted(base.connector, use)
            self._used.keep(key, (base.connector, fitted))
        return msgspec.structs.replace(fitted, missing=_missing_with(base, fitted), use=use, base=base)

    def _find(self, state: ConnectorState) -> _Known | None:
        if not state.live:
            raise NotFound(f"No version of the connector {state.name!r} is published.")
        with self._lock:
            known = self._known.get(state.name)
        return known if known is not None and (known.live, known.live_since) == (state.live, state.live_since) else None

    def _read(self, state: ConnectorState) -> Connector:
        document = document_of(state.name)
        version = self._backend.connectors.version(document, state.live)
        for connector in version.connectors:
            if connector.name == state.name:
                return connector
        raise NotFound(f"Version {state.live} of {document!r} has no connector {state.name!r}.")


def _fitted(connector: Connector, use: Use) -> Running:
    try:
        return running(overridden(connector, use.settings, describe=describe))
    except DocumentError as error:
        wrong = " ".join(f"{name}: {sentence}" if name else sentence for name, sentence in error.problems)
        hint = f"What the feed {use.feed} sets does not fit the connector {connector.name!r}. {wrong}"
        raise Misconfigured(hint, code="feed_settings") from None


def _missing_with(base: Running, fitted: Running) -> tuple[str, ...]:
    """A setting that only feeds set is missing without them."""
    of_document = {in_a_row([one]) for one in missing_settings(base.connector, base.description)}
    others = [one for one in base.missing if one not in of_document]
    return (*others, *(in_a_row([one]) for one in missing_settings(fitted.connector, fitted.description)))
