"""Which index a Firestore query needs, and whether `deploy/firestore.indexes.json` has it: the emulator answers without any.

The rules (https://firebase.google.com/docs/firestore/query-data/index-overview): every field has an index of its own, ascending,
descending and for array-contains, within one collection, unless an override says otherwise. A query takes one index, whose fields
are those with equality first (in any order) and then the sort order, exactly; or it merges several of such indexes, each with
some of the equality fields and all of the sort order. The sort order is: the orders asked for, then the fields with a range, then
the document's name in the direction of the last one. Where the documentation leaves room, the stricter reading is taken: an
index of one field descending is not used backwards or for equality alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import msgspec
from google.cloud.firestore_v1 import types

NAME = "__name__"
ASC = "ASCENDING"
DESC = "DESCENDING"
CONTAINS = "CONTAINS"

Scope = Literal["COLLECTION", "COLLECTION_GROUP"]
Order = Literal["ASCENDING", "DESCENDING"]

_OPERATOR = types.StructuredQuery.FieldFilter.Operator
_UNARY = types.StructuredQuery.UnaryFilter.Operator
_EQUALITY = {_OPERATOR.EQUAL, _OPERATOR.IN}
_CONTAINING = {_OPERATOR.ARRAY_CONTAINS, _OPERATOR.ARRAY_CONTAINS_ANY}
_UNARY_EQUALITY = {_UNARY.IS_NULL, _UNARY.IS_NAN}


class IndexField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of an index."""

    fieldPath: str
    order: Order | None = None
    arrayConfig: Literal["CONTAINS"] | None = None

    @property
    def mode(self) -> str:
        return self.order or self.arrayConfig or ASC


class Composite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An index of several fields."""

    collectionGroup: str
    queryScope: Scope
    fields: tuple[IndexField, ...]


class SingleMode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One index that a field has of its own."""

    queryScope: Scope = "COLLECTION"
    order: Order | None = None
    arrayConfig: Literal["CONTAINS"] | None = None


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The indexes that a field has instead of the automatic ones; none: it is exempt."""

    collectionGroup: str
    fieldPath: str
    indexes: tuple[SingleMode, ...]
    ttl: bool = False


class Indexes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file, in the format of the Firebase CLI (https://firebase.google.com/docs/reference/firestore/indexes)."""

    indexes: tuple[Composite, ...] = ()
    fieldOverrides: tuple[Override, ...] = ()

    def automatic(self, group: str, scope: str, path: str, mode: str) -> bool:
        """Whether this field has such an index of its own. What is said of a map is said of the fields in it."""
        overrides = {override.fieldPath: override for override in self.fieldOverrides if override.collectionGroup == group}
        parts = path.split(".")
        for known in (*(".".join(parts[:length]) for length in range(len(parts), 0, -1)), "*"):
            if known in overrides:
                return any((one.queryScope, one.order or one.arrayConfig) == (scope, mode) for one in overrides[known].indexes)
        return scope == "COLLECTION"


class IndexFile:
    """Indexes as the file has them now; none while there is no file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = Indexes()
        self._changed = -1

    def current(self) -> Indexes:
        """Raises `msgspec.ValidationError` for a file that Google would not take."""
        try:
            changed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return Indexes()
        if changed != self._changed:
            self._read = msgspec.json.decode(self._path.read_bytes(), type=Indexes)
            self._changed = changed
        return self._read


Entry = tuple[str, str]
"""A field's path, and its mode in an index."""


class _Need(msgspec.Struct, frozen=True):
    """What one branch of a query asks of indexes. equal: field → the modes that will do. order: ends with the document's name."""

    equal: Mapping[str, str]
    order: tuple[Entry, ...]


