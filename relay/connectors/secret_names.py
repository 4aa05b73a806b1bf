"""Which secrets a connector uses: those that its document names, and for what it leaves out those of the installation's app."""

from __future__ import annotations

from adapters.contract import Description, Field
from relay.connectors.document import Describe
from relay.domain.connector import Connector, Notify
from relay.domain.errors import DocumentError


def secret_names(connector: Connector, describe: Describe) -> set[str]:
    """The names of all its secrets: the partner's, those of the DMP, and those of its notices."""
    inbound = connector.inbound
    of_dmp = [name for name in (inbound.hmac_secret, inbound.basic_auth) if name]
    return {*of_dmp, *notify_secrets(connector.notify), *partner_secret_names(connector, describe)}


def notify_secrets(notify: Notify) -> dict[str, str]:
    """Name of each secret that its notices need → what it holds."""
    purposes = {notify.webhook_secret: "address of the webhook", notify.secret: "signature of what the webhook gets"}
    return {name: purpose for name, purpose in purposes.items() if name}


def partner_secret_names(connector: Connector, describe: Describe) -> set[str]:
    """The names of those for the partner."""
    return set(partner_secrets(connector, _description(connector, describe)).values())


def partner_secrets(connector: Connector, description: Description | None) -> dict[str, str]:
    """The adapter's secret field → name of the secret that holds it, whether it is set or not. `description`: of the connector's
    adapter; None where this program has none."""
    fields = description.secrets if description else ()
    shared = {field.name: name for field in fields if (name := app_secret(description, field))}
    return {**shared, **connector.secrets}


def app_secret(description: Description | None, field: Field) -> str:
    """Name of the secret of the installation's app that holds this field of a connector that names none of its own
    (`app-meta-client-id`); empty if the app has no part in it."""
    if description is None or not description.app or not field.app:
        return ""
    return f"app-{description.app}-{field.name.replace('_', '-')}"


def _description(connector: Connector, describe: Describe) -> Description | None:
    try:
        return describe(connector.adapter, connector.settings)
    except DocumentError:
        return None  # published by a program that understood it
