"""Our reading of a mutation (docs/wire-format.md): from an entry of the request's array to a user who joined or left an audience.

What the keys of an entry mean is worked out once for each set of keys (requests repeat theirs), and per entry only values are
looked at. Entries that are all alike are read faster (`handlers.mapp.alike`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from handlers.mapp.alike import Shape, Shapes, read_alike
from handlers.mapp.directions import direction
from handlers.mapp.field_names import FieldNames, KeyPlans, MutationPlan, Named, UserPlan, rank
from handlers.values import Unreadable, audience_id, customer, identifier, too_deep
from relay.domain.connector import Inbound
from relay.domain.message import Direction, Mutation

NO_OBJECT = "It is not an object."
NO_AUDIENCE = "It names no audience."
NO_USER = "It names no user."
NOT_SERVED = "Its customer is not one that this connector serves."
TOO_DEEP = "Objects or arrays in it are nested too deeply."


class FromBody(NamedTuple):
    """What the request says for all mutations that do not say it themselves. `audience` is empty where it names none."""

    direction: Direction
    audience: str = ""
    customer: int | str | None = None


class MutationReader:
    """Reads the mutations of one connector. Used by one thread at a time."""

    def __init__(self, inbound: Inbound) -> None:
        self.names = FieldNames(inbound.fields)
        self._customers = None if inbound.customers is None else frozenset(str(each) for each in inbound.customers)
        self._plans: KeyPlans[MutationPlan] = KeyPlans(self.names.plan)
        self._user_plans: KeyPlans[UserPlan] = KeyPlans(self.names.user_plan)
        self._shapes = Shapes()
        self._last: Shape | None = None
        """Of the last request, where its entries were alike."""

    def serves(self, value: object) -> bool:
        """Whether requests for this customer are accepted. `123` and `"123"` are the same."""
        return self._customers is None or str(value) in self._customers

    def decode(self, body: bytes) -> Any:
        """The JSON of a request to change an audience. Where it is like the last one's, its entries are values of their shape
        instead of objects, which takes less to decode and to read; only `read` knows them. It must follow without an `await` in
        between: it knows no other shape than the last, and another request may change which that is.

        Raises what `msgspec.json.decode` does.
        """
        content = None if self._last is None else self._last.decode(body)
        if content is not None:
            return content
        self._last = None
        return msgspec.json.decode(body)

    def read(self, entries: Sequence[object], body: FromBody) -> list[tuple[str, Mutation]]:
        """For each entry the audience in whose group its mutation travels, and the mutation; one that cannot be read says why."""
        shape = self._shape(entries) if entries else None
        if shape is not None:
            alike = read_alike(entries, shape, *body)
            if alike is not None:
                self._last = shape
                return alike
            if type(entries[0]) is shape.entry:
                entries = shape.objects(entries)
        known: dict[str, str] = {}
        return [self._read(index, entry, body, known) for index, entry in enumerate(entries)]

    def _shape(self, entries: Sequence[object]) -> Shape | None:
        if isinstance(entries[0], dict):
            return self._shapes.find(entries, self._plans.kept)
        return self._last if self._last is not None and type(entries[0]) is self._last.entry else None

    def _plan(self, keys: tuple[str, ...]) -> MutationPlan:
        return self._plans.kept.get(keys) or self._plans.make(keys)

    def _read(self, index: int, entry: object, body: FromBody, known: dict[str, str]) -> tuple[str, Mutation]:
        """`known`: audience IDs already found usable; a request repeats them."""
        way, audience, whose = body
        if not isinstance(entry, dict):
            return audience, Mutation(index=index, unreadable=NO_OBJECT)
        plan = self._plan(tuple(entry))
        fields = {key: entry[key] for key in plan.rest} if plan.rest else {}
        try:
            if plan.audience:
                audience = _audience(entry, plan.audience, fields, known) or audience
            user = self._user(entry, plan.user, plan.identifiers, fields)
            if plan.customer:
                whose = self._customer(entry, plan.customer, fields, whose)
            if plan.direction:
                way = _direction(entry, plan.direction, fields) or way
            # Returned, not raised: nonsense must not cost more than what makes sense.
            if not audience:
                return audience, Mutation(index=index, unreadable=NO_AUDIENCE)
            if not user:
                return audience, Mutation(index=index, unreadable=NO_USER)
            if fields and any(isinstance(value, (dict, list)) and too_deep(value) for value in fields.values()):
                raise Unreadable(TOO_DEEP)
        except Unreadable as why:
            return audience, Mutation(index=index, unreadable=str(why))
        return audience, Mutation(index=index, direction=way, user=user, fields=fields, customer=whose)

    def _user(
        self, entry: Mapping[str, Any], keys: tuple[str, ...], identifiers: Named, fields: dict[str, Any]
    ) -> dict[str, str]:
        """All identifiers of the entry. What stands where they are expected and is none goes to `fields`.

        Whatever the request's order, they come in one order, so that the same person has the same key: see `Mutation.user_key`.
        """
        user: dict[str, str] = {}
        objects = 0
        for key in keys:
            value = entry[key]
            if isinstance(value, dict):
                objects += 1
                within = tuple(value)
                plan = self._user_plans.kept.get(within) or self._user_plans.make(within)
                beside = {inner: value[inner] for inner in plan.rest}
                for inner, name in plan.identifiers:
                    _keep(name, inner, value[inner], user, beside)
                if beside:
                    fields[key] = beside
            else:
                _keep("id", key, value, user, fields)
        for key, name in identifiers:
            _keep(name, key, entry[key], user, fields)
        if objects and (len(keys) > 1 or identifiers):
            return dict(sorted(user.items(), key=_by_rank))
        return user

    def _customer(
        self, entry: Mapping[str, Any], keys: tuple[str, ...], fields: dict[str, Any], of_request: int | str | None
    ) -> int | str | None:
        """The entry's own customer, else the request's. What cannot be one, or is one too many, goes to `fields`."""
        own: int | str | None = None
        for key in keys:
            value = entry[key]
            if value is None:
                continue
            if own is None and value == of_request and value.__class__ is of_request.__class__:
                own = of_request  # as the DMP repeats it with each
                continue
            usable = customer(value)
            if self._customers is not None and not self.serves(value if usable is None else usable):
                raise Unreadable(NOT_SERVED)
            if own is None and usable is not None:
                own = usable
            else:
                fields[key] = value
        return of_request if own is None else own


def _audience(entry: Mapping[str, Any], keys: tuple[str, ...], fields: dict[str, Any], known: dict[str, str]) -> str | None:
    own: str | None = None
    for key in keys:
        value = entry[key]
        if own is not None:
            fields[key] = value
        elif isinstance(value, str) and value in known:
            own = value
        elif (own := audience_id(value)) is not None:
            known[own] = own
    return own


def _direction(entry: Mapping[str, Any], keys: tuple[str, ...], fields: dict[str, Any]) -> Direction | None:
    own: Direction | None = None
    for key in keys:
        said = direction(entry[key]) if own is None else None
        if said is None:
            fields[key] = entry[key]
        else:
            own = said
    return own


def _keep(name: str, key: str, value: object, user: dict[str, str], rest: dict[str, Any]) -> None:
    """The value as this identifier, unless there is one already or it is none; then with the rest, unless it says nothing."""
    text = identifier(value)
    if text is not None and name not in user:
        user[name] = text
    elif text is not None or not (value is None or isinstance(value, str)):
        rest[key] = value


def _by_rank(item: tuple[str, str]) -> tuple[int, str]:
    return rank(item[0])
