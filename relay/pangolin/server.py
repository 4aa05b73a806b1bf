"""Pangolin as a server: in a process of its own, or in a thread for tests."""

from __future__ import annotations

import random
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from relay.domain.clock import Clock, SystemClock
from relay.pangolin.application import build
from relay.pangolin.storage import Unusable

_GRACE_S = 3


class _Server(uvicorn.Server):
    """Ends calls that hang by breaking their connections, so that shutting down never waits for them and never answers them."""

    on_started: Callable[[], object] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.on_started:
            self.on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.closing.set()  # type: ignore[union-attr]
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await super().shutdown(sockets)


def run(host: str, port: int, path: Path, token: str) -> None:
    """Serves until SIGINT or SIGTERM, then returns. Raises `SystemExit` with one clear line if it cannot start."""
    try:
        listening = _listen(host, port)
        server = _server(path, token, SystemClock(), random.random)
    except OSError as error:
        raise SystemExit(f"Pangolin cannot listen on {host}:{port}: {error.strerror or error}.") from error
    except Unusable as error:
        raise SystemExit(str(error)) from error
    # uvicorn raises the signal again once it has shut down: these handlers make that a quiet end instead of a traceback.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, server.handle_exit)
    server.run(sockets=[listening])


class InThread:
    """Pangolin on a loopback port of its own while the context lasts; port 0 takes a free one. `restart` keeps port and state."""

    def __init__(
        self,
        path: Path,
        token: str = "local-pangolin-token",  # noqa: S107 - the local one, which is printed
        port: int = 0,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.path = path
        self.token = token
        self.port = port
        self._clock = clock or SystemClock()
        self._chance = chance
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it accepts calls. Raises `OSError` if the port is taken, `Unusable`."""
        listening = _listen("127.0.0.1", self.port)
        self.port = listening.getsockname()[1]
        try:
            server = _server(self.path, self.token, self._clock, self._chance)
        except Unusable:
            listening.close()
            raise
        started = threading.Event()
        server.on_started = started.set
        self._server = server
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="pangolin", daemon=True)
        self._thread.start()
        if not started.wait(30):
            raise RuntimeError("Pangolin did not start.")

    def stop(self) -> None:
        """Breaks all connections and returns when the port is free again. Does nothing if it is stopped."""
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(30)
        self._server = self._thread = None

    def restart(self) -> None:
        """Down and up again: same port, same state."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _server(path: Path, token: str, clock: Clock, chance: Callable[[], float]) -> _Server:
    config = uvicorn.Config(
        build(path, token, clock, chance),
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_S,
    )
    return _Server(config)


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(512)
    except BaseException:
        listening.close()
        raise
    return listening
