"""Firestore's documents: read, queried, written in one commit or in a transaction, each within an explicit time.

Built on the API client of google-cloud-firestore rather than on its document classes: those begin a transaction with a call of
its own and give neither that call nor the commit a time-out, while a turn has a budget.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar

from google.api_core.exceptions import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    GoogleAPICallError,
    InternalServerError,
    NotFound,
    ServiceUnavailable,
)
from google.api_core.retry import Retry, if_exception_type
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport
from google.cloud.firestore_v1.types import (
    BatchGetDocumentsRequest,
    CommitRequest,
    RollbackRequest,
    RunAggregationQueryRequest,
    RunQueryRequest,
    StructuredQuery,
    TransactionOptions,
)
from google.cloud.firestore_v1.types import Write as ApiWrite

from relay.backends.google.channels import FIRESTORE, Channels
from relay.backends.google.failures import readable, unavailable
from relay.backends.google.values import Fields, decoded_fields, encoded, encoded_fields
from relay.configuration import Configuration
from relay.domain.errors import StoreUnavailable

T = TypeVar("T")

SERVICE = "Firestore"

_TRY_S = 5.0
_IN_ALL_S = 8.0
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0

_passes = if_exception_type(ServiceUnavailable, InternalServerError, DeadlineExceeded)

_OPERATORS = {"==": "EQUAL", "<": "LESS_THAN", "<=": "LESS_THAN_OR_EQUAL", ">": "GREATER_THAN", ">=": "GREATER_THAN_OR_EQUAL"}

_READ_WRITE = TransactionOptions.ReadWrite


class Changed(Exception):
    """A precondition did not hold: the document was changed, made or deleted since it was read. Nothing was written."""


class Stored(NamedTuple):
    """A document as it was read. `path`: from its top collection on. `updated`: what a precondition takes."""

    path: str
    fields: dict[str, Any]
    updated: Any

    @property
    def name(self) -> str:
        """Its ID."""
        return self.path.rpartition("/")[2]


class Query(NamedTuple):
    """A query over one collection.

    collection  path of the collection
    where       (field, `==`, `<`, `<=`, `>` or `>=`, value), all of which hold
    order       fields; a minus before one: descending. Documents without an ordered field are not found
    limit       0: all
    fields      what is read of each document; None: everything
    behind      values of the ordered fields, and a path: only what comes behind it, in that order and that of the paths
    """

    collection: str
    where: Sequence[tuple[str, str, Any]] = ()
    order: Sequence[str] = ()
    limit: int = 0
    fields: Sequence[str] | None = None
    behind: Sequence[Any] = ()


class Write(NamedTuple):
    """One change to one document, all or nothing together with the others of its commit.

    kind      `put` replaces the document, `merge` only the given fields, `delete` removes it
    add       field path (dots between its parts) → number that is added to what is there (0 if nothing is)
    exists    precondition: the document must (not) be there
    updated   precondition: it is as it was read (`Stored.updated`)
    """

    path: str
    kind: Literal["put", "merge", "delete"] = "put"
    fields: Fields = MappingProxyType({})
    add: dict[str, int] | None = None
    exists: bool | None = None
    updated: Any = None


class Documents:
    """The documents of one database. All methods raise `StoreUnavailable`."""

    def __init__(self, channels: Channels, configuration: Configuration) -> None:
        self._channels = channels
        self._database = (
            f"projects/{configuration.google_cloud_project}/databases/{configuration.firestore_database}"
        )
        self._root = f"{self._database}/documents"
        # The emulator lets one in who calls himself its owner.
        self._metadata = [("google-cloud-resource-prefix", self._database)] + (
            [("authorization", "Bearer owner")] if configuration.firestore_emulator else []
        )
        self._lock = threading.Lock()
        self._client: FirestoreClient | None = None

    # reading

    def get(self, path: str) -> Stored | None:
        """One document; None if there is none."""
        return self.get_all([path]).get(path)

    def get_all(self, paths: Iterable[str], *, fields: Sequence[str] | None = None) -> dict[str, Stored]:
        """Those of the documents that are there, by path, in one call. `fields`: what is read of each; None: everything."""
        return self._get_all(paths, fields, {})[0]

    def query(self, query: Query) -> list[Stored]:
        """What the query finds, in its order."""
        return self._query(query)

    def count(self, query: Query) -> int:
        """How many documents the query finds. Costs a read for each thousand of them, and one at least."""
        request = RunAggregationQueryRequest(
            {
                "parent": self._parent(query),
                "structured_aggregation_query": {
                    "structured_query": self._structured(query),
                    "aggregations": [{"alias": "number", "count": {}}],
                },
            }
        )
        answers = self._stream(lambda api, options: api.run_aggregation_query(request, **options), {})
        return sum(answer.result.aggregate_fields["number"].integer_value for answer in answers if answer.HasField("result"))

    # writing

    def commit(self, writes: Sequence[Write]) -> None:
        """All of the writes or none. Raises `Changed` if a precondition does not hold."""
        self._commit(writes, None)

    def change(self, work: Callable[[], T]) -> T:
        """Runs `work`, which reads, decides, and commits with preconditions on what it has read; again from the start as long as
        that raises `Changed`. Takes no locks: the way for all who write what they have read."""
        patience = _Patience()
        while True:
            try:
                return work()
            except (Changed, _GotInBetween):
                patience.wait()

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Runs `work` and commits what it writes, again from the start while others got in between; what it raises ends it.

        Locks what it reads. Two who read the same document and then write it wait for each other until one gives up: for those
        there is `change`; a transaction is for one who writes only what others have no reason to read.
        """
        patience = _Patience()
        retried = b""
        while True:
            transaction = Transaction(self, retried)
            try:
                result = work(transaction)
                transaction._commit()
                return result
            except _GotInBetween:
                retried = transaction.identifier or retried
                transaction._rollback()
                patience.wait()
            except BaseException:
                transaction._rollback()  # its locks would delay others until they expire
                raise

    # the calls

    def _get_all(
        self, paths: Iterable[str], fields: Sequence[str] | None, within: dict[str, Any]
    ) -> tuple[dict[str, Stored], bytes]:
        names = [f"{self._root}/{path}" for path in paths]
        if not names:
            return {}, b""
        request = BatchGetDocumentsRequest(
            {
                "database": self._database,
                "documents": names,
                **({} if fields is None else {"mask": {"field_paths": list(fields)}}),
                **within,
            }
        )
        found: dict[str, Stored] = {}
        begun = b""
        for answer in self._stream(lambda api, options: api.batch_get_documents(request, **options), within):
            begun = answer.transaction or begun
            if answer.WhichOneof("result") == "found":
                stored = self._stored(answer.found)
                found[stored.path] = stored
        return found, begun

    def _query(self, query: Query) -> list[Stored]:
        request = RunQueryRequest({"parent": self._parent(query), "structured_query": self._structured(query)})
        answers = self._stream(lambda api, options: api.run_query(request, **options), {})
        return [self._stored(answer.document) for answer in answers if answer.HasField("document")]

    def _parent(self, query: Query) -> str:
        parent = query.collection.rpartition("/")[0]
        return f"{self._root}/{parent}" if parent else self._root

    def _structured(self, query: Query) -> StructuredQuery:
        *values, path = query.behind or [None]
        order = [*query.order, "__name__"] if query.behind else query.order
        cursor = [*(encoded(value) for value in values), {"reference_value": f"{self._root}/{path}"}]
        return StructuredQuery(
            {
                "from_": [{"collection_id": query.collection.rpartition("/")[2]}],
                "where": _filter(query.where),
                "order_by": [
                    {
                        "field": {"field_path": field.removeprefix("-")},
                        "direction": "DESCENDING" if field.startswith("-") else "ASCENDING",
                    }
                    for field in order
                ],
                **({"start_at": {"values": cursor, "before": False}} if query.behind else {}),
                **({"limit": query.limit} if query.limit else {}),
                **(
                    {}
                    if query.fields is None
                    else {"select": {"fields": [{"field_path": field} for field in query.fields or ("__name__",)]}}
                ),
            }
        )

    def _stream(
        self, call: Callable[[FirestoreClient, dict[str, Any]], Iterable[Any]], within: dict[str, Any]
    ) -> list[Any]:
        """The answers of a call that streams them, in protobuf's own form. A stream that breaks off is asked for again whole,
        unless it begins a transaction: another one would be begun, and wait for the locks of the first."""

        def read_whole() -> list[Any]:
            options = {"retry": None, "timeout": _TRY_S, "metadata": self._metadata}
            return [type(answer).pb(answer) for answer in call(self._api(), options)]

        with readable(SERVICE):
            try:
                if "new_transaction" in within:
                    return read_whole()
                answers: list[Any] = _retry()(read_whole)()
                return answers
            except Aborted as error:
                raise _GotInBetween from error

    def _commit(self, writes: Sequence[Write], transaction: bytes | None) -> None:
        if not writes and transaction is None:
            return
        request = CommitRequest(
            {
                "database": self._database,
                "writes": [self._api_write(write) for write in writes],
                **({"transaction": transaction} if transaction else {}),
            }
        )
        with readable(SERVICE):
            try:
                self._api().commit(request, retry=_retry(), timeout=_TRY_S, metadata=self._metadata)
            except Aborted as error:
                raise _GotInBetween from error
            except (FailedPrecondition, AlreadyExists, NotFound) as error:
                if any(write.exists is not None or write.updated is not None for write in writes):
                    raise Changed from error
                raise

    def _rollback(self, transaction: bytes) -> None:
        request = RollbackRequest({"database": self._database, "transaction": transaction})
        try:
            self._api().rollback(request, retry=None, timeout=_TRY_S, metadata=self._metadata)
        except GoogleAPICallError:
            return  # it ends by itself

    def _api(self) -> FirestoreClient:
        with self._lock:
            if self._client is None:
                with readable(SERVICE):
                    transport = FirestoreGrpcTransport(host=FIRESTORE, channel=self._channels.firestore())
                    self._client = FirestoreClient(transport=transport)
            return self._client

    def _stored(self, document: Any) -> Stored:
        return Stored(document.name[len(self._root) + 1 :], decoded_fields(document.fields), document.update_time)

    def _api_write(self, write: Write) -> ApiWrite:
        name = f"{self._root}/{write.path}"
        condition: dict[str, Any] = {}
        if write.exists is not None:
            condition = {"current_document": {"exists": write.exists}}
        elif write.updated is not None:
            condition = {"current_document": {"update_time": write.updated}}
        if write.kind == "delete":
            return ApiWrite({"delete": name, **condition})
        transforms = [
            {"field_path": ".".join(f"`{part}`" for part in path.split(".")), "increment": encoded(number)}
            for path, number in (write.add or {}).items()
        ]
        return ApiWrite(
            {
                "update": {"name": name, "fields": encoded_fields(write.fields)},
                **({"update_mask": {"field_paths": list(write.fields)}} if write.kind == "merge" else {}),
                "update_transforms": transforms,
                **condition,
            }
        )


