"""`deliver`: one queue message from its arrival to the answer that settles it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.backends.interfaces import PullQueue, PushQueue
from relay.domain.errors import BadPush
from relay.functions import parts
from relay.functions.answers import answer, refuse_strangers
from relay.wide_log import log

if TYPE_CHECKING:
    import flask
    from werkzeug.wrappers import Response


def deliver(request: flask.Request) -> Response:
    """`deliver`: handles one queue message.

    A queue that pushes calls it with each one: 204 once it is acknowledged; 503 where it must come again; 400 where the call
    brings no message. A queue that is asked: a call takes the next message that waits, and answers `{"handled": 0 or 1}`.
    """
    if refused := refuse_strangers(request):
        return refused
    queue = parts.backend().queue
    if isinstance(queue, PushQueue):
        return _take_push(queue, request.get_data())
    if isinstance(queue, PullQueue):
        return _take_next(queue)
    raise TypeError(f"{type(queue).__name__} neither pushes messages nor hands them out.")


def _take_push(queue: PushQueue, body: bytes) -> Response:
    from werkzeug.wrappers import Response

    try:
        leased = queue.receive(body)
    except BadPush as error:
        # A status of success would acknowledge it, and Pub/Sub delivers again after any other one
        # (https://cloud.google.com/pubsub/docs/push#receive_push). That is right for what we cannot read: if it was the queue
        # that called, the message stays in it until a program that can read it takes its place. 400 rather than 503, since
        # whoever else called is to blame, and can read why.
        log("push_unreadable", "ERROR", hint=str(error), bytes=len(body))
        return answer({"error": str(error)}, 400)
    parts.worker().handle(leased)
    if queue.settled(leased):
        return Response(status=204)
    return answer({"error": "The message is not settled: it is to be delivered again."}, 503)


def _take_next(queue: PullQueue) -> Response:
    leased = queue.take()
    if leased is None:
        return answer({"handled": 0}, 200)
    parts.worker().handle(leased)
    return answer({"handled": 1}, 200)
