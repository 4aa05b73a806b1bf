"""Values of secrets as people give them: what is done to one before it is stored, and when no new one is made."""

from __future__ import annotations

from relay.backends.interfaces import Secrets
from relay.domain.errors import Conflict


def in_one_line(value: str) -> str:
    """The line breaks of a private key (PEM) as `\\n`, which whoever signs with it understands. Anything else stays as it is."""
    if "-----BEGIN " not in value:
        return value
    return "\\n".join(line.strip() for line in value.strip().splitlines())


def refuse_second_rotation(secrets: Secrets, name: str) -> None:
    """One who repeats a rotation that was cut short has not seen the value it made; another one would push out the value that the
    DMP has. Raises `Conflict`."""
    if len(secrets.get(name)) > 1:
        raise Conflict(
            f"The secret '{name}' has been rotated, and its previous value is still good, since the DMP may use it. Put the "
            f"current one into the DMP (diy connectors activation NAME --show-secrets), then: diy secrets retire {name}"
        )
