"""The one document that the receiver reads: written from all live connectors and their secrets."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from relay.backends.interfaces import Backend, Secrets
from relay.connectors.live import all_live
from relay.domain.connector import VERSION, Connector, Inbound, InboundConnector, InboundDocument
from relay.domain.errors import ConfigurationError, RelayError, StoreUnavailable

_MOST_ROUNDS = 10


class Built(NamedTuple):
    """What the receiver must know. unreadable: the errors of those connectors whose secrets could not be read, by their names."""

    document: InboundDocument
    unreadable: dict[str, RelayError]


def build_inbound(backend: Backend, before: InboundDocument | None) -> Built:
    """What the receiver must know at this moment. A connector whose secret is not set is there without one: its requests are
    refused, not let in.

    before: what it knows. A connector whose secret cannot be read stays as it is there, so that the trouble of one does not keep
    the changes of the others from the receiver; if it is not there, it gets no secrets.
    """
    known = {connector.name: connector for connector in before.connectors} if before is not None else {}
    connectors = []
    unreadable: dict[str, RelayError] = {}
    for connector in all_live(backend.connectors):
        if connector.inbound.source != "mapp":
            continue  # to the public receiver it is an address like any other that nobody knows
        try:
            entry = _entry(connector, backend.secrets)
        except (ConfigurationError, StoreUnavailable) as error:
            unreadable[connector.name] = error
            entry = known.get(connector.name) or InboundConnector(connector.name, _for_receiver(connector))
        connectors.append(entry)
    default = backend.connectors.default()
    is_live = any(connector.name == default for connector in connectors)
    document = InboundDocument(version=VERSION, connectors=tuple(connectors), default=default if is_live else "")
    return Built(document, unreadable)


def refresh_inbound(backend: Backend) -> None:
    """Writes the inbound document if it is not what it should be: a no-op most of the time, so it may be called again and again,
    and heals what one left behind who was stopped between a change and this.

    Built anew after every write until nothing has changed: of two who change things at once, the one who writes last has then
    seen the change of the other.

    Raises `ConfigurationError` or `StoreUnavailable` for connectors whose secrets cannot be read, once what the others need is
    written.
    """
    written = _written(backend)
    for _ in range(_MOST_ROUNDS):
        wanted, unreadable = build_inbound(backend, written)
        if wanted == written:
            _tell(unreadable)
            return
        backend.inbound.write(wanted)
        written = wanted
    raise StoreUnavailable("The connectors keep changing; the receiver may not know the newest state. Apply again.")


def _entry(connector: Connector, secrets: Secrets) -> InboundConnector:
    inbound = connector.inbound
    return InboundConnector(
        name=connector.name,
        inbound=_for_receiver(connector),
        hmac_secrets=secrets.get(inbound.hmac_secret) if inbound.hmac_secret else (),
        basic_credentials=secrets.get(inbound.basic_auth) if inbound.basic_auth else (),
        journal_days=connector.retention.journal_days,
    )


def _for_receiver(connector: Connector) -> Inbound:
    return msgspec.structs.replace(connector.inbound, feed_settings=())


def _tell(unreadable: dict[str, RelayError]) -> None:
    """`StoreUnavailable`, which passes, only if there is nothing that somebody has to mend."""
    if not unreadable:
        return
    sentence = (
        f"The receiver knows of no change to {', '.join(unreadable)}, since its secrets cannot be read: "
        + " ".join(dict.fromkeys(str(error) for error in unreadable.values()))
    )
    if all(isinstance(error, StoreUnavailable) for error in unreadable.values()):
        raise StoreUnavailable(sentence)
    raise ConfigurationError(sentence)


def _written(backend: Backend) -> InboundDocument | None:
    try:
        return backend.inbound.read()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # damaged: it is written anew
