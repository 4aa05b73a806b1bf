"""Connections on which one call may take so long and no longer, however slowly the other side sends or reads.

Time-outs of sockets count from byte to byte; a server that drips one byte a second is never too slow for them. Here every wait
gets what is left until one deadline: sending, the answer's head, and its body. urllib3 holds what is being
connected; what goes over the connection is `adapters.outgoing` and `adapters.incoming`, since its own way costs several times
as much.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import time
import weakref
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial

import requests.adapters
from urllib3.connection import HTTPConnection, HTTPSConnection

from adapters import incoming, outgoing
from adapters.in_flight import Cuttable
from adapters.network import AddressInfo, Resolver, addresses
from adapters.outgoing import Place
from relay.domain.computing import computing
from relay.trust import trusting

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

_PIECE = 64 * 1024

_LATE_S = 0.01
"""So much later than the deadline a wait may end: setting the socket's time-out for each one costs a call of the system."""

_ANSWERED_EARLY = (errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE)
"""The other side has closed the connection before it had all of the request; it may have said why before that."""

_KEPT = 8
"""Connections to as many places wait for their next call."""


def _left_s(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("The time for this call is over.")
    return left


class _Connecting:
    """Mixed into both kinds of connections of urllib3."""

    call: Call
    port: int
    socket_options: list[tuple[int, int, int | bytes]] | None
    timeout: float | None

    def _new_conn(self) -> socket.socket:
        """Connected to one of the addresses that were looked up and checked just now; what is left of the time is for TLS."""
        timeout_s = self.timeout or 0.0
        deadline = time.monotonic() + timeout_s
        host: str = self._dns_host  # type: ignore[attr-defined]
        found = addresses(host, self.port, self.call.resolver, timeout_s, public_only=self.call.public_only)
        failure: OSError = OSError("The host has no address.")
        for number, info in enumerate(found):
            left = _left_s(deadline)
            try:
                sock = self._connected_to(info, min(left, max(left / (len(found) - number), LEAST_ATTEMPT_S)))
            except OSError as error:
                failure = error.with_traceback(None)
            else:
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                return sock
        try:
            raise failure
        finally:
            # An error and a frame that names it hold each other, with all that is being sent, until the garbage collector comes.
            del failure

    def _connected_to(self, info: AddressInfo, timeout_s: float) -> socket.socket:
        family, kind, protocol, _, where = info
        sock = socket.socket(family, kind, protocol)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(timeout_s)
            self.call.sock = sock
            self.call.left_s()  # it may have been cut short while its name was looked up
            sock.connect(where)
        except BaseException:
            sock.close()
            raise
        return sock


class _Http(_Connecting, HTTPConnection):
    pass


class _Https(_Connecting, HTTPSConnection):
    trusted: ssl.SSLContext

    def connect(self) -> None:
        """As urllib3 does, but the call knows the wrapped socket while keys are agreed on: what was wrapped is none any more."""
        self.sock = self._new_conn()
        name = self.host.partition("%")[0]
        wrapped = self.trusted.wrap_socket(self.sock, server_hostname=name, do_handshake_on_connect=False)
        self.sock = self.call.sock = wrapped
        self.call.left_s()  # it may have been cut short in between
        wrapped.do_handshake()


def _connected(place: Place, call: Call, connect_s: float, authorities: str) -> socket.socket:
    """To whom it is meant to be; raises what urllib3 and the sockets raise. authorities: the file of those that are trusted."""
    scheme, host, port = place
    made: _Http | _Https
    if scheme == "https":
        made = _Https(host.strip("[]"), port, timeout=connect_s)
        made.trusted = trusting(authorities)
    else:
        made = _Http(host.strip("[]"), port, timeout=connect_s)
    made.call = call
    try:
        made.connect()
    except BaseException:
        made.close()
        raise
    return made.sock


class Connection:
    """One that is open, for one call after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._is_plain = not isinstance(sock, ssl.SSLSocket)
        self._arrivals = select.poll()
        self._arrivals.register(sock, select.POLLIN)
        self._time_out_s = 0.0
        self._idle_since = 0.0

    def close(self) -> None:
        """Nothing more comes over it."""
        self._sock.close()

    def rest(self) -> None:
        """Until the next call."""
        self._idle_since = time.monotonic()

    def is_fit(self) -> bool:
        """Whether it can be used again: it was used just now, and since then nothing has come, not even its end."""
        return time.monotonic() - self._idle_since <= IDLE_S and not self._arrivals.poll(0)

    def exchange(self, call: Call, head: bytes, content: bytes, *, head_only: bool, most: int) -> incoming.Answer:
        """Sends one request and reads its answer; see `incoming.read`."""
        # In two packets, both sides would have to be woken twice.
        pieces = (head + content,) if len(content) <= _TOGETHER_BYTES else (head, content)
        call.sock = self._sock
        call.connected()
        all_sent = True
        try:
            for piece in pieces:
                self._wait_no_longer_than(call.left_s())
                call.sent = True
                with computing.waiting() if len(piece) > _PIECE else nullcontext():
                    self._sock.sendall(piece)
        except OSError as error:
            if error.errno not in _ANSWERED_EARLY:
                raise
            all_sent = False
        answer = incoming.read(partial(self._receive, call), head_only=head_only, most=most)
        return answer if all_sent else answer._replace(reusable=False)

    def _receive(self, call: Call) -> bytes:
        self._wait_no_longer_than(call.left_s())
        # Where many threads compute, the answer is there when it is this one's turn again, and it is woken once and not twice.
        # What comes over TLS need not be a part of the answer.
        computing.after_others()
        if self._is_plain and self._arrivals.poll(0):
            return self._sock.recv(_PIECE)
        with computing.waiting():
            return self._sock.recv(_PIECE)

    def _wait_no_longer_than(self, left_s: float) -> None:
        if not left_s <= self._time_out_s <= left_s + _LATE_S:
            self._sock.settimeout(left_s)
            self._time_out_s = left_s


class Connections:
    """Of one thread: one kept for each place, certificates always checked, nothing ever sent twice, no redirect followed. Nothing
    of the environment is used (proxies, passwords), and cookies have no place to be kept."""

    def __init__(self) -> None:
        self._authorities = requests.adapters.DEFAULT_CA_BUNDLE_PATH
        self._kept: dict[Place, Connection] = {}
        weakref.finalize(self, _close_all, self._kept)

    def send(
        self,
        call: Call,
        method: str,
        place: Place,
        target: str,
        headers: Mapping[str, str],
        content: bytes,
        *,
        connect_s: float,
        most: int,
    ) -> incoming.Answer:
        """The answer, with the first `most` bytes of its content. target: path and query.

        Raises what urllib3 and the sockets raise (`incoming.Broken` is an `OSError`), and `ValueError` for what cannot be sent.
        """
        head = outgoing.head(method, target, place, headers)
        connection = self._kept.pop(place, None)
        if connection is not None and not connection.is_fit():
            connection.close()
            connection = None
        if connection is None:
            with computing.waiting():
                connection = Connection(_connected(place, call, connect_s, self._authorities))
        reusable = False
        try:
            answer = connection.exchange(call, head, content, head_only=method == "HEAD", most=most)
            reusable = answer.reusable
        finally:
            if reusable:
                self._keep(place, connection)
            else:
                connection.close()
        return answer

    def _keep(self, place: Place, connection: Connection) -> None:
        connection.rest()
        self._kept[place] = connection
        if len(self._kept) > _KEPT:
            self._kept.pop(next(iter(self._kept))).close()


def _close_all(kept: dict[Place, Connection]) -> None:
    for connection in kept.values():
        connection.close()
