"""Where things are kept: `embedded` (one SQLite file) or `google` (Pub/Sub, Firestore, Secret Manager), behind the same few small
interfaces."""

from __future__ import annotations

from relay.backends.interfaces import Backend
from relay.configuration import Configuration
from relay.domain.clock import Clock, SystemClock


def open_backend(configuration: Configuration, clock: Clock | None = None, *, create: bool = True) -> Backend:
    """The back end that the configuration names.

    `create`: whether a state directory that does not exist is made (embedded). Raises `ConfigurationError` where it is not there,
    or where no project is named.
    """
    if configuration.backend == "google":
        from relay.backends.google import GoogleBackend

        return GoogleBackend.open(configuration, clock or SystemClock())
    from relay.backends.embedded import EmbeddedBackend

    return EmbeddedBackend.open(configuration.state_dir, clock or SystemClock(), create=create)
