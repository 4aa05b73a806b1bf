"""How an audience comes to be: found by our reference, made, named, or linked by hand."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from adapters.http import Http
from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    BatchRefused,
    CredentialsRefused,
    Misconfigured,
    TryAgain,
    Unsupported,
)
from tests.unit.adapters.http.conftest import TARGET, Opening, users
from tests.unit.adapters.http.partner import Call, Partner, Reply

OPERATIONS = """
operations:
  add: {effect: add, fields: {id: }, request: {method: POST, path: /, body: "{{ rows }}"}}
"""
CREATE = """
  create:
    request: {method: POST, path: /lists, body: {name: "{{ audience.name }}", reference: "{{ audience.reference }}"}}
    id: data.id
"""
FIND = """
  find:
    request: {method: GET, path: /lists}
    list: data
    match: {reference: "{{ audience.reference }}"}
    id: id
    next: {value: next, query: after}
"""
LOOK_UP = """
  find: {request: {method: GET, path: "/lists/by/{{ audience.reference }}"}, id: id, absent: 404}
"""


def described(open_http: Opening, *parts: str) -> Http:
    return open_http(OPERATIONS + "audiences:" + "".join(parts))


def lists(known: list[dict[str, Any]]) -> Any:
    """A partner with these lists, two on a page."""

    def answer(call: Call) -> Reply:
        if call.method == "POST":
            known.append({"id": len(known) + 1, **call.json})
            return Reply(201, {"data": known[-1]})
        start = int(call.query.get("after", 0))
        more = {"next": start + 2} if start + 2 < len(known) else {}
        return Reply(200, {"data": known[start : start + 2], **more})

    return answer


def test_an_audience_is_made_and_its_id_is_text(open_http: Opening, partner: Partner) -> None:
    partner.answer = lists([])
    assert described(open_http, CREATE).create_audience("Spring", "acme/a.1") == "1"
    assert partner.calls[0].json == {"name": "Spring", "reference": "acme/a.1"}


def test_the_same_reference_twice_gives_the_same_id(open_http: Opening, partner: Partner) -> None:
    partner.answer = lists([{"id": number, "reference": f"acme/other{number}"} for number in range(5)])
    http = described(open_http, FIND, CREATE)
    made = http.create_audience("Spring", "acme/a.1")
    assert http.create_audience("Renamed", "acme/a.1") == made
    assert [line for line in partner.lines if line.startswith("POST")] == ["POST /lists"]
    assert partner.lines[:4] == ["GET /lists", "GET /lists?after=2", "GET /lists?after=4", "POST /lists"]


def test_a_reference_is_compared_as_text_and_cannot_change_the_question(open_http: Opening, partner: Partner) -> None:
    partner.answer = lists([{"id": 1, "reference": "acme/a"}])
    http = described(open_http, FIND, CREATE)
    assert http.create_audience("Spring", "acme/a' || 'x") == "2"
    partner.answer = [Reply(404), Reply(201, {"data": {"id": "new"}})]
    partner.calls.clear()
    assert described(open_http, LOOK_UP, CREATE).create_audience("Spring", "acme/a.1") == "new"
    assert partner.lines == ["GET /lists/by/acme%2Fa.1", "POST /lists"]


def test_without_a_list_the_answer_itself_is_what_is_looked_for(open_http: Opening, partner: Partner) -> None:
    partner.answer = [Reply(200, {"id": 7})]
    assert described(open_http, LOOK_UP, CREATE).create_audience("Spring", "acme/a.1") == "7"


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {}}, {"data": "none"}, [], {"data": [{"reference": "acme/a.1"}]}])
def test_a_list_that_cannot_be_read_makes_no_second_audience(open_http: Opening, partner: Partner, body: Any) -> None:
    partner.answer = [Reply(200, body)]
    with pytest.raises(TryAgain):
        described(open_http, FIND, CREATE).create_audience("Spring", "acme/a.1")
    assert len(partner.calls) == 1


@pytest.mark.parametrize("made", [None, "", True, [], {"id": 1}])
def test_an_answer_without_an_id_is_no_success_and_may_have_been_applied(
    open_http: Opening, partner: Partner, made: Any
) -> None:
    partner.answer = [Reply(201, {"data": {"id": made}})]
    with pytest.raises(TryAgain) as error:
        described(open_http, CREATE).create_audience("Spring", "acme/a.1")
    assert error.value.applied_unknown


def test_a_name_that_the_partner_refuses_is_refused(open_http: Opening, partner: Partner) -> None:
    partner.answer = [Reply(422, {})]
    with pytest.raises(BatchRefused):
        described(open_http, CREATE).create_audience("Spring", "acme/a.1")


@pytest.mark.parametrize(
    ("written", "made"), [("", "a.1"), ("audience_id: '{{ audience.name }}'", "Spring"), ("audience_id: all", "all")]
)
def test_where_no_call_makes_it_a_template_says_the_id(
    open_http: Opening, partner: Partner, written: str, made: str
) -> None:
    assert open_http(OPERATIONS + written).create_audience("Spring", "acme/a.1") == made
    assert not partner.calls


@pytest.mark.parametrize("name", ["", " ", "a\nb"])
def test_an_id_that_is_none_is_refused(open_http: Opening, name: str) -> None:
    with pytest.raises(BatchRefused):
        open_http(OPERATIONS + "audience_id: '{{ audience.name }}'").create_audience(name, "acme/a.1")


def test_an_audience_that_is_linked_by_hand_is_waited_for_or_found(open_http: Opening, partner: Partner) -> None:
    with pytest.raises(AudienceNotReady, match="diy audiences link"):
        open_http(OPERATIONS + "audience_id: linked").create_audience("Spring", "acme/a.1")
    partner.answer = [Reply(200, {"id": 7})]
    http = open_http(OPERATIONS + "audience_id: linked\naudiences:" + LOOK_UP)
    assert http.create_audience("Spring", "acme/a.1") == "7"


READY = """
  ready: {request: {method: GET, path: "/lists/{{ audience.partner_id }}"}, when: state == 'READY'}
  describe: {request: {method: GET, path: "/lists/{{ audience.partner_id }}"}, show: "{name: name, size: count}"}
