"""Connections on which one call may take so long and no longer, however slowly the other side sends or reads.

The time-outs of urllib3 count from byte to byte; a server that drips one byte a second is never too slow for them. Here every
wait on the socket gets what is left until one deadline: sending, the answer's head, and its body.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from contextvars import ContextVar
from typing import Any

import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

IDLE_S = 1.0
"""A kept connection that was idle for longer is not used again: servers close idle ones (after 2 s and more), and a call that
meets the closing cannot know whether it was applied."""


class Call:
    """One call under way. `answer_s`: seconds from being connected to the end of the answer. `sent`: whether a byte of it may
    have left this machine."""

    def __init__(self, answer_s: float) -> None:
        self.answer_s = answer_s
        self.sent = False


current: ContextVar[Call] = ContextVar("current")
"""The call that this thread makes."""


class _Bounded:
    """What both kinds of connections share; mixed into the classes of urllib3."""

    sock: socket.socket | None
    timeout: float | None
    deadline = 0.0
    idle_since = 0.0

    def _new_conn(self) -> socket.socket:
        began = time.monotonic()
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        if self.timeout is not None:
            # What is left is for TLS.
            sock.settimeout(max(self.timeout - (time.monotonic() - began), 0.001))
        return sock

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.deadline = time.monotonic() + current.get().answer_s

    def request(self, *args: Any, **kwargs: Any) -> None:
        self.deadline = time.monotonic() + current.get().answer_s
        super().request(*args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if self.sock is not None:
            current.get().sent = True
            self.sock.settimeout(self.left_s())
        super().send(data)  # type: ignore[misc]

    def getresponse(self) -> Any:
        self.timeout = self.left_s()
        return super().getresponse()  # type: ignore[misc]

    @property
    def is_connected(self) -> bool:
        if time.monotonic() - self.idle_since > IDLE_S:
            return False
        return super().is_connected  # type: ignore[misc, no-any-return]

    def left_s(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("The time for this call is over.")
        return left


class _Answer(http.client.HTTPResponse):
    """Reads from the socket until the deadline that the socket's time-out stands for at the beginning of the answer."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self._reading = _Reading(sock, time.monotonic() + (sock.gettimeout() or 0.0))
        self.fp = io.BufferedReader(self._reading)

    def begin(self) -> None:
        super().begin()
        if self._reading.ended:
            # http.client takes a head that breaks off for a whole one.
            raise http.client.RemoteDisconnected("The head of the answer is incomplete.")


class _Reading(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)
        self._deadline = deadline
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("The time for this call is over.")
        self._sock.settimeout(left)
        count = self._file.readinto(buffer)
        self.ended = count == 0
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _Http(_Bounded, HTTPConnection):
    response_class = _Answer


class _Https(_Bounded, HTTPSConnection):
    response_class = _Answer


class _KeepsTime:
    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)  # type: ignore[misc]


class _HttpPool(_KeepsTime, urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(_KeepsTime, urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https


class BoundedTransport(requests.adapters.HTTPAdapter):
    """For a `requests.Session`: bounded connections, one kept for each host, nothing ever sent twice."""

    def __init__(self) -> None:
        super().__init__(pool_connections=8, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
