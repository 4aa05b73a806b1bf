"""`interfaces.InboundStore`: one secret in Secret Manager, mounted into the receiver as a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from relay.backends.records import INBOUND
from relay.configuration import Configuration
from relay.domain.connector import InboundDocument
from relay.domain.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from relay.backends.google.channels import Channels

MOST_BYTES = 65_536
"""As `secret_versions.MOST_BYTES`, which one who only reads the file need not import."""


class GoogleInbound:
    """With INBOUND_FILE it is read there, without any client of Google's, and cannot be written. Every look at a mounted secret
    is a call to Secret Manager, which fails when that does: then this raises `StoreUnavailable`, and never says there is none.

    Without INBOUND_FILE it is the latest version of the secret; the one before is kept for whoever looks for what changed.
    """

    def __init__(self, channels: Channels, configuration: Configuration) -> None:
        self._store = _File(Path(configuration.inbound_file)) if configuration.inbound_file else _Secret(channels, configuration)

    def read(self) -> InboundDocument | None:
        """Raises `UnknownVersion` for one that a newer program wrote, `msgspec.DecodeError` for a damaged one."""
        stored = self._store.read()
        return None if stored is None else INBOUND.read(stored)

    def write(self, document: InboundDocument) -> None:
        """`ConfigurationError` where it is larger than Secret Manager takes, or may not be written from here."""
        self._store.write(INBOUND.write(document))

    def changed(self) -> object:
        """One look at it."""
        return self._store.changed()


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise StoreUnavailable(f"The inbound document cannot be read from {self._path} (INBOUND_FILE).") from error

    def write(self, content: bytes) -> None:  # noqa: ARG002 - nothing is written
        raise ConfigurationError(
            "INBOUND_FILE is set: the inbound document is only read here. It is written where INBOUND_FILE is not set."
        )

    def changed(self) -> object:
        # Its content, and not the file's times: what a mount says of those is not promised.
        return hashlib.sha256(self.read()).digest()


class _Secret:
    def __init__(self, channels: Channels, configuration: Configuration) -> None:
        from relay.backends.google.secret_versions import SecretVersions
        from relay.backends.google.secrets import INBOUND as NAME

        self._versions = SecretVersions(channels, configuration)
        self._id = f"{configuration.secret_prefix}{NAME}"

    def read(self) -> bytes | None:
        latest = self._versions.read(self._id)
        return None if latest is None else latest.payload

    def write(self, content: bytes) -> None:
        if len(content) > MOST_BYTES:
            raise ConfigurationError(
                f"The inbound document has {len(content):,} bytes; Secret Manager takes {MOST_BYTES:,}. It grows with every "
                "connector and environment that is live and with the secrets and field names of each: retire previous secrets, "
                "delete connectors that are not used, or install the relay a second time for some of them."
            )
        number = self._versions.add(self._id, content)
        before = [older for older in self._versions.standing(self._id) if older < number]
        if len(before) > 1:
            self._versions.destroy_before(self._id, before[-1])

    def changed(self) -> object:
        latest = self._versions.read(self._id)
        return None if latest is None else latest.number
