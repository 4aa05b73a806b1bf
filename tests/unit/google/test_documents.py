"""The layer over Firestore: conditions, transactions, and what happens while it cannot be reached."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from relay.backends.google.channels import Channels
from relay.backends.google.documents import Changed, Documents, Query, Transaction, Write
from relay.backends.google.values import moment
from relay.configuration import read
from relay.domain.errors import StoreUnavailable
from tests.emulators import Emulators, place


@pytest.fixture
def documents(emulators: Emulators) -> Documents:
    return _opened(place(emulators))


def _opened(variables: dict[str, str]) -> Documents:
    configuration = read(variables)
    return Documents(Channels(configuration), configuration)


def _number(documents: Documents, path: str = "things/one") -> int:
    stored = documents.get(path)
    assert stored is not None
    number: int = stored.fields["number"]
    return number


# values
@pytest.mark.parametrize(
    "value",
    [None, True, 0, -(2**62), 1.5, "ünï\x00code", b"\x00\xff", moment(1_800_000_000.25), [1, "two"], {"a.b": {"c": None}}],
)
def test_a_value_is_read_as_it_was_written(documents: Documents, value: object) -> None:
    documents.commit([Write("things/one", fields={"value": value})])
    stored = documents.get("things/one")
    assert stored is not None
    assert stored.fields == {"value": value}
    assert type(stored.fields["value"]) is type(value)


def test_a_value_of_a_type_that_our_documents_do_not_use_is_refused(documents: Documents) -> None:
    with pytest.raises(TypeError, match="complex"):
        documents.commit([Write("things/one", fields={"value": 1j})])


def test_a_moment_is_a_time_stamp_of_microseconds() -> None:
    assert moment(1_800_000_000.123456) == datetime(2027, 1, 15, 8, 0, 0, 123456, tzinfo=UTC)


# writing
def test_a_merge_leaves_other_fields_and_a_put_does_not(documents: Documents) -> None:
    documents.commit([Write("things/one", fields={"a": 1, "b": 1})])
    documents.commit([Write("things/one", "merge", {"b": 2})])
    assert documents.get_all(["things/one"])["things/one"].fields == {"a": 1, "b": 2}
    documents.commit([Write("things/one", "put", {"b": 3})])
    assert documents.get_all(["things/one"])["things/one"].fields == {"b": 3}


def test_numbers_are_added_whether_the_document_is_there_or_not(documents: Documents) -> None:
    for _ in range(2):
        documents.commit([Write("counts/one", "merge", {"of": "x"}, add={"minutes.1800000000.delivered": 5, "all": 1})])
    stored = documents.get("counts/one")
    assert stored is not None
    assert stored.fields == {"of": "x", "minutes": {"1800000000": {"delivered": 10}}, "all": 2}


@pytest.mark.parametrize("write", [Write("things/one", exists=False), Write("things/other", "delete", exists=True)])
def test_a_condition_that_does_not_hold_keeps_the_whole_commit_from_being_written(documents: Documents, write: Write) -> None:
    documents.commit([Write("things/one", fields={"number": 1})])
    documents.commit([Write("things/two", fields={"number": 1})])
    with pytest.raises(Changed):
        documents.commit([Write("things/two", "merge", {"number": 2}), write])
    assert _number(documents, "things/two") == 1


def test_what_was_changed_since_it_was_read_is_not_overwritten(documents: Documents) -> None:
    documents.commit([Write("things/one", fields={"number": 1})])
    stored = documents.get("things/one")
    assert stored is not None
    documents.commit([Write("things/one", fields={"number": 2}, updated=stored.updated)])
    with pytest.raises(Changed):
        documents.commit([Write("things/one", fields={"number": 3}, updated=stored.updated)])
    assert _number(documents) == 2


# querying
def test_documents_are_found_by_conditions_in_order_up_to_a_limit(documents: Documents) -> None:
    documents.commit([Write(f"things/{number}", fields={"number": number, "kind": "x"}) for number in range(5)])
    documents.commit([Write("things/without", fields={"kind": "x"}), Write("others/9", fields={"number": 9})])
    found = documents.query(Query("things", [("number", ">", 0)], ["-number"], limit=3, fields=["number"]))
    assert [(one.name, one.fields) for one in found] == [("4", {"number": 4}), ("3", {"number": 3}), ("2", {"number": 2})]
    assert len(documents.query(Query("things", (), ["number"]))) == 5, "one without the field is not found"
    assert documents.query(Query("things", [("number", "==", 1)], fields=[]))[0].fields == {}


def test_a_collection_within_a_document_is_one_of_its_own(documents: Documents) -> None:
    documents.commit([Write("things/a/parts/1", fields={"number": 1}), Write("things/b/parts/2", fields={"number": 2})])
    assert [one.path for one in documents.query(Query("things/a/parts"))] == ["things/a/parts/1"]


# together
def test_of_many_who_change_one_document_each_sees_the_one_before(documents: Documents) -> None:
    documents.commit([Write("things/one", fields={"number": 0})])

    def count_up() -> None:
        stored = documents.get("things/one")
        assert stored is not None
        number = stored.fields["number"] + 1
        documents.commit([Write("things/one", fields={"number": number}, updated=stored.updated)])

    threads = [threading.Thread(target=lambda: [documents.change(count_up) for _ in range(10)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _number(documents) == 60


def test_a_transaction_sees_what_it_read_until_it_commits(documents: Documents) -> None:
    """One turns the page while another writes on it: nothing is written on a page that was turned."""
    documents.commit([Write("books/one", fields={"page": 0})])
    written: list[tuple[int, str]] = []

    def turn() -> None:
        stored = documents.get("books/one")
        assert stored is not None
        documents.commit([Write("books/one", fields={"page": stored.fields["page"] + 1}, updated=stored.updated)])
        page = stored.fields["page"] + 1
        written.extend((page, one.name) for one in documents.query(Query(f"books/one/page{page - 1}")))

    def write(page: int, name: str) -> None:
        def work(transaction: Transaction) -> None:
            stored = transaction.get("books/one")
            assert stored is not None
            if stored.fields["page"] == page:
                transaction.write(Write(f"books/one/page{page}/{name}", fields={}))

        documents.transact(work)

    def write_on_every_page(lane: int) -> None:
        for page in range(8):
            write(page, f"{lane}-{page}")

    writers = [threading.Thread(target=write_on_every_page, args=(lane,)) for lane in range(3)]
    turner = threading.Thread(target=lambda: [documents.change(turn) for _ in range(8)])
    for thread in [*writers, turner]:
        thread.start()
    for thread in [*writers, turner]:
        thread.join()
    there = [one.name for page in range(8) for one in documents.query(Query(f"books/one/page{page}"))]
    assert sorted(name for _, name in written) == sorted(there), "all that is on a page was there when it was turned"


def test_what_a_transaction_raises_leaves_nothing_and_no_lock(documents: Documents) -> None:
    documents.commit([Write("things/one", fields={"number": 1})])

    def fail(transaction: Transaction) -> None:
        transaction.get("things/one")
        transaction.write(Write("things/one", fields={"number": 2}))
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        documents.transact(fail)
    documents.commit([Write("things/one", fields={"number": 3})])
    assert _number(documents) == 3


def test_in_a_transaction_reads_come_first(documents: Documents) -> None:
    def wrong(transaction: Transaction) -> None:
        transaction.write(Write("things/one", fields={}))
        transaction.get("things/one")

    with pytest.raises(ValueError, match="reads come before writes"):
        documents.transact(wrong)


# unreachable
def test_while_it_cannot_be_reached_the_store_is_unavailable(
    emulators: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.backends.google.documents._IN_ALL_S", 0.5)
    documents = _opened({**place(emulators), "FIRESTORE_EMULATOR_HOST": "127.0.0.1:9"})
    with pytest.raises(StoreUnavailable, match="Firestore could not be reached"):
        documents.get("things/one")
    with pytest.raises(StoreUnavailable, match="Firestore could not be reached"):
        documents.commit([Write("things/one", fields={})])