class Transaction:
    """What is read here stays as it was read until the commit, or the whole is run again. Reads come before writes."""

    def __init__(self, documents: Documents, retried: bytes) -> None:
        self._documents = documents
        self._retried = retried
        self._writes: list[Write] = []
        self.identifier = b""

    def get(self, path: str) -> Stored | None:
        """One document; None if there is none."""
        return self.get_all([path]).get(path)

    def get_all(self, paths: Iterable[str], *, fields: Sequence[str] | None = None) -> dict[str, Stored]:
        """As `Documents.get_all`."""
        found, begun = self._documents._get_all(paths, fields, self._within())
        self.identifier = self.identifier or begun
        return found

    def write(self, *writes: Write) -> None:
        """Written with the commit."""
        self._writes += writes

    def _within(self) -> dict[str, Any]:
        if self._writes:
            raise ValueError("In a transaction reads come before writes.")
        if self.identifier:
            return {"transaction": self.identifier}
        return {"new_transaction": TransactionOptions({"read_write": _READ_WRITE({"retry_transaction": self._retried})})}

    def _commit(self) -> None:
        self._documents._commit(self._writes, self.identifier or None)

    def _rollback(self) -> None:
        if self.identifier:
            self._documents._rollback(self.identifier)


class _GotInBetween(StoreUnavailable):
    """Somebody else changed what was read. Outside of a transaction it is one more way for the store to be unavailable."""

    def __init__(self) -> None:
        super().__init__(str(unavailable(SERVICE, Aborted.grpc_status_code)))


class _Patience:
    """Waits longer and longer between tries, by chance, and not for ever."""

    def __init__(self) -> None:
        self._give_up_at = time.monotonic() + _IN_ALL_S
        self._pause_s = _FIRST_PAUSE_S

    def wait(self) -> None:
        """Raises `StoreUnavailable` where the time is over."""
        if time.monotonic() + self._pause_s > self._give_up_at:
            raise unavailable(SERVICE, Aborted.grpc_status_code)
        time.sleep(random.uniform(0, self._pause_s))  # noqa: S311 - spreads load, guards nothing
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)


def _retry() -> Retry:
    return Retry(predicate=_passes, initial=0.05, maximum=1.0, timeout=_IN_ALL_S)


def _filter(where: Sequence[tuple[str, str, Any]]) -> dict[str, Any] | None:
    filters = [
        {"field_filter": {"field": {"field_path": field}, "op": _OPERATORS[operator], "value": encoded(value)}}
        for field, operator, value in where
    ]
    if len(filters) > 1:
        return {"composite_filter": {"op": "AND", "filters": filters}}
    return filters[0] if filters else None
