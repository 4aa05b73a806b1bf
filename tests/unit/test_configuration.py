"""Configuration from environment variables."""

from __future__ import annotations

import os
import pwd

import pytest

from relay.configuration import read
from relay.domain.errors import ConfigurationError
from relay.domain.mail_server import mail_server


@pytest.mark.parametrize("variable", ["USER", "LOGNAME"])
def test_the_environment_says_who_does_it(variable: str) -> None:
    assert read({variable: "the-operator"}).user == "the-operator"


def test_without_such_a_variable_it_is_the_owner_of_the_process() -> None:
    assert read({}).user == pwd.getpwuid(os.getuid()).pw_name


def test_an_owner_without_a_name_is_given_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert read({}).user == f"user {os.getuid()}"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example", ("mail.example", 587, False, "", "")),
        ("smtps://mail.example/", ("mail.example", 465, True, "", "")),
        ("smtp://ada%40shop:p%2Fw%3A@[::1]:2525", ("::1", 2525, False, "ada@shop", "p/w:")),
    ],
)
def test_a_mail_server_is_named_by_one_url(url: str, server: tuple[str, int, bool, str, str]) -> None:
    assert read({"SMTP_URL": url, "SMTP_FROM": "diy@relay.example"}).smtp_url == url
    found = mail_server(url)
    assert (found.host, found.port, found.encrypted, found.user, found.password) == server
    assert "p/w" not in repr(found)


@pytest.mark.parametrize("sender", ["", "Relay <diy@relay.example>", "diy@relay.example\nBcc: all@shop.example", "diy"])
def test_it_needs_the_address_that_mails_come_from(sender: str) -> None:
    with pytest.raises(ConfigurationError, match="SMTP_FROM"):
        read({"SMTP_URL": "smtp://mail.example", "SMTP_FROM": sender})


@pytest.mark.parametrize(
    "url",
    ["mail.example:587", "smtp:mail.example", "smtp://:25", "smtp://ada@mail.example", "smtp://:word@mail.example",
     "smtp://mail.example:0x19", "smtp://mail.example?tls=no", "smtp://a%0d%0a:b@mail.example", "smtp://a%ff:b@mail.example",
     "smtp://ada:p%C3%A4ss@mail.example"],
)  # fmt: skip
def test_what_cannot_name_a_mail_server_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read({"SMTP_URL": url, "SMTP_FROM": "diy@relay.example"})
    assert url not in str(caught.value)
