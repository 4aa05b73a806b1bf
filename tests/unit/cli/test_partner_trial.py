"""`diy connectors test`: credentials first, then a user as the DMP would send it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.unit.cli.conftest import Diy
from tests.unit.cli.partners import CLIENT_ID, CLIENT_SECRET, ROKT, PreparedPartner, a_rokt, write
from tests.unit.cli.test_partner import running_worker

USER = json.dumps({"Email": "ann@example.com", "Type": "REMOVE"})
LIST = "DIY Relay test - may be deleted"


@pytest.fixture
def rokt() -> Iterator[PreparedPartner]:
    with a_rokt() as partner:
        yield partner


@pytest.fixture
def complete(diy: Diy, rokt: PreparedPartner) -> Diy:
    """A connector `rokt`, which gathers for ten minutes."""
    diy.fine("connectors", "apply", write(diy, ROKT, url=rokt.url))
    diy.fine("secrets", "set", "rokt-hmac", input="an-hmac-secret")
    diy.fine("secrets", "set", "rokt-client-id", input=CLIENT_ID)
    diy.fine("secrets", "set", "rokt-client-secret", input=CLIENT_SECRET)
    return diy


def paths(rokt: PreparedPartner) -> list[str]:
    return [call.path for call in rokt.calls]


def test_credentials_come_first_then_the_user_joins_and_leaves_without_gathering(complete: Diy, rokt: PreparedPartner) -> None:
    with running_worker(complete):
        tested = complete.json("connectors", "test", "rokt", "--user", USER)
    assert tested["passed"]
    assert tested["credentials"] == {"outcome": "accepted", "hint": ""}
    assert [(step["direction"], step["outcome"]) for step in tested["steps"]] == [("joined", "delivered"), ("left", "delivered")]
    assert paths(rokt) == ["/v3/auth-check", "/v3/import/suppression", "/v3/import/suppression"]
    assert [call.body["action"] for call in rokt.calls[1:]] == ["include", "exclude"]
    assert {call.body["list"] for call in rokt.calls[1:]} == {LIST}


def test_refused_credentials_end_the_test_before_anything_is_sent(complete: Diy, rokt: PreparedPartner) -> None:
    complete.fine("secrets", "set", "rokt-client-secret", input="a-wrong-secret")
    result = complete("connectors", "test", "rokt", "--user", USER)
    assert result.exit_code == 1
    assert result.stdout.startswith("credentials: refused: ROKT does not accept the keys.")
    tested = complete.json("connectors", "test", "rokt", "--user", USER)
    assert (tested["passed"], tested["audience"], tested["steps"]) == (False, None, [])
    assert set(paths(rokt)) == {"/v3/auth-check"}
    assert complete.json("audiences", "list") == []


def test_a_partner_in_trouble_is_not_taken_for_refused_credentials(complete: Diy, rokt: PreparedPartner) -> None:
    rokt.trouble = [503]
    assert complete.json("connectors", "test", "rokt", "--user", USER)["credentials"]["outcome"] == "failed"


def test_where_the_partner_has_no_call_for_credentials_the_test_says_so_and_goes_on(diy: Diy, rokt: PreparedPartner) -> None:
    document = (
        'name: rokt\nadapter: http\ninbound: {{hmac_secret: rokt-hmac}}\nsettings:\n  base_url: "{url}"\n'
        "  allow_private_network: true\n  audience_id: '{{{{ audience.name }}}}'\n  operations:\n"
        "    add: {{effect: add, fields: {{email: }}, request: {{method: POST, path: /add, body: '{{{{ rows }}}}'}}}}\n"
        "actions:\n  - {{name: Add, trigger: joined, operation: add, mapping: {{email: user.email}}}}\n"
    )
    diy.fine("connectors", "apply", write(diy, document, url=rokt.url))
    diy.fine("secrets", "set", "rokt-hmac", input="an-hmac-secret")
    rokt.trouble = [200]  # it knows no such call
    with running_worker(diy):
        result = diy("connectors", "test", "rokt", "--user", USER, "--keep")
    assert result.exit_code == 0, result.output
    unchecked, joined = result.stdout.splitlines()
    assert unchecked.startswith("credentials: unchecked: ")
    assert joined == "joined: delivered"


def test_a_user_who_would_stay_is_not_sent_unless_they_are_to_be_kept(complete: Diy, rokt: PreparedPartner) -> None:
    removing = "operation: remove, mapping: {{email_sha256: user.%s}}"
    document = ROKT.replace(removing % "email", removing % "gaid")
    complete.fine("connectors", "apply", write(complete, document, url=rokt.url))
    tested = complete.json("connectors", "test", "rokt", "--user", USER)
    assert [(step["direction"], step["outcome"]) for step in tested["steps"]] == [("left", "unhandled")]
    assert "would stay at the partner" in tested["steps"][0]["hint"]
    assert paths(rokt) == ["/v3/auth-check"]
    assert complete.json("audiences", "list") == []
    with running_worker(complete):
        assert complete.json("connectors", "test", "rokt", "--user", USER, "--keep")["passed"]


def test_a_user_who_cannot_be_mapped_is_refused_at_once_and_nothing_is_made(complete: Diy, rokt: PreparedPartner) -> None:
    result = complete("connectors", "test", "rokt", "--user", '{"Id": "u1"}')
    assert result.exit_code == 1
    accepted, refused = result.stdout.splitlines()
    assert accepted == "credentials: accepted"
    assert refused.startswith("joined: rejected by 'Include': This user has no value for E-mail")
    assert paths(rokt) == ["/v3/auth-check"]
    assert complete.json("audiences", "list") == []


def test_where_the_made_up_user_cannot_be_sent_the_test_says_how_to_give_one(complete: Diy) -> None:
    result = complete("connectors", "test", "rokt")
    assert result.exit_code == 1
    assert """--user '{"Email": "ann@example.com"}'""" in result.stderr


@pytest.mark.parametrize(
    "options",
    [["--user", USER, "--user-id", "u1"], ["--user", USER, "--identifier", "email=a@example.com"],
     ["--user", '{"Email": "ann@example.com", "Audience": "7"}']],
)  # fmt: skip
def test_user_and_audience_are_said_in_one_place(complete: Diy, rokt: PreparedPartner, options: list[str]) -> None:
    assert complete("connectors", "test", "rokt", *options).exit_code == 2
    assert rokt.calls == []


def test_an_incomplete_connector_is_not_tested_and_says_what_is_missing(diy: Diy, rokt: PreparedPartner) -> None:
    diy.fine("connectors", "apply", write(diy, ROKT, url=rokt.url))
    result = diy("connectors", "test", "rokt", "--user", USER)
    assert result.exit_code == 1
    assert "diy secrets set rokt-client-id" in result.stderr
    assert rokt.calls == []
