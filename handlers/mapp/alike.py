"""Requests whose entries are alike, as the DMP's are: read column by column, for a quarter of what it takes one by one.

Only what says the same either way is read here. Whatever is unusual in any entry leaves all of them to `MutationReader`, which
knows every case and every reason. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Annotated, Any

import msgspec

from handlers.mapp.directions import direction
from handlers.mapp.field_names import MutationPlan
from handlers.values import MAX_IDENTIFIER, Unreadable, are_identifiers, audience_id
from relay.domain.message import Direction, Mutation

_NESTED = frozenset((dict, list))

_NO_FIELDS: dict[str, Any] = {}
"""Of all mutations that have none. What is read is never changed."""

_User = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_IDENTIFIER)]


class Shape:
    """What entries with the keys of one plan are made into, so that looking at them takes little: values with an attribute for
    each key, of which the user, the audience and the direction are texts.

    entry    their type; None where there can be none
    columns  which parts of a mutation an entry names
    rest     the attributes of the other keys
    """

    def __init__(self, plan: MutationPlan) -> None:
        parts = {"user": (plan.only_user,), "audience": plan.audience, "customer": plan.customer, "direction": plan.direction}
        named = {name: keys[0] for name, keys in parts.items() if keys and keys[0] is not None}
        self.columns = {name: name in named for name in parts}
        self.rest = tuple(f"rest_{number}" for number in range(len(plan.rest)))
        self.plan = plan
        self.keys = (*named.values(), *plan.rest)
        self.entry: type[Any] | None = None
        if plan.only_user is None or len(self.keys) < plan.keys:
            return
        types: dict[str, Any] = {"user": _User, "audience": str, "direction": str}
        names = dict(zip((*named, *self.rest), self.keys, strict=True))
        try:
            self.entry = msgspec.defstruct(
                "Entry",
                [(name, types.get(name, object)) for name in names],
                rename=names,
                forbid_unknown_fields=True,
                gc=False,  # as with mutations
            )
        except ValueError:  # a key that cannot be the name of a field
            return
        # Other fields than the array of entries are simple, as a rule.
        self._decoder = msgspec.json.Decoder(dict[str, list[self.entry] | str | int | float | bool | None])  # type: ignore[name-defined]

    def decode(self, body: bytes) -> dict[str, Any] | None:
        """The object in a body with one array, which is of entries of this shape; None for any other body."""
        try:
            content: dict[str, Any] = self._decoder.decode(body)
        except (ValueError, RecursionError):
            return None
        return content if sum(type(value) is list for value in content.values()) == 1 else None

    def of(self, entries: Sequence[Any]) -> Sequence[Any] | None:
        """Entries that are of this shape already, or that are objects; None unless all are as it says."""
        if type(entries[0]) is self.entry:
            return entries
        if self.entry is None:
            return None
        try:
            found: list[Any] = msgspec.convert(entries, list[self.entry])  # type: ignore[name-defined]
        except msgspec.ValidationError:
            return None
        return found

    def objects(self, entries: Sequence[Any]) -> list[dict[str, Any]]:
        """Entries of this shape as the objects that they were."""
        return [dict(zip(self.keys, msgspec.structs.astuple(entry), strict=True)) for entry in entries]


class Shapes:
    """The shapes of one connector by their keys. Few are kept, and made only for keys that come again, since a type takes
    kilobytes and is not freed before the garbage collector comes."""

    MOST = 16
    MOST_KEYS = 16
    """Of an entry. A key is looked for among the type's one after the other, so that many in an order of their own would take
    the square of their number."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], Shape] = {}

    def find(self, entries: Sequence[Any], plans: Mapping[tuple[str, ...], MutationPlan]) -> Shape | None:
        """The shape of the first of these entries, which is an object. One that is not kept is made where all are alike, and the
        plan for their keys is kept already from an earlier request."""
        first = entries[0]
        if len(first) > self.MOST_KEYS:
            return None
        keys = tuple(first)
        shape = self._kept.get(keys)
        if shape is None:
            plan = plans.get(keys)
            if plan is None or not _have_the_same_keys(entries, plan.only_user):
                return None
            if len(self._kept) >= self.MOST:
                del self._kept[next(iter(self._kept))]
            shape = self._kept[keys] = Shape(plan)
        return shape


def read_alike(
    given: Sequence[Any], shape: Shape, way: Direction, audience: str, customer: int | str | None
) -> list[tuple[str, Mutation]] | None:
    """For each entry the audience and the mutation; None unless all are of that shape, and say: a user that is one text, a usable
    audience, the request's customer, one direction.

    way, audience, customer: the request's, for entries that do not say it.
    """
    entries = shape.of(given)
    if entries is None:
        return None
    says = shape.columns
    if says["direction"]:
        directions = [entry.direction for entry in entries]
        said = direction(directions[0])
        if said is None or directions.count(directions[0]) != len(directions):
            return None
        way = said
    users = [entry.user for entry in entries]
    audiences = [entry.audience for entry in entries] if says["audience"] else None
    rest = [[getattr(entry, name) for entry in entries] for name in shape.rest]
    if not (
        are_identifiers(users)
        and (bool(audience) if audiences is None else _are_audiences(audiences))
        and (not says["customer"] or _all_are([entry.customer for entry in entries], customer))
        and all(_NESTED.isdisjoint(map(type, column)) for column in rest)
    ):
        return None
    fields: Iterable[dict[str, Any]]
    if rest:
        fields = [dict(zip(shape.plan.rest, row, strict=True)) for row in zip(*rest, strict=True)]
    else:
        fields = repeat(_NO_FIELDS)
    identified = [{"id": user} for user in users]
    mutations = map(Mutation, range(len(users)), repeat(way), identified, fields, repeat(customer))
    return list(zip(repeat(audience) if audiences is None else audiences, mutations, strict=False))


def _have_the_same_keys(entries: Sequence[Any], user: str | None) -> bool:
    """Whether all entries are objects with the keys of the first, and a text as their user."""
    keys = entries[0].keys()
    return user is not None and all(
        isinstance(entry, dict) and entry.keys() == keys and isinstance(entry[user], str) for entry in entries
    )


def _all_are(column: list[Any], value: object) -> bool:
    """Whether each is this value, of the same type: `1`, `1.0` and `true` are equal to Python."""
    return column.count(value) == len(column) and set(map(type, column)) == {type(value)}


def _are_audiences(column: list[str]) -> bool:
    try:
        return all(map(audience_id, set(column)))
    except Unreadable:
        return False
