"""`diy connectors options, check`: of connectors that are not complete, not published or not even stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.domain.clock import SystemClock
from tests.unit.cli.conftest import Diy
from tests.unit.cli.partners import ACCOUNT, META, TOKEN, PreparedPartner, a_meta, write

UNFINISHED = """\
name: meta
adapter: meta
settings: {{base_url: "{url}", allow_private_network: true}}
secrets: {{access_token: meta-access-token}}
environments:
  other: {{secrets: {{access_token: other-token}}}}
"""


@pytest.fixture
def meta() -> Iterator[PreparedPartner]:
    with a_meta() as partner:
        yield partner


@pytest.fixture
def unfinished(diy: Diy, meta: PreparedPartner) -> str:
    """A document that only says who the partner is; its secret is set."""
    diy.fine("secrets", "set", "meta-access-token", input=TOKEN)
    return write(diy, UNFINISHED, url=meta.url)


def values(diy: Diy, *arguments: str) -> list[str]:
    return [option["value"] for option in diy.json("connectors", "options", *arguments)]


def test_a_document_that_lacks_just_what_is_asked_for_is_enough(diy: Diy, unfinished: str) -> None:
    assert values(diy, "account_id", "--file", unfinished) == [ACCOUNT]
    assert values(diy, "meta", "account_id", "--file", unfinished) == [ACCOUNT]
    assert diy.json("connectors", "list") == []


def test_what_was_chosen_before_leads_on(diy: Diy, unfinished: str) -> None:
    refused = diy("connectors", "options", "audience", "--file", unfinished)
    assert refused.exit_code == 1
    assert "Choose the ad account first" in refused.stderr
    found = values(diy, "audience", "--file", unfinished, "--set", f"account_id={ACCOUNT}")
    assert found == ["7000", "7001", "7002"]


def test_a_wrong_value_of_what_is_asked_for_does_not_matter(diy: Diy, unfinished: str) -> None:
    text = Path(unfinished).read_text().replace("settings: {", "settings: {account_id: to be chosen, ")
    Path(unfinished).write_text(text)
    assert values(diy, "account_id", "--file", unfinished) == [ACCOUNT]
    other = diy("connectors", "options", "audience", "--file", unfinished)
    assert other.exit_code == 2
    assert other.stderr.splitlines()[-1].startswith("settings.account_id: ")


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ("adapter: meta", "name: This is missing."),
        ("name: meta", "adapter: This is missing."),
        ("name: meta\nadapter: meat", "adapter: There is no adapter named 'meat'."),
        ("name: meta\nadapter: meta\nsettings: {base: 1}", "settings.base: There is no setting 'base' here."),
        ("name: meta\nadapter: meta\nsettings: 5", "settings: This must be a mapping"),
        ("name: meta\nadapter: meta\nsecrets: {access_token: 7}", "secrets.access_token: "),
        ("- name: meta", ""),
    ],
)
def test_what_it_takes_to_ask_is_validated_with_its_place(diy: Diy, unfinished: str, document: str, place: str) -> None:
    Path(unfinished).write_text(document)
    result = diy("connectors", "options", "account_id", "--file", unfinished)
    assert result.exit_code == 2
    assert place in result.stderr
    assert "Traceback" not in result.stderr


def test_an_environment_of_the_document_is_asked_by_its_name(diy: Diy, unfinished: str) -> None:
    diy.fine("secrets", "set", "other-token", input="not-the-token")
    refused = diy("connectors", "options", "meta@other", "account_id", "--file", unfinished)
    assert refused.exit_code == 1
    assert "not accept" in refused.stderr
    for name, sentence in (("meta@othre", "There is no environment 'othre'."), ("rokt", "not of 'rokt'")):
        result = diy("connectors", "options", name, "account_id", "--file", unfinished)
        assert result.exit_code == 2
        assert sentence in result.stderr


def test_a_mistake_in_an_environment_is_placed_there(diy: Diy, unfinished: str) -> None:
    text = Path(unfinished).read_text().replace("other: {", "other: {settings: {base: 1}, ")
    Path(unfinished).write_text(text)
    assert values(diy, "account_id", "--file", unfinished) == [ACCOUNT]
    result = diy("connectors", "options", "meta@other", "account_id", "--file", unfinished)
    assert "environments.other.settings.base: There is no setting 'base' here." in result.stderr


def test_a_secret_that_is_not_set_is_named_and_nobody_is_asked(diy: Diy, meta: PreparedPartner, unfinished: str) -> None:
    Path(unfinished).write_text(Path(unfinished).read_text().replace("access_token: meta-", "access_token: my-"))
    result = diy("connectors", "options", "account_id", "--file", unfinished)
    assert result.exit_code == 1
    assert "diy secrets set my-access-token" in result.stderr
    assert meta.calls == []


@pytest.mark.parametrize("draft", [[], ["--draft"]])
def test_a_stored_connector_is_asked_too_be_it_a_draft_without_the_setting(
    diy: Diy, meta: PreparedPartner, draft: list[str]
) -> None:
    diy.fine("connectors", "apply", write(diy, META.replace('account_id: "4711", ', ""), url=meta.url), *draft)
    diy.fine("secrets", "set", "meta-access-token", input=TOKEN)
    assert values(diy, "meta", "account_id") == [ACCOUNT]
    assert values(diy, "meta", "audience", "--set", f"account_id=act_{ACCOUNT}") == ["7000", "7001", "7002"]


@pytest.mark.parametrize("words", [[], ["meta"], ["meta", "account_id", "more"]])
def test_it_takes_a_connector_and_a_field(diy: Diy, words: list[str]) -> None:
    assert diy("connectors", "options", *words).exit_code == 2


def test_credentials_can_be_checked_before_the_document_is_applied(diy: Diy, meta: PreparedPartner) -> None:
    diy.fine("secrets", "set", "meta-access-token", input=TOKEN)
    file = write(diy, META, url=meta.url)
    assert "accepts the credentials of meta" in diy.fine("connectors", "check", "--file", file)
    diy.fine("secrets", "set", "meta-access-token", input="another")
    refused = diy("connectors", "check", "--file", file)
    assert refused.exit_code == 1
    assert diy("connectors", "check").exit_code == 2


def test_credentials_are_checked_whatever_is_missing_on_the_side_of_the_dmp(diy: Diy, meta: PreparedPartner) -> None:
    diy.fine("connectors", "apply", write(diy, META, url=meta.url), "--draft")
    diy.fine("secrets", "set", "meta-access-token", input=TOKEN)
    assert "accepts" in diy.fine("connectors", "check", "meta")


def test_a_partner_that_asked_not_to_be_called_is_asked_nothing(diy: Diy, meta: PreparedPartner) -> None:
    diy.fine("connectors", "apply", write(diy, META, url=meta.url))
    for secret in ("meta-access-token", "meta-hmac"):
        diy.fine("secrets", "set", secret, input=TOKEN)
    with diy.backend() as backend:
        until = SystemClock().now() + 3_600
        backend.connectors.not_before("meta", until, reason="come_back_later", detail="")
    for command in (["options", "meta", "account_id"], ["check", "meta"]):
        result = diy("connectors", *command)
        assert result.exit_code == 1
        assert "asked not to be called before" in result.stderr
    tested = diy("connectors", "test", "meta", "--user", json.dumps({"Email": "ann@example.com"}), "--timeout", "1")
    assert tested.exit_code == 1
    assert meta.calls == []


def test_a_field_that_the_partner_has_no_values_for_is_answered_with_those_that_it_has(diy: Diy, unfinished: str) -> None:
    result = diy("connectors", "options", "nonsense", "--file", unfinished)
    assert result.exit_code == 1
    assert "no values to offer for 'nonsense'. It has some for: account_id." in result.stderr


def test_each_thing_that_is_missing_is_a_sentence_of_its_own(diy: Diy, meta: PreparedPartner) -> None:
    diy.fine("connectors", "apply", write(diy, META, url=meta.url))
    commands = (["check", "meta"], ["options", "meta", "account_id"], ["test", "meta"])
    for command in commands:
        assert "diy secrets set meta-access-token.\n" in diy("connectors", *command).stderr
    both = (diy("connectors", "test", "meta"), diy("audiences", "create", "meta", "a.1", "--name", "Spring"))
    for result in both:
        assert "diy secrets set meta-hmac. The secret 'meta-access-token'" in result.stderr
