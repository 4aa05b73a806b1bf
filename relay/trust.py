"""Whom TLS connections trust, read once: to read all certificates again for each connection takes some twenty milliseconds."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from urllib3.util.ssl_ import ALPN_PROTOCOLS, create_urllib3_context

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
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    # urllib3 sets them again for each connection, and that frees the list which another thread may be reading
    # (https://github.com/python/cpython/issues/141012). What else it sets, `verify_mode`, is a number that stays the same.
    context.set_alpn_protocols = _are_set  # type: ignore[method-assign]
    return context


def _are_set(alpn_protocols: Iterable[str]) -> None:
    """Nothing."""


def _renew() -> None:
    """In a forked child, where the thread that may have held the lock is not."""
    global _one_reads  # noqa: PLW0603
    _one_reads = threading.Lock()


os.register_at_fork(after_in_child=_renew)
