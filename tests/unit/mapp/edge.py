"""A receiver behind a real HTTP server, on the real embedded queue and inbound document."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers.body import MAX_HELD_BYTES
from handlers.creation import AudienceMode
from handlers.inbound import InboundView
from handlers.mapp.arrival import Deadlines
from handlers.mapp.receiver import Receiver
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Publisher
from relay.domain.clock import SystemClock
from relay.domain.connector import VERSION, Inbound, InboundConnector, InboundDocument
from relay.domain.message import Message, Mutation, decode

SECRET = "dmp-secret"
PREVIOUS_SECRET = "the-secret-before"
CREDENTIALS = "dmp:pass:word"
AUDIENCE = "a5940e473cea659.356693871497425011"

METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]
"""As functions-framework routes them."""


class Server:
    """uvicorn in a thread, on a free port; what it serves can be exchanged."""

    def __init__(self) -> None:
        self.receiver: Callable[[Request], Any] | None = None
        routes = [Route("/{path:path}", self._endpoint, methods=METHODS)]
        config = uvicorn.Config(Starlette(routes=routes), port=0, log_config=None, access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.005)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]

    async def _endpoint(self, request: Request) -> Response:
        assert self.receiver is not None
        response: Response = await self.receiver(request)
        return response

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)


class ScriptedCreator:
    """Stands where the process with the partner's credentials is: gives the answers it was told to give."""

    def __init__(self) -> None:
        self.partner_id = "partner-1"
        self.error: Exception | None = None
        self.delay_s = 0.0
        self.asked: list[dict[str, Any]] = []
        self.finished = threading.Event()

    async def create(
        self, *, connector: str, audience: str, name: str, customer: int | str | None, mode: AudienceMode, request_id: str
    ) -> str:
        self.asked.append({"connector": connector, "audience": audience, "name": name, "customer": customer, "mode": mode})
        await asyncio.sleep(self.delay_s)
        self.finished.set()
        if self.error is not None:
            raise self.error
        return self.partner_id


class Edge:
    """The receiver as the DMP meets it, and the queue as the worker meets it."""

    def __init__(self, server: Server, state_dir: Path) -> None:
        self._server = server
        self.state_dir = state_dir
        self.backend = EmbeddedBackend.open(state_dir, SystemClock())
        self.publisher: Publisher = self.backend.publisher()
        self.creator = ScriptedCreator()
        self.deadlines = Deadlines()
        self.max_held_bytes = MAX_HELD_BYTES
        self.port = server.port
        self.url = f"http://127.0.0.1:{server.port}"
        self.view: InboundView | None = None
        self.serve(connector())

    def serve(self, *connectors: InboundConnector, default: str = "pangolin") -> None:
        """These connectors exist; the receiver starts anew."""
        self._stop()
        self.backend.inbound.write(InboundDocument(version=VERSION, connectors=connectors, default=default))
        self.restart()

    def restart(self) -> None:
        self.view = InboundView(self.backend.inbound, reread_s=3600)
        self._server.receiver = Receiver(
            self.view,
            self.publisher,
            self.creator,
            SystemClock(),
            deadlines=self.deadlines,
            max_held_bytes=self.max_held_bytes,
        )

    def set_deadlines(self, **seconds: float) -> None:
        self.deadlines = Deadlines(**seconds)
        self._stop()
        self.restart()

    def set_max_held_bytes(self, limit: int) -> None:
        self.max_held_bytes = limit
        self._stop()
        self.restart()

    def _stop(self) -> None:
        if self.view is not None:
            self.view.close()

    def close(self) -> None:
        self._stop()
        asyncio.run(self.publisher.close())
        self.backend.close()

    def request(
        self,
        method: str = "POST",
        path: str = "/",
        body: bytes | dict[str, Any] = b"",
        *,
        type: str | None = None,
        sign: str | None = SECRET,
        credentials: str | None = None,
        headers: dict[str, str | bytes] | None = None,
    ) -> requests.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        all_headers: dict[str, str | bytes] = {"Content-Type": "application/json"}
        if sign is not None:
            all_headers["X-HMAC"] = signature(data, sign)
        if credentials is not None:
            all_headers["Authorization"] = basic(credentials)
        query = "" if type is None else f"?type={type}"
        return requests.request(
            method, self.url + path + query, data=data, headers=all_headers | (headers or {}), timeout=20, allow_redirects=False
        )

    def post(self, body: bytes | dict[str, Any] = b"", type: str | None = None, **rest: Any) -> requests.Response:
        return self.request("POST", body=body, type=type, **rest)

    def add(self, *mutations: object, **body: Any) -> requests.Response:
        return self.post({"Type": "ADD_TO_AUDIENCE", **body, "Mutations": list(mutations)})

    def create(self, audience: str = AUDIENCE, **body: Any) -> requests.Response:
        return self.post({"Type": "CREATE_AUDIENCE", "Audience": audience, **body}, type="CREATE_AUDIENCE")

    def queued(self) -> list[Message]:
        """Takes everything out of the queue, in order."""
        found = []
        while (leased := self.backend.queue.take()) is not None:
            found.append(decode(leased.body))
            assert self.backend.queue.acknowledge(leased)
        return found

    def queued_mutations(self) -> list[Mutation]:
        return [mutation for message in self.queued() for mutation in message.mutations]

    def raw(self, request: bytes, *, end: bool = False) -> bytes:
        """Sends these bytes as they are and returns all that comes back. `end`: no more will follow."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            if end:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
            return answer


def connector(
    name: str = "pangolin",
    *,
    secrets: tuple[str, ...] = (SECRET, PREVIOUS_SECRET),
    credentials: tuple[str, ...] | None = None,
    **inbound: Any,
) -> InboundConnector:
    """A connector as the inbound document describes it; with credentials, it asks for them."""
    basic_auth = None if credentials is None else "basic"
    return InboundConnector(
        name=name,
        inbound=Inbound(hmac_secret="hmac", basic_auth=basic_auth, **inbound),
        hmac_secrets=secrets,
        basic_credentials=credentials or (),
    )


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def eventually(holds: Callable[[], bool]) -> None:
    """Waits until it is so."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def broken_stderr() -> Iterator[None]:
    """Standard error is a pipe that nobody reads any more. To be entered within a test: pytest sets its own before."""
    reader, writer = os.pipe()
    os.close(reader)
    kept = sys.stderr
    sys.stderr = open(writer, "w")  # noqa: SIM115 - closed below, where that fails
    try:
        yield
    finally:
        broken, sys.stderr = sys.stderr, kept
        with suppress(BrokenPipeError):
            broken.close()


def user(identifier: object = "u1", **beside: Any) -> dict[str, Any]:
    return {"Audience": AUDIENCE, "User": identifier, **beside}


def error_of(response: requests.Response) -> str:
    """The sentence of an answer that is no success."""
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Request-Id"]
    assert "Traceback" not in response.text
    error = response.json()["error"]
    assert isinstance(error, str)
    assert error
    return error
