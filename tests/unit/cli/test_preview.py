"""`diy connectors preview --user`: what would be sent of one user as the DMP sends it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from relay.operating.given_user import SAMPLE_AUDIENCE
from tests.unit.cli.conftest import NOBODY_LISTENS, Diy
from tests.unit.cli.partners import HTTP, META, ROKT, write

ANN = json.dumps({"Email": " Ann@Example.com"})
HASH = hashlib.sha256(b"ann@example.com").hexdigest()


def of_user(diy: Diy, name: str, *options: str, user: str = ANN) -> Any:
    return diy.json("connectors", "preview", name, "--user", user, *options)


def test_a_user_joins_unless_told(diy: Diy) -> None:
    diy.fine("connectors", "apply", write(diy, ROKT))
    shown = of_user(diy, "rokt")
    (request,) = shown["requests"]
    assert (request["action"], request["body"]["action"], request["body"]["sha256s"]) == ("Include", "include", [HASH])
    assert shown["not_sent"] == []


@pytest.mark.parametrize(
    ("trigger", "sent"),
    [
        ("created", [("Create", "GET"), ("Create", "POST")]),
        ("joined", [("Add", "POST")]),
        ("left", [("Remove", "DELETE")]),
    ],
)
def test_each_trigger_can_be_asked_for_with_a_user_and_without(diy: Diy, trigger: str, sent: list[tuple[str, str]]) -> None:
    diy.fine("connectors", "apply", write(diy, META))
    for shown in (of_user(diy, "meta", "--trigger", trigger), diy.json("connectors", "preview", "meta", "--trigger", trigger)):
        assert [(one["action"], one["method"]) for one in shown["requests"]] == sent


def test_a_placeholder_stands_where_the_partners_id_will_be(diy: Diy) -> None:
    diy.fine("connectors", "apply", write(diy, META))
    (request,) = of_user(diy, "meta")["requests"]
    assert request["url"].endswith("/{audience}/users")


def test_a_mapping_of_the_partners_id_sees_the_placeholder(diy: Diy) -> None:
    diy.fine("connectors", "apply", write(diy, META.replace("email: user.email", "external_id: audience.partner_id")))
    (request,) = of_user(diy, "meta")["requests"]
    assert request["body"]["payload"]["data"] == [["{audience}"]]


def test_the_audience_can_be_named(diy: Diy) -> None:
    diy.fine(
        "connectors",
        "apply",
        write(diy, ROKT.replace("allow_private", "list: \"join('/', [audience.id, audience.name])\", allow_private")),
    )
    lists = [
        of_user(diy, "rokt", *options)["requests"][0]["body"]["list"]
        for options in ([], ["--audience", "7"], ["--audience", "7", "--audience-name", "Winter"])
    ]
    assert lists == [f"{SAMPLE_AUDIENCE}/Sample audience", "7/7", "7/Winter"]


def test_an_audience_that_is_known_is_shown_with_what_the_partner_calls_it(diy: Diy) -> None:
    diy.apply()
    diy.fine("audiences", "link", "pangolin", "a.1", "77", "--name", "Winter")
    (request,) = of_user(diy, "pangolin", "--audience", "a.1", user='{"Id": "u1"}')["requests"]
    assert request["url"] == f"{NOBODY_LISTENS}/api/audiences/77/users"


def test_a_user_is_read_by_the_field_names_of_the_connector(diy: Diy) -> None:
    fields = "hmac_secret: rokt-hmac, fields: {{identifiers: {{Mail: email}}}}"
    diy.fine("connectors", "apply", write(diy, ROKT.replace("hmac_secret: rokt-hmac", fields)))
    assert of_user(diy, "rokt", user='{"mail": "ann@example.com"}')["requests"][0]["body"]["sha256s"] == [HASH]
    refused = diy("connectors", "preview", "rokt", "--user", ANN)
    assert refused.exit_code == 2
    assert "rokt reads identifiers from User, UserId, Id, Mail." in refused.stderr


def test_the_users_own_audience_and_direction_count_as_they_do_for_the_receiver(diy: Diy) -> None:
    diy.fine("connectors", "apply", write(diy, ROKT))
    own = json.dumps({"Email": "ann@example.com", "Audience": "7", "Type": "REMOVE"})
    body = of_user(diy, "rokt", user=own)["requests"][0]["body"]
    assert (body["action"], body["list"]) == ("exclude", "7")
    for options in (["--trigger", "joined"], ["--audience", "8"]):
        assert diy("connectors", "preview", "rokt", "--user", own, *options).exit_code == 2


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ('{"Email": "\udcff"}', "not valid JSON"),
        ("[]", "one JSON object"),
        ('[{"Email": "ann@example.com"}]', "one JSON object"),
        ('"ann@example.com"', "one JSON object"),
        ("{}", "It names no user."),
        ('{"Name": "Ann"}', "It names no user."),
        ('{"Email": "ann@example.com", "Audience": {}}', "audience is neither text nor a number"),
    ],
)
def test_what_is_no_user_is_refused_with_a_sentence(diy: Diy, user: str, sentence: str) -> None:
    diy.fine("connectors", "apply", write(diy, ROKT))
    for command in ("preview", "test"):
        diy.fine("secrets", "set", "rokt-hmac", input="x")
        result = diy("connectors", command, "rokt", "--user", user)
        assert (result.exit_code, result.stdout) == (2, "")
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr


def test_an_unknown_trigger_is_a_wrong_use(diy: Diy) -> None:
    diy.fine("connectors", "apply", write(diy, ROKT))
    assert diy("connectors", "preview", "rokt", "--user", ANN, "--trigger", "danced").exit_code == 2


def test_a_file_of_changes_leaves_nothing_to_be_said_by_options(diy: Diy) -> None:
    diy.fine("connectors", "apply", write(diy, ROKT))
    for option in (["--user", ANN], ["--trigger", "left"], ["--audience", "7"]):
        assert diy("connectors", "preview", "rokt", "--mutation", "request.json", *option).exit_code == 2


def test_what_is_not_sent_says_of_which_trigger_and_why(diy: Diy) -> None:
    report = "name: Report, trigger: joined, operation: send_event, enabled: false, mapping: {eventType: {constant: conversion}}"
    more = f"  - {{{report}}}\n"
    diy.fine("connectors", "apply", write(diy, ROKT, more=more))
    shown = of_user(diy, "rokt", user='{"Id": "u1"}')
    assert [(one["trigger"], one["action"], one["outcome"], one["code"]) for one in shown["not_sent"]] == [
        ("joined", "Include", "rejected", "missing_field"),
        ("joined", "Report", "skipped", "action_off"),
    ]
    text = diy.fine("connectors", "preview", "rokt", "--user", '{"Id": "u1"}')
    assert "# joined (Include) is not sent: rejected: This user has no value for E-mail" in text
    created = of_user(diy, "rokt", "--trigger", "created")
    assert [(one["trigger"], one["outcome"], one["code"]) for one in created["not_sent"]] == [("created", "skipped", "no_action")]


@pytest.mark.parametrize(
    ("max_age", "words"), [("", "10 minutes"), ("1h30m", "1 hour 30 minutes"), ("1s", "1 second"), ("250ms", "250 milliseconds")]
)
def test_where_a_connector_gathers_the_preview_says_how_much_later_members_arrive(diy: Diy, max_age: str, words: str) -> None:
    more = f"limits: {{batch: {{max_age: {max_age}}}}}\n" if max_age else ""
    diy.fine("connectors", "apply", write(diy, ROKT, more=more))
    sentence = f"members arrive up to {words} later"
    assert sentence in diy.fine("connectors", "preview", "rokt", "--user", ANN)
    assert of_user(diy, "rokt")["gathering"]["sentence"] == sentence


def test_where_it_does_not_gather_nothing_is_said_of_it(diy: Diy) -> None:
    diy.fine("connectors", "apply", write(diy, ROKT, more="limits: {batch: {max_age: 0s}}\n"))
    assert "later" not in diy.fine("connectors", "preview", "rokt", "--user", ANN)
    assert of_user(diy, "rokt")["gathering"] is None


def test_credentials_in_the_query_are_masked(diy: Diy) -> None:
    diy.fine("connectors", "apply", write(diy, HTTP))
    diy.fine("secrets", "set", "acme-key", input="the-key-of-acme")
    text = diy.fine("connectors", "preview", "acme", "--user", ANN)
    assert f"POST {NOBODY_LISTENS}/lists/{SAMPLE_AUDIENCE}/members?dry=1&api_key=***\n" in text
    assert "the-key-of-acme" not in text
    assert "Authorization" not in text


def test_a_secret_that_cannot_be_read_does_not_matter(diy: Diy) -> None:
    diy.fine("connectors", "apply", write(diy, META))
    diy.fine("secrets", "set", "meta-access-token", input="the-token")
    (diy.state / "secrets" / "meta-access-token").write_text("not what we wrote")
    assert len(of_user(diy, "meta")["requests"]) == 1


@pytest.mark.parametrize("options", [[], ["--draft"]])
def test_a_connector_without_its_settings_is_shown_and_says_what_it_lacks(diy: Diy, options: list[str]) -> None:
    diy.fine("connectors", "apply", write(diy, META.replace('account_id: "4711", ', "")), *options)
    result = diy("connectors", "preview", "meta", "--user", ANN)
    assert result.exit_code == 0
    assert "/{audience}/users" in result.stdout
    assert "Before meta can run: The setting 'Ad account' (`settings.account_id`) is empty." in result.stderr


def test_a_user_of_whom_no_call_can_be_made_is_named_and_the_others_are_shown(diy: Diy) -> None:
    first = 'headers: {{X-First: "{{{{ rows[0].email }}}}"}}, body:'
    diy.fine("connectors", "apply", write(diy, HTTP.replace("body:", first)))
    file = diy.directory / "request.json"
    mutations = [{"Audience": "a.1", "Email": f"{name}@example.com"} for name in ("jörg", "ann", "bob")]
    file.write_text(json.dumps({"Type": "ADD_TO_AUDIENCE", "Mutations": mutations}))
    shown = diy.json("connectors", "preview", "acme", "--mutation", str(file))
    assert [one["body"] for one in shown["requests"]] == [[{"email": "ann@example.com"}, {"email": "bob@example.com"}]]
    assert [(one["index"], one["outcome"], one["code"]) for one in shown["not_sent"]] == [(0, "rejected", "unusable_value")]
