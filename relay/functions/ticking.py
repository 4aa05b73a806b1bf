"""`tick`: what Cloud Scheduler calls, every minute for the holds, and every hour at `/tidy` for what is old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.backends.interfaces import PushQueue
from relay.domain.clock import SystemClock
from relay.domain.errors import StoreUnavailable
from relay.functions import parts
from relay.functions.answers import answer, refuse_strangers
from relay.functions.ending import process_is_ending
from relay.wide_log import log

if TYPE_CHECKING:
    import flask
    from werkzeug.wrappers import Response

TIDY_PATH = "/tidy"


def tick(request: flask.Request) -> Response:
    """`tick`: publishes a resume for every hold that is due: `{"resumed": number}`. Behind a queue that pushes, also for those
    that become due within the minute, so that a call may take most of it; otherwise there is a worker that does this.

    At `/tidy`: `{"retired": batches}`, or which parts failed, with 503 if only the store could not be reached and 500 for
    anything else. A failure shows in Cloud Scheduler, and the next call tries everything again.
    """
    if refused := refuse_strangers(request):
        return refused
    return _tidy() if request.path.rstrip("/") == TIDY_PATH else _tick()


def _tick() -> Response:
    from worker.tick import MOST_OF_A_MINUTE_S, tick_for

    backend = parts.backend()
    seconds = MOST_OF_A_MINUTE_S if isinstance(backend.queue, PushQueue) else 0.0
    try:
        resumed = tick_for(seconds, backend, parts.worker().catalog, SystemClock(), stopping=process_is_ending)
    except StoreUnavailable as error:
        log("store_unavailable", "ERROR", hint=str(error))
        return answer({"error": "The store could not be reached; the next call looks at all holds again."}, 503)
    return answer({"resumed": resumed}, 200)


def _tidy() -> Response:
    from worker.tidying import tidy_up

    tidied = tidy_up(parts.backend(), parts.worker().catalog, SystemClock())
    if not tidied.failed:
        return answer({"retired": tidied.retired}, 200)
    error = f"What failed: {', '.join(tidied.failed)}. The log says why; the next call tries everything again."
    return answer({"error": error, "failed": list(tidied.failed), "retired": tidied.retired}, 503 if tidied.passes else 500)
