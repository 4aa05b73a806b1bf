"""Notices by mail: handed to one mail server, encrypted unless that is on this machine."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from relay.domain.errors import NotTaken
from relay.domain.loopback import is_loopback
from relay.domain.mail_server import MailServer
from relay.domain.notice import Notice
from worker.notice_text import headline, mail_text

_TIMEOUT_S = 10.0
"""For connecting, and for each answer of the server."""


def send_mail(server: MailServer, sender: str, recipient: str, notice: Notice, *, test: bool = False) -> str:
    """Returns what the server answered, to be shown. Raises `NotTaken`, whose text holds no password."""
    mail = compose(sender, recipient, notice, test=test)
    place = f"The mail server ({server.host}:{server.port})"
    try:
        connection = _connected(server)
        try:
            if server.user:
                connection.login(server.user, server.password)
            connection.send_message(mail, sender, [recipient])
        finally:
            # However the server says good-bye, what it took is taken.
            with suppress(smtplib.SMTPException, OSError):
                connection.quit()
            connection.close()
    except _NoEncryption:
        raise NotTaken(f"{place} offers no STARTTLS, and nothing was sent to it in clear.", code="no_encryption") from None
    except smtplib.SMTPAuthenticationError as error:
        raise NotTaken(f"{place} refuses user and password{_status(error.smtp_code)}.", code="credentials") from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise NotTaken(f"{place} does not take mail for this address{_status(*codes)}.", code="recipient") from None
    except smtplib.SMTPResponseException as error:
        raise NotTaken(f"{place} did not take the mail{_status(error.smtp_code)}.", code="refused") from None
    except smtplib.SMTPNotSupportedError:
        raise NotTaken(f"{place} offers no login that can be used here.", code="unsupported") from None
    except ssl.SSLError:
        raise NotTaken(f"{place} cannot be reached: no trusted, encrypted connection could be made.", code="tls") from None
    except (smtplib.SMTPException, OSError, ValueError):
        raise NotTaken(f"{place} cannot be reached, or broke the connection.", code="unreachable") from None
    return f"{place} took the mail."


def compose(sender: str, recipient: str, notice: Notice, *, test: bool = False) -> EmailMessage:
    """The mail. Its Message-ID stays the same when it is sent again."""
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = f"[diy] {headline(notice, test=test)}"
    mail["From"] = sender
    mail["To"] = recipient
    mail["Date"] = format_datetime(datetime.fromtimestamp(notice.at, tz=UTC))
    mail["Message-ID"] = f"<{notice.id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic answers, please
    mail.set_content(mail_text(notice, test=test), cte="quoted-printable")
    return mail


class _NoEncryption(Exception):
    """The server can only be talked to in clear."""


def _connected(server: MailServer) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if server.encrypted:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT_S, context=context)
    connection = smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT_S)
    try:
        connection.ehlo_or_helo_if_needed()
        if connection.has_extn("starttls"):
            connection.starttls(context=context)
        elif not is_loopback(server.host):
            raise _NoEncryption
    except BaseException:
        connection.close()
        raise
    return connection


def _status(*codes: int) -> str:
    return f" (status {', '.join(str(code) for code in codes)})" if codes else ""
