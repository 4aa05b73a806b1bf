"""A server that does on each connection exactly what a test says, to the byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Script = Callable[["Visit"], None]


class Visit:
    """One connection. `number`: 1 for the first."""

    def __init__(self, connection: socket.socket, number: int, over: threading.Event) -> None:
        self.connection = connection
        self.number = number
        self.over = over

    def read(self) -> bytes:
        """One request, whole; empty if the client has closed."""
        received = b""
        while b"\r\n\r\n" not in received:
            piece = self.connection.recv(65536)
            if not piece:
                return b""
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        wanted = int(lengths[0].split(b":")[1]) if lengths else 0
        while len(body) < wanted:
            body += self.connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def write(self, content: bytes) -> None:
        self.connection.sendall(content)

    def drip(self, content: bytes, *, every_s: float = 0.02) -> None:
        """Byte by byte, until the client has gone or the test is over."""
        for byte in content:
            if self.over.wait(every_s):
                return
            self.connection.sendall(bytes([byte]))

    def wait(self) -> None:
        """Until the test is over."""
        self.over.wait(60)


class ScriptedServer:
    """Plays `script` on every connection, each in its own thread, and counts them."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self.visits = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        for one in (self._listening, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.visits += 1
            self._connections.append(connection)
            visit = Visit(connection, self.visits, self._over)
            self._start(lambda visit=visit: self._serve(visit))  # type: ignore[misc]

    def _serve(self, visit: Visit) -> None:
        with contextlib.suppress(OSError), visit.connection:
            visit.connection.settimeout(30)
            self._script(visit)


def answer(body: bytes = b"{}", *, status: str = "200 OK", headers: str = "Content-Type: application/json\r\n") -> bytes:
    """An answer, whole."""
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body
