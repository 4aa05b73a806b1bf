"""Whether the server that runs this process was told to end, and what becomes then of what it has in hand.

Cloud Run sends SIGTERM and ends the instance ten seconds later
(https://cloud.google.com/run/docs/container-contract#instance-shutdown). The server, gunicorn, then takes no further requests and
finishes those in hand. It knows that it is ending and tells nobody, and a signal handler of ours would take the place of its own.
But whose handler it is can be asked, from any thread: a method of the gunicorn worker, whose attribute `alive` turns false with
the signal, or of uvicorn's server, whose `should_exit` turns true.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

CALLS_MAY_FINISH_S = 6.0
"""So long calls to the partner that are in flight may go on; then they are cut short, and their turns end in order."""

ENDED_AFTER_S = 9.0
"""Whatever still goes on then is left: its message was not acknowledged, and comes again."""

_LOOK_EVERY_S = 0.25


def process_is_ending() -> bool:
    """Whether it was told to. False for ever under another server: its requests are cut off at the end, as they would be without
    this."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "alive", True) is False or getattr(server, "should_exit", False) is True


def see_to_the_end() -> None:
    """From now on, once this process is told to end, it has ended within `ENDED_AFTER_S`, whatever its calls wait for. To be
    called once, in a process that makes such calls, after the server has forked."""
    threading.Thread(target=_see_to_the_end, name="ending", daemon=True).start()


def _see_to_the_end() -> None:
    from adapters.in_flight import in_flight

    while not process_is_ending():
        time.sleep(_LOOK_EVERY_S)
    time.sleep(CALLS_MAY_FINISH_S)
    in_flight.cut_short()
    time.sleep(ENDED_AFTER_S - CALLS_MAY_FINISH_S)
    sys.stderr.flush()
    os._exit(0)
