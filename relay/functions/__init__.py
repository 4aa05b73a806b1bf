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
from relay.domain.clock import SystemClock
from relay.domain.errors import ConfigurationError, Refusal, RelayError
from relay.domain.loopback import is_loopback, without_port

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
    """Ends the process with one clear line if it cannot run as configured, or if there is no state to work on."""
    try:
        configuration = relay.configuration.read()
        if configuration.function == "console":
            relay.configuration.refuse_known_console_password(configuration)
        open_backend(configuration, create=False)
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
    it is: 400 no creation request, 404 no such connector, 409 the connector does not run, 422 refused, 502 credentials or
    settings refused, 503 try again. The receiver answers the source with the same ones."""
    if refused := _refuse_strangers(request):
        return refused
    from handlers.creation import code_of, sentence_of, status_of
    from worker.creation import create_audience

    try:
        asked = _creation_asked_for(request.get_data())
    except Refusal as refusal:
        return _answer({"error": refusal.sentence, "code": refusal.code}, refusal.status)
    try:
        audience = create_audience(
            backend(), asked.connector, asked.audience, name=asked.name, customer=asked.customer, clock=SystemClock()
        )
    except RelayError as trouble:
        return _answer({"error": sentence_of(trouble), "code": code_of(trouble)}, status_of(trouble))
    return _answer({"partner_id": audience.partner_id}, 200)


def _creation_asked_for(body: bytes) -> CreationRequest:
    """Raises `Refusal` for what is none, or names an audience as none can be named."""
    from handlers.mapp.values import Unreadable, audience_id, audience_name, customer

    try:
        asked = msgspec.json.decode(body, type=CreationRequest)
        audience = audience_id(asked.audience)
        name = audience_name(asked.name)
    except (ValueError, RecursionError, Unreadable) as error:  # invalid UTF-8 and everything of msgspec's is a ValueError
        raise _no_creation(str(error)) from None
    if audience is None:
        raise _no_creation("It names no audience.")
    if asked.customer is not None and customer(asked.customer) is None:
        raise _no_creation("Its customer cannot be one.")
    return msgspec.structs.replace(asked, name=name or audience)


def _no_creation(why: str) -> Refusal:
    return Refusal(400, f"This is no creation request: {why}", code="bad_request")


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
    """The private functions are guarded by IAM on Google; on one machine only its own programs may call them.

    A page in a browser on this machine is none of them: it gives itself away by its method, by a name of its own that it had
    resolve to this machine, or by its Origin.
    """
    host = without_port(request.headers.get("Host", ""))
    if not is_loopback(request.remote_addr or "") or not is_loopback(host) or "Origin" in request.headers:
        return _answer({"error": "This function answers only to programs on this machine."}, 403)
    if request.method != "POST":
        refused = _answer({"error": "Only POST is accepted here."}, 405)
        refused.headers["Allow"] = "POST"
        return refused
    return None


def _answer(body: dict[str, object], status: int) -> Response:
    from werkzeug.wrappers import Response

    return Response(msgspec.json.encode(body), status=status, mimetype="application/json")
