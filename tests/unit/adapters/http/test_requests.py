"""What a document describes is what arrives, whatever the values are."""

from __future__ import annotations

import csv
import io
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.http import Http
from adapters.registry import open_adapter
from relay.connectors.yaml_text import load
from relay.domain.connector import BatchLimits, Connector, Inbound, Limits
from relay.domain.errors import AudienceNotReady, BatchRefused, Misconfigured
from tests.clock import TurnedClock
from tests.contract.adapters.harness import NoTokens
from tests.unit.adapters.http.conftest import TARGET, Opening, rows
from tests.unit.adapters.http.partner import Partner

VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        '"', "'", '","id":"x', "}}", "{{ row.id }}", "{% raw %}", "{#", "../..", "..", ".", "/", "//", "a/../b", "?", "?a=b", "#",
        "&x=1", "%2e%2e", "%", "%0d%0a", "\r\n", "\n", "\r", "\x00", "\x7f", "\u2028", "é", "日本", "😀", " ", " a ", "+", ";",
        "=cmd()", ",", '"a"\n', "null", "true", "1", "1.0", "[1]", '{"a": 1}', "\\", "\\u0022", "@", ":", "~", "*",
    ]
)  # fmt: skip

ALL = """
operations:
  send:
    fields: {id: , other: }
    max_items: 1
    request:
      method: PUT
      path: /before/{{ row.id }}/after
      query: {fixed: "1", value: "{{ row.id }}", last: "2"}
      body:
        alone: "{{ row.id }}"
        inside: "<{{ row.id }}>"
        list: ["{{ row.id }}", 1, true, null]
        deep: {"a b": ["{{ row.id }}"]}
        end: 1
  form:
    fields: {id: }
    max_items: 1
    request: {method: POST, path: /form, form: {first: "1", value: "{{ row.id }}", mixed: "a{{ row.id }}b", last: "2"}}
  csv:
    fields: {id: , other: }
    request: {method: POST, path: /csv, csv: {"Id, it": "{{ row.id }}", Fixed: x, Other: "{{ row.other }}"}}
  batch:
    fields: {id: , other: }
    request:
      method: POST
      path: /batch
      body: {users: {$rows: {id: "{{ row.id }}", other: "{{ row.other }}"}}, ids: "{{ rows | map(attribute='id') }}"}
"""


@pytest.fixture
def http(open_http: Opening) -> Http:
    return open_http(ALL)


property_test = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)


@property_test
@given(VALUES.filter(lambda value: value not in ("", ".", "..")))
@example("{{ 1 }}")
def test_a_value_arrives_in_path_query_and_json_as_it_is_and_changes_nothing_else(
    http: Http, partner: Partner, value: str
) -> None:
    partner.calls.clear()
    http.send("send", TARGET, rows({"id": value}))
    (call,) = partner.calls
    before, middle, after, *rest = call.path.split("/")[1:]
    assert (before, unquote(middle, errors="strict"), after, rest) == ("before", value, "after", [])
    assert parse_qsl(call.target.partition("?")[2], keep_blank_values=True, strict_parsing=True) == [
        ("fixed", "1"), ("value", value), ("last", "2"),
    ]  # fmt: skip
    assert call.json == {
        "alone": value,
        "inside": f"<{value}>",
        "list": [value, 1, True, None],
        "deep": {"a b": [value]},
        "end": 1,
    }


@property_test
@given(VALUES)
def test_a_value_arrives_in_a_form_as_it_is(http: Http, partner: Partner, value: str) -> None:
    partner.calls.clear()
    http.send("form", TARGET, rows({"id": value}))
    (call,) = partner.calls
    assert call.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qsl(call.body.decode(), keep_blank_values=True, strict_parsing=True) == [
        ("first", "1"), ("value", value), ("mixed", f"a{value}b"), ("last", "2"),
    ]  # fmt: skip


@property_test
@given(st.lists(VALUES, min_size=1, max_size=5), VALUES)
def test_values_arrive_in_csv_as_they_are(http: Http, partner: Partner, ids: list[str], other: str) -> None:
    partner.calls.clear()
    http.send("csv", TARGET, rows(*({"id": one, "other": other} for one in ids)))
    (call,) = partner.calls
    assert call.headers["content-type"] == "text/csv; charset=utf-8"
    assert list(csv.reader(io.StringIO(call.body.decode(), newline=""), strict=True)) == [
        ["Id, it", "Fixed", "Other"],
        *([one, "x", other] for one in ids),
    ]


