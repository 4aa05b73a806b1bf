"""`notify`: who is told, read with every error at its place."""

from __future__ import annotations

import pytest

from relay.connectors.publishing import Publishing
from relay.connectors.secret_names import secret_names
from relay.domain.connector import Notify
from relay.domain.errors import Conflict, DocumentError
from tests.unit.connectors.example import DOCUMENT, describe, expanded


def notify(text: str) -> Notify:
    return expanded(f"{DOCUMENT}notify: {text}\n")[0].notify


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{webhook: "https://hooks.example/T1?x=y"}', Notify(webhook="https://hooks.example/T1?x=y")),
        ("{webhook: slack-alerts}", Notify(webhook="slack-alerts")),
        ("{email: ops+relay@shop.example}", Notify(email="ops+relay@shop.example")),
        (
            '{webhook: "http://10.0.0.7:8080/", secret: alerts-key, allow_private_network: true}',
            Notify(webhook="http://10.0.0.7:8080/", secret="alerts-key", allow_private_network=True),
        ),
        ("null", Notify()),
    ],
)
def test_it_names_a_webhook_by_its_address_or_its_secret_and_a_mail_address(text: str, expected: Notify) -> None:
    assert notify(text) == expected


ONE_ADDRESS = "This must be one e-mail address, such as ops@example.com; for several people, that of a list."
NOBODY = "This tells nobody: name a `webhook`, an `email` address, or both."
ENCRYPTED = "This must begin with https://, unless `allow_private_network` is true."


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        ("{}", "notify", NOBODY),
        ("{secret: alerts-key}", "notify", NOBODY),
        ("{webhok: slack-alerts}", "notify.webhok", "There is no key 'webhok' here. Did you mean 'webhook'?"),
        ('{webhook: "http://hooks.example/T1"}', "notify.webhook", ENCRYPTED),
        (
            "{webhook: Slack Alerts}",
            "notify.webhook",
            "This must be a whole URL that begins with http:// or https://. Or it is the name of a secret that holds the URL.",
        ),
        (
            '{webhook: "https://ada:password@hooks.example/"}',
            "notify.webhook",
            "A URL must not contain a user name or password; name them as secrets. "
            "Or it is the name of a secret that holds the URL.",
        ),
        ("{email: ops}", "notify.email", ONE_ADDRESS),
        ("{email: 'ops@shop.example, all@shop.example'}", "notify.email", ONE_ADDRESS),
        ("{email: 'Ops <ops@shop.example>'}", "notify.email", ONE_ADDRESS),
        ('{email: "ops@shop.example\\r\\nBcc: all@shop.example"}', "notify.email", ONE_ADDRESS),
        ('{email: "ops@shop.example\\n"}', "notify.email", ONE_ADDRESS),
        (f"{{email: {'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 63}}}", "notify.email", ONE_ADDRESS),
        (
            "{email: ops@shop.example, secret: alerts-key}",
            "notify.secret",
            "Only what is sent to a `webhook` is signed, and there is none.",
        ),
        ("{email: ops@shop.example, allow_private_network: 1}", "notify.allow_private_network", "This must be true or false."),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, place: str, sentence: str) -> None:
    with pytest.raises(DocumentError) as caught:
        notify(text)

    assert (place, sentence) in caught.value.problems


def test_an_environment_tells_others_or_nobody() -> None:
    own, sandbox, quiet = expanded(
        f"{DOCUMENT}notify: {{webhook: alerts, email: ops@shop.example}}\n"
        "environments: {sandbox: {notify: {webhook: sandbox-alerts}}, quiet: {notify: null}}\n"
    )

    assert own.notify == Notify(webhook="alerts", email="ops@shop.example")
    assert sandbox.notify == Notify(webhook="sandbox-alerts", email="ops@shop.example")
    assert quiet.notify == Notify()


def test_what_an_environment_makes_wrong_is_said_there() -> None:
    with pytest.raises(DocumentError) as caught:
        expanded(
            f'{DOCUMENT}notify: {{webhook: "http://10.0.0.7/", allow_private_network: true}}\n'
            "environments: {sandbox: {notify: {allow_private_network: false}}}\n"
        )

    assert caught.value.problems == [("environments.sandbox.notify.webhook", ENCRYPTED)]


def test_the_secrets_that_it_names_are_the_connectors(publishing: Publishing) -> None:
    document = f"{DOCUMENT}notify: {{webhook: slack-alerts, secret: alerts-key}}\n"
    assert {"slack-alerts", "alerts-key"} <= secret_names(expanded(document)[0], describe)
    publishing.apply(document)
    publishing.set_secret("slack-alerts", "https://hooks.example/T1")

    with pytest.raises(Conflict):
        publishing.delete_secret("slack-alerts")
