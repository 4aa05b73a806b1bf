"""What a secret may be called, in every back end."""

from __future__ import annotations

import re

from relay.domain.errors import ConfigurationError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def is_secret_name(name: str) -> bool:
    """Whether it consists of a-z, 0-9, '.', '_' and '-' and begins with a letter or digit."""
    return _NAME.fullmatch(name) is not None


def require_secret_name(name: str) -> None:
    """Raises `ConfigurationError` for what is none."""
    if not is_secret_name(name):
        raise ConfigurationError(
            f"{name!r} is no name for a secret: it consists of a-z, 0-9, '.', '_' and '-' and begins with a letter or digit."
        )


def require_secret_value(name: str, value: str) -> None:
    """Raises `ConfigurationError` for an empty one."""
    if not value:
        raise ConfigurationError(f"The secret {name!r} cannot be empty.")
