"""A success is read closely: who was refused, who comes again, and whether all are accounted for."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.contract import Delivered, NotYet, Rejected, RowResult
from relay.domain.errors import BatchRefused, TryAgain
from tests.unit.adapters.http.conftest import TARGET, Opening, users
from tests.unit.adapters.http.partner import Partner, Reply

DOCUMENT = """
operations:
  add: {effect: add, fields: {id: }, request: {method: POST, path: /, body: "{{ rows }}"}, %s}
"""
D, R = Delivered(), Rejected("rejected", "The partner refused this user.")


def sent(open_http: Opening, partner: Partner, said: str, body: Any, ids: str = "abc") -> list[RowResult]:
    partner.answer = [Reply(200, body)]
    return open_http(DOCUMENT % said).send("add", TARGET, users(list(ids)))


BY_INDEX = "rejected: {list: errors, index: row, code: reason}"
BY_ID = "rejected: {list: errors, id: user.id, field: id}"
IN_ORDER = "rejected: {list: results, when: \"status != 'ok'\", again: \"status == 'busy'\", code: status}"


@pytest.mark.parametrize(
    ("said", "body", "results"),
    [
        (BY_INDEX, {}, [D, D, D]),
        (BY_INDEX, {"errors": []}, [D, D, D]),
        (BY_INDEX, {"errors": [{"row": 1}]}, [D, R, D]),
        (BY_INDEX, {"errors": [{"row": "2"}, {"row": 0}]}, [R, D, R]),
        (BY_INDEX, {"errors": [{"row": 1, "reason": "BAD"}]}, [D, Rejected("BAD", R.hint), D]),
        (BY_INDEX, {"errors": [{"row": 1, "reason": "b"}]}, [D, R, D]),
        (BY_INDEX.replace("row,", "row, base: 1,"), {"errors": [{"row": 1}]}, [R, D, D]),
        (BY_INDEX[:-1] + ", hint: No., hints: {BAD: Worse.}}",
         {"errors": [{"row": 0, "reason": "BAD"}, {"row": 1, "reason": "X"}]},
         [Rejected("BAD", "Worse."), Rejected("X", "No."), D]),
        (BY_ID, {"errors": [{"user": {"id": "b"}}]}, [D, R, D]),
        (BY_ID, {"errors": [{"user": {"id": "b"}}, {"user": {"id": "c"}}]}, [D, R, R]),
        (IN_ORDER, {"results": [{"status": "ok"}, {"status": "bad_user"}, {"status": "ok"}]},
         [D, Rejected("bad_user", R.hint), D]),
        (IN_ORDER, {"results": [{"status": "busy"}, {"status": "ok"}, {"status": "ok"}]},
         [NotYet("The partner could not take some users now; they are sent again."), D, D]),
        ("taken: accepted", {"accepted": 3}, [D, D, D]),
        (f"taken: accepted, {BY_INDEX}", {"accepted": 2, "errors": [{"row": 0}]}, [R, D, D]),
    ],
)  # fmt: skip
def test_each_user_gets_what_the_answer_says_of_it(
    open_http: Opening, partner: Partner, said: str, body: Any, results: list[RowResult]
) -> None:
    assert sent(open_http, partner, said, body) == results


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (BY_INDEX, {"errors": "none"}),
        (BY_INDEX, {"errors": {"row": 1}}),
        (IN_ORDER, {}),
        (IN_ORDER, {"result": [{"status": "ok"}]}),
        (IN_ORDER, b""),
        (IN_ORDER, {"results": []}),
        (IN_ORDER, {"results": [{"status": "ok"}]}),
        ("taken: accepted", {"accepted": 2}),
        ("taken: accepted", {"accepted": 4}),
        ("taken: accepted", {"accepted": "3"}),
        ("taken: accepted", {"accepted": True}),
        ("taken: accepted", {}),
        ("taken: accepted", []),
        (f"taken: accepted, {BY_INDEX}", {"accepted": 3, "errors": [{"row": 0}]}),
        (f"taken: accepted, {BY_INDEX}", {"accepted": 1, "errors": [{"row": 0}, {"row": 0}]}),
    ],
)
def test_an_answer_that_does_not_account_for_all_users_is_no_success(
    open_http: Opening, partner: Partner, said: str, body: Any
) -> None:
    with pytest.raises(TryAgain) as error:
        sent(open_http, partner, said, body)
    assert error.value.applied_unknown


@pytest.mark.parametrize(
    ("said", "entry"),
    [
        (BY_INDEX, {"row": 3}), (BY_INDEX, {"row": -1}), (BY_INDEX, {"row": 1.5}), (BY_INDEX, {}), (BY_INDEX, "b"),
        (BY_INDEX, None), (BY_INDEX.replace("row,", "row, base: 1,"), {"row": 0}), (BY_ID, {"user": {"id": "z"}}),
        (BY_ID, {"user": {}}), (BY_ID, {}),
    ],
)  # fmt: skip
def test_a_refusal_of_somebody_unknown_is_searched_for_and_found(
    open_http: Opening, partner: Partner, said: str, entry: Any
) -> None:
    with pytest.raises(BatchRefused) as error:
        sent(open_http, partner, said, {"errors": [entry]})
    assert error.value.code == "unknown_row"
    assert sent(open_http, partner, said, {"errors": [entry]}, ids="b") == [R]


def test_an_answer_in_csv_is_a_list_of_objects(open_http: Opening, partner: Partner) -> None:
    http = open_http(DOCUMENT % 'rejected: {list: "@", id: Id, field: id, code: Error}')
    content = '\ufeffId,Error\r\nb,"BAD_ID"\r\n'.encode()
    partner.answer = [Reply(200, content, {"Content-Type": "text/csv; charset=UTF-8"})]
    assert http.send("add", TARGET, users(["a", "b"])) == [D, Rejected("BAD_ID", R.hint)]
    partner.answer = [Reply(200, b"Id,Error\r\n", {"Content-Type": "text/csv"})]
    assert http.send("add", TARGET, users(["a", "b"])) == [D, D]
    partner.answer = [Reply(200, b"Id,Error\r\nb\r\n", {"Content-Type": "text/csv"})]
    with pytest.raises(TryAgain):
        http.send("add", TARGET, users(["a", "b"]))


@pytest.mark.parametrize("said", ['id: Id, field: id', 'index: Row'])
@pytest.mark.parametrize(
    "content", [b"Service temporarily unavailable", b"Sorry,try again\r\nlater,please\r\n", b"id,row\r\n", b"Error\r\nBAD\r\n"]
)
def test_csv_without_the_column_that_tells_users_apart_is_no_success_and_refuses_nobody(
    open_http: Opening, partner: Partner, said: str, content: bytes
) -> None:
    http = open_http(DOCUMENT % f'rejected: {{list: "@", {said}}}')
    partner.answer = [Reply(200, content, {"Content-Type": "text/csv"})]
    for ids in ("ab", "a"):
        with pytest.raises(TryAgain) as error:
            http.send("add", TARGET, users(list(ids)))
        assert (error.value.code, error.value.applied_unknown) == ("unreadable_answer", True)


@pytest.mark.parametrize("listed", ["[?Error]", "[?Status == 'failed']", "[].{Id: User}"])
def test_csv_whose_lines_are_chosen_or_renamed_may_have_no_lines(open_http: Opening, partner: Partner, listed: str) -> None:
    http = open_http(DOCUMENT % f'rejected: {{list: "{listed}", id: Id, field: id}}')
    partner.answer = [Reply(200, b"Id,User,Error,Status\r\n", {"Content-Type": "text/csv"})]
    assert http.send("add", TARGET, users(["a"])) == [D]
