"""What is particular to the adapter for Pangolin: its answers are read closely."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from adapters.contract import Adapter, Delivered, Rejected, Row, RowResult, Target
from adapters.pangolin import MAX_USERS
from relay.domain.errors import BatchRefused, Misconfigured, TryAgain
from tests.contract.adapters.scripted import ScriptedServer, Visit, answer
from tests.unit.adapters.pangolin import opened

TARGET = Target("a.1", "Spring", "pg_1", "tested/a.1")


def sent(users: list[str], body: Any) -> list[RowResult]:
    def script(visit: Visit) -> None:
        visit.read()
        visit.write(answer(body if isinstance(body, bytes) else msgspec.json.encode(body)))

    with ScriptedServer(script) as server:
        return opened(server.url, "t").send("add", TARGET, [Row({"id": user}, user, 0) for user in users])


def test_an_id_that_is_a_number_is_sent_as_text() -> None:
    rows = [Row({"id": given}, "event", 0) for given in ("a", 5, 1.5)]

    [request] = opened("https://p.example", "t").preview("add", TARGET, rows)

    assert request.body == {"users": [{"id": "a"}, {"id": "5"}, {"id": "1.5"}]}
    assert rows[1].values == {"id": 5}


@pytest.mark.parametrize(
    "body",
    [
        {"accepted": 1, "rejected": []},
        {"accepted": 3, "rejected": []},
        {"accepted": 2, "rejected": [{"index": 0, "code": "x"}]},
        {"accepted": 1, "rejected": [{"index": 2, "code": "x"}]},
        {"accepted": 1, "rejected": [{"index": -1, "code": "x"}]},
        {"accepted": 0, "rejected": [{"index": 1, "code": "x"}, {"index": 1, "code": "x"}]},
        {"accepted": 2, "rejected": [{"index": 7, "code": "x"}]},
        {"accepted": 1, "rejected": [{"index": 1, "code": "x"}, {"index": 1, "code": "x"}]},
        {"accepted": 2},
        {"accepted": "2", "rejected": []},
        {"rejected": []},
        [],
        b"",
        b"null",
    ],
)
def test_an_answer_that_does_not_account_for_all_users_is_no_success(body: Any) -> None:
    with pytest.raises(TryAgain):
        sent(["a", "b"], body)


@pytest.mark.parametrize(
    ("code", "shown"),
    [("user_rejected", "user_rejected"), ("quota.full", "quota.full"), ("b", "rejected"), ("a b", "rejected"), ("", "rejected"),
     ("somebody", "rejected")],
)  # fmt: skip
def test_the_partners_code_is_kept_if_it_is_one_and_no_user(code: str, shown: str) -> None:
    results = sent(["a", "somebody"], {"accepted": 1, "rejected": [{"index": 1, "code": code, "message": "somebody"}]})
    assert results[0] == Delivered()
    assert isinstance(results[1], Rejected)
    assert results[1].code == shown
    assert "somebody" not in results[1].hint


def test_a_preview_of_more_users_than_fit_in_a_call_shows_several() -> None:
    rows = [Row({"id": f"u{number}"}, "e", 0) for number in range(2 * MAX_USERS + 1)]
    shown = opened("http://127.0.0.1:1", "t").preview("add", TARGET, rows)
    assert [len(request.body["users"]) for request in shown] == [MAX_USERS, MAX_USERS, 1]


def test_an_id_in_the_address_is_quoted() -> None:
    adapter = opened("http://127.0.0.1:1/", "t")
    odd = msgspec.structs.replace(TARGET, partner_id="a/b?c")
    assert adapter.preview("add", odd, [Row({"id": 5}, "e", 0)])[0].url == "http://127.0.0.1:1/api/audiences/a%2Fb%3Fc/users"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_creation_says_what_to_do_about_the_audience(status: int) -> None:
    with answering(status) as adapter, pytest.raises(BatchRefused) as caught:
        adapter.create_audience("Spring", "tested/a.1")
    assert caught.value.code == "audience_refused"
    assert caught.value.hint.startswith("Pangolin does not make an audience like this one. Give it another name in the DMP")
    assert caught.value.hint.endswith(f"(status {status}).")


@pytest.mark.parametrize(("status", "code", "what_to_do"), [
    (400, "call_refused", "Correct the user's ID"),
    (422, "call_refused", "Correct the user's ID"),
    (413, "too_large", "Lower `limits.batch`"),
])  # fmt: skip
def test_a_refused_call_says_what_to_do_about_its_users(status: int, code: str, what_to_do: str) -> None:
    with answering(status) as adapter, pytest.raises(BatchRefused) as caught:
        adapter.send("add", TARGET, [Row({"id": "a"}, "e", 0)])
    assert caught.value.code == code
    assert what_to_do in caught.value.hint


def test_a_question_that_pangolin_does_not_understand_is_a_matter_of_the_set_up() -> None:
    with answering(400) as adapter, pytest.raises(Misconfigured):
        adapter.check_credentials()


@contextmanager
def answering(status: int) -> Iterator[Adapter]:
    """The adapter in front of a Pangolin that answers everything with this status."""

    def script(visit: Visit) -> None:
        visit.read()
        visit.write(answer(b'{"error": "somebody"}', status=f"{status} Refused"))

    with ScriptedServer(script) as server:
        yield opened(server.url, "t")
