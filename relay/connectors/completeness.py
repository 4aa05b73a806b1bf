"""What is missing before a connector can run. An incomplete one can be applied, shown and previewed."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Description
from relay.backends.interfaces import Secrets
from relay.domain.connector import Connector, Trigger
from relay.domain.credentials import is_user_and_password

_TRIGGER_WORDS: dict[Trigger, str] = {
    "created": "an audience is created",
    "joined": "a user joins an audience",
    "left": "a user leaves an audience",
}


def missing(connector: Connector, description: Description, secrets: Secrets) -> list[str]:
    """One sentence for each thing that is missing; empty: the connector can run. Holds no value of a secret."""
    return [
        *_missing_inbound(connector, secrets),
        *_missing_secrets(connector, description, secrets),
        *_missing_settings(connector, description),
        *_missing_actions(connector, description),
    ]


def _missing_inbound(connector: Connector, secrets: Secrets) -> Iterator[str]:
    inbound = connector.inbound
    if not secrets.get(inbound.hmac_secret):
        yield _unset(inbound.hmac_secret, "signature of the DMP, X-HMAC")
    if inbound.basic_auth is None:
        return
    pairs = secrets.get(inbound.basic_auth)
    if not pairs:
        yield _unset(inbound.basic_auth, "Basic user and password of the DMP, as user:password")
    elif not is_user_and_password(pairs[0]):
        yield f"The secret '{inbound.basic_auth}' is not of the form user:password: diy secrets set {inbound.basic_auth}"


def _missing_secrets(connector: Connector, description: Description, secrets: Secrets) -> Iterator[str]:
    for field in description.secrets:
        name = connector.secrets.get(field.name)
        if name is not None and not secrets.get(name):
            yield _unset(name, field.title)
        elif name is None and field.required:
            yield f"The document does not name the secret that holds '{field.title}' (`secrets.{field.name}`)."


def _missing_settings(connector: Connector, description: Description) -> Iterator[str]:
    for field in description.settings:
        if field.required and connector.settings.get(field.name) in (None, "", []):
            yield f"The setting '{field.title}' (`settings.{field.name}`) is empty."


def _missing_actions(connector: Connector, description: Description) -> Iterator[str]:
    served = {action.trigger for action in connector.actions if action.enabled}
    for trigger in description.required_triggers:
        if trigger not in served:
            yield f"No action is enabled for when {_TRIGGER_WORDS[trigger]} (trigger `{trigger}`)."


def _unset(name: str, purpose: str) -> str:
    return f"The secret '{name}' ({purpose}) is not set: diy secrets set {name}"
