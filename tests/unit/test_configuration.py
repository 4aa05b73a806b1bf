"""Configuration from environment variables."""

from __future__ import annotations

import os
import pwd

import pytest

from relay.configuration import LOCAL_PLUGIN, environment, read, refuse_open_feeds, with_local_feeds
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


def test_the_gateway_is_the_platform_s_own_unless_told() -> None:
    assert read({}).gateway_url == "http://plugin-gateway.platform:8080"
    assert read({"GATEWAY_HOST": "10.0.0.7", "GATEWAY_PORT": "81"}).gateway_url == "http://10.0.0.7:81"


def test_the_feeds_function_of_a_local_run_asks_the_simulated_gateway_on_the_next_port() -> None:
    local = with_local_feeds(read({"FEED_PORT": "8083", "GATEWAY_HOST": "plugin-gateway.platform"}))
    assert local.gateway_url == "http://127.0.0.1:8084"
    assert (local.plugin_worker_id, local.plugin_authentication_token) == LOCAL_PLUGIN
    assert read(environment(local)) == local
    own = with_local_feeds(read({"FEED_PORT": "8083", "GATEWAY_PORT": "9000", "PLUGIN_WORKER_ID": "w"}))
    assert (own.gateway_url, own.plugin_worker_id) == ("http://127.0.0.1:9000", "w")
    with pytest.raises(ConfigurationError, match="GATEWAY_PORT"):
        with_local_feeds(read({"FEED_PORT": "65535"}))


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"HOST": "0.0.0.0"}, "FEED_ACCESS"),  # noqa: S104 - it is refused
        ({"K_SERVICE": "external-feed", "BACKEND": "google"}, "FEED_ACCESS"),
        ({"HOST": "0.0.0.0", "FEED_ACCESS": "iam"}, "nothing of Google Cloud's stands in front"),  # noqa: S104 - it is refused
        ({"FEED_ACCESS": "secret"}, "at least 16"),
        ({"FEED_SECRET": "short"}, "at least 16"),
        ({"HOST": "0.0.0.0", "FEED_SECRET": "short"}, "at least 16"),  # noqa: S104 - it is refused
    ],
)
def test_feeds_that_strangers_could_reach_are_refused(variables: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        refuse_open_feeds(read(variables))


@pytest.mark.parametrize(
    "variables",
    [{}, {"HOST": "::1"}, {"HOST": "127.0.0.1", "FEED_ACCESS": "iam"}, {"FEED_SECRET": "a-secret-of-the-feeds", "HOST": "::"},
     {"FEED_ACCESS": "iam", "K_SERVICE": "external-feed", "BACKEND": "google"}, {"FEED_ACCESS": "internal", "HOST": "::"}],
)  # fmt: skip
def test_feeds_that_somebody_guards_are_served(variables: dict[str, str]) -> None:
    refuse_open_feeds(read(variables))


def test_a_secret_alone_makes_it_the_guard_and_another_word_is_no_access() -> None:
    assert read({"FEED_SECRET": "a-secret-of-the-feeds"}).feed_access == "secret"
    with pytest.raises(ConfigurationError, match="'internal', 'iam' or 'secret'"):
        read({"FEED_ACCESS": "everybody"})
