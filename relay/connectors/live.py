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
    """All connectors that run, switched off or not, in the order of their states: two reads."""
    places = {state.name: (document_of(state.name), state.live) for state in store.states() if state.live}
    versions = store.versions_at(set(places.values()))
    found = []
    for name, place in places.items():
        version = versions.get(place)
        found += [connector for connector in version.connectors if connector.name == name] if version else []
    return found
