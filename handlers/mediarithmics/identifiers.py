"""From the platform's identifiers to our canonical names, and only those that may leave."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from handlers.mediarithmics.gateway import Resource
from handlers.mediarithmics.requests import AgentId, TechnicalId, UserIdentifier, readable
from handlers.values import Unreadable, identifier

_PREFIXES = {"mob:ios:raw:": "idfa", "mob:and:raw:": "gaid"}
"""How the platform writes an advertising ID as the ID of an agent: what is behind it is the ID itself."""

_REGISTRIES = {
    "ios": "idfa",
    "idfa": "idfa",
    "apple": "idfa",
    "and": "gaid",
    "android": "gaid",
    "gaid": "gaid",
    "aaid": "gaid",
    "google": "gaid",
}
"""A registry's ID, in lower case, where the ID of the agent has no prefix. Others are not known to be either."""

_ADVERTISING = "MOBILE_ADVERTISING_ID"
_NETWORK = "NETWORK_DEVICE_ID"

_SHA256 = re.compile("[0-9a-fA-F]{64}")
_REALM = re.compile(r"[^\x00-\x1f\x7f]{1,128}")

_PROFILE_COMPARTMENT = "$compartment_id"
_PROFILE_ACCOUNT = "$user_account_id"


class Identity(NamedTuple):
    """One identifier of a person. user: by canonical names. told: how the platform is told of it."""

    user: dict[str, str]
    told: str


class Selection:
    """Which resources of a feed were selected: only their identifiers leave, and the user point's always. None: everything."""

    def __init__(self, resources: Sequence[Resource] | None) -> None:
        self._resources = resources

    def account(self, compartment: str) -> bool:
        """Of this compartment; empty: the default one."""
        return self._has("USER_ACCOUNT", lambda one: one.compartment_id in ("", compartment))

    def email(self) -> bool:
        """In clear and as a hash."""
        return self._has("USER_EMAIL", lambda _: True)

    def technical(self, registry_type: str, registry: str | None = None) -> bool:
        """Technical identifiers of this type, and of this registry; None: of any that was not restricted to one."""
        return self._has(
            "USER_DEVICE_TECHNICAL_ID",
            lambda one: one.registry_type == registry_type and (registry is None or one.registry_id in ("", registry)),
        )

    def profile(self, compartment: str) -> bool:
        """Of this compartment."""
        return self._has("USER_PROFILE", lambda one: one.compartment_id in ("", compartment))

    def _has(self, kind: str, fits: Callable[[Resource], bool]) -> bool:
        return self._resources is None or any(one.type == kind and fits(one) for one in self._resources)


def identities(given: Iterable[Any], selection: Selection) -> list[Identity]:
    """Those that may leave and that we have a name for, in their order. given: `UserIdentifier`s, as they came: one that cannot
    be read is no reason to lose the others."""
    return [each for one in readable(given, UserIdentifier) for each in _of(one, selection)]


def profiles(given: Iterable[Any], selection: Selection) -> list[dict[str, Any]]:
    """Those of selected compartments, without the account that one names: that is an identifier of its own, and would else travel
    with the others'. given: objects; what else there is, is passed over."""
    return [
        {name: value for name, value in one.items() if name != _PROFILE_ACCOUNT}
        for one in given
        if isinstance(one, dict) and selection.profile(_text(one.get(_PROFILE_COMPARTMENT)))
    ]


def _of(one: UserIdentifier, selection: Selection) -> Iterator[Identity]:
    match one.type:
        case "USER_POINT":
            yield from _identity("id", one.user_point_id)
        case "USER_ACCOUNT" if selection.account(one.compartment_id):
            yield from _identity(f"account.{one.compartment_id or 'default'}", one.user_account_id)
        case "USER_EMAIL" if selection.email():
            yield from _email(one)
        case "USER_AGENT" if selection.technical(_NETWORK):
            for each in readable(one.mappings or (), AgentId):
                if _REALM.fullmatch(each.realm_name):
                    yield from _identity(f"agent.{each.realm_name}", each.user_agent_id)
        case "USER_DEVICE_POINT":
            for device in readable(one.technical_identifiers or (), TechnicalId):
                if device.type == _ADVERTISING and selection.technical(_ADVERTISING, device.registry_id):
                    yield from _advertising(device)


def _email(one: UserIdentifier) -> Iterator[Identity]:
    user = {}
    if email := _usable(one.email):
        user["email"] = email
    if _SHA256.fullmatch(one.hash):
        user["email_sha256"] = one.hash.lower()
    if user:
        yield Identity(user, str(one.hash or one.email))


def _advertising(device: TechnicalId) -> Iterator[Identity]:
    for prefix, name in _PREFIXES.items():
        if device.user_agent_id.startswith(prefix):
            return (yield from _identity(name, device.user_agent_id.removeprefix(prefix), device.user_agent_id))
    if known := _REGISTRIES.get(device.registry_id.lower()):
        yield from _identity(known, device.user_agent_id)


def _identity(name: str, value: str, told: str = "") -> Iterator[Identity]:
    if usable := _usable(value):
        yield Identity({name: usable}, str(told or value))


def _usable(value: str) -> str | None:
    try:
        # A plain text: what is made of it travels in messages, and is compared there.
        return identifier(str(value))
    except Unreadable:
        return None


def _text(value: object) -> str:
    usable = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value) if usable else ""

