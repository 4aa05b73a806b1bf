"""What is missing before a connector can run. An incomplete one can be applied, shown and previewed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from adapters.contract import Description, Field
from relay.connectors.secret_names import app_secret, notify_secrets
from relay.domain.connector import Connector, Trigger
from relay.domain.credentials import is_user_and_password
from relay.domain.errors import ConfigurationError


class SecretValues(Protocol):
    """What is asked of the secrets."""

    def get(self, name: str) -> tuple[str, ...]:
        """See `interfaces.Secrets`."""
        ...


_TRIGGER_WORDS: dict[Trigger, str] = {
    "created": "an audience is created",
    "joined": "a user joins an audience",
    "left": "a user leaves an audience",
}


def missing(connector: Connector, description: Description, secrets: SecretValues) -> list[str]:
    """One sentence for each thing that is missing, and for each secret that is there and cannot be read; empty: the connector can
    run. Holds no value of a secret. Raises `StoreUnavailable`."""
    return [
        *_missing_inbound(connector, secrets),
        *missing_secrets(connector, description, secrets),
        *missing_settings(connector, description),
        *_missing_actions(connector, description),
    ]


def in_a_row(sentences: Iterable[str]) -> str:
    """One behind the other. A sentence that ends with the command that helps gets its full stop here."""
    return " ".join(f"{sentence.removesuffix('.')}." for sentence in sentences)


def _missing_inbound(connector: Connector, secrets: SecretValues) -> Iterator[str]:
    inbound = connector.inbound
    if inbound.hmac_secret:
        yield from _without(_look(inbound.hmac_secret, secrets), "signature of the DMP, X-HMAC")
    if inbound.basic_auth is None:
        return
    looked = _look(inbound.basic_auth, secrets)
    yield from _without(looked, "Basic user and password of the DMP, as user:password")
    if looked.values and not is_user_and_password(looked.values[0]):
        yield f"The secret '{inbound.basic_auth}' is not of the form user:password: diy secrets set {inbound.basic_auth}"


def missing_secrets(connector: Connector, description: Description, secrets: SecretValues) -> Iterator[str]:
    """Of these sentences, those about secrets for the partner."""
    for field in description.secrets:
        name = connector.secrets.get(field.name)
        shared = app_secret(description, field)
        if name is not None:
            yield from _without(_look(name, secrets), field.title)
        elif shared:
            yield from _without_app(field, _look(shared, secrets))
        elif field.required:
            yield f"The document does not name the secret that holds '{field.title}' (`secrets.{field.name}`)."


def missing_for_notices(connector: Connector, secrets: SecretValues) -> Iterator[str]:
    """Such sentences about what its notices need, without which the connector runs all the same, and tells nobody."""
    for name, purpose in notify_secrets(connector.notify).items():
        yield from _without(_look(name, secrets), purpose)


class _Looked(NamedTuple):
    """A secret's values, or why they cannot be read."""

    name: str
    values: tuple[str, ...]
    trouble: str = ""


def _look(name: str, secrets: SecretValues) -> _Looked:
    try:
        return _Looked(name, secrets.get(name))
    except ConfigurationError as error:
        return _Looked(name, (), str(error))


def _without(looked: _Looked, purpose: str) -> Iterator[str]:
    if looked.trouble:
        yield looked.trouble
    elif not looked.values:
        yield f"The secret '{looked.name}' ({purpose}) is not set: diy secrets set {looked.name}"


def _without_app(field: Field, looked: _Looked) -> Iterator[str]:
    if looked.trouble:
        yield looked.trouble
    elif field.required and not looked.values:
        yield (
            f"The document does not name the secret that holds '{field.title}' (`secrets.{field.name}`), and the app that all "
            f"connectors can share has none: diy secrets set {looked.name}"
        )


def missing_settings(connector: Connector, description: Description) -> Iterator[str]:
    """Of these sentences, those about settings of the adapter."""
    for field in description.settings:
        if field.required and connector.settings.get(field.name) in (None, "", []):
            yield f"The setting '{field.title}' (`settings.{field.name}`) is empty."


def _missing_actions(connector: Connector, description: Description) -> Iterator[str]:
    served = {action.trigger for action in connector.actions if action.enabled}
    for trigger in description.required_triggers:
        if trigger not in served:
            yield f"No action is enabled for when {_TRIGGER_WORDS[trigger]} (trigger `{trigger}`)."
