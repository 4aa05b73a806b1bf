"""Asking the partner whether it knows us, and having somebody allow us in: what must be there before, said in one way."""

from __future__ import annotations

from adapters.contract import Adapter
from adapters.registry import describe
from relay.backends.interfaces import Backend
from relay.connectors.completeness import in_a_row, missing_secrets, missing_settings
from relay.domain.clock import Clock
from relay.domain.connector import Connector
from relay.domain.errors import Conflict, CredentialsRefused, PartnerError
from relay.health.asking import require_may_call
from worker.partners import Partners


def check_credentials(backend: Backend, clock: Clock, connector: Connector) -> None:
    """Returns if the partner accepts the connector's credentials. Raises `Conflict` where it cannot or must not be asked, a
    `PartnerError` where it does not accept them or cannot tell."""
    description = describe(connector.adapter, connector.settings)
    if description is not None:
        lacking = [*missing_secrets(connector, description, backend.secrets), *missing_settings(connector, description)]
        if lacking:
            raise Conflict(f"{connector.name} is incomplete: {in_a_row(lacking)}")
    require_may_call(backend, connector.name, clock.now())
    Partners(backend, clock).open(connector).check_credentials()


def why_not(error: PartnerError) -> str:
    """What to say of an error of `check_credentials`: a partner that does not answer has not refused anything."""
    if isinstance(error, CredentialsRefused):
        return f"The partner does not accept us: {error.hint}"
    return f"The partner could not tell: {error.hint} Is the address right, and does it answer there?"


def open_to_connect(backend: Backend, clock: Clock, connector: Connector) -> Adapter:
    """The adapter, for `worker.authorization`. Raises `Conflict` while a secret of the client is missing."""
    description = describe(connector.adapter, connector.settings)
    if description is not None and description.connect:
        lacking = list(missing_secrets(connector, description, backend.secrets))
        if lacking:
            raise Conflict(f"{connector.name} cannot be connected yet. {in_a_row(lacking)}")
    return Partners(backend, clock).open(connector)
