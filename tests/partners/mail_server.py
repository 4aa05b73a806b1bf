"""A mail server that keeps what it takes: RFC 5321 as far as a client needs it that hands over one mail, with STARTTLS (RFC
3207), TLS from the first byte, and AUTH PLAIN and LOGIN (RFC 4954)."""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import MappingProxyType, TracebackType
from typing import IO, NamedTuple, Self


class Mail(NamedTuple):
    """One mail as it was handed over. content: its lines as they came. encrypted: how; user: who had logged in."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    encrypted: bool
    user: str

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)

    @property
    def text(self) -> str:
        """Its body."""
        return str(self.message.get_content()).replace("\r\n", "\n")


class MailServer:
    """Serves while the context lasts.

    context  its certificate; without one it offers no encryption
    at_once  TLS begins with the connection, and not with STARTTLS
    login    `user:password`; whoever does not say so may send nothing
    refuses  command → what it answers to that instead
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        at_once: bool = False,
        login: str = "",
        refuses: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.context, self.at_once, self.login, self.refuses = context, at_once, login, refuses
        self.mails: list[Mail] = []
        self.commands: list[str] = []
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError, EOFError):
                    _Session(server, self.request).serve()

        return Handler


class _Session:
    """One connection, from the greeting to the good-bye."""

    def __init__(self, server: MailServer, connection: socket.socket) -> None:
        self._server = server
        self._connection = connection
        self._connection.settimeout(30)
        self._encrypted = False
        self._user = ""
        self._sender = ""
        self._recipients: list[str] = []
        if server.at_once:
            self._encrypt()
        self._file: IO[bytes] = self._connection.makefile("rb")

    def serve(self) -> None:
        self._say("220 ready")
        while True:
            line = self._line()
            command, _, rest = line.partition(" ")
            command = command.upper()
            self._server.commands.append(command)
            if command in self._server.refuses:
                self._say(self._server.refuses[command])
            elif command == "QUIT":
                self._say("221 bye")
                return
            else:
                self._do(command, rest)

    def _do(self, command: str, rest: str) -> None:
        if command == "EHLO":
            offers = ["STARTTLS"] if self._server.context and not self._encrypted else []
            offers += ["AUTH PLAIN LOGIN"] if self._server.login else []
            *further, last = "here", *offers  # the first line is the greeting
            for line in further:
                self._say(f"250-{line}")
            self._say(f"250 {last}")
        elif command == "STARTTLS" and self._server.context:
            self._say("220 go on")
            self._encrypt()
            self._file = self._connection.makefile("rb")
        elif command == "AUTH":
            self._authenticate(rest)
        elif command == "MAIL":
            if self._server.login and not self._user:
                self._say("530 log in first")
                return
            self._sender, self._recipients = _path(rest), []
            self._say("250 fine")
        elif command == "RCPT":
            self._recipients.append(_path(rest))
            self._say("250 fine")
        elif command == "DATA":
            self._take()
        else:
            self._say("250 fine" if command in ("RSET", "NOOP") else "502 not here")

    def _authenticate(self, rest: str) -> None:
        kind, _, first = rest.partition(" ")
        if kind.upper() == "PLAIN":
            _, user, password = base64.b64decode(first or self._ask("")).decode().split("\0")
        else:
            user = base64.b64decode(first or self._ask("VXNlcm5hbWU6")).decode()
            password = base64.b64decode(self._ask("UGFzc3dvcmQ6")).decode()
        if f"{user}:{password}" == self._server.login:
            self._user = user
            self._say("235 welcome")
        else:
            self._say("535 no")

    def _ask(self, challenge: str) -> str:
        self._say(f"334 {challenge}")
        return self._line()

    def _take(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self._file.readline()) != b".\r\n":
            if not line:
                raise EOFError
            lines.append(line.removeprefix(b"."))
        self._server.mails.append(
            Mail(self._sender, tuple(self._recipients), b"".join(lines), self._encrypted, self._user)
        )
        self._say("250 taken")

    def _encrypt(self) -> None:
        assert self._server.context is not None
        self._connection = self._server.context.wrap_socket(self._connection, server_side=True)
        self._encrypted = True

    def _line(self) -> str:
        line = self._file.readline(4096)
        if not line.endswith(b"\r\n"):
            raise EOFError
        return line.decode().rstrip("\r\n")

    def _say(self, line: str) -> None:
        self._connection.sendall(f"{line}\r\n".encode())


def _path(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]
