"""The secrets of one connector, without their values: what each is for, who makes it, and whether it is there."""

from __future__ import annotations

from typing import Literal

import msgspec

from adapters.contract import Description
from adapters.registry import describe
from relay.backends.interfaces import Backend, SecretInfo
from relay.connectors.live import all_live
from relay.connectors.secret_names import app_secret, partner_secrets, secret_names
from relay.domain.connector import Connector
from relay.domain.errors import ConfigurationError, NotFound

Kind = Literal["typed", "made", "user and password"]
"""`typed`: the partner, or another, has given it to somebody. `made`: by us, and the other side takes it over. `user and
password`: of the DMP; the password is made by us."""


class SecretView(msgspec.Struct, frozen=True):
    """One secret.

    changed_at    seconds since the epoch
    has_previous  the value before the last change is still good
    user          of `user and password`
    others        connectors that use it as well
    shared        it is that of the app that connectors can share
    """

    name: str
    title: str
    help: str
    kind: Kind
    is_set: bool = False
    changed_at: float = 0.0
    has_previous: bool = False
    user: str = ""
    others: tuple[str, ...] = ()
    shared: bool = False


def secrets_of(connector: Connector, backend: Backend) -> tuple[SecretView, ...]:
    """Those of the DMP, of the partner and of the notices, each name once. Raises `StoreUnavailable`."""
    infos = {info.name: info for info in backend.secrets.all()}
    running = {one.name: secret_names(one, describe) for one in all_live(backend.connectors) if one.name != connector.name}
    found: dict[str, SecretView] = {}
    for view in (*_of_dmp(connector, backend), *_of_partner(connector), *_of_notices(connector)):
        others = tuple(name for name, names in running.items() if view.name in names)
        found.setdefault(view.name, _with(view, infos.get(view.name), others))
    return tuple(found.values())


def secret_of(connector: Connector, backend: Backend, name: str) -> SecretView:
    """The one of that name. Raises `NotFound`."""
    found = next((view for view in secrets_of(connector, backend) if view.name == name), None)
    if found is None:
        raise NotFound(f"The connector '{connector.name}' has no secret '{name}'.")
    return found


def _of_dmp(connector: Connector, backend: Backend) -> list[SecretView]:
    inbound = connector.inbound
    found = []
    if inbound.hmac_secret:
        signature = "The DMP signs each request with it; it is made here and pasted into the DMP."
        found.append(SecretView(inbound.hmac_secret, "Signature of the DMP (X-HMAC)", signature, "made"))
    if inbound.basic_auth:
        both = "The DMP names itself with them; the password is made here and pasted into the DMP."
        user = _user(inbound.basic_auth, backend)
        found.append(SecretView(inbound.basic_auth, "User and password of the DMP", both, "user and password", user=user))
    return found


def _of_partner(connector: Connector) -> list[SecretView]:
    description = describe(connector.adapter, connector.settings)
    names = partner_secrets(connector, description)
    return [_partner_secret(name, field_name, description, connector) for field_name, name in names.items()]


def _partner_secret(name: str, field_name: str, description: Description | None, connector: Connector) -> SecretView:
    field = next((one for one in description.secrets if one.name == field_name), None) if description else None
    shared = field is not None and field_name not in connector.secrets and bool(app_secret(description, field))
    return SecretView(name, field.title if field else field_name, field.help if field else "", "typed", shared=shared)


def _of_notices(connector: Connector) -> list[SecretView]:
    notify = connector.notify
    found = []
    if notify.webhook_secret:
        found.append(SecretView(notify.webhook_secret, "Address of the webhook", "Where notices are sent to.", "typed"))
    if notify.secret:
        signed = "What the webhook gets is signed with it; it is made here and given to whoever receives."
        found.append(SecretView(notify.secret, "Signature of notices", signed, "made"))
    return found


def _with(view: SecretView, info: SecretInfo | None, others: tuple[str, ...]) -> SecretView:
    return msgspec.structs.replace(
        view,
        is_set=info is not None,
        changed_at=info.changed_at if info else 0.0,
        has_previous=bool(info and info.has_previous),
        others=others,
    )


def _user(name: str, backend: Backend) -> str:
    """The part before the colon. Without a colon it may be a password pasted alone: none of it is shown."""
    try:
        values = backend.secrets.get(name)
    except ConfigurationError:
        return ""  # it cannot be read, which stands among what is missing
    user, colon, _ = values[0].partition(":") if values else ("", "", "")
    return user if colon else ""
