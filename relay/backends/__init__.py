"""Where things are kept: `embedded` (one SQLite file) and, later, `google`, behind the same few small interfaces."""

from __future__ import annotations

from relay.backends.interfaces import Backend
from relay.configuration import Configuration
from relay.domain.clock import Clock, SystemClock
from relay.domain.errors import ConfigurationError


def open_backend(configuration: Configuration, clock: Clock | None = None, *, create: bool = True) -> Backend:
    """The back end that the configuration names.

    `create`: whether a state directory that does not exist is made. Raises `ConfigurationError` where it is not there, or where
    this build has no such back end.
    """
    if configuration.backend != "embedded":
        raise ConfigurationError(f"BACKEND={configuration.backend} is not part of this version; BACKEND=embedded is.")
    from relay.backends.embedded import EmbeddedBackend

    return EmbeddedBackend.open(configuration.state_dir, clock or SystemClock(), create=create)
