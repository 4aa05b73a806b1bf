"""The checks of a request come in one order, and nothing happens before its turn."""

from __future__ import annotations

from typing import Any

import pytest

from relay.configuration import LOCAL_SECRETS
from tests.unit.mapp.edge import CREDENTIALS, SECRET, Edge, connector, error_of, user

LIMIT = 2_000
GOOD = {"Type": "ADD_TO_AUDIENCE", "Mutations": [user()]}

EVERYTHING_WRONG: dict[str, Any] = {
    "method": "PUT",
    "path": "/nobody",
    "headers": {"Host": "relay.example.com"},
    "credentials": "dmp:wrong",
    "body": b"{" * (LIMIT + 1),
    "sign": "wrong",
    "type": "DANCE",
}

REPAIRS: list[tuple[str, dict[str, Any], int, str]] = [
    ("the path", {}, 404, "no connector"),
    ("the method", {"path": "/pangolin"}, 405, "Only POST"),
    ("the place of local secrets", {"method": "POST"}, 403, "Rotate"),
    ("Basic authentication", {"headers": {}}, 401, "password"),
    ("the size", {"credentials": CREDENTIALS}, 413, "larger than 2,000 bytes"),
    ("the signature", {"body": b"{{{{"}, 401, "X-HMAC"),
    ("the type", {"sign": SECRET}, 400, "unknown type"),
    ("the JSON", {"type": "ADD_TO_AUDIENCE"}, 400, "not valid JSON"),
    ("what it says", {"body": {"Mutations": {}}}, 400, "no array"),
]


@pytest.mark.parametrize("step", range(len(REPAIRS)), ids=[title for title, *_ in REPAIRS])
def test_where_several_things_are_wrong_the_earliest_check_answers(edge: Edge, step: int) -> None:
    edge.serve(connector(secrets=(SECRET, LOCAL_SECRETS["pangolin-hmac"]), credentials=(CREDENTIALS,), max_body_bytes=LIMIT))
    request = dict(EVERYTHING_WRONG)
    for _, repair, _, _ in REPAIRS[: step + 1]:
        request |= repair
    answer = edge.request(**request)
    _, _, status, sentence = REPAIRS[step]
    assert (answer.status_code, sentence in error_of(answer)) == (status, True), answer.text
    assert edge.queued() == []


def test_where_nothing_is_wrong_any_more_the_change_is_queued(edge: Edge) -> None:
    edge.serve(connector(credentials=(CREDENTIALS,), max_body_bytes=LIMIT))
    answer = edge.post(GOOD, type="ADD_TO_AUDIENCE", path="/pangolin", credentials=CREDENTIALS)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "unreadable": 0})
    assert len(edge.queued()) == 1


# --- path -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "pangolin"),
        ("", "pangolin"),
        ("/pangolin", "pangolin"),
        ("/pangolin/", "pangolin"),
        ("/pangolin@sandbox", "pangolin@sandbox"),
        ("/pangolin%40sandbox/", "pangolin@sandbox"),
    ],
)
def test_the_path_names_the_connector_and_the_root_is_the_default_one(edge: Edge, path: str, name: str) -> None:
    edge.serve(connector(), connector("pangolin@sandbox"))
    assert edge.post(GOOD, path=path).status_code == 200
    assert [message.connector for message in edge.queued()] == [name]


@pytest.mark.parametrize(
    "path", ["/other", "/pangolin/more", "//pangolin", "//", "/pangolin//", "/Pangolin", "/%00", "/%ff", "/pangolin%2Fmore"]
)
def test_an_unknown_or_deeper_path_is_404(edge: Edge, path: str) -> None:
    answer = edge.post(GOOD, path=path)
    assert answer.status_code == 404
    error_of(answer)


def test_a_path_that_could_be_no_name_is_not_repeated(edge: Edge) -> None:
    assert "someone" not in error_of(edge.post(GOOD, path="/someone%20secret<script>"))
    assert "xxxxxx" not in error_of(edge.post(GOOD, path="/" + "x" * 65))
    assert "“other”" in error_of(edge.post(GOOD, path="/other"))


def test_without_a_default_connector_the_root_is_404(edge: Edge) -> None:
    edge.serve(connector(), default="")
    assert edge.post(GOOD).status_code == 404
    edge.serve(default="pangolin")
    assert edge.post(GOOD).status_code == 404


# --- method ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "?type=VALIDATE", "?Type=validate", "?type=", "?other=1"])
def test_get_validates_without_a_signature(edge: Edge, query: str) -> None:
    answer = edge.request("GET", "/pangolin" + query, sign=None)
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize("query", ["?type=ADD_TO_AUDIENCE", "?type=other", "?type=VALIDATE&type=CREATE_AUDIENCE"])
def test_get_with_another_type_is_405(edge: Edge, query: str) -> None:
    answer = edge.request("GET", "/" + query)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    error_of(answer)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"])
def test_other_methods_are_405_and_say_what_is_allowed(edge: Edge, method: str) -> None:
    answer = edge.request(method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")


def test_get_asks_for_the_password_like_everything_else(edge: Edge) -> None:
    edge.serve(connector(credentials=(CREDENTIALS,)))
    assert edge.request("GET", sign=None).status_code == 401
    assert edge.request("GET", sign=None, credentials=CREDENTIALS).status_code == 200
