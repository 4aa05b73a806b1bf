"""Which field of a mutation plays which part: the contract's names or the connector's own, compared without case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

from relay.domain.connector import InboundFields

DEFAULT_MUTATIONS = ("Mutations", "Mutation")
DEFAULT_AUDIENCE = ("Audience",)
DEFAULT_USER = ("User", "UserId", "Id")
DEFAULT_DIRECTION = ("Type", "Operation", "Action")
DEFAULT_CUSTOMER = ("Customer",)
DEFAULT_IDENTIFIERS: Mapping[str, str] = {
    "Email": "email",
    "EmailSha256": "email_sha256",
    "Phone": "phone",
    "PhoneSha256": "phone_sha256",
    "Idfa": "idfa",
    "Gaid": "gaid",
    "CookieId": "cookie_id",
}
"""docs/wire-format.md: our reading of a mutation."""

CANONICAL_IDENTIFIERS = ("id", *DEFAULT_IDENTIFIERS.values())
"""In this order the first one present is a user's key, whatever the order in which a request names them."""

_RANK = {name: place for place, name in enumerate(CANONICAL_IDENTIFIERS)}

_OPEN_ENDED = ("account.", "agent.")
"""Identifiers whose name ends in a compartment or realm."""


Named = tuple[tuple[str, str], ...]
"""(key, canonical name of the identifier) each."""


class MutationPlan(NamedTuple):
    """What the keys of one mutation mean. In each part the keys stand in the order in which they are tried.

    keys: how many there are. rest: those without a part, kept with the mutation.
    only_user: the key of the user where there is no other, no identifiers beside it, and no name in two spellings.
    """

    keys: int
    user: tuple[str, ...]
    audience: tuple[str, ...]
    customer: tuple[str, ...]
    direction: tuple[str, ...]
    identifiers: Named
    rest: tuple[str, ...]
    only_user: str | None


class UserPlan(NamedTuple):
    """What the keys of a user that is an object mean; the identifier that makes the user's key first."""

    identifiers: Named
    rest: tuple[str, ...]


def rank(canonical: str) -> tuple[int, str]:
    """The place of an identifier in a user: the canonical order, then accounts and agents by name."""
    return _RANK.get(canonical, len(_RANK)), canonical


_Plan = TypeVar("_Plan")


class KeyPlans(Generic[_Plan]):
    """Plans by keys, made once for each set of keys. Bounded, whatever keys are sent."""

    MOST = 512
    MOST_KEYS = 64
    MOST_CHARACTERS = 4_096

    def __init__(self, plan: Callable[[tuple[str, ...]], _Plan]) -> None:
        self._plan = plan
        self.kept: dict[tuple[str, ...], _Plan] = {}
        """To look up; what is missing is made by `make`."""

    def make(self, keys: tuple[str, ...]) -> _Plan:
        """The plan for these keys, kept for the next time unless they are unusually many or long."""
        plan = self._plan(keys)
        if len(keys) <= self.MOST_KEYS and sum(map(len, keys)) <= self.MOST_CHARACTERS:
            if len(self.kept) >= self.MOST:
                self.kept.clear()
            self.kept[keys] = plan
        return plan


class FieldNames:
    """The names that one connector reads, in lower case.

    A list of names given in `inbound.fields` takes the place of the default one.
    """

    def __init__(self, fields: InboundFields) -> None:
        self.mutations_title = (fields.mutations or DEFAULT_MUTATIONS)[0]
        self.mutations = _lower(fields.mutations, DEFAULT_MUTATIONS)
        self.audience = _lower(fields.audience, DEFAULT_AUDIENCE)
        self.user = _lower(fields.user, DEFAULT_USER)
        self.direction = _lower(fields.direction, DEFAULT_DIRECTION)
        self.customer = _lower(fields.customer, DEFAULT_CUSTOMER)
        given = DEFAULT_IDENTIFIERS if fields.identifiers is None else fields.identifiers
        self.identifiers = {name.lower(): canonical for name, canonical in given.items()}
        self._within_user = {name: name for name in CANONICAL_IDENTIFIERS} | self.identifiers

    def plan(self, keys: tuple[str, ...]) -> MutationPlan:
        """The parts of a mutation's keys. A name that occurs twice in different case counts with its last spelling."""
        spelled = {key.lower(): key for key in keys}
        identifiers = {name: spelled[name] for name in self.identifiers if name in spelled}
        parts = [
            tuple(spelled[name] for name in names if name in spelled)
            for names in (self.audience, self.user, self.direction, self.customer)
        ]
        taken: set[str] = set()
        audience, user, direction, customer = (_not_taken(part, taken) for part in parts)
        named = tuple((key, self.identifiers[name]) for name, key in identifiers.items() if key not in taken)
        taken.update(key for key, _ in named)
        return MutationPlan(
            keys=len(keys),
            user=user,
            audience=audience,
            customer=customer,
            direction=direction,
            identifiers=named,
            rest=tuple(key for key in keys if key not in taken),
            only_user=user[0] if len(user) == 1 and not named and len(spelled) == len(keys) else None,
        )

    def user_plan(self, keys: Iterable[str]) -> UserPlan:
        """The parts of the keys of a user that is an object."""
        known = [(key, name) for key in keys if (name := self._within_user_object(key)) is not None]
        taken = {key for key, _ in known}
        return UserPlan(tuple(sorted(known, key=lambda pair: rank(pair[1]))), tuple(key for key in keys if key not in taken))

    def _within_user_object(self, key: str) -> str | None:
        name = key.lower()
        if name in self.user:
            return "id"
        for prefix in _OPEN_ENDED:
            if name.startswith(prefix) and len(name) > len(prefix):
                return prefix + key[len(prefix) :]
        return self._within_user.get(name)


def _lower(given: tuple[str, ...] | None, default: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in (default if given is None else given))


def _not_taken(part: tuple[str, ...], taken: set[str]) -> tuple[str, ...]:
    """A key has one part: the first that claims it."""
    free = tuple(key for key in part if key not in taken)
    taken.update(free)
    return free