"""


def test_it_is_ready_when_the_answer_says_so(open_http: Opening, partner: Partner) -> None:
    http = described(open_http, READY)
    partner.answer = [Reply(200, {"state": "BUILDING"}), Reply(200, {"state": "READY"}), Reply(404)]
    assert [http.is_ready("p/1"), http.is_ready("p/1")] == [False, True]
    assert partner.lines == ["GET /lists/p%2F1"] * 2
    with pytest.raises(AudienceGone):
        http.is_ready("p/1")
    assert open_http(OPERATIONS).is_ready("p/1")


def test_it_is_described_by_what_the_document_picks(open_http: Opening, partner: Partner) -> None:
    partner.answer = [Reply(200, {"name": "Spring", "count": 3, "more": 1})]
    assert described(open_http, READY).describe_audience("p") == {"name": "Spring", "size": 3}
    assert described(open_http, READY.replace(', show: "{name: name, size: count}"', "")).describe_audience("p")["more"] == 1
    with pytest.raises(Unsupported):
        open_http(OPERATIONS).describe_audience("p")


def test_creating_is_an_operation_where_the_partner_has_a_call_for_it(open_http: Opening, partner: Partner) -> None:
    http = described(open_http, FIND, CREATE)
    assert [operation.name for operation in http.description.operations] == ["create_audience", "add"]
    shown = http.preview("create_audience", TARGET, [])
    assert [(one.method, one.url) for one in shown] == [("GET", f"{partner.url}/lists"), ("POST", f"{partner.url}/lists")]
    assert shown[1].body == {"name": "Spring & Summer", "reference": "acme/a.1"}
    assert [operation.name for operation in open_http(OPERATIONS).description.operations] == ["add"]


def test_credentials_are_checked_by_a_call_of_the_documents_choice(open_http: Opening, partner: Partner) -> None:
    http = open_http(OPERATIONS + "check: {request: {method: GET, path: /me}, delivered: {when: active}}")
    partner.answer = [Reply(200, {"active": True}), Reply(401), Reply(200, {"active": False}), Reply(400)]
    http.check_credentials()
    assert partner.lines == ["GET /me"]
    for kind in (CredentialsRefused, TryAgain, Misconfigured):
        with pytest.raises(kind):
            http.check_credentials()
    with pytest.raises(Unsupported):
        open_http(OPERATIONS).check_credentials()


@pytest.mark.parametrize(
    ("settings", "one"),
    [
        ("", False),
        ("audience_id: linked\n", False),
        ('audience_id: "{{ audience.name }}"\n', False),
        ('audience_id: "list-{{ audience.id }}"\n', False),
        ("audience_id: everybody\n", True),
        ('audience_id: "{{ parameters.list }}"\nparameters: {list: everybody}\n', True),
    ],
)
def test_an_id_made_without_a_look_at_the_audience_makes_one_of_all(open_http: Opening, settings: str, one: bool) -> None:
    assert open_http(OPERATIONS + settings).description.one_audience is one


def test_an_audience_that_may_be_on_a_page_that_is_not_asked_for_is_not_made_again(open_http: Opening, partner: Partner) -> None:
    partner.answer = lists([{"id": number, "reference": f"acme/other{number}"} for number in range(5)])
    http = described(open_http, FIND + "    pages: 2\n", CREATE)
    with pytest.raises(Misconfigured) as error:
        http.create_audience("Spring", "acme/a.1")
    assert error.value.code == "too_many"
    assert partner.lines == ["GET /lists", "GET /lists?after=2"]


def test_an_audience_on_the_last_page_that_is_asked_for_is_found(open_http: Opening, partner: Partner) -> None:
    partner.answer = lists([{"id": number, "reference": f"acme/a.{number}"} for number in range(5)])
    assert described(open_http, FIND + "    pages: 2\n", CREATE).create_audience("Spring", "acme/a.3") == "3"


def test_a_preview_shows_the_name_that_an_audience_will_have_where_no_call_makes_it(open_http: Opening) -> None:
    in_body = OPERATIONS.replace('"{{ rows }}"', '{list: "{{ audience.partner_id }}", users: "{{ rows }}"}')
    nobody = replace(TARGET, partner_id="", name="Spring")
    named = open_http(in_body + 'audience_id: "{{ audience.name }} (DMP)"').preview("add", nobody, users(["a"]))
    assert named[0].body["list"] == "Spring (DMP)"
    by_call = open_http(in_body + "audiences:" + CREATE).preview("add", nobody, users(["a"]))
    assert by_call[0].body["list"] == "{audience}"
