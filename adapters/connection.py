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

from adapters.in_flight import Cuttable
from adapters.network import AddressInfo, Resolver, addresses

Place = tuple[str, str, int]
"""Scheme, host and port."""

IDLE_S = 1.0
"""A kept connection that was idle for longer is not used again: servers close idle ones (after 2 s and more), and a call that
meets the closing cannot know whether it was applied."""

LEAST_ATTEMPT_S = 1.0
"""Each of a host's addresses gets an equal part of the time that is left for connecting, but not less than this."""


class Call(Cuttable):
    """One call under way, over all redirects that it follows. `answer_s`: seconds from being connected for the first time to the
    end of the answer. `sent`: whether a byte may have left this machine that is not answered yet."""

    def __init__(self, answer_s: float, resolver: Resolver, *, public_only: bool) -> None:
        super().__init__()
        self.answer_s = answer_s
        self.resolver = resolver
        self.public_only = public_only
        self.sent = False
        self._deadline: float | None = None

    @property
    def under_way(self) -> bool:
        """Whether there has been a connection."""
        return self._deadline is not None

    def connected(self) -> None:
        """From the first time on, the time for the answer runs."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self.answer_s

    def left_s(self) -> float:
        """Seconds until the answer must have come. Raises `TimeoutError` if none are left, or it was cut short."""
        if self.cut:
            raise TimeoutError("This process is about to end.")
        if self._deadline is None:
            return self.answer_s
        return _left_s(self._deadline)


_TOGETHER_BYTES = 256 * 1024
"""What is larger is not copied for it."""

current: ContextVar[Call] = ContextVar("current")
"""The call that this thread makes."""


class _Bounded:
    """What both kinds of connections share; mixed into the classes of urllib3."""

    sock: socket.socket | None
    timeout: float | None
    port: int
    socket_options: list[tuple[int, int, int | bytes]] | None
    idle_since = 0.0
    _pieces: list[bytes] | None = None
    """What is to be sent, while it is put together."""

    def _new_conn(self) -> socket.socket:
        """Connected to one of the addresses that were looked up and checked just now; what is left of the time is for TLS."""
        call = current.get()
        timeout_s = call.left_s() if self.timeout is None else self.timeout
        deadline = time.monotonic() + timeout_s
        host: str = self._dns_host.strip("[]")  # type: ignore[attr-defined]
        found = addresses(host, self.port, call.resolver, timeout_s, public_only=call.public_only)
        failure: OSError = OSError("The host has no address.")
        for number, info in enumerate(found):
            left = _left_s(deadline)
            try:
                sock = self._connected_to(info, min(left, max(left / (len(found) - number), LEAST_ATTEMPT_S)))
            except OSError as error:
                failure = error
            else:
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                return sock
        raise failure

    def _connected_to(self, info: AddressInfo, timeout_s: float) -> socket.socket:
        family, kind, protocol, _, where = info
        sock = socket.socket(family, kind, protocol)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(timeout_s)
            current.get().sock = sock
            sock.connect(where)
        except BaseException:
            sock.close()
            raise
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Head and body leave together: in two packets, both sides would have to be woken twice."""
        self._pieces = []
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
            pieces = self._pieces
        finally:
            self._pieces = None
        if sum(map(len, pieces)) <= _TOGETHER_BYTES:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            self.send(piece)

    def send(self, data: Any) -> None:
        if self._pieces is not None:
            self._pieces.append(data)
            return
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        call = current.get()
        call.connected()
        if self.sock is not None:
            call.sock = self.sock
            call.sent = True
            self.sock.settimeout(call.left_s())
        super().send(data)  # type: ignore[misc]

    def getresponse(self) -> Any:
        self.timeout = current.get().left_s()
        return super().getresponse()  # type: ignore[misc]

    @property
    def is_connected(self) -> bool:
        if time.monotonic() - self.idle_since > IDLE_S:
            return False
        return super().is_connected  # type: ignore[misc, no-any-return]


def _left_s(deadline: float) -> float:
    left = deadline - time.monotonic()
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
        self._sock.settimeout(_left_s(self._deadline))
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


class Connections:
    """Of one thread: bounded, one kept for each host, certificates always checked, nothing ever sent twice, no redirect followed.
    Nothing of the environment is used (proxies, passwords), and cookies have no place to be kept."""

    def __init__(self) -> None:
        self._hosts = urllib3.PoolManager(
            num_pools=8, maxsize=1, cert_reqs="CERT_REQUIRED", ca_certs=requests.adapters.DEFAULT_CA_BUNDLE_PATH
        )
        self._hosts.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        self._last: tuple[Place, urllib3.HTTPConnectionPool] | None = None

    def send(
        self,
        method: str,
        place: Place,
        target: str,
        headers: dict[str, str],
        content: bytes | None,
        *,
        connect_s: float,
        answer_s: float,
    ) -> urllib3.BaseHTTPResponse:
        """The answer, whose body is still to be read; whoever reads it closes it. target: path and query. Raises what urllib3 and
        the sockets raise."""
        return self._pool(place).urlopen(
            method,
            target,
            body=content,
            headers=headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=connect_s, read=answer_s),
        )

    def _pool(self, place: Place) -> urllib3.HTTPConnectionPool:
        if self._last is None or self._last[0] != place:
            scheme, host, port = place
            self._last = place, self._hosts.connection_from_host(host, port, scheme)
        return self._last[1]
