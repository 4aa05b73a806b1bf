"""What every page works with: the back end, the clock, who is there."""

from __future__ import annotations

import threading

from flask import current_app, g

from adapters.registry import describe
from relay.backends import open_backend
from relay.backends.interfaces import Backend
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console.roles import Visitor
from relay.domain.clock import Clock

_KEY = "diy-relay"


class Parts:
    """Of one application. The back end is opened when it is first needed: the server forks before that."""

    def __init__(self, configuration: Configuration, clock: Clock, backend: Backend | None) -> None:
        self.configuration = configuration
        self.clock = clock
        self._backend = backend
        self._lock = threading.Lock()

    def backend(self) -> Backend:
        """Opens it where that was not done yet. Raises `ConfigurationError` where there is no state."""
        with self._lock:
            if self._backend is None:
                self._backend = open_backend(self.configuration, create=False)
            return self._backend


def give(app_extensions: dict[str, object], parts: Parts) -> None:
    """Makes them those of this application."""
    app_extensions[_KEY] = parts


def parts() -> Parts:
    """Those of the application that answers."""
    found: Parts = current_app.extensions[_KEY]
    return found


def backend() -> Backend:
    return parts().backend()


def configuration() -> Configuration:
    return parts().configuration


def now() -> float:
    """Seconds since the epoch."""
    return parts().clock.now()


def visitor() -> Visitor:
    """Who asks for the page; the guard has let them in."""
    found: Visitor = g.visitor
    return found


def publishing() -> Publishing:
    """Changes to connectors and secrets, in the visitor's name."""
    return Publishing(backend(), describe, visitor().name, parts().clock)
