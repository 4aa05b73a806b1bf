"""Connections that are kept: a session for each thread that sends."""

from __future__ import annotations

import threading

import requests


class Sessions:
    """trust_env: whether a proxy from the environment has a say."""

    def __init__(self, *, trust_env: bool) -> None:
        self._trust_env = trust_env
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._all: list[requests.Session] = []

    def mine(self) -> requests.Session:
        """The one of the thread that asks."""
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = self._threads.session = requests.Session()
            session.trust_env = self._trust_env
            with self._lock:
                self._all.append(session)
        return session

    def close(self) -> None:
        """Ends the connections."""
        with self._lock:
            for session in self._all:
                session.close()
            self._all.clear()