@property_test
@given(st.lists(VALUES, min_size=1, max_size=5), st.one_of(st.none(), VALUES, st.integers(), st.booleans(), st.lists(VALUES)))
def test_a_batch_arrives_with_every_value_and_its_type(http: Http, partner: Partner, ids: list[str], other: Any) -> None:
    partner.calls.clear()
    there = {} if other is None else {"other": other}
    http.send("batch", TARGET, rows(*({"id": one, **there} for one in ids)))
    (call,) = partner.calls
    assert call.json == {"users": [{"id": one, **there} for one in ids], "ids": ids}


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_value_that_would_make_another_address_is_refused(http: Http, partner: Partner, value: str) -> None:
    with pytest.raises(BatchRefused) as refused:
        http.send("send", TARGET, rows({"id": value}))
    assert refused.value.code == "unusable_value"
    assert not partner.calls


def test_dots_around_a_value_make_no_other_address_either(open_http: Opening, partner: Partner) -> None:
    http = open_http(ALL.replace("/before/{{ row.id }}/after", "/before/.{{ row.id }}"))
    with pytest.raises(BatchRefused):
        http.send("send", TARGET, rows({"id": "."}))
    assert not partner.calls


def test_what_is_null_is_left_out_unless_the_document_says_null(open_http: Opening, partner: Partner) -> None:
    http = open_http("""
operations:
  send:
    fields: {id: , other: }
    max_items: 1
    request:
      method: POST
      path: /
      query: {other: "{{ row.other }}", id: "{{ row.id }}"}
      headers: {X-Other: "{{ row.other }}", X-Id: "{{ row.id }}"}
      body:
        id: "{{ row.id }}"
        other: "{{ row.other }}"
        both: "{{ row.id }}-{{ row.other }}"
        list: ["{{ row.other }}"]
        said: null
        rows: "{{ rows }}"
""")
    http.send("send", TARGET, rows({"id": "u"}))
    (call,) = partner.calls
    assert call.line == "POST /?id=u"
    assert "x-other" not in call.headers
    assert call.headers["x-id"] == "u"
    assert call.json == {"id": "u", "both": "u-", "list": [], "said": None, "rows": [{"id": "u"}]}


def test_a_template_alone_keeps_the_type_of_its_value(open_http: Opening, partner: Partner) -> None:
    http = open_http("""
operations:
  send:
    fields: {id: , n: }
    max_items: 1
    request:
      method: POST
      path: /
      body:
        text: "{{ row.id }}"
        number: "{{ row.id | int }}"
        given: "{{ row.n }}"
        list: "{{ [row.id, row.n] }}"
        in_text: "{{ row.n }} of {{ row.id }}"
""")
    http.send("send", TARGET, rows({"id": "007", "n": 1.5}))
    assert partner.calls[0].json == {"text": "007", "number": 7, "given": 1.5, "list": ["007", 1.5], "in_text": "1.5 of 007"}


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\x00b", "é", "a\x7f"])
def test_a_value_that_no_header_can_hold_is_refused(open_http: Opening, partner: Partner, value: str) -> None:
    http = open_http("""
operations:
  send:
    fields: {id: }
    max_items: 1
    request: {method: POST, path: /, headers: {X-Id: "<{{ row.id }}>"}}
""")
    with pytest.raises(BatchRefused) as refused:
        http.send("send", TARGET, rows({"id": value}))
    assert value not in str(refused.value)
    assert not partner.calls


def test_templates_know_the_audience_the_parameters_and_the_user(open_http: Opening, partner: Partner) -> None:
    http = open_http("""
parameters: {account: "42", deep: {x: 1}}
operations:
  send:
    fields: {id: }
    max_items: 1
    request:
      method: POST
      path: "/{{ parameters.account }}/{{ audience.partner_id }}"
      body:
        ["{{ audience }}", "{{ parameters.deep.x }}", "{{ event_id }}", "{{ received_at }}", "{{ received_at | epoch }}",
         "{{ now }}", "{{ row }}"]
""")
    http.send("send", TARGET, rows({"id": "u"}))
    (call,) = partner.calls
    assert call.target == "/42/p%2F1"
    assert call.json == [
        {"id": "a.1", "name": "Spring & Summer", "reference": "acme/a.1", "partner_id": "p/1"},
        1,
        "00000000-0000-4000-8000-000000000000",
        "2027-01-15T08:00:00.000Z",
        1_800_000_000,
        "2027-01-15T08:00:00.000Z",
        {"id": "u"},
    ]


