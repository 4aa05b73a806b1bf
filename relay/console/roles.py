"""Who may do what: viewers look, operators switch, resume and test, admins change connectors and secrets."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar, get_args

import msgspec

from relay.domain.errors import ConfigurationError

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each includes those before it."""

View = TypeVar("View", bound=Callable[..., Any])

_MARK = "needs_role"
_EVERYBODY = "everybody"


class Visitor(msgspec.Struct, frozen=True):
    """Who is there. `name`: for the audit log."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether this role includes that one."""
        return ROLES.index(self.role) >= ROLES.index(role)


def needs(role: Role) -> Callable[[View], View]:
    """Marks a view: only visitors with this role, or one that includes it, get in. A view without a mark lets nobody in."""

    def mark(view: View) -> View:
        setattr(view, _MARK, role)
        return view

    return mark


def open_to_everybody(view: View) -> View:
    """Marks a view that needs no login."""
    setattr(view, _MARK, _EVERYBODY)
    return view


def role_for(view: object) -> Role | Literal["everybody"] | None:
    """What `needs` or `open_to_everybody` said of it; None where nobody said anything."""
    found: Role | Literal["everybody"] | None = getattr(view, _MARK, None)
    return found


class RoleList:
    """Which address has which role: `alice@example.com=admin,*@example.com=viewer`, the first that matches counts. A semicolon or
    a blank does for the comma: gcloud has another use for that."""

    def __init__(self, text: str) -> None:
        """Raises `ConfigurationError` for a list that cannot be read."""
        self._rules: list[tuple[str, Role]] = []
        for part in filter(None, re.split(r"[,;\s]+", text)):
            pattern, _, role = part.rpartition("=")
            if not pattern or role not in ROLES:
                raise ConfigurationError(
                    f"CONSOLE_ROLES: {part!r} is not of the form ADDRESS=ROLE; the role can be {', '.join(ROLES)}."
                )
            self._rules.append((pattern.lower(), role))

    def role_of(self, email: str) -> Role | None:
        """None: the list names others only. Without a list everybody who was let in may look."""
        if not self._rules:
            return "viewer"
        return next((role for pattern, role in self._rules if fnmatchcase(email.lower(), pattern)), None)
