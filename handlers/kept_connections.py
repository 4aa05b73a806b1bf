"""Connections that a process's calls to one service share.

A call by itself would read all certificates that are trusted, and agree on keys: some twenty milliseconds of a processor that the
event loop needs.
"""

from __future__ import annotations

import logging
import time
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from relay.trust import trusting

IDLE_S = 1.0
"""A kept connection that was idle for longer is not used again: servers close idle ones (after 2 s and more), and one of an
instance that was frozen meanwhile may be gone without a word."""

KEPT = 32
"""Connections at most; what is more under way has connections that are closed afterwards."""

# It writes a line for each connection that is not kept.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def session() -> requests.Session:
    """One for all threads: of what is answered it keeps nothing but connections."""
    made = requests.Session()
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    for scheme in ("https://", "http://"):
        made.mount(scheme, _Keeping(pool_maxsize=KEPT))
    return made


class _Keeping(HTTPAdapter):
    """Trusts whom `requests` trusts, and reads once who that is."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            context = trusting(verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH)
            return host, {"ssl_context": context, "cert_reqs": "CERT_REQUIRED"}
        return host, tls

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing: the pool would read the file again for each connection. The context asks for a certificate and checks it."""


class _Connection:
    idle_since = 0.0

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self.idle_since <= IDLE_S and super().is_connected  # type: ignore[misc]


class _Http(_Connection, HTTPConnection):
    pass


class _Https(_Connection, HTTPSConnection):
    pass


class _Pool:
    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)  # type: ignore[misc]


class _HttpPool(_Pool, urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(_Pool, urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https
