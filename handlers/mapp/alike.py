"""Requests whose entries are alike, as the DMP's are: read column by column, for a third of what it takes one by one.

Only what says the same either way is read here. Whatever is unusual in any entry leaves all of them to `MutationReader`, which
knows every case and every reason. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

from handlers.mapp.directions import direction
from handlers.mapp.field_names import MutationPlan
from handlers.values import Unreadable, are_identifiers, audience_id
from relay.domain.message import Direction, Mutation

_NESTED = frozenset((dict, list))

_NO_FIELDS: dict[str, Any] = {}
"""Of all mutations that have none. What is read is never changed."""


def read_alike(
    entries: Sequence[Any], plan: MutationPlan, way: Direction, audience: str, customer: int | str | None
) -> list[tuple[str, Mutation]] | None:
    """For each entry the audience and the mutation; None unless all are objects with the keys of the plan, of which no part
    has two, and say: a user that is one text, a usable audience, the request's customer, one direction.

    way, audience, customer: the request's, for entries that do not say it.
    """
    if plan.only_user is None or any(len(part) > 1 for part in (plan.audience, plan.customer, plan.direction)):
        return None
    if set(map(type, entries)) != {dict} or set(map(len, entries)) != {plan.keys}:
        return None
    try:
        users, *rest = (list(map(itemgetter(key), entries)) for key in (plan.only_user, *plan.rest))
        audiences, customers, directions = (
            list(map(itemgetter(part[0]), entries)) if part else None for part in (plan.audience, plan.customer, plan.direction)
        )
    except KeyError:
        return None
    if directions is not None:
        said = direction(directions[0])
        if said is None or not _all_are(directions, directions[0]):
            return None
        way = said
    if not (
        are_identifiers(users)
        and (bool(audience) if audiences is None else _are_audiences(audiences))
        and (customers is None or _all_are(customers, customer))
        and all(_NESTED.isdisjoint(map(type, column)) for column in rest)
    ):
        return None
    fields: Iterable[dict[str, Any]]
    if rest:
        fields = [dict(zip(plan.rest, row, strict=True)) for row in zip(*rest, strict=True)]
    else:
        fields = repeat(_NO_FIELDS)
    identified = [{"id": user} for user in users]
    mutations = map(Mutation, range(len(users)), repeat(way), identified, fields, repeat(customer))
    return list(zip(repeat(audience) if audiences is None else audiences, mutations, strict=False))


def _all_are(column: list[Any], value: object) -> bool:
    """Whether each is this value, of the same type: `1`, `1.0` and `true` are equal to Python."""
    return column.count(value) == len(column) and set(map(type, column)) == {type(value)}


def _are_audiences(column: list[Any]) -> bool:
    if set(map(type, column)) != {str}:
        return False
    try:
        return all(map(audience_id, set(column)))
    except Unreadable:
        return False
