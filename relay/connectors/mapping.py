"""From a mutation to the partner's fields."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from relay.domain.connector import Constant
from relay.domain.errors import RelayError
from relay.domain.malformed import Malformed
from relay.domain.message import Message, Mutation
from relay.expressions.checks import Roots
from relay.expressions.expression import NONE, Expression, Surroundings, compile_expression
from relay.expressions.times import rfc3339_of_epoch
from relay.reading.values import IDENTIFIERS

ROOTS: Roots = {
    "user": frozenset({*IDENTIFIERS, "account", "agent", "account.*", "agent.*"}),
    "fields": None,
    "customer": None,
    "direction": None,
    "audience": frozenset({"id", "name", "partner_id"}),
    "request": frozenset({"id", "received_at", "fields"}),
}
"""What a mapping can begin with, and what each holds: see `mutation_context`."""


class MappingError(RelayError):
    """The mapping of one field cannot be computed for one mutation. The sentence holds no value of it."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"The mapping of '{field}' failed: {sentence}")
        self.field = field
        self.sentence = sentence


class CompiledMapping:
    """The mapping of one action, ready to be applied to many mutations; see `compile_mapping`."""

    def __init__(self, expressions: Mapping[str, Expression], constants: Mapping[str, Any]) -> None:
        self._expressions = tuple(expressions.items())
        self._constants = dict(constants)
        self.needs_surroundings = any(expression.needs for expression in expressions.values())
        """Whether any of its expressions looks at what it is given beside the context."""
        paths = [(field, expression.path) for field, expression in self._expressions]
        self._of_user = [(field, path[1]) for field, path in paths if _is_identifier(path)]
        self.needs_only_user = len(self._of_user) == len(paths)
        """Whether `of_users` can do it: each expression is one identifier of the user, as `user.id` is."""

    def apply(self, context: Mapping[str, Any], surroundings: Surroundings = NONE) -> dict[str, Any]:
        """Partner field → value, without those that are null. `context`: see `mutation_context`. Raises `MappingError`.

        surroundings: the seed says which mutation and action it is, so that a retry gets the same UUIDs; each field gets its own.
        """
        values = dict(self._constants)
        for field, expression in self._expressions:
            try:
                value = expression.search(context, _of_field(surroundings, field) if expression.needs else NONE)
            except Malformed as problem:
                raise MappingError(field, str(problem)) from None
            if isinstance(value, float) and not math.isfinite(value):
                raise MappingError(field, "The result is not a number.")
            if value is not None:
                values[field] = value
        return values

    def of_users(self, users: Sequence[Mapping[str, str]]) -> dict[str, Sequence[Any]]:
        """Partner field → what `apply` gives for each user with these identifiers, None where it gives nothing; without contexts
        to be made. Where `needs_only_user`."""
        columns: dict[str, Sequence[Any]] = {field: [value] * len(users) for field, value in self._constants.items()}
        for field, name in self._of_user:
            columns[field] = [user.get(name) for user in users]
        return columns


def _is_identifier(path: tuple[str, ...]) -> bool:
    return len(path) == 2 and path[0] == "user" and path[1] not in _FAMILIES


def _of_field(surroundings: Surroundings, field: str) -> Surroundings:
    seed = f"{surroundings.seed}/{field}" if surroundings.seed else ""
    return msgspec.structs.replace(surroundings, seed=seed)


def compile_mapping(mapping: Mapping[str, str | Constant]) -> CompiledMapping:
    """The mapping of an action, compiled; an expression is compiled once however often it is used. Raises `MappingError`."""
    expressions = {}
    for field, value in mapping.items():
        if isinstance(value, str):
            try:
                expressions[field] = compile_expression(value, ROOTS)
            except Malformed as problem:
                raise MappingError(field, str(problem)) from None
    constants = {field: value.constant for field, value in mapping.items() if isinstance(value, Constant)}
    return CompiledMapping(expressions, constants)


def mutation_context(message: Message, mutation: Mutation, *, audience_name: str, partner_id: str) -> dict[str, Any]:
    """What the expressions of a mapping see. `account.x` is both `user."account.x"` and `user.account.x`.

    request.received_at is RFC 3339 in UTC, to the millisecond.
    """
    user: dict[str, Any] = dict(mutation.user)
    families: dict[str, dict[str, str]] = {}
    for name, value in mutation.user.items():
        if "." in name:
            family, _, member = name.partition(".")
            if family in _FAMILIES:
                families.setdefault(family, {})[member] = value
    user.update(families)
    return {
        "user": user,
        "fields": mutation.fields,
        "customer": mutation.customer,
        "direction": mutation.direction,
        "audience": {"id": message.audience, "name": audience_name, "partner_id": partner_id},
        "request": {
            "id": message.request_id,
            "received_at": _received_at(message.received_at),
            "fields": message.fields,
        },
    }


_FAMILIES = ("account", "agent")

_received_at = lru_cache(maxsize=1_000)(rfc3339_of_epoch)
"""All mutations of a message were received at one moment."""
