"""Notices by mail: handed to one mail server, encrypted unless that is on this machine."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

_LONGEST_S = 45.0
"""For all of it: whoever sends a notice has claimed it for a minute, and after that somebody else sends it."""


def send_mail(server: MailServer, sender: str, recipient: str, notice: Notice, *, test: bool = False) -> str:
    """Returns what the server answered, to be shown. Raises `NotTaken`, whose text holds no password."""
    mail = compose(sender, recipient, notice, test=test)
    place = f"The mail server ({server.host}:{server.port})"
    try:
        with _deadline() as deadline:
            connection = _connected(server)
            try:
                deadline.cuts(connection.sock)
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
    except (smtplib.SMTPException, OSError, ValueError) as error:
        if deadline.is_over:
            raise NotTaken(f"{place} did not take the mail within {_LONGEST_S:g} seconds.", code="timeout") from None
        if isinstance(error, ssl.SSLError):
            raise NotTaken(f"{place} cannot be reached: no trusted, encrypted connection could be made.", code="tls") from None
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


class _Deadline:
    """Breaks the connection off when the time for all of it is over, at whichever byte it is. Until it is given one, nothing of
    the mail was handed over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.is_over = False

    def cuts(self, connection: socket.socket | None) -> None:
        """This one. Raises `TimeoutError` if the time is over already; then it is broken off."""
        with self._lock:
            self._socket = connection
            if self.is_over:
                self._break_off()
                raise TimeoutError

    def pass_by(self) -> None:
        """Now it is over."""
        with self._lock:
            self.is_over = True
            self._break_off()

    def _break_off(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                # Not the method of a TLS socket, which forgets the encryption while another thread reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


@contextmanager
def _deadline() -> Iterator[_Deadline]:
    deadline = _Deadline()
    timer = threading.Timer(_LONGEST_S, deadline.pass_by)
    timer.daemon = True
    timer.start()
    try:
        yield deadline
    finally:
        timer.cancel()


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
