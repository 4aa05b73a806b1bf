"""What Firestore refuses though its emulator accepts it, and what a call costs.

Only what a request itself shows is checked: a document that grows too large by many updates of single fields is not noticed. And
the emulator is the stricter one in one thing: it takes no request over 4 MiB.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc
from google.cloud.firestore_v1 import types

from tests.emulators.counts import Bill
from tests.emulators.document_size import document_size, path_of
from tests.emulators.indexes import IndexFile, missing
from tests.emulators.refusal import Cost, Refusal, free

MAX_REQUEST_BYTES = 10 * 1024 * 1024
MAX_DOCUMENT_BYTES = 1_048_576
MAX_NAME_BYTES = 6 * 1024
MAX_ID_BYTES = 1_500
"""https://firebase.google.com/docs/firestore/quotas#limits"""

_ENTRIES_PER_READ = 1_000
_RESERVED = re.compile(r"__.*__", re.DOTALL)
_INVALID = grpc.StatusCode.INVALID_ARGUMENT


class FirestoreRules:
    """Those of `google.firestore.v1.Firestore`."""

    def __init__(self, indexes: IndexFile) -> None:
        self._indexes = indexes
        self._checks: dict[str, Callable[[bytes], Cost]] = {
            "Commit": self._commit,
            "BatchWrite": self._batch_write,
            "CreateDocument": self._create,
            "UpdateDocument": self._update,
            "DeleteDocument": self._delete,
            "GetDocument": self._get,
            "BatchGetDocuments": self._batch_get,
            "ListDocuments": self._list,
            "RunQuery": self._run_query,
            "RunAggregationQuery": self._run_aggregation,
        }

    def check(self, method: str, request: bytes) -> Cost:
        if len(request) > MAX_REQUEST_BYTES:
            raise Refusal(_INVALID, f"Request payload size exceeds the limit: {MAX_REQUEST_BYTES} bytes.")
        check = self._checks.get(method)
        return check(request) if check else free

    # writing
    def _commit(self, request: bytes) -> Cost:
        return _writes(_COMMIT.FromString(request).writes)

    def _batch_write(self, request: bytes) -> Cost:
        return _writes(_BATCH_WRITE.FromString(request).writes)

    def _create(self, request: bytes) -> Cost:
        asked = _CREATE.FromString(request)
        asked.document.name = f"{asked.parent}/{asked.collection_id}/{asked.document_id or 'chosen-by-the-server'}"
        _check_document(asked.document)
        return _costing(Bill(writes=1))

    def _update(self, request: bytes) -> Cost:
        _check_document(_UPDATE.FromString(request).document)
        return _costing(Bill(writes=1))

    def _delete(self, request: bytes) -> Cost:
        _check_name(_DELETE.FromString(request).name)
        return _costing(Bill(deletes=1))

    # reading
    def _get(self, request: bytes) -> Cost:
        _check_name(_GET.FromString(request).name)
        return _costing(Bill(reads=1))

    def _batch_get(self, request: bytes) -> Cost:
        for name in _BATCH_GET.FromString(request).documents:
            _check_name(name)

        def cost(answers: Sequence[bytes]) -> Bill:
            return Bill(reads=sum(_BATCH_GOT.FromString(answer).WhichOneof("result") is not None for answer in answers))

        return cost

    def _list(self, request: bytes) -> Cost:
        return lambda answers: Bill(reads=max(1, len(_LISTED.FromString(answers[0]).documents)))

    def _run_query(self, request: bytes) -> Cost:
        self._check_indexes(_QUERY.FromString(request).structured_query)

        def cost(answers: Sequence[bytes]) -> Bill:
            found = [_QUERIED.FromString(answer) for answer in answers]
            return Bill(reads=max(1, sum(one.HasField("document") + one.skipped_results for one in found)))

        return cost

    def _run_aggregation(self, request: bytes) -> Cost:
        asked = _AGGREGATION.FromString(request).structured_aggregation_query
        aggregated = {
            getattr(one, one.WhichOneof("operator")).field.field_path for one in asked.aggregations if not one.HasField("count")
        }
        self._check_indexes(asked.structured_query, sorted(aggregated))
        unnamed = (f"field_{number}" for number in itertools.count(1))
        names = [one.alias or next(unnamed) for one in asked.aggregations]
        counts = [name for name, one in zip(names, asked.aggregations, strict=True) if one.HasField("count")]

        def cost(answers: Sequence[bytes]) -> Bill:
            fields = _AGGREGATED.FromString(answers[0]).result.aggregate_fields if answers else {}
            counted = max((fields[name].integer_value for name in counts if name in fields), default=0)
            return Bill(aggregation_reads=max(1, -(-counted // _ENTRIES_PER_READ)))

        return cost

    def _check_indexes(self, query: Any, aggregated: Sequence[str] = ()) -> None:
        lacking = missing(query, self._indexes.current(), aggregated=aggregated)
        if lacking:
            raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, f"The query requires an index. {lacking}")


def _writes(writes: Iterable[Any]) -> Cost:
    kinds = []
    for write in writes:
        kind = write.WhichOneof("operation")
        kinds.append(kind)
        if kind == "update":
            _check_document(write.update)
        elif kind == "transform":
            _check_name(write.transform.document)
        elif kind is not None:
            _check_name(getattr(write, kind))
    return _costing(Bill(writes=kinds.count("update") + kinds.count("transform"), deletes=kinds.count("delete")))


def _check_document(document: Any) -> None:
    _check_name(document.name)
    size = document_size(document)
    if size > MAX_DOCUMENT_BYTES:
        raise Refusal(
            _INVALID,
            f"Document '{document.name}' cannot be written because its size ({size:,} bytes) exceeds the maximum allowed size of "
            f"{MAX_DOCUMENT_BYTES:,} bytes.",
        )
    for field in document.fields:
        if _RESERVED.fullmatch(field) or len(field.encode()) > MAX_ID_BYTES:
            raise Refusal(_INVALID, f"The name of the property '{field}' is reserved or too long.")


def _check_name(name: str) -> None:
    if len(name.encode()) > MAX_NAME_BYTES:
        raise Refusal(_INVALID, f"The name of a document is longer than {MAX_NAME_BYTES} bytes.")
    for part in path_of(name):
        if not part or part in (".", "..") or _RESERVED.fullmatch(part) or len(part.encode()) > MAX_ID_BYTES:
            raise Refusal(_INVALID, f"Document name '{name}' is invalid: it has an ID that is empty, reserved or too long.")


def _costing(bill: Bill) -> Cost:
    return lambda answers: bill


_COMMIT = types.CommitRequest.pb()
_BATCH_WRITE = types.BatchWriteRequest.pb()
_CREATE = types.CreateDocumentRequest.pb()
_UPDATE = types.UpdateDocumentRequest.pb()
_DELETE = types.DeleteDocumentRequest.pb()
_GET = types.GetDocumentRequest.pb()
_BATCH_GET = types.BatchGetDocumentsRequest.pb()
_BATCH_GOT = types.BatchGetDocumentsResponse.pb()
_LISTED = types.ListDocumentsResponse.pb()
_QUERY = types.RunQueryRequest.pb()
_QUERIED = types.RunQueryResponse.pb()
_AGGREGATION = types.RunAggregationQueryRequest.pb()
_AGGREGATED = types.RunAggregationQueryResponse.pb()
