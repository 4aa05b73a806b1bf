"""The connectors as they run: found by name in the published versions of their documents."""

from __future__ import annotations

from relay.backends.interfaces import Connectors
from relay.domain.connector import Connector
from relay.domain.errors import NotFound


def document_of(connector: str) -> str:
    """The document that a connector comes from: `pangolin` for `pangolin@sandbox`."""
    return connector.partition("@")[0]


def live(store: Connectors, name: str) -> Connector:
    """The connector of that name as it runs. Raises `NotFound` where there is none, or no version of it is published."""
    number = store.state(name).live
    if number:
        for connector in store.version(document_of(name), number).connectors:
            if connector.name == name:
                return connector
    raise NotFound(f"No version of the connector '{name}' is published.")


def all_live(store: Connectors) -> list[Connector]:
    """All connectors that run, switched off or not, in the order of their states; each document is read once."""
    versions: dict[tuple[str, int], dict[str, Connector]] = {}
    found = []
    for state in store.states():
        if not state.live:
            continue
        key = document_of(state.name), state.live
        if key not in versions:
            versions[key] = {connector.name: connector for connector in store.version(*key).connectors}
        if state.name in versions[key]:
            found.append(versions[key][state.name])
    return found
