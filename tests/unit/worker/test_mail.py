"""A mail is handed to a real mail server: encrypted, to nobody else, and only what the server took is taken."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from relay.domain.errors import NotTaken
from relay.domain.mail_server import MailServer as Address
from relay.domain.mail_server import mail_server
from relay.domain.notice import Notice, Situation, retry_s
from tests.contract.adapters.scripted import ScriptedServer, Visit
from tests.partners.mail_server import MailServer
from tests.unit.adapters.internet import Authority
from worker import mail
from worker.mail import send_mail

BEGINNING = 1_800_000_000.0
NOTICE = Notice(
    "n1",
    "shop@sandbox",
    BEGINNING,
    Situation("on_hold", "partner_unavailable", BEGINNING - 120),
    meaning="the partner cannot take anything just now; it is tried again by itself",
    detail="The partner (api.example:443) cannot be reached: its name is not known.\r\n.\r\nBcc: x@y.example ü",
    audiences=1,
    batches=2,
    mutations=1_005,
)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Authority:
    """The one authority whose certificates this machine trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.bundle))
    return made


def send(server: MailServer, *, scheme: str = "smtp", host: str = "127.0.0.1", login: str = "", notice: Notice = NOTICE) -> str:
    address = mail_server(f"{scheme}://{login}{host}:{server.port}")
    return send_mail(address, "diy@relay.example", "ops@shop.example", notice)


def refused(server: MailServer, **more: str) -> NotTaken:
    with pytest.raises(NotTaken) as caught:
        send(server, **more)  # type: ignore[arg-type]
    return caught.value


def test_the_mail_says_what_is_the_matter_and_what_to_do() -> None:
    with MailServer() as server:
        assert send(server) == f"The mail server (127.0.0.1:{server.port}) took the mail."

    [mail] = server.mails
    assert (mail.sender, mail.recipients) == ("diy@relay.example", ("ops@shop.example",))
    headers = {name: mail.message[name] for name in ("From", "To", "Subject", "Message-ID", "Auto-Submitted", "Date")}
    assert headers == {
        "From": "diy@relay.example",
        "To": "ops@shop.example",
        "Subject": "[diy] shop@sandbox is on hold",
        "Message-ID": "<n1@relay.example>",
        "Auto-Submitted": "auto-generated",
        "Date": "Fri, 15 Jan 2027 08:00:00 +0000",
    }
    assert mail.text == (
        "Since 2027-01-15 07:58:00 UTC: the partner (api.example:443) cannot be reached: its name is not known.\n"
        ".\nBcc: x@y.example ü; it is tried again by itself.\n"
        "1,005 mutations in 2 batches of 1 audience wait.\n"
        "Nobody needs to do anything.\n"
        "\n"
        "Connector: shop@sandbox\n"
        "Noticed: 2027-01-15 08:00:00 UTC\n"
        "ID: n1\n"
    )
    assert mail.message["Bcc"] is None
    assert mail.content.isascii(), "any server takes it"


def test_it_is_encrypted_where_the_server_offers_it(trusted: Authority) -> None:
    with MailServer(context=trusted.context("127.0.0.1"), login="ada:p@ss/word") as server:
        send(server, login="ada:p%40ss%2Fword@")

    [mail] = server.mails
    assert (mail.encrypted, mail.user) == (True, "ada")
    assert server.commands.index("STARTTLS") < server.commands.index("AUTH")


def test_or_from_the_first_byte(trusted: Authority) -> None:
    with MailServer(context=trusted.context("127.0.0.1"), at_once=True) as server:
        send(server, scheme="smtps")

    assert [mail.encrypted for mail in server.mails] == [True]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_certificate_that_is_not_trusted_gets_nothing(tmp_path: Path, at_once: bool) -> None:
    with MailServer(context=Authority(tmp_path).context("127.0.0.1"), at_once=at_once, login="a:b") as server:
        error = refused(server, scheme="smtps" if at_once else "smtp", login="a:b@")

    assert error.code == "tls"
    assert "AUTH" not in server.commands


def test_a_server_elsewhere_that_offers_no_encryption_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    connect = socket.create_connection
    with MailServer(login="a:b") as server:
        monkeypatch.setattr(socket, "create_connection", lambda where, *more: connect(("127.0.0.1", where[1]), *more))
        error = refused(server, host="mail.example", login="a:b@")

    assert error.code == "no_encryption"
    assert server.commands == ["EHLO"]


@pytest.mark.parametrize(
    ("refuses", "code", "words"),
    [
        ({"AUTH": "535 no"}, "credentials", "refuses user and password (status 535)"),
        ({"MAIL": "451 later"}, "refused", "did not take the mail (status 451)"),
        ({"RCPT": "550 unknown"}, "recipient", "does not take mail for this address (status 550)"),
        ({"DATA": "554 no"}, "refused", "did not take the mail (status 554)"),
        ({"EHLO": "421 busy", "HELO": "421 busy"}, "refused", "did not take the mail (status 421)"),
    ],
)
def test_what_the_server_refuses_is_not_taken(refuses: dict[str, str], code: str, words: str) -> None:
    with MailServer(login="ada:pass-word", refuses=refuses) as server:
        error = refused(server, login="ada:pass-word@")

    assert error.code == code
    assert words in str(error)
    assert "pass-word" not in str(error)
    assert server.mails == []


def test_however_it_says_good_bye_what_it_took_is_taken() -> None:
    with MailServer(refuses={"QUIT": "500 what?"}) as server:
        send(server)

    assert len(server.mails) == 1


def test_a_server_that_offers_no_login_is_said_so() -> None:
    with MailServer() as server:
        assert refused(server, login="ada:pass-word@").code == "unsupported"


def hangs_up(visit: Visit) -> None:
    visit.write(b"220 ready\r\n")
    visit.connection.recv(1000)


@pytest.mark.parametrize("longest_s", [0.5, 0.0], ids=["in the middle", "once it is connected"])
def test_a_server_that_never_comes_to_an_end_is_left_before_somebody_else_sends_the_mail(
    longest_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert retry_s(1) > mail._LONGEST_S
    monkeypatch.setattr(mail, "_LONGEST_S", longest_s)

    def drips(visit: Visit) -> None:
        visit.write(b"220 ready\r\n")
        visit.connection.recv(1000)
        visit.write(b"250 here\r\n")
        visit.connection.recv(1000)
        with suppress(OSError):
            while not visit.over.wait(0.02):
                visit.write(b"250-and\r\n")

    with ScriptedServer(drips) as server, pytest.raises(NotTaken) as slow:
        send_mail(Address("127.0.0.1", int(server.url.rpartition(":")[2]), encrypted=False), "a@b.c", "d@e.f", NOTICE)

    assert slow.value.code == "timeout"


def test_a_connection_that_breaks_or_cannot_be_made_is_no_mail() -> None:
    with ScriptedServer(hangs_up) as server, pytest.raises(NotTaken) as broken:
        send_mail(Address("127.0.0.1", int(server.url.rpartition(":")[2]), encrypted=False), "a@b.c", "d@e.f", NOTICE)
    with pytest.raises(NotTaken) as absent:
        send_mail(Address("127.0.0.1", 9, encrypted=False), "a@b.c", "d@e.f", NOTICE)

    assert [broken.value.code, absent.value.code] == ["unreachable", "unreachable"]


