"""Connections to Google's services, or to the emulators that the configuration names. Made when first used, never at import."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import grpc

from relay.configuration import Configuration
from relay.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    import requests

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    # A connection that swallows what is sent, as after an instance was frozen, is given up after so long, and not after 20 s.
    ("grpc.keepalive_timeout_ms", 5_000),
    # A service that was down is tried again at once when it is wanted, and not after gRPC's own two minutes of back-off.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # How long one attempt to connect may take, in spite of its name
    # (https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md).
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # What is to be repeated is repeated by us. With gRPC's own repetition a call whose answer comes in parts sometimes never ends
    # when its connection breaks, past its deadline (https://github.com/grpc/grpc/issues/20562).
    ("grpc.enable_retries", 0),
)

FIRESTORE = "firestore.googleapis.com"
SECRET_MANAGER = "secretmanager.googleapis.com"  # noqa: S105 - a host


def load_ahead(configuration: Configuration) -> None:
    """Imports what the first asynchronous channel would wait for: Google's authentication, of which an emulator has none."""
    if not configuration.pubsub_emulator:
        import google.api_core.grpc_helpers_async
        import google.auth.compute_engine  # noqa: F401 - to have it


class Channels:
    """The channels of one process, one for each service; and an asynchronous one for each event loop that asks."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._lock = threading.Lock()
        self._open: dict[str, grpc.Channel] = {}
        self._credentials: Any = None

    @property
    def pubsub_host(self) -> str:
        """The regional endpoint: messages of a key keep their order only within one region
        (https://cloud.google.com/pubsub/docs/ordering)."""
        region = self._configuration.google_cloud_region
        return f"{region}-pubsub.googleapis.com" if region else "pubsub.googleapis.com"

    def pubsub(self) -> grpc.Channel:
        """To Pub/Sub."""
        return self._channel(self.pubsub_host, self._configuration.pubsub_emulator)

    def firestore(self) -> grpc.Channel:
        """To Firestore."""
        return self._channel(FIRESTORE, self._configuration.firestore_emulator)

    def secret_manager(self) -> grpc.Channel:
        """To Secret Manager."""
        return self._channel(SECRET_MANAGER, self._configuration.secret_manager_emulator)

    @property
    def prepared(self) -> bool:
        """Whether a channel can be made without asking anybody who this process is."""
        return bool(self._configuration.pubsub_emulator) or self._credentials is not None

    def prepare(self) -> None:
        """Finds out who this process is, which may ask the metadata server. Raises `StoreUnavailable`."""
        with self._lock:
            self._own_credentials()

    def pubsub_async(self) -> grpc.aio.Channel:
        """To Pub/Sub, for the running event loop; closed by whoever asked."""
        emulator = self._configuration.pubsub_emulator
        if emulator:
            return grpc.aio.insecure_channel(emulator, options=_OPTIONS)
        from google.api_core import grpc_helpers_async

        channel: grpc.aio.Channel = grpc_helpers_async.create_channel(
            f"{self.pubsub_host}:443", credentials=self._own_credentials(), options=list(_OPTIONS)
        )
        return channel

    def http(self, *, anonymous: bool) -> requests.Session:
        """For services that are called by HTTP; closed by whoever asked. anonymous: it does not say who this process is, as
        stand-ins need not know."""
        import requests

        if anonymous:
            return requests.Session()
        from google.auth.transport.requests import AuthorizedSession

        with self._lock:
            session: requests.Session = AuthorizedSession(self._own_credentials())  # type: ignore[no-untyped-call]
        return session

    def close(self) -> None:
        """Closes the synchronous ones; a later use opens them again."""
        with self._lock:
            channels, self._open = list(self._open.values()), {}
        for channel in channels:
            channel.close()

    def _channel(self, host: str, emulator: str) -> grpc.Channel:
        with self._lock:
            channel = self._open.get(host)
            if channel is None:
                channel = self._open[host] = self._connect(host, emulator)
            return channel

    def _connect(self, host: str, emulator: str) -> grpc.Channel:
        if emulator:
            return grpc.insecure_channel(emulator, options=_OPTIONS)
        from google.api_core import grpc_helpers

        channel: grpc.Channel = grpc_helpers.create_channel(
            f"{host}:443", credentials=self._own_credentials(), options=list(_OPTIONS)
        )
        return channel

    def _own_credentials(self) -> Any:
        """Whose this process is: the function's service account, or an operator's own application default credentials."""
        if self._credentials is None:
            import google.auth
            from google.auth.exceptions import GoogleAuthError

            try:
                self._credentials, _ = google.auth.default(scopes=_SCOPES)
            except GoogleAuthError as error:
                raise StoreUnavailable(
                    "Google Cloud does not know who this is: no credentials were found. On a machine of your own: "
                    "gcloud auth application-default login"
                ) from error
        return self._credentials