def missing(query: Any, indexes: Indexes, *, aggregated: Sequence[str] = ()) -> str:
    """The index that the query (a StructuredQuery as protobuf knows it) needs and that is not there; empty if there is one.

    aggregated: fields that are summed or averaged: they belong to the index, too
    (https://firebase.google.com/docs/firestore/query-data/aggregation-queries#use_indexes).
    """
    source = query.from_
    group = source[0].collection_id if source else ""
    scope = "COLLECTION_GROUP" if not source or source[0].all_descendants else "COLLECTION"
    if query.HasField("find_nearest"):
        return f"{group} ({scope}): a vector index"
    for branch in _branches(query.where) if query.HasField("where") else [()]:
        need = _need(branch, query.order_by, aggregated)
        if not _met(need, group, scope, indexes):
            fields = (*((path, mode) for path, mode in sorted(need.equal.items())), *need.order)
            return f"{group} ({scope}): " + ", ".join(f"{path} {mode}" for path, mode in fields)
    return ""


def _met(need: _Need, group: str, scope: str, indexes: Indexes) -> bool:
    if not need.equal:
        if need.order == ((NAME, ASC),):
            return True
        (path, mode), *rest = need.order
        if rest == [(NAME, mode)] and indexes.automatic(group, scope, path, mode):
            return True
    found = False
    covered: set[str] = set()
    for entries in _candidates(need, group, scope, indexes):
        prefix, order = entries[: -len(need.order)], entries[-len(need.order) :]
        serves = order == need.order and all(
            need.equal.get(path) == mode or (need.equal.get(path) == ASC and mode == DESC) for path, mode in prefix
        )
        if serves:
            found = True
            covered |= {path for path, _ in prefix}
    return found and covered == need.equal.keys()


def _candidates(need: _Need, group: str, scope: str, indexes: Indexes) -> Iterator[tuple[Entry, ...]]:
    """Indexes with the document's name, which ends each of them, whether it is written or not."""
    for path, mode in need.equal.items():
        if indexes.automatic(group, scope, path, mode):
            yield (path, mode), (NAME, ASC)
    for index in indexes.indexes:
        if (index.collectionGroup, index.queryScope) == (group, scope):
            entries = tuple((field.fieldPath, field.mode) for field in index.fields)
            last = entries[-1]
            yield entries if last[0] == NAME else (*entries, (NAME, DESC if last[1] == DESC else ASC))


def _need(branch: Sequence[Entry], order_by: Sequence[Any], aggregated: Sequence[str]) -> _Need:
    """branch: fields with `EQUAL`, `IN`, `CONTAINS` or `RANGE`."""
    fixed = {path for path, kind in branch if kind == "EQUAL" and path != NAME}
    order = [
        (one.field.field_path, DESC if one.direction == types.StructuredQuery.Direction.DESCENDING else ASC)
        for one in order_by
        if one.field.field_path not in fixed
    ]
    last = order[-1][1] if order else ASC
    for path in (*sorted({path for path, kind in branch if kind == "RANGE"}), *sorted(aggregated), NAME):
        if path not in fixed and path not in {known for known, _ in order}:
            order.append((path, last))
    sorted_by = [path for path, _ in order]
    equal = {path: ASC for path, kind in branch if kind == "IN" and path != NAME and path not in sorted_by}
    equal |= dict.fromkeys(fixed, ASC) | {path: CONTAINS for path, kind in branch if kind == "CONTAINS"}
    # A document's name occurs once: what is asked to come behind it orders nothing.
    return _Need(equal=equal, order=tuple(order[: sorted_by.index(NAME) + 1]))


def _branches(where: Any) -> list[tuple[Entry, ...]]:
    """The filter as alternatives, each a conjunction: every one needs its index."""
    kind = where.WhichOneof("filter_type")
    if kind == "composite_filter":
        parts = [_branches(part) for part in where.composite_filter.filters]
        if where.composite_filter.op == types.StructuredQuery.CompositeFilter.Operator.OR:
            return [branch for part in parts for branch in part]
        return [tuple(entry for branch in chosen for entry in branch) for chosen in product(*parts)]
    if kind == "unary_filter":
        filter_ = where.unary_filter
        return [((filter_.field.field_path, "EQUAL" if filter_.op in _UNARY_EQUALITY else "RANGE"),)]
    filter_ = where.field_filter
    path = filter_.field.field_path
    if filter_.op in _CONTAINING:
        return [((path, "CONTAINS"),)]
    if filter_.op == _OPERATOR.EQUAL:
        return [((path, "EQUAL"),)]
    return [((path, "IN" if filter_.op in _EQUALITY else "RANGE"),)]
