"""Where exactly Firestore's limits lie, and what its answers cost: without an emulator, which would take its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.cloud.firestore_v1 import types

from tests.emulators.counts import Bill
from tests.emulators.firestore_rules import FirestoreRules
from tests.emulators.indexes import IndexFile
from tests.emulators.refusal import Refusal

MIB = 1024 * 1024
DOCUMENTS = "projects/p/databases/(default)/documents"


@pytest.fixture
def rules(tmp_path: Path) -> FirestoreRules:
    return FirestoreRules(IndexFile(tmp_path / "none.json"))


def commit(*writes: dict[str, Any]) -> bytes:
    encoded: bytes = types.CommitRequest.serialize(types.CommitRequest(writes=list(writes)))
    return encoded


def write(text: str, name: str = "a") -> dict[str, Any]:
    return {"update": {"name": f"{DOCUMENTS}/things/{name}", "fields": {"text": {"string_value": text}}}}


def test_a_document_has_at_most_a_mebibyte(rules: FirestoreRules) -> None:
    # The name 16 and "things" 7 and "a" 2, the document 32, the field 5 and one more byte than the text.
    most = MIB - (16 + 7 + 2 + 32 + 5 + 1)
    rules.check("Commit", commit(write("x" * most)))
    for method in ("Commit", "BatchWrite"):
        with pytest.raises(Refusal, match="exceeds the maximum"):
            rules.check(method, commit(write("x" * (most + 1))))


def test_a_request_has_at_most_ten_mebibytes(rules: FirestoreRules) -> None:
    def request(size: int) -> bytes:
        encoded: bytes = types.CommitRequest.serialize(types.CommitRequest(transaction=b"x" * (size - 5)))
        assert len(encoded) == size
        return encoded

    rules.check("Commit", request(10 * MIB))
    with pytest.raises(Refusal, match="payload size"):
        rules.check("Commit", request(10 * MIB + 1))


@pytest.mark.parametrize("kind", ["update", "delete", "transform"])
def test_every_write_is_of_a_name_that_can_be(rules: FirestoreRules, kind: str) -> None:
    name = f"{DOCUMENTS}/things/__a__"
    given: dict[str, Any] = {"update": {"name": name}, "delete": name, "transform": {"document": name}}
    with pytest.raises(Refusal, match="invalid"):
        rules.check("Commit", commit({kind: given[kind]}))


def test_writes_and_deletes_are_billed_apart(rules: FirestoreRules) -> None:
    cost = rules.check("Commit", commit(write("x"), {"delete": f"{DOCUMENTS}/things/b"}))
    assert cost([b""]) == Bill(writes=1, deletes=1)


@pytest.mark.parametrize(("counted", "reads"), [(0, 1), (1_000, 1), (1_001, 2), (2_500, 3)])
@pytest.mark.parametrize("alias", ["", "all"])
def test_counting_is_billed_by_thousands_of_entries(rules: FirestoreRules, counted: int, reads: int, alias: str) -> None:
    query = {
        "structured_query": {"from_": [{"collection_id": "things"}]},
        "aggregations": [{"alias": "total", "sum": {"field": {"field_path": "n"}}}, {"alias": alias, "count": {}}],
    }
    request = types.RunAggregationQueryRequest(structured_aggregation_query=query)
    fields = {"total": {"integer_value": 1_000_000}, alias or "field_1": {"integer_value": counted}}
    answer = types.RunAggregationQueryResponse(result={"aggregate_fields": fields})
    cost = rules.check("RunAggregationQuery", types.RunAggregationQueryRequest.serialize(request))
    assert cost([types.RunAggregationQueryResponse.serialize(answer)]) == Bill(aggregation_reads=reads)


def test_results_that_an_offset_skips_are_billed(rules: FirestoreRules) -> None:
    query = {"from_": [{"collection_id": "things"}]}
    request = types.RunQueryRequest.serialize(types.RunQueryRequest(structured_query=query))
    answers = [types.RunQueryResponse(skipped_results=7), types.RunQueryResponse(document={"name": f"{DOCUMENTS}/things/a"})]
    cost = rules.check("RunQuery", request)
    assert cost([types.RunQueryResponse.serialize(answer) for answer in answers]) == Bill(reads=8)
