"""Choices that are asked of the partner, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.contract import Option
from relay.domain.errors import Misconfigured, TryAgain, Unsupported
from tests.unit.adapters.http.conftest import Opening
from tests.unit.adapters.http.partner import Call, Partner, Reply

DOCUMENT = """
operations:
  add: {effect: add, fields: {list: , id: }, key: [id], request: {method: POST, path: /, body: "{{ rows }}"}}
options:
  list:
    request: {method: GET, path: "/accounts/{{ chosen.account }}/lists", query: {limit: 2, q: "a&b"}}
    list: data
    value: id
    label: name
%s
"""
ALL = [Option(str(number), f"List {number}") for number in range(5)]


def pages(more: Any) -> Any:
    """Five lists, two on a page. `more(number)`: what the page says of the next one."""

    def answer(call: Call) -> Reply:
        number = int(call.query.get("page", 0))
        data = [{"id": one, "name": f"List {one}"} for one in range(5)][number * 2 : number * 2 + 2]
        return Reply(200, {"data": data, **(more(number + 1) if data else {})})

    return answer


@pytest.mark.parametrize(
    ("following", "more", "calls"),
    [
        ("next: {value: paging.next, query: page}", lambda number: {"paging": {"next": number} if number < 3 else {}}, 3),
        ("next: {from: 0, query: page}", lambda _: {}, 4),
        ("next: {url: next}", lambda number: {"next": f"?page={number}" if number < 3 else None}, 3),
        ("next: {url: next}", lambda number: {"next": f"/elsewhere?page={number}" if number < 3 else ""}, 3),
    ],
)
def test_every_way_to_ask_for_the_next_page_gives_all_of_them(
    open_http: Opening, partner: Partner, following: str, more: Any, calls: int
) -> None:
    partner.answer = pages(more)
    assert open_http(DOCUMENT % f"    {following}").options("list", {"account": "4/2"}) == ALL
    assert len(partner.calls) == calls
    assert partner.lines[0].startswith("GET /accounts/4%2F2/lists?limit=2&q=a%26b")
    if "query" in following:
        assert [call.query["q"] for call in partner.calls] == ["a&b"] * calls


def test_a_next_address_of_the_same_origin_is_used_whole(open_http: Opening, partner: Partner) -> None:
    partner.answer = pages(lambda number: {"next": f"{partner.url}/x?page={number}#y"} if number < 2 else {})
    open_http(DOCUMENT % "    next: {url: next}").options("list", {"account": "42"})
    assert partner.lines[1] == "GET /x?page=1"


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/x", "https://evil.example/x", "//evil.example/x", "http://[", "http://u:p@{host}/", "ftp://x/"]
)
def test_a_next_page_at_another_place_is_not_asked_for(open_http: Opening, partner: Partner, address: str) -> None:
    there = address.replace("{host}", partner.url.removeprefix("http://"))
    partner.answer = [Reply(200, {"data": [], "next": there})]
    with pytest.raises(Misconfigured) as error:
        open_http(DOCUMENT % "    next: {url: next}").options("list", {"account": "42"})
    assert error.value.code == "next_elsewhere"
    assert "evil" not in str(error.value)
    assert len(partner.calls) == 1


def test_pages_without_end_are_not_followed_without_end(open_http: Opening, partner: Partner) -> None:
    partner.answer = [Reply(200, {"data": [{"id": 1}], "next": "again"})]
    found = open_http(DOCUMENT % "    next: {value: next, query: page}\n    pages: 3").options("list", {"account": "42"})
    assert len(found) == len(partner.calls) == 3


def test_what_has_no_label_is_shown_by_its_value_and_what_has_no_value_is_none(open_http: Opening, partner: Partner) -> None:
    partner.answer = [Reply(200, {"data": [{"id": 1}, {"name": "x"}, None, {"id": "", "name": "y"}, {"id": "2", "name": 2}]})]
    assert open_http(DOCUMENT % "").options("list", {"account": "42"}) == [Option("1", "1"), Option("2", "2")]
    assert len(partner.calls) == 1


@pytest.mark.parametrize("body", [{}, {"data": {}}, {"data": None}])
def test_an_answer_that_is_no_list_is_no_empty_one(open_http: Opening, partner: Partner, body: Any) -> None:
    partner.answer = [Reply(200, body)]
    with pytest.raises(TryAgain):
        open_http(DOCUMENT % "").options("list", {"account": "42"})


def test_what_must_be_chosen_first_is_said(open_http: Opening, partner: Partner) -> None:
    with pytest.raises(Misconfigured):
        open_http(DOCUMENT % "").options("list", {})
    assert not partner.calls


def test_other_fields_have_no_options_and_those_that_have_are_marked(open_http: Opening) -> None:
    http = open_http(DOCUMENT % "")
    with pytest.raises(Unsupported):
        http.options("id", {})
    operation = http.description.operation("add")
    assert operation is not None
    assert {field.name: field.dynamic for field in operation.fields} == {"list": True, "id": False}
