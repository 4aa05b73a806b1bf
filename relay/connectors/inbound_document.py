"""The one document that the receiver reads: written from all live connectors and their secrets."""

from __future__ import annotations

import msgspec

from relay.backends.interfaces import Backend
from relay.connectors.live import all_live
from relay.domain.connector import VERSION, InboundConnector, InboundDocument
from relay.domain.errors import StoreUnavailable

_MOST_ROUNDS = 10


def build_inbound(backend: Backend) -> InboundDocument:
    """What the receiver must know at this moment. A connector whose secret is not set is there without one: its requests are
    refused, not let in."""
    connectors = tuple(
        InboundConnector(
            name=connector.name,
            inbound=connector.inbound,
            hmac_secrets=backend.secrets.get(connector.inbound.hmac_secret),
            basic_credentials=backend.secrets.get(connector.inbound.basic_auth) if connector.inbound.basic_auth else (),
        )
        for connector in all_live(backend.connectors)
    )
    default = backend.connectors.default()
    known = any(connector.name == default for connector in connectors)
    return InboundDocument(version=VERSION, connectors=connectors, default=default if known else "")


def refresh_inbound(backend: Backend) -> None:
    """Writes the inbound document if it is not what it should be: a no-op most of the time, so it may be called again and again,
    and heals what one left behind who was stopped between a change and this.

    Built anew after every write until nothing has changed: of two who change things at once, the one who writes last has then
    seen the change of the other.
    """
    written = _written(backend)
    for _ in range(_MOST_ROUNDS):
        wanted = build_inbound(backend)
        if wanted == written:
            return
        backend.inbound.write(wanted)
        written = wanted
    raise StoreUnavailable("The connectors keep changing; the receiver may not know the newest state. Apply again.")


def _written(backend: Backend) -> InboundDocument | None:
    try:
        return backend.inbound.read()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # damaged: it is written anew
