"""Which queries need an index in deploy/firestore.indexes.json, as a table.

The rules: https://firebase.google.com/docs/firestore/query-data/index-overview
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.cloud.firestore_v1 import types

from tests.emulators.indexes import Indexes, IndexFile, missing

ROOT = Path(__file__).parents[3]

Filter = tuple[str, str] | tuple[str, list[Any]]
"""(field, operator), or ("AND" or "OR", filters)."""

INDEXES = msgspec.convert(
    {
        "indexes": [
            {"collectionGroup": "cities", "queryScope": "COLLECTION", "fields": [
                {"fieldPath": "state", "order": "ASCENDING"}, {"fieldPath": "population", "order": "DESCENDING"}]},
            {"collectionGroup": "cities", "queryScope": "COLLECTION", "fields": [
                {"fieldPath": "country", "order": "DESCENDING"}, {"fieldPath": "population", "order": "DESCENDING"}]},
            {"collectionGroup": "cities", "queryScope": "COLLECTION", "fields": [
                {"fieldPath": "regions", "arrayConfig": "CONTAINS"}, {"fieldPath": "founded", "order": "ASCENDING"}]},
            {"collectionGroup": "cities", "queryScope": "COLLECTION", "fields": [
                {"fieldPath": "a", "order": "ASCENDING"}, {"fieldPath": "b", "order": "ASCENDING"},
                {"fieldPath": "c", "order": "ASCENDING"}, {"fieldPath": "__name__", "order": "DESCENDING"}]},
            {"collectionGroup": "towns", "queryScope": "COLLECTION_GROUP", "fields": [
                {"fieldPath": "state", "order": "ASCENDING"}, {"fieldPath": "population", "order": "ASCENDING"}]},
            {"collectionGroup": "cities", "queryScope": "COLLECTION", "fields": [
                {"fieldPath": "state", "order": "ASCENDING"}, {"fieldPath": "note", "order": "ASCENDING"}]},
        ],
        "fieldOverrides": [
            {"collectionGroup": "cities", "fieldPath": "note", "indexes": []},
            {"collectionGroup": "cities", "fieldPath": "counts", "indexes": []},
            {"collectionGroup": "cities", "fieldPath": "counts.shown", "indexes": [{"order": "ASCENDING"}]},
            {"collectionGroup": "cities", "fieldPath": "expire_at", "ttl": True, "indexes": [
                {"order": "ASCENDING", "queryScope": "COLLECTION"}, {"order": "ASCENDING", "queryScope": "COLLECTION_GROUP"}]},
            {"collectionGroup": "bare", "fieldPath": "*", "indexes": []},
        ],
    },
    Indexes,
)  # fmt: skip


def filter_of(given: Filter) -> dict[str, Any]:
    name, what = given
    if isinstance(what, list):
        return {"composite_filter": {"op": name, "filters": [filter_of(part) for part in what]}}
    if what in ("IS_NULL", "IS_NOT_NULL"):
        return {"unary_filter": {"field": {"field_path": name}, "op": what}}
    return {"field_filter": {"field": {"field_path": name}, "op": what, "value": {"integer_value": 1}}}


def query(where: list[Filter], orders: str, group: str = "cities", *, everywhere: bool = False) -> Any:
    """orders: names of fields, descending with a minus before it."""
    structured: dict[str, Any] = {"from_": [{"collection_id": group, "all_descendants": everywhere}]}
    if where:
        structured["where"] = filter_of(where[0] if len(where) == 1 else ("AND", where))
    structured["order_by"] = [
        {"field": {"field_path": name.lstrip("-")}, "direction": "DESCENDING" if name.startswith("-") else "ASCENDING"}
        for name in orders.split()
    ]
    request = {"structured_query": structured}
    return types.RunQueryRequest.pb(types.RunQueryRequest(request)).structured_query


AUTOMATIC: list[tuple[str, list[Filter], str]] = [
    ("everything", [], ""),
    ("in the order of names", [], "__name__"),
    ("equality", [("x", "EQUAL")], ""),
    ("equality, in the order of names", [("x", "EQUAL")], "__name__"),
    ("equality on several fields, merged", [("x", "EQUAL"), ("y", "EQUAL"), ("z", "EQUAL")], ""),
    ("equality on several fields with a range of names", [("x", "EQUAL"), ("__name__", "GREATER_THAN")], ""),
    ("one document by name", [("__name__", "EQUAL")], ""),
    ("one of several values", [("x", "IN")], ""),
    ("one of several values and equality", [("x", "IN"), ("y", "EQUAL")], ""),
    ("one of several values, ordered by them", [("x", "IN")], "-x"),
    ("null", [("x", "IS_NULL")], ""),
    ("a range", [("x", "GREATER_THAN"), ("x", "LESS_THAN")], ""),
    ("a range, ordered by its field", [("x", "GREATER_THAN")], "x"),
    ("a range, ordered by its field, descending", [("x", "GREATER_THAN")], "-x"),
    ("not equal", [("x", "NOT_EQUAL")], ""),
    ("not null", [("x", "IS_NOT_NULL")], ""),
    ("an order", [], "x"),
    ("a descending order", [], "-x"),
    ("an order and then names, the same way", [], "x __name__"),
    ("a descending order and then names, the same way", [], "-x -__name__"),
    ("an order by a field with one value", [("x", "EQUAL")], "x"),
    ("equality and a range on one field", [("x", "EQUAL"), ("x", "GREATER_THAN")], ""),
    ("a member of an array", [("x", "ARRAY_CONTAINS")], ""),
    ("a member of an array and equality", [("x", "ARRAY_CONTAINS"), ("y", "EQUAL")], ""),
    ("alternatives of equality", [("OR", [("x", "EQUAL"), ("y", "EQUAL")])], ""),
    ("a range of one field of a map", [("map.x", "GREATER_THAN")], ""),
]

IN_THE_FILE: list[tuple[str, list[Filter], str]] = [
    ("equality and an order", [("state", "EQUAL")], "-population"),
    ("equality and a range in the order of the index", [("state", "EQUAL"), ("population", "LESS_THAN")], "-population"),
    ("one of several values and an order", [("state", "IN")], "-population"),
    ("two indexes with the same order, merged", [("state", "EQUAL"), ("country", "EQUAL")], "-population"),
    ("equality and an order, then names the same way", [("state", "EQUAL")], "-population -__name__"),
    ("equality in another order than in the index", [("b", "EQUAL"), ("a", "EQUAL")], "c -__name__"),
    ("an index with nothing but equality", [("a", "EQUAL"), ("c", "EQUAL"), ("b", "EQUAL")], "-__name__"),
    ("several orders", [("a", "EQUAL")], "b c -__name__"),
    ("a member of an array and an order", [("regions", "ARRAY_CONTAINS")], "founded"),
    ("an exempt field that an index has", [("state", "EQUAL")], "note"),
    ("a field with the one index that its override has", [("expire_at", "LESS_THAN")], ""),
    ("a field of an exempt map with an override of its own", [], "counts.shown"),
]

NEEDED = [case for case in IN_THE_FILE if not case[0].startswith("a field")]
"""Those for which there is no automatic index either."""

REFUSED: list[tuple[str, list[Filter], str]] = [
    ("equality and a range on another field", [("x", "EQUAL"), ("y", "GREATER_THAN")], ""),
    ("equality and an order by another field", [("x", "EQUAL")], "y"),
    ("the order of the index reversed", [("state", "EQUAL")], "population"),
    ("a range ascends unless it is said", [("state", "EQUAL"), ("population", "LESS_THAN")], ""),
    ("names against the order of the index", [("state", "EQUAL")], "-population __name__"),
    ("more equality than the indexes have", [("state", "EQUAL"), ("x", "EQUAL")], "-population"),
    ("less equality than the index has", [("a", "EQUAL")], "c -__name__"),
    ("the index has a field too many", [("a", "EQUAL")], "b"),
    ("two orders", [], "x y"),
    ("an order and then names the other way", [], "x -__name__"),
    ("names descending", [], "-__name__"),
    ("equality with names descending", [("x", "EQUAL")], "-__name__"),
    ("two ranges", [("x", "GREATER_THAN"), ("y", "GREATER_THAN")], ""),
    ("a range and an order by another field", [("x", "GREATER_THAN")], "y"),
    ("not equal and another range", [("x", "NOT_EQUAL"), ("y", "LESS_THAN")], ""),
    ("not null and an order by another field", [("x", "IS_NOT_NULL")], "y"),
    ("a member of an array, ordered by another field", [("x", "ARRAY_CONTAINS")], "founded"),
    ("equality where the index is of members", [("regions", "EQUAL")], "founded"),
    ("one alternative without an index", [("OR", [("x", "EQUAL"), ("AND", [("x", "EQUAL"), ("y", "LESS_THAN")])])], "y"),
    ("an exempt field", [("note", "EQUAL")], ""),
    ("an exempt field among others", [("x", "EQUAL"), ("note", "EQUAL")], ""),
    ("the order of an exempt field", [], "note"),
    ("a member of an exempt array", [("note", "ARRAY_CONTAINS")], ""),
    ("a field of an exempt map", [("counts.x", "EQUAL")], ""),
    ("an index that the override does not have", [], "-expire_at"),
]


@pytest.mark.parametrize(("what", "where", "orders"), AUTOMATIC, ids=[case[0] for case in AUTOMATIC])
def test_needs_no_index_of_its_own(what: str, where: list[Filter], orders: str) -> None:
    assert missing(query(where, orders), Indexes()) == ""


@pytest.mark.parametrize(("what", "where", "orders"), IN_THE_FILE, ids=[case[0] for case in IN_THE_FILE])
def test_uses_an_index_of_the_file(what: str, where: list[Filter], orders: str) -> None:
    assert missing(query(where, orders), INDEXES) == ""


@pytest.mark.parametrize(
    ("what", "where", "orders"), NEEDED, ids=[case[0] for case in NEEDED]
)
def test_is_refused_without_the_file(what: str, where: list[Filter], orders: str) -> None:
    assert missing(query(where, orders), Indexes())


@pytest.mark.parametrize(("what", "where", "orders"), REFUSED, ids=[case[0] for case in REFUSED])
def test_is_refused(what: str, where: list[Filter], orders: str) -> None:
    assert missing(query(where, orders), INDEXES)


@pytest.mark.parametrize(
    ("group", "where", "orders", "met"),
    [
        ("towns", [], "", True),
        ("towns", [("x", "EQUAL")], "", False),
        ("towns", [], "x", False),
        ("towns", [("state", "EQUAL")], "population", True),
        ("cities", [("state", "EQUAL")], "-population", False),
        ("cities", [("expire_at", "LESS_THAN")], "", True),
        ("cities", [], "-expire_at", False),
    ],
)
def test_a_query_of_all_collections_of_a_name_uses_only_indexes_made_for_that(
    group: str, where: list[Filter], orders: str, met: bool
) -> None:
    assert (missing(query(where, orders, group, everywhere=True), INDEXES) == "") is met


def test_an_index_is_of_its_own_collections_alone() -> None:
    assert missing(query([("state", "EQUAL")], "-population", "towns"), INDEXES)
    assert missing(query([("note", "EQUAL")], "", "towns"), INDEXES) == ""


def test_an_override_of_all_fields_leaves_no_automatic_index() -> None:
    assert missing(query([("x", "EQUAL")], "", "bare"), INDEXES)
    assert missing(query([], "", "bare"), INDEXES) == ""


@pytest.mark.parametrize(
    ("where", "summed", "met"), [([], "x", True), ([("y", "EQUAL")], "x", False), ([("state", "EQUAL")], "note", True)]
)
def test_a_sum_needs_its_field_in_the_index(where: list[Filter], summed: str, met: bool) -> None:
    assert (missing(query(where, ""), INDEXES, aggregated=[summed]) == "") is met


def test_a_vector_search_needs_an_index_that_the_file_cannot_have() -> None:
    nearest = query([], "")
    nearest.find_nearest.vector_field.field_path = "x"
    assert "vector" in missing(nearest, INDEXES)


def test_what_is_missing_is_named_by_fields_and_not_by_values() -> None:
    lacking = missing(query([("x", "EQUAL")], "-y"), INDEXES)
    assert lacking == "cities (COLLECTION): x ASCENDING, y DESCENDING, __name__ DESCENDING"


def test_the_file_is_read_again_when_it_changed_and_may_be_absent(tmp_path: Path) -> None:
    path = tmp_path / "firestore.indexes.json"
    file = IndexFile(path)
    assert file.current() == Indexes()
    path.write_bytes(msgspec.json.encode(INDEXES))
    assert file.current().indexes == INDEXES.indexes
    path.unlink()
    assert file.current() == Indexes()


def test_a_word_in_the_file_that_google_does_not_know_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "firestore.indexes.json"
    path.write_text('{"indexes": [{"collectionGroup": "a", "queryScope": "COLLECTION", "field": []}]}')
    with pytest.raises(msgspec.ValidationError):
        IndexFile(path).current()


def test_the_projects_own_file_can_be_read() -> None:
    assert IndexFile(ROOT / "deploy" / "firestore.indexes.json").current() != Indexes()
