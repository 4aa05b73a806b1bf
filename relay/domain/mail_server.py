"""The mail server that notices are handed to, by the address that an operator writes."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import msgspec

from relay.domain.errors import ConfigurationError

_PORTS = {"smtp": 587, "smtps": 465}
_FORM = "SMTP_URL must be smtp://user:password@host:587 or smtps://user:password@host:465; signs such as @ and / as %40 and %2F."

# As it is written between the angle brackets of a mail: nothing that could end it or begin another.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")


def is_mail_address(text: str) -> bool:
    """Whether it is one e-mail address, without a name."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None


class MailServer(msgspec.Struct, frozen=True):
    """encrypted: from the first byte; otherwise it must offer STARTTLS, unless it is on this machine. user: empty where it asks
    for none."""

    host: str
    port: int
    encrypted: bool
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"MailServer({self.host}:{self.port})"


def mail_server(url: str) -> MailServer:
    """The server of this URL. Raises `ConfigurationError`, which does not repeat it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        user, password = unquote(parts.username or "", errors="strict"), unquote(parts.password or "", errors="strict")
    except ValueError:
        raise ConfigurationError(_FORM) from None
    usable = parts.scheme in _PORTS and host and parts.path in ("", "/") and not parts.query and not parts.fragment
    written = f"{host}{user}{password}"  # the protocol, as it is spoken to any server, has signs of ASCII only
    if not usable or bool(user) != bool(password) or not (written.isascii() and written.isprintable()):
        raise ConfigurationError(_FORM)
    return MailServer(host or "", port or _PORTS[parts.scheme], parts.scheme == "smtps", user, password)
