"""Which connector the partner is asked about, and whether it may be asked just now."""

from __future__ import annotations

from relay.backends.interfaces import Backend
from relay.connectors.live import document_of, live
from relay.domain.connector import Connector
from relay.domain.errors import Conflict, NotFound
from relay.health.wording import moment


def chosen_connector(backend: Backend, name: str, number: int | None = None) -> Connector:
    """The connector as it runs; in this version; or, where none is published, in the newest. Raises `NotFound`."""
    document = document_of(name)
    if number is None and any(state.name == name and state.live for state in backend.connectors.states()):
        return live(backend.connectors, name)
    version = backend.connectors.version(document, number or backend.connectors.versions(document)[-1].number)
    for connector in version.connectors:
        if connector.name == name:
            return connector
    raise NotFound(f"Version {version.number} of '{document}' has no connector '{name}'.")


def require_may_call(backend: Backend, connector: str, now: float) -> None:
    """While the partner wants not to be called (Retry-After), nobody calls it, not even to ask. Raises `Conflict`. The connector
    need not be a stored one."""
    state = next((state for state in backend.connectors.states() if state.name == connector), None)
    if state is not None and state.not_before > now and state.not_before_reason == "come_back_later":
        raise Conflict(f"The partner of {connector} asked not to be called before {moment(state.not_before)}.")
