"""Whom TLS connections trust, read once: to read all certificates again for each connection takes some twenty milliseconds."""

from __future__ import annotations

import ssl
import threading
from functools import lru_cache
from pathlib import Path

from urllib3.util.ssl_ import create_urllib3_context

_one_reads = threading.Lock()
"""The others, of a burst on a new process, wait for it."""


def trusting(certificates: str) -> ssl.SSLContext:
    """For all connections of the process. Asks every server for a certificate, and for its name in it.

    certificates: a file or a directory, as it was when it was first asked for. Raises `OSError`.
    """
    with _one_reads:
        return _read(certificates)


@lru_cache(maxsize=4)
def _read(certificates: str) -> ssl.SSLContext:
    context = create_urllib3_context()
    if Path(certificates).is_dir():
        context.load_verify_locations(capath=certificates)
    else:
        context.load_verify_locations(cafile=certificates)
    return context