def test_the_same_users_sent_again_have_the_same_call_id_and_others_another(open_http: Opening, partner: Partner) -> None:
    http = open_http("""
operations:
  send: {fields: {id: }, request: {method: POST, path: /, headers: {Idempotency-Key: "{{ call_id }}"}, body: "{{ rows }}"}}
""")
    both = rows({"id": "u"}, {"id": "v"})
    for sent in (both, both, both[:1]):
        http.send("send", TARGET, sent)
    first, again, other = (call.headers["idempotency-key"] for call in partner.calls)
    assert first == again != other


def test_a_request_that_cannot_be_made_says_where_and_nothing_of_the_user(open_http: Opening, partner: Partner) -> None:
    http = open_http("""
operations:
  send: {fields: {id: }, request: {method: POST, path: /, body: {users: {$rows: {n: "{{ row.id | int }}"}}}}}
""")
    with pytest.raises(BatchRefused) as refused:
        http.send("send", TARGET, rows({"id": "1"}, {"id": "somebody"}))
    assert str(refused.value) == (
        "The request cannot be made: `operations.send.request.body.users.$rows.n`: `int` and `float` take a number or its "
        "digits, and were given something else."
    )
    assert not partner.calls


@pytest.mark.parametrize(
    "body",
    [
        'body: {a: {$rows: {x: "{{ row.id }}", y: "{{ parameters.long }}"}}}',
        'body: {a: "{{ [' + ", ".join(["rows"] * 17) + '] }}"}',
        'csv: {a: "{{ row.id }}", b: "{{ parameters.long }}"}',
    ],
)
def test_a_request_has_no_more_than_there_is_room_for(open_http: Opening, partner: Partner, body: str) -> None:
    http = open_http(f"""
parameters: {{long: {'x' * 17_000}}}
operations:
  send: {{fields: {{id: }}, request: {{method: POST, path: /, {body}}}}}
""")
    many = rows(*({"id": "y" * 1_000} for _ in range(1_000)))
    with pytest.raises(BatchRefused) as refused:
        http.send("send", TARGET, many)
    assert "16,000,000 characters" in str(refused.value)
    assert not partner.calls
    http.send("send", TARGET, many[:500])
    assert len(partner.calls) == 1


def test_a_preview_shows_exactly_what_is_sent_and_a_placeholder_for_an_audience_that_does_not_exist(
    http: Http, open_http: Opening, partner: Partner
) -> None:
    http.send("send", TARGET, rows({"id": "a b"}))
    (shown,) = http.preview("send", TARGET, rows({"id": "a b"}))
    (call,) = partner.calls
    assert shown.url == partner.url + call.target
    assert shown.body == call.json
    adding = open_http("""
audience_id: linked
operations:
  add: {effect: add, fields: {id: }, request: {method: POST, path: "/{{ audience.partner_id }}", body: "{{ rows }}"}}
""")
    new = TARGET.__class__("a.1", "Spring", "", "acme/a.1")
    assert adding.preview("add", new, rows({"id": "u"}))[0].url == partner.url + "/{audience}"
    with pytest.raises(AudienceNotReady):
        adding.send("add", new, rows({"id": "u"}))


def test_an_event_that_names_the_audience_waits_for_it_too(open_http: Opening, partner: Partner) -> None:
    http = open_http("""
operations:
  tell: {fields: {id: }, request: {method: POST, path: /, body: {list: "{{ audience.partner_id }}", users: "{{ rows }}"}}}
""")
    with pytest.raises(AudienceNotReady):
        http.send("tell", TARGET.__class__("a.1", "Spring", "", "acme/a.1"), rows({"id": "u"}))
    assert not partner.calls


@pytest.mark.parametrize(
    ("base_url", "code"), [("https://127.0.0.1:1/x", "private_address"), ("https://localhost/", "private_address")]
)
def test_a_partner_in_the_own_network_is_not_called_unless_the_document_allows_it(
    clock: TurnedClock, base_url: str, code: str
) -> None:
    settings = load(ALL) | {"base_url": base_url}
    inbound, limits = Inbound("h"), Limits(BatchLimits(1, 1))
    adapter = open_adapter(
        Connector("acme", "acme", 1, "http", inbound, (), limits, settings), {}, clock=clock, tokens=NoTokens()
    )
    with pytest.raises(Misconfigured) as error:
        adapter.send("send", TARGET, rows({"id": "u"}))
    assert error.value.code == code
