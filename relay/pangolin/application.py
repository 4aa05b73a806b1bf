"""Pangolin's API: routes, authentication, the faults carried out, and the record of calls.

Everything that touches the database is short and done on the event loop, so a call is applied whole or not at all and calls
are applied one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from relay.domain.clock import Clock
from relay.pangolin import faults as fault
from relay.pangolin.page import Page
from relay.pangolin.reading import (
    Refused,
    limit_of,
    read_body,
    read_json,
    text_of,
    users_of,
)
from relay.pangolin.storage import KEPT_CALLS, Storage, StoredAudience, StoredCall

_Apply = Callable[[Request, Any, fault.Faults], "Answer"]
_Endpoint = Callable[[Request], Awaitable[Response]]

MAX_ID_LENGTH = 512
"""Longer user IDs are rejected, each by itself."""

_RECORDED_PATH = 200


class Answer(msgspec.Struct, frozen=True):
    """What a call is answered with; `body` as JSON."""

    status: int
    body: Any
    headers: dict[str, str] = {}


def build(path: Path, token: str, clock: Clock, chance: Callable[[], float] = random.random) -> Starlette:
    """The application on the database at `path`, which is made if it is not there. `chance`: from 0 to below 1, for `error_rate`.

    Raises `Unusable`. Set `app.state.closing` (an `asyncio.Event`) to end calls that hang or wait without applying them.
    """
    storage = Storage(path)
    api = _Api(storage, token, clock, chance)
    page = Page(storage)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        storage.close()

    app = Starlette(
        routes=[
            Route("/api/audiences", api.call(api.create_audience), methods=["POST"]),
            Route("/api/audiences", api.call(api.list_audiences), methods=["GET"]),
            Route("/api/audiences/{id}", api.call(api.show_audience), methods=["GET"]),
            Route("/api/audiences/{id}", api.call(api.delete_audience), methods=["DELETE"]),
            Route("/api/audiences/{id}/users", api.call(api.list_users), methods=["GET"]),
            Route("/api/audiences/{id}/users", api.call(api.add_users), methods=["POST"]),
            Route("/api/audiences/{id}/users", api.call(api.remove_users), methods=["DELETE"]),
            Route("/api/calls", api.aside(api.list_calls), methods=["GET"]),
            Route("/api/faults", api.aside(api.change_faults), methods=["GET", "PUT", "DELETE"]),
            Route("/", page.show, methods=["GET"]),
            Route("/audiences/{id}", page.show, methods=["GET"]),
            Route("/live.json", page.live, methods=["GET"]),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: _plain_error, Exception: _own_failure},
    )
    app.router.redirect_slashes = False
    app.state.closing = api.closing
    return app


class _Api:
    def __init__(self, storage: Storage, token: str, clock: Clock, chance: Callable[[], float]) -> None:
        self.closing = asyncio.Event()
        self._storage = storage
        self._token = token.encode()
        self._clock = clock
        self._chance = chance
        self._limit = fault.CallLimit()

    # the ways in
    def call(self, apply: _Apply) -> _Endpoint:
        """A call as the partner's customers make it: recorded, and subject to the faults."""

        async def endpoint(request: Request) -> Response:
            arrived = self._clock.now()
            try:
                body, problem = read_json(await read_body(request)), None
            except ClientDisconnect:
                return Response(status_code=400)
            except Refused as refused:
                body, problem = None, refused
            with self._storage.transaction():
                number = self._record(request, arrived, body)
                allowed = self._is_authentic(request)
                faults = self._faults_for_one_call() if allowed else fault.NONE
            if not allowed:
                return self._answered(number, _unauthorized())
            if faults.latency_ms and await self._closing_within(faults.latency_ms / 1000):
                return Response(status_code=503)
            if faults.hang:
                await self._end_of(request)
                return Response(status_code=503)
            over_limit_s = self._limit.take(faults.limit_per_s, self._clock.monotonic())
            instead = fault.whole_call(faults, chance=self._chance(), over_limit_s=over_limit_s)
            if instead:
                return self._answered(number, instead)
            try:
                with self._storage.transaction():
                    if problem:
                        raise problem
                    answer = apply(request, body, faults)
                    self._storage.answered(number, answer.status)
            except Refused as refused:
                return self._answered(number, refused)
            return _json(answer.status, answer.body, answer.headers)

        return endpoint

    def aside(self, apply: Callable[[Request, bytes], Answer]) -> _Endpoint:
        """A call about the platform itself: authenticated, and nothing more."""

        async def endpoint(request: Request) -> Response:
            if not self._is_authentic(request):
                return _fault_response(_unauthorized())
            try:
                answer = apply(request, await read_body(request))
            except ClientDisconnect:
                return Response(status_code=400)
            except Refused as refused:
                return _json(refused.status, {"error": refused.sentence}, refused.headers)
            return _json(answer.status, answer.body, answer.headers)

        return endpoint

    # audiences
    def create_audience(self, _: Request, body: Any, __: fault.Faults) -> Answer:
        if not isinstance(body, dict):
            raise Refused(400, "Send a JSON object with name and reference.")
        name = text_of(body, "name", required=True)
        reference = text_of(body, "reference", required=False) or None
        audience, made = self._storage.add_audience(name, reference, at=self._clock.now())
        return Answer(201 if made else 200, _shown(audience))

    def list_audiences(self, request: Request, _: Any, __: fault.Faults) -> Answer:
        limit = limit_of(request)
        after = request.query_params.get("after", "")
        start = self._storage.audience(after) if after else None
        if after and start is None:
            raise Refused(400, "after: there is no audience with this ID; give `next` of the page before.")
        found = self._storage.audiences(after=start.number if start else 0, limit=limit + 1)
        page = found[:limit]
        return Answer(200, {"audiences": [_shown(one) for one in page], "next": page[-1].id if len(found) > limit else None})

    def show_audience(self, request: Request, _: Any, __: fault.Faults) -> Answer:
        return Answer(200, _shown(self._audience(request)))

    def delete_audience(self, request: Request, _: Any, __: fault.Faults) -> Answer:
        audience = self._audience(request)
        self._storage.remove_audience(audience)
        return Answer(200, _shown(audience))

    # users
    def list_users(self, request: Request, _: Any, __: fault.Faults) -> Answer:
        limit = limit_of(request)
        found = self._storage.members(self._audience(request), after=request.query_params.get("after", ""), limit=limit + 1)
        page = found[:limit]
        return Answer(200, {"users": [{"id": user} for user in page], "next": page[-1] if len(found) > limit else None})

    def add_users(self, request: Request, body: Any, faults: fault.Faults) -> Answer:
        return self._change_users(request, body, faults, self._storage.add_members)

    def remove_users(self, request: Request, body: Any, faults: fault.Faults) -> Answer:
        return self._change_users(request, body, faults, self._storage.remove_members)

    def _change_users(
        self, request: Request, body: Any, faults: fault.Faults, change: Callable[[StoredAudience, list[str]], None]
    ) -> Answer:
        audience = self._audience(request)
        users = users_of(body)
        if not set(faults.poison_users).isdisjoint(users):
            raise Refused(400, "One of the users makes the whole call unreadable.")
        refused_users = set(faults.reject_users)
        taken: list[str] = []
        rejected: list[dict[str, Any]] = []
        for index, user in enumerate(users):
            if not user or len(user) > MAX_ID_LENGTH:
                message = f"An ID has 1 to {MAX_ID_LENGTH} characters."
                rejected.append({"index": index, "code": "invalid_id", "message": message})
            elif user in refused_users:
                rejected.append({"index": index, "code": "user_rejected", "message": "This user is not accepted."})
            else:
                taken.append(user)
        change(audience, taken)
        return Answer(200, {"accepted": len(taken), "rejected": rejected})

    def _audience(self, request: Request) -> StoredAudience:
        audience = self._storage.audience(request.path_params["id"])
        if audience is None:
            raise Refused(404, "There is no audience with this ID.")
        return audience

    # the platform itself
    def list_calls(self, request: Request, _: bytes) -> Answer:
        limit = limit_of(request, default=KEPT_CALLS, most=KEPT_CALLS)
        return Answer(200, self._storage.calls(limit=limit))

    def change_faults(self, request: Request, body: bytes) -> Answer:
        if request.method == "PUT":
            try:
                self._put_faults(fault.parse(body))
            except fault.InvalidFaults as error:
                raise Refused(400, str(error)) from error
        elif request.method == "DELETE":
            self._put_faults(fault.NONE)
        return Answer(200, fault.document(self._faults()))

    def _faults(self) -> fault.Faults:
        stored = self._storage.faults()
        return fault.parse(stored) if stored else fault.NONE

    def _put_faults(self, faults: fault.Faults) -> None:
        self._storage.set_faults("" if faults == fault.NONE else msgspec.json.encode(faults).decode())

    def _faults_for_one_call(self) -> fault.Faults:
        faults = self._faults()
        if faults.calls is not None:
            left = faults.calls - 1
            self._put_faults(msgspec.structs.replace(faults, calls=left) if left else fault.NONE)
        return faults

    # what every call goes through
    def _is_authentic(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode("latin-1"), self._token)

    def _record(self, request: Request, arrived: float, body: Any) -> int:
        users = body.get("users") if isinstance(body, dict) else None
        count = len(users) if isinstance(users, list) else 0
        return self._storage.add_call(StoredCall(arrived, request.method, request.url.path[:_RECORDED_PATH], count, 0))

    def _answered(self, number: int, answer: fault.FaultAnswer | Refused) -> Response:
        self._storage.answered(number, answer.status)
        if isinstance(answer, Refused):
            return _json(answer.status, {"error": answer.sentence}, answer.headers)
        return _fault_response(answer)

    async def _closing_within(self, seconds: float) -> bool:
        """Waits, whether or not the client is still there. True if the platform closes meanwhile."""
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _end_of(self, request: Request) -> None:
        """Waits until the client has gone or the platform closes."""
        closing = asyncio.create_task(self.closing.wait())
        gone = asyncio.create_task(_client_gone(request))
        _, pending = await asyncio.wait({closing, gone}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()


async def _client_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _shown(audience: StoredAudience) -> dict[str, Any]:
    return {"id": audience.id, "name": audience.name, "reference": audience.reference, "size": audience.size}


def _unauthorized() -> fault.FaultAnswer:
    return fault.FaultAnswer(401, "A valid bearer token is needed.", {"WWW-Authenticate": "Bearer"})


def _fault_response(answer: fault.FaultAnswer) -> Response:
    if answer.status in (204, 304):
        return Response(status_code=answer.status, headers=answer.headers)
    if answer.html:
        page = "<!doctype html><title>Error</title><h1>Something went wrong</h1><p>Please try again later.</p>"
        return Response(page, answer.status, answer.headers, media_type="text/html")
    return _json(answer.status, {"error": answer.error}, answer.headers)


def _json(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


async def _plain_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    sentence = {404: "There is nothing at this address.", 405: "This address does not take this method."}
    return _json(error.status_code, {"error": sentence.get(error.status_code, error.detail)}, dict(error.headers or {}))


async def _own_failure(_: Request, __: Exception) -> Response:
    return _json(500, {"error": "Pangolin itself failed."})
