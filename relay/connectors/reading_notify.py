"""The part `notify` of a document: who is told when the connector needs somebody, and when it no longer does."""

from __future__ import annotations

from relay.domain.connector import Notify
from relay.domain.mail_server import is_mail_address
from relay.domain.malformed import Malformed
from relay.reading import values
from relay.reading.section import Section

_KEYS = ("webhook", "email", "secret", "allow_private_network")


def read_notify(document: Section) -> Notify:
    """The document's `notify`."""
    section = document.section("notify", _KEYS)
    notify = Notify(
        webhook=section.read("webhook", webhook, None),
        email=section.read("email", email, None),
        secret=section.read("secret", values.secret_name, None),
        allow_private_network=section.read("allow_private_network", values.flag, False),
    )
    if document.given("notify") and not (section.given("webhook") or section.given("email")):
        document.problem("notify", "This tells nobody: name a `webhook`, an `email` address, or both.")
    elif notify.secret and not section.given("webhook"):
        section.problem("secret", "Only what is sent to a `webhook` is signed, and there is none.")
    if str(notify.webhook).startswith("http://") and not notify.allow_private_network:
        section.problem("webhook", "This must begin with https://, unless `allow_private_network` is true.")
    return notify


def webhook(value: object) -> str:
    """An address; or the name of the secret that holds it."""
    if isinstance(value, str) and value and ":" not in value and "/" not in value:
        try:
            return values.secret_name(value)
        except Malformed:
            pass
    try:
        return values.url(value)
    except Malformed as problem:
        raise Malformed(f"{problem} Or it is the name of a secret that holds the URL.") from None


def is_webhook(url: str) -> bool:
    """Whether what a secret holds can be the URL of a webhook."""
    try:
        values.url(url)
    except Malformed:
        return False
    return True


def email(value: object) -> str:
    """One address."""
    if not isinstance(value, str) or not is_mail_address(value):
        raise Malformed("This must be one e-mail address, such as ops@example.com; for several people, that of a list.")
    return value
