"""What stands behind each function of `main.py`: the parts put together, each process loading only its own.

Nothing connects and no thread starts while this is imported, since the server forks after that. Each part is made at its first
use, once.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import msgspec

import relay.configuration
from relay.backends import open_backend
from relay.configuration import LOOPBACK
from relay.domain.clock import SystemClock
from relay.domain.errors import ConfigurationError, PartnerError, RelayError

if TYPE_CHECKING:
    import flask
    from starlette.requests import Request
    from starlette.responses import Response as StarletteResponse
    from werkzeug.wrappers import Response

    from handlers.mapp.receiver import Receiver
    from worker.creator import InProcessCreator
    from worker.turn import Worker

T = TypeVar("T")

_REREAD_EMBEDDED_S = 1.0
"""The inbound document is a file beside us here, and looking at it costs microseconds."""


class _Once(Generic[T]):
    """A part that is made at its first use, by one thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._made: list[T] = []

    def __call__(self) -> T:
        if not self._made:
            with self._lock:
                if not self._made:
                    self._made.append(self._make())
        return self._made[0]


def refuse_wrong_configuration() -> None:
    """Ends the process with one clear line if it cannot run as configured."""
    try:
        configuration = relay.configuration.read()
        if configuration.backend != "embedded":
            open_backend(configuration, create=False)
        if configuration.function == "console":
            relay.configuration.refuse_known_console_password(configuration)
    except ConfigurationError as error:
        sys.exit(f"diy-relay: {error}")


configuration = _Once(relay.configuration.read)
backend = _Once(lambda: open_backend(configuration(), create=False))


@_Once
def _receiver() -> Receiver:
    from handlers.inbound import InboundView
    from handlers.mapp.receiver import Receiver

    view = InboundView(backend().inbound, reread_s=_REREAD_EMBEDDED_S)
    return Receiver(view, backend().publisher(), _LateCreator(), SystemClock())


@_Once
def _creator() -> InProcessCreator:
    from worker.creator import InProcessCreator

    return InProcessCreator(backend(), SystemClock())


class _LateCreator:
    """The creator, loaded with the first creation: a receiver that only takes changes never loads an adapter."""

    async def create(
        self,
        *,
        connector: str,
        audience: str,
        name: str,
        customer: int | str | None,
        mode: Literal["own", "partner"],
        request_id: str,
    ) -> str:
        return await _creator().create(
            connector=connector, audience=audience, name=name, customer=customer, mode=mode, request_id=request_id
        )


@_Once
def _worker() -> Worker:
    from worker.turn import Worker

    return Worker(backend(), SystemClock())


@_Once
def _console() -> flask.Flask:
    from relay.console import create_app

    return create_app(configuration())


async def receive(request: Request) -> StarletteResponse:
    """`diy`: one request of the DMP."""
    return await _receiver()(request)


class CreationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the receiver asks of `create`."""

    connector: str
    audience: str
    name: str
    customer: int | str | None = None


def create(request: flask.Request) -> Response:
    """`create`: POST a `CreationRequest`; answers `{"partner_id"}` or `{"error", "code"}` with the status that says whose turn
    it is: 503 try again, 422 refused, 409 not now."""
    if refused := _refuse_strangers(request):
        return refused
    from worker.creation import create_audience

    try:
        asked = msgspec.json.decode(request.get_data(), type=CreationRequest)
    except msgspec.MsgspecError as error:
        return _answer({"error": f"This is no creation request: {error}", "code": "bad_request"}, 400)
    try:
        audience = create_audience(
            backend(), asked.connector, asked.audience, name=asked.name, customer=asked.customer, clock=SystemClock()
        )
    except PartnerError as error:
        return _answer({"error": error.hint, "code": error.code}, 422 if error.code == "refused" else 503)
    except RelayError as error:
        return _answer({"error": str(error), "code": "not_now"}, 409)
    return _answer({"partner_id": audience.partner_id}, 200)


def deliver(request: flask.Request) -> Response:
    """`deliver`: handles one queue message. The embedded queue pushes nothing: a call takes the next message that waits."""
    if refused := _refuse_strangers(request):
        return refused
    leased = backend().queue.take()
    if leased is None:
        return _answer({"handled": 0}, 200)
    _worker().handle(leased)
    return _answer({"handled": 1}, 200)


def tick(request: flask.Request) -> Response:
    """`tick`: publishes a resume for every hold that is due."""
    if refused := _refuse_strangers(request):
        return refused
    from worker.tick import tick

    return _answer({"resumed": tick(backend(), _worker().catalog, SystemClock())}, 200)


def console(request: flask.Request) -> Response:
    """`console`: the operator's pages."""
    from werkzeug.wrappers import Response

    return Response.from_app(_console(), request.environ)


def _refuse_strangers(request: flask.Request) -> Response | None:
    """The private functions are guarded by IAM on Google; on one machine only its own processes may call them."""
    if request.remote_addr in LOOPBACK:
        return None
    return _answer({"error": "This function answers only to this machine."}, 403)


def _answer(body: dict[str, object], status: int) -> Response:
    from werkzeug.wrappers import Response

    return Response(msgspec.json.encode(body), status=status, mimetype="application/json")
