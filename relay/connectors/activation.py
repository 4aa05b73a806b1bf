"""What to paste into the DMP to activate a connector, field by field."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from relay.backends.interfaces import Secrets
from relay.configuration import LOOPBACK
from relay.domain.connector import Connector

PLACE = "Settings > Integrations > Mapp Self-Service"
"""Where in the DMP the fields are."""

_OF_A_FEED = "the properties of the external feed"

HIDDEN = "(set, not shown)"


class ActivationField(msgspec.Struct, frozen=True):
    """One field of the DMP's form, or one remark on it."""

    field: str
    value: str
    help: str


def place_of(connector: Connector) -> str:
    """Where in the DMP its fields are."""
    return PLACE if connector.inbound.source == "mapp" else _OF_A_FEED


def activation_sheet(connector: Connector, url: str, secrets: Secrets, *, show_secrets: bool) -> list[ActivationField]:
    """The form filled in. `url`: the receiver's public address, without the connector's path. Values of secrets are in it only
    with `show_secrets`; the user name of Basic authentication always is. A connector for feeds alone has nothing to paste."""
    if connector.inbound.source == "mediarithmics":
        help_ = "Set it as the feed's property `connector`, unless it is the default connector. There is nothing to sign with."
        return [ActivationField("connector", connector.name, help_)]
    endpoint = f"{url.rstrip('/')}/{connector.name}"
    return [
        ActivationField("Endpoint URL", endpoint, _endpoint_help(url)),
        _hmac(connector, secrets, show_secrets),
        *_basic(connector, secrets, show_secrets),
        _audience_id(connector),
    ]


def _endpoint_help(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return "The DMP adds ?type=… by itself."
    if parts.hostname in LOOPBACK:
        return "This address exists on this machine only: the DMP cannot reach it. Set PUBLIC_URL to the public HTTPS address."
    return "HTTPS is required: over plain HTTP others can read and repeat requests. Set PUBLIC_URL to an https:// address."


def _hmac(connector: Connector, secrets: Secrets, show: bool) -> ActivationField:
    name = connector.inbound.hmac_secret
    found = secrets.get(name)
    value = _unset(name) if not found else found[0] if show else HIDDEN
    return ActivationField("Secret for X-HMAC", value, "Signs every POST request. Paste it without blanks around it.")


def _basic(connector: Connector, secrets: Secrets, show: bool) -> list[ActivationField]:
    name = connector.inbound.basic_auth
    if name is None:
        help_ = "Leave user and password empty. Recommended as a second lock: name a secret in `inbound.basic_auth`."
        return [ActivationField("Basic authentication", "(off)", help_)]
    pair = secrets.get(name)
    # Without a colon it may be a password pasted alone: none of it is shown.
    user, colon, password = pair[0].partition(":") if pair else ("", "", "")
    if not (user and colon and password):
        user = password = _unset(name)
    elif not show:
        password = HIDDEN
    return [
        ActivationField("Basic authentication: user", user, "Part of the secret before the first colon."),
        ActivationField("Basic authentication: password", password, "Everything behind the first colon."),
    ]


def _audience_id(connector: Connector) -> ActivationField:
    if connector.inbound.audience_id == "own":
        return ActivationField("Audience ID", "the DMP's own", "Nothing to set: later calls name the audience as the DMP does.")
    return ActivationField(
        "Audience ID", "the partner's", "Nothing to set: the answer to CREATE_AUDIENCE carries it, and later calls must use it."
    )


def _unset(name: str) -> str:
    return f"(not set: diy secrets set {name})"
