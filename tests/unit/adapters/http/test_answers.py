"""What a partner's answers mean: by the document's rules first, and never a success unless it is known to be one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.contract import Delivered
from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    BatchRefused,
    CredentialsRefused,
    Misconfigured,
    PartnerError,
    TryAgain,
)
from tests.unit.adapters.http.conftest import TARGET, Opening, users
from tests.unit.adapters.http.partner import Partner, Reply

PLAIN = """
operations:
  add: {effect: add, fields: {id: }, request: {method: POST, path: "/lists/{{ audience.partner_id }}", body: "{{ rows }}"}%s}
%s
"""
PER_USER = """
operations:
  put: {effect: add, fields: {id: }, max_items: 1, request: {method: PUT, path: "/lists/{{ audience.partner_id }}/{{ row.id }}"}}
"""
HTML = Reply(200, b"<html>Please sign in</html>", {"Content-Type": "text/html"})
TEXT = Reply(200, b"OK\n", {"Content-Type": "text/plain"})


def answered(open_http: Opening, partner: Partner, reply: Reply, *, operation: str = "", rest: str = "") -> Any:
    partner.answer = [reply]
    http = open_http(PLAIN % (operation and ", " + operation, rest))
    return http.send("add", TARGET, users(["u", "v"]))


@pytest.mark.parametrize("reply", [Reply(200, {"any": 1}), Reply(200, []), Reply(201, {}), Reply(202), Reply(204)])
def test_every_2xx_with_json_or_nothing_is_a_success_unless_the_document_says_more(
    open_http: Opening, partner: Partner, reply: Reply
) -> None:
    assert answered(open_http, partner, reply) == [Delivered(), Delivered()]


@pytest.mark.parametrize("reply", [HTML, TEXT, Reply(200, b"{"), Reply(299, b"\xff")])
def test_what_cannot_be_read_is_no_success(open_http: Opening, partner: Partner, reply: Reply) -> None:
    with pytest.raises(TryAgain) as error:
        answered(open_http, partner, reply)
    assert (error.value.code, error.value.applied_unknown) == ("unreadable_answer", True)


def test_a_text_is_a_success_where_the_document_says_which(open_http: Opening, partner: Partner) -> None:
    asked = """delivered: {when: "@ == 'OK'"}"""
    assert answered(open_http, partner, TEXT, operation=asked) == [Delivered(), Delivered()]
    with pytest.raises(TryAgain):
        answered(open_http, partner, TEXT._replace(body=b"NO"), operation=asked)


@pytest.mark.parametrize(
    ("delivered", "reply", "good"),
    [
        ("{status: 204}", Reply(204), True),
        ("{status: 204}", Reply(200, {}), False),
        ("{status: [200, 409]}", Reply(409, {}), True),
        ("{status: [200, 409]}", HTML._replace(status=200), False),
        ("{when: ok}", Reply(200, {"ok": True}), True),
        ("{when: ok}", Reply(200, {"ok": False}), False),
        ("{when: ok}", Reply(200, {}), False),
        ("{when: ok}", Reply(200), False),
        ("{when: ok}", Reply(200, []), False),
        ("{when: 'length(x) == `1`'}", Reply(200, {"x": 5}), False),
    ],
)
def test_what_delivered_says_is_the_only_success(
    open_http: Opening, partner: Partner, delivered: str, reply: Reply, good: bool
) -> None:
    operation = f"delivered: {delivered}"
    if good:
        assert answered(open_http, partner, reply, operation=operation) == [Delivered(), Delivered()]
    else:
        with pytest.raises(TryAgain):
            answered(open_http, partner, reply, operation=operation)


@pytest.mark.parametrize(
    ("means", "kind"),
    [
        ("refused", BatchRefused),
        ("try_again", TryAgain),
        ("credentials_refused", CredentialsRefused),
        ("audience_gone", AudienceGone),
        ("audience_not_ready", AudienceNotReady),
        ("misconfigured", Misconfigured),
    ],
)
def test_a_rule_says_what_an_answer_means_with_the_partners_code_and_our_own_hint(
    open_http: Opening, partner: Partner, means: str, kind: type[PartnerError]
) -> None:
    rule = f"answers: [{{status: [418], when: \"error.code == 'TEA'\", means: {means}, code: error.code, hint: Drink it.}}]"
    with pytest.raises(PartnerError) as error:
        answered(open_http, partner, Reply(418, {"error": {"code": "TEA", "message": "u"}}), operation=rule)
    assert type(error.value) is kind
    assert (error.value.code, error.value.status, str(error.value)) == ("TEA", 418, "Drink it (status 418).")
    with pytest.raises(Misconfigured):
        answered(open_http, partner, Reply(418, {"error": {"code": "COFFEE"}}), operation=rule)


def test_the_operations_rules_come_before_the_documents_and_those_before_the_usual_ones(
    open_http: Opening, partner: Partner
) -> None:
    own = "answers: [{status: 409, means: delivered}]"
    general = "answers: [{status: [409, 401], means: try_again}]"
    assert answered(open_http, partner, Reply(409, {}), operation=own, rest=general) == [Delivered(), Delivered()]
    for status in (409, 401):
        with pytest.raises(TryAgain):
            answered(open_http, partner, Reply(status, {}), rest=general)
    with pytest.raises(CredentialsRefused):
        answered(open_http, partner, Reply(401, {}))


def test_a_rule_that_only_names_a_status_makes_no_success_of_a_page(open_http: Opening, partner: Partner) -> None:
    with pytest.raises(TryAgain):
        answered(open_http, partner, HTML, operation="answers: [{status: 200, means: delivered}]")


@pytest.mark.parametrize(
    ("body", "headers", "after_s"),
    [
        ({"retry": 90}, {}, 90.0),
        ({"retry": 0.5}, {"Retry-After": "7"}, 0.5),
        ({"retry": "soon"}, {"Retry-After": "7"}, 7.0),
        ({"retry": -1}, {}, None),
        ({"retry": True}, {}, None),
        ({}, {"Retry-After": "7"}, 7.0),
        ({}, {}, None),
    ],
)
def test_the_partners_wish_to_be_left_alone_is_read_from_the_answer_or_its_header(
    open_http: Opening, partner: Partner, body: Any, headers: dict[str, str], after_s: float | None
) -> None:
    with pytest.raises(TryAgain) as error:
        answered(
            open_http, partner, Reply(403, body, headers), operation="answers: [{status: 403, means: try_again, after: retry}]"
        )
    assert error.value.after_s == after_s
    assert error.value.account is (after_s is not None)


def test_an_audience_that_is_not_ready_is_looked_at_when_the_partner_says(open_http: Opening, partner: Partner) -> None:
    rule = "answers: [{status: 409, means: audience_not_ready, after: retry}]"
    with pytest.raises(AudienceNotReady) as error:
        answered(open_http, partner, Reply(409, {"retry": 90}), operation=rule)
    assert (error.value.after_s, error.value.look_after_s) == (90.0, 90.0)


@pytest.mark.parametrize(
    "code", ["ada@example.org", "4711", "no_such_user_4711", "two words", "x" * 70, "", "1234567", ["a"], None]
)
def test_a_code_that_is_none_or_tells_of_a_user_is_not_shown(open_http: Opening, partner: Partner, code: Any) -> None:
    http = open_http(PLAIN % (", answers: [{status: 400, means: refused, code: code}]", ""))
    partner.answer = [Reply(400, {"code": code})]
    with pytest.raises(BatchRefused) as error:
        http.send("add", TARGET, users(["4711", "ada@example.org"]))
    assert error.value.code == "refused"


def test_a_code_of_ours_is_no_users_even_if_a_user_is_called_so(open_http: Opening, partner: Partner) -> None:
    partner.answer = [Reply(429, {})]
    with pytest.raises(TryAgain) as error:
        open_http(PLAIN % ("", "")).send("add", TARGET, users(["limited", "rate"]))
    assert error.value.code == "rate_limited"


def test_where_the_audience_is_in_the_address_404_means_it_is_gone(open_http: Opening, partner: Partner) -> None:
    with pytest.raises(AudienceGone):
        answered(open_http, partner, Reply(404, {}))


@pytest.mark.parametrize("status", [404, 410])
def test_where_a_user_is_in_the_address_an_unknown_user_is_refused_and_stops_nobody_behind(
    open_http: Opening, partner: Partner, status: int
) -> None:
    partner.answer = [Reply(status, {})]
    with pytest.raises(BatchRefused):
        open_http(PER_USER).send("put", TARGET, users(["u"]))


def test_where_nobody_is_in_the_address_404_speaks_of_the_address(open_http: Opening, partner: Partner) -> None:
    partner.answer = [Reply(404, {})]
    with pytest.raises(Misconfigured):
        open_http((PLAIN % ("", "")).replace("{{ audience.partner_id }}", "all")).send("add", TARGET, users(["u"]))


def test_json_that_is_labelled_as_plain_text_is_json(open_http: Opening, partner: Partner) -> None:
    labelled = {"Content-Type": "text/plain; charset=utf-8"}
    asked = "taken: accepted"
    assert answered(open_http, partner, Reply(200, {"accepted": 2}, labelled), operation=asked) == [Delivered(), Delivered()]
    rule = "answers: [{status: 400, when: code == 'X', means: misconfigured}]"
    with pytest.raises(Misconfigured):
        answered(open_http, partner, Reply(400, {"code": "X"}, labelled), operation=rule)


@pytest.mark.parametrize("text", [b"true", b"1", b"null", b'"OK"'])
def test_a_plain_word_or_number_is_a_text_and_no_success_by_itself(open_http: Opening, partner: Partner, text: bytes) -> None:
    with pytest.raises(TryAgain):
        answered(open_http, partner, TEXT._replace(body=text))
    asked = f"delivered: {{when: '@ == `{json.dumps(text.decode())}`'}}"
    assert answered(open_http, partner, TEXT._replace(body=text), operation=asked) == [Delivered(), Delivered()]


def test_no_error_holds_an_identifier_or_the_address(open_http: Opening, partner: Partner) -> None:
    http = open_http(PER_USER)
    for status in (200, 301, 400, 401, 404, 409, 418, 429, 500, 502):
        partner.answer = [Reply(status, b'{"message": "somebody')]
        with pytest.raises(PartnerError) as error:
            http.send("put", TARGET, users(["somebody"]))
        assert "somebody" not in f"{error.value}{error.value.code}"
        assert "/lists" not in str(error.value)
