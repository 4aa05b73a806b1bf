"""Whether a value that is typed into a draft may be stored at once: it must not change what another connector runs with; nor,
typed for an environment, what the document itself or another environment does."""

from __future__ import annotations

from adapters.registry import describe
from relay.connectors.secret_names import secret_names
from relay.console.editing.opened import Opened
from relay.console.parts import publishing


def why_not_stored(opened: Opened, name: str, environment: str = "") -> str:
    """Why no value for the partner can be stored under this name; empty: it can. environment: the one that it is typed for; else
    it is typed for the document, whose environments may use it, too."""
    its_own = f"{opened.document}@{environment}"
    users, of_dmp = [], set(_inbound_names(opened))
    for connector in publishing().all_live():
        of_dmp |= {connector.inbound.hmac_secret, connector.inbound.basic_auth or ""}
        is_own = connector.name == its_own if environment else connector.document == opened.document
        if not is_own and name in secret_names(connector, describe):
            users.append(connector.name)
    if users:
        whose = f"{', '.join(users[:3])} and {len(users) - 3} more" if len(users) > 3 else ", ".join(users)
        return (
            f"Nothing was stored: the secret {name} is used by {whose}. Give it a name of its own, or change it on that "
            "connector's page."
        )
    if name in of_dmp:
        return f"Nothing was stored: by the secret {name} the DMP proves itself to us. Give this one a name of its own."
    return ""


def _inbound_names(opened: Opened) -> list[str]:
    """Names of the secrets for the DMP in the draft, also in its environments."""
    values = opened.unfinished.values
    environments = values.get("environments")
    parts = [values, *(environments.values() if isinstance(environments, dict) else [])]
    inbounds = [part["inbound"] for part in parts if isinstance(part, dict) and isinstance(part.get("inbound"), dict)]
    return [one for inbound in inbounds for key in ("hmac_secret", "basic_auth") if isinstance(one := inbound.get(key), str)]
