"""CREATE_AUDIENCE in both modes, and how the partner's trouble reaches the DMP."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    BatchRefused,
    ConfigurationError,
    Conflict,
    CredentialsRefused,
    Misconfigured,
    NotFound,
    StoreUnavailable,
    TryAgain,
    Unsupported,
)
from relay.domain.message import UnknownVersion
from tests.unit.mapp.conftest import Lines
from tests.unit.mapp.edge import AUDIENCE, Edge, connector, error_of

PASSING = [
    TryAgain("The partner is busy"),
    AudienceNotReady("It is being prepared"),
    StoreUnavailable("gone"),
    Conflict("The connector is off."),
    ConfigurationError("The file /state/secrets/token is not a secret."),
    UnknownVersion("This record was written as version 9."),
]

FINAL = [
    (BatchRefused("Name is already taken"), 422, "The partner refused the audience: Name is already taken."),
    (Unsupported("Audiences are made by hand there!"), 422, "by hand there!"),
    (CredentialsRefused("The token has expired."), 502, "The token has expired."),
    (Misconfigured("The advertiser does not exist."), 502, "The advertiser does not exist."),
    (AudienceGone("It was deleted."), 502, "It was deleted."),
    (NotFound("There is no connector of that name."), 404, "There is no connector of that name."),
]


def partner_mode(edge: Edge) -> None:
    edge.serve(connector(audience_id="partner"))


# --- what is asked for ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["own", "partner"])
def test_the_audience_is_created_as_it_was_announced(edge: Edge, mode: str) -> None:
    edge.serve(connector(audience_id=mode))
    assert edge.create(Name="Test audience", Customer=123).status_code == 200
    assert edge.creator.asked == [
        {"connector": "pangolin", "audience": AUDIENCE, "name": "Test audience", "customer": 123, "mode": mode}
    ]


@pytest.mark.parametrize("name", [{}, {"Name": None}, {"Name": ""}, {"Name": "  "}])
def test_without_a_name_it_is_called_by_its_id(edge: Edge, name: dict[str, Any]) -> None:
    edge.create(**name)
    assert edge.creator.asked[0]["name"] == AUDIENCE


def test_names_of_fields_are_compared_without_case(edge: Edge) -> None:
    edge.post({"AUDIENCE": "a.1", "name": "N", "customer": "c"}, type="CREATE_AUDIENCE")
    assert edge.creator.asked == [{"connector": "pangolin", "audience": "a.1", "name": "N", "customer": "c", "mode": "own"}]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "names no audience"),
        ({"Audience": None}, "names no audience"),
        ({"Audience": ""}, "names no audience"),
        ({"Audience": " "}, "names no audience"),
        ({"Audience": 12}, "must be text"),
        ({"Audience": ["a.1"]}, "must be text"),
        ({"Audience": "x" * 513}, "512"),
        ({"Audience": "a\u0000"}, "control"),
        ({"Audience": "a\u001fb"}, "control"),
        ({"Audience": "a.1", "Name": 12}, "must be text"),
        ({"Audience": "a.1", "Name": {"de": "x"}}, "must be text"),
        ({"Audience": "a.1", "Name": "x" * 1_001}, "1,000"),
        ({"Audience": "a.1", "Name": "a\u0000"}, "character"),
    ],
)
def test_what_cannot_be_created_is_400_and_the_partner_is_not_asked(edge: Edge, body: dict[str, Any], sentence: str) -> None:
    answer = edge.post(body, type="CREATE_AUDIENCE")
    assert answer.status_code == 400
    assert sentence in error_of(answer)
    assert edge.creator.asked == []


def test_the_longest_id_and_name_are_accepted(edge: Edge) -> None:
    assert edge.create("x" * 512, Name="ü" * 1_000).status_code == 200


def test_a_customer_that_is_not_served_is_400(edge: Edge) -> None:
    edge.serve(connector(customers=(123,)))
    assert "customer" in error_of(edge.create(Customer=9))
    assert edge.create(Customer="123").status_code == 200


# --- mode own -------------------------------------------------------------------------------------------------------


def test_own_a_success_is_200_without_an_id(edge: Edge) -> None:
    answer = edge.create()
    assert (answer.status_code, answer.json()) == (200, {})
    assert edge.queued() == []


@pytest.mark.parametrize("trouble", PASSING, ids=lambda error: type(error).__name__)
def test_own_trouble_that_should_pass_is_200_and_a_message_finishes_the_work(edge: Edge, trouble: Exception) -> None:
    edge.creator.error = trouble
    answer = edge.create(Name="N", Customer=123, Other={"x": 1})
    assert (answer.status_code, answer.json()) == (200, {})
    [message] = edge.queued()
    assert (message.kind, message.audience, message.name, message.customer) == ("created", AUDIENCE, "N", 123)
    assert (message.fields, message.mutations) == ({"Other": {"x": 1}}, ())
    assert message.request_id == answer.headers["X-Request-Id"]


def test_own_a_partner_that_does_not_answer_in_time_is_200_and_the_creation_goes_on(edge: Edge) -> None:
    edge.set_deadlines(creator_s=0.05)
    edge.creator.delay_s = 0.3
    assert edge.create().status_code == 200
    assert [message.kind for message in edge.queued()] == ["created"]
    assert not edge.creator.finished.is_set()
    assert edge.creator.finished.wait(timeout=10)


def test_own_where_the_message_cannot_be_stored_it_is_503(edge: Edge) -> None:
    assert edge.add({"Audience": "a.1", "User": "u1"}).status_code == 200
    edge.creator.error = TryAgain("busy")
    edge.set_deadlines(creation_s=0.1, store_s=0)
    other = sqlite3.connect(next(edge.state_dir.glob("*.db")), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = edge.create()
    other.execute("ROLLBACK")
    other.close()
    assert answer.status_code == 503
    assert "send it again" in error_of(answer)


# --- mode partner ---------------------------------------------------------------------------------------------------


def test_partner_a_success_is_200_with_the_partners_id(edge: Edge) -> None:
    partner_mode(edge)
    answer = edge.create()
    assert (answer.status_code, answer.json()) == (200, {"id": "partner-1"})


@pytest.mark.parametrize(
    ("trouble", "status"),
    [(error, 409 if isinstance(error, Conflict) else 503) for error in PASSING],
    ids=lambda each: type(each).__name__,
)
def test_partner_trouble_that_should_pass_is_no_success_and_queues_nothing(edge: Edge, trouble: Exception, status: int) -> None:
    partner_mode(edge)
    edge.creator.error = trouble
    answer = edge.create()
    assert answer.status_code == status
    assert error_of(answer)
    assert edge.queued() == []


@pytest.mark.parametrize("trouble", PASSING[-2:], ids=lambda error: type(error).__name__)
def test_partner_what_only_an_operator_can_mend_is_logged_by_its_name_and_told_without_its_text(
    edge: Edge, lines: Lines, trouble: Exception
) -> None:
    partner_mode(edge)
    edge.creator.error = trouble
    assert error_of(edge.create()).startswith("The audience cannot be created before an operator has looked at the connector")
    [line] = lines()
    assert line["error"] in ("configuration_error", "unknown_version")
    assert "/state" not in str(line)


def test_partner_a_time_out_is_504_and_the_same_request_again_finds_it(edge: Edge) -> None:
    partner_mode(edge)
    edge.set_deadlines(creator_s=0.05)
    edge.creator.delay_s = 0.3
    answer = edge.create()
    assert answer.status_code == 504
    assert "same request again" in error_of(answer)
    assert edge.creator.finished.wait(timeout=10)
    edge.creator.delay_s = 0
    assert edge.create().json() == {"id": "partner-1"}


# --- both -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["own", "partner"])
@pytest.mark.parametrize(("trouble", "status", "sentence"), FINAL, ids=lambda each: type(each).__name__)
def test_a_refusal_for_good_reaches_the_dmps_user(edge: Edge, mode: str, trouble: Exception, status: int, sentence: str) -> None:
    edge.serve(connector(audience_id=mode))
    edge.creator.error = trouble
    answer = edge.create()
    assert answer.status_code == status
    assert sentence in error_of(answer)
    assert edge.queued() == []


def test_a_partners_long_reason_is_shortened(edge: Edge) -> None:
    edge.creator.error = BatchRefused("no \n" * 1_000)
    assert len(error_of(edge.create())) < 400


def test_what_nobody_foresaw_is_500_without_its_text(edge: Edge, lines: Lines) -> None:
    edge.creator.error = RuntimeError("someone@example.com is to blame")
    answer = edge.create()
    assert answer.status_code == 500
    assert "someone" not in error_of(answer)
    [line] = lines()
    assert "someone" not in str(line)
    assert (line["severity"], line["status"], line["exception"]) == ("ERROR", 500, "RuntimeError")
    assert line["where"].startswith("edge.py:")
