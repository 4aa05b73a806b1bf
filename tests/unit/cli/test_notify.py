"""`diy connectors notify`: whether whoever is to be told can be told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.partners.mail_server import MailServer
from tests.partners.notice_receiver import NoticeReceiver
from tests.partners.serving import Answer
from tests.unit.cli.conftest import Diy


@pytest.fixture
def receiver() -> Iterator[NoticeReceiver]:
    with NoticeReceiver() as server:
        yield server


@pytest.fixture
def mail_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer(login="ada:pass-word") as server:
        monkeypatch.setenv("SMTP_URL", f"smtp://ada:pass-word@127.0.0.1:{server.port}")
        monkeypatch.setenv("SMTP_FROM", "diy@relay.example")
        yield server


def test_it_sends_a_test_to_each_and_says_what_they_answered(
    diy: Diy, receiver: NoticeReceiver, mail_server: MailServer
) -> None:
    diy.apply(more=f'notify: {{webhook: "{receiver.url}/x", email: ops@shop.example, allow_private_network: true}}\n')
    said = diy.fine("connectors", "notify", "pangolin")

    assert said.splitlines() == [
        f"webhook: The webhook ({receiver.url.removeprefix('http://')}) answered with status 200: ok.",
        f"email: The mail server (127.0.0.1:{mail_server.port}) took the mail.",
    ]
    [notice] = receiver.notices
    assert (notice["state"], notice["connector"], notice["delivered"]) == ("test", "pangolin", None)
    [mail] = mail_server.mails
    assert mail.message["Subject"] == "[diy] pangolin: a test of its notices"
    assert mail.text.startswith("Nothing is the matter")


def test_what_is_not_taken_is_said_and_ends_with_1_after_all_were_tried(
    diy: Diy, receiver: NoticeReceiver, mail_server: MailServer
) -> None:
    receiver.said = Answer(404, b"no_service")
    diy.apply(more=f'notify: {{webhook: "{receiver.url}/x", email: ops@shop.example, allow_private_network: true}}\n')
    result = diy("connectors", "notify", "pangolin")

    assert result.exit_code == 1
    assert "webhook: NOT TAKEN. " in result.stdout
    assert "status 404: no_service" in result.stdout
    assert len(mail_server.mails) == 1


def test_an_address_in_a_secret_is_used_and_never_shown(diy: Diy, receiver: NoticeReceiver) -> None:
    diy.apply(more="notify: {webhook: alerts-url, secret: alerts-key, allow_private_network: true}\n")
    for secret, value in (("alerts-url", f"{receiver.url}/the-token"), ("alerts-key", "the-key")):
        result = diy("connectors", "notify", "pangolin")
        assert result.exit_code == 1
        assert f"The secret '{secret}' is not set: diy secrets set {secret}" in result.stdout
        diy.fine("secrets", "set", secret, input=value)

    assert "the-token" not in diy.fine("connectors", "notify", "pangolin")
    [call] = receiver.served
    assert call.path == "/the-token"
    assert call.headers["webhook-signature"].startswith("v1,")


def test_a_secret_that_is_no_address_is_said_so_without_its_value(diy: Diy) -> None:
    diy.apply(more="notify: {webhook: alerts-url}\n")
    diy.fine("secrets", "set", "alerts-url", input="the-token")
    said = diy("connectors", "notify", "pangolin").stdout

    assert "NOT TAKEN. The secret 'alerts-url' is no URL of a webhook." in said
    assert "the-token" not in said


def test_a_document_that_names_nobody_is_said_so(diy: Diy) -> None:
    diy.apply()
    result = diy("connectors", "notify", "pangolin")

    assert result.exit_code == 1
    assert "names nobody" in result.stderr


def test_to_apply_says_what_notices_still_lack_and_how_they_are_tried(diy: Diy) -> None:
    file = diy.document(more="notify: {webhook: alerts-url, email: ops@shop.example}\n")
    said = diy("connectors", "apply", file).stderr

    assert "Before pangolin can tell anybody: The secret 'alerts-url' (address of the webhook) is not set" in said
    assert "Before pangolin can send mails: set SMTP_URL and SMTP_FROM for the worker" in said
    assert "To try whether notices arrive: diy connectors notify pangolin" in said
    listed = {one["name"]: one["used_by"] for one in diy.json("secrets", "list")}
    assert listed["alerts-url"] == ["pangolin"]


@pytest.mark.parametrize("url", ["smtp://ada:pass-word@", "http://ada:pass-word@x", "smtp://ada:pass-word@x:port", "smtp://x/pass-word"])
def test_a_mail_servers_address_that_cannot_be_one_is_refused_without_its_password(
    diy: Diy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    diy.apply()
    monkeypatch.setenv("SMTP_URL", url)
    monkeypatch.setenv("SMTP_FROM", "diy@relay.example")
    result = diy("connectors", "list")

    assert result.exit_code == 2
    assert "SMTP_URL must be smtp://" in result.stderr
    assert "pass-word" not in result.output + result.stderr
