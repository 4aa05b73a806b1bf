"""The users of a datamart, with identifiers of every type that the platform knows."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

_NAMESPACE = uuid.UUID("6a0e6f4e-6d56-4f0c-9d57-6d6573737a67")
_BORN = 1_700_000_000_000
"""Moments in what is sent are milliseconds since the epoch."""


def users(count: int) -> tuple[str, ...]:
    """IDs of user points, the same ones every time."""
    return tuple(str(uuid.uuid5(_NAMESPACE, str(number))) for number in range(1, count + 1))


def identifiers(user: str) -> list[dict[str, Any]]:
    """Everything by which the platform knows this user point, one of each type."""
    email = f"{user}@shop.example"
    digits = hashlib.sha256(user.encode()).hexdigest()
    return [
        {"type": "USER_POINT", "user_point_id": user, "creation_ts": _BORN},
        {"type": "USER_ACCOUNT", "user_account_id": digits[:12], "compartment_id": 1234, "creation_ts": _BORN},
        {
            "type": "USER_EMAIL",
            "hash": hashlib.sha256(email.encode()).hexdigest(),
            "email": email,
            "creation_ts": _BORN,
            "last_activity_ts": _BORN,
            "providers": [],
        },
        {
            "type": "USER_AGENT",
            "vector_id": f"vec:{int(digits[:8], 16)}",
            "creation_ts": _BORN,
            "last_activity_ts": _BORN,
            "providers": [],
            "mappings": [{"user_agent_id": f"web:{digits[12:28]}", "realm_name": "shop.example", "last_activity_ts": _BORN}],
        },
        {
            "type": "USER_DEVICE_POINT",
            "creation_ts": _BORN,
            "last_activity_ts": _BORN,
            "technical_identifiers": [
                {
                    "type": "MOBILE_ADVERTISING_ID",
                    "user_agent_id": f"mob:and:raw:{uuid.uuid5(_NAMESPACE, digits)}",
                    "registry_id": "1",
                    "creation_ts": _BORN,
                    "last_activity_ts": _BORN,
                },
                {
                    "type": "INSTALLATION_ID",
                    "user_agent_id": digits[28:44],
                    "registry_id": "2",
                    "creation_ts": _BORN,
                    "last_activity_ts": _BORN,
                },
            ],
        },
    ]


def profiles(user: str) -> list[dict[str, Any]]:
    """What a compartment of the datamart keeps of this user."""
    language = "fr" if int(user[0], 16) % 2 else "de"
    return [{"compartment_id": 1234, "creation_ts": _BORN, "last_modified_ts": _BORN, "language": language}]
