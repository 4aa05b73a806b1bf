"""Whether the server that runs this process was told to end.

Cloud Run sends SIGTERM and ends the instance ten seconds later
(https://cloud.google.com/run/docs/container-contract#instance-shutdown). The server, gunicorn, then takes no further requests and
finishes those in hand. It knows that it is ending and tells nobody, and a signal handler of ours would take the place of its own.
But whose handler it is can be asked, from any thread: a method of the gunicorn worker, whose attribute `alive` turns false with
the signal.
"""

from __future__ import annotations

import signal


def process_is_ending() -> bool:
    """Whether it was told to. False for ever under a server that is no gunicorn: its requests are cut off at the end, as they
    would be without this."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "alive", True) is False
