"""One notice to one receiver, whichever way it takes."""

from __future__ import annotations

from relay.backends.interfaces import Secrets
from relay.configuration import Configuration
from relay.connectors.reading_notify import is_webhook
from relay.domain.clock import Clock
from relay.domain.connector import Notify
from relay.domain.errors import ConfigurationError, NotTaken
from relay.domain.mail_server import mail_server
from relay.domain.notice import CHANNELS, Channel, Notice
from worker.mail import send_mail
from worker.notice_text import payload
from worker.webhook import Webhooks


def channels_of(notify: Notify) -> tuple[Channel, ...]:
    """Those that it names."""
    return tuple(channel for channel in CHANNELS if getattr(notify, channel))


class NoticeSending:
    """With the secrets of the moment."""

    def __init__(self, secrets: Secrets, configuration: Configuration, clock: Clock) -> None:
        self._secrets = secrets
        self._server = mail_server(configuration.smtp_url) if configuration.smtp_url else None
        self._sender = configuration.smtp_from
        self._webhooks = Webhooks(clock)

    def send(self, channel: Channel, notify: Notify, notice: Notice, *, test: bool = False) -> str:
        """Returns what was answered, to be shown. Raises `NotTaken`, `StoreUnavailable`. test: see `notice_text.payload`."""
        if channel == "webhook":
            return self._post(notify, notice, test=test)
        if self._server is None:
            raise NotTaken("There is no mail server: set SMTP_URL and SMTP_FROM where the worker runs.", code="no_mail_server")
        return send_mail(self._server, self._sender, notify.email or "", notice, test=test)

    def _post(self, notify: Notify, notice: Notice, *, test: bool) -> str:
        url = notify.webhook or ""
        if notify.webhook_secret:
            url = self._secret(notify.webhook_secret)
            if not is_webhook(url):
                raise NotTaken(f"The secret '{notify.webhook_secret}' is no URL of a webhook.", code="no_url")
        secret = self._secret(notify.secret) if notify.secret else None
        allowed = notify.allow_private_network
        return self._webhooks.post(url, payload(notice, test=test), secret=secret, allow_private_network=allowed)

    def _secret(self, name: str) -> str:
        try:
            found = self._secrets.get(name)
        except ConfigurationError as error:
            raise NotTaken(str(error), code="secret_unreadable") from None
        if not found:
            raise NotTaken(f"The secret '{name}' is not set: diy secrets set {name}", code="no_secret")
        return found[0]
