"""Which secrets a connector names."""

from __future__ import annotations

from relay.domain.connector import Connector


def secret_names(connector: Connector) -> set[str]:
    """The names of all its secrets: the partner's, and those of the DMP."""
    inbound = connector.inbound
    return {inbound.hmac_secret, *connector.secrets.values(), *([inbound.basic_auth] if inbound.basic_auth else [])}
