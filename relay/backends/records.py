"""Stored records: msgspec JSON with the version of the program's format that wrote them. The one place that checks it."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from relay.backends.interfaces import AuditEntry, Draft, Token
from relay.domain import audience, connector, notice, outcome
from relay.domain.message import UnknownVersion

T = TypeVar("T", bound=msgspec.Struct)


class _Versioned(msgspec.Struct):
    version: int


_version = msgspec.json.Decoder(_Versioned)
_encoder = msgspec.json.Encoder()


class Record(Generic[T]):
    """How values of one type are stored. `version`: the newest that this program reads, and the one it writes where the type
    itself does not carry a version."""

    def __init__(self, kind: type[T], version: int, what: str) -> None:
        self._version = version
        self._what = what
        self._carries_version = "version" in kind.__struct_fields__
        self._decoder = msgspec.json.Decoder(kind)

    def write(self, value: T) -> bytes:
        """The record as it is stored."""
        if self._carries_version:
            return _encoder.encode(value)
        return _encoder.encode({"version": self._version, **msgspec.to_builtins(value)})

    def read(self, stored: bytes) -> T:
        """Raises `UnknownVersion` for one that a newer program wrote."""
        version = _version.decode(stored).version
        if version > self._version:
            raise UnknownVersion(
                f"{self._what} was written as version {version} by a newer program; this one reads up to version {self._version}."
            )
        return self._decoder.decode(stored)


AUDIENCE = Record(audience.Audience, audience.VERSION, "An audience's record")
STATE = Record(connector.ConnectorState, connector.VERSION, "A connector's state")
DOCUMENT_VERSION = Record(connector.DocumentVersion, connector.VERSION, "A version of a connector's document")
INBOUND = Record(connector.InboundDocument, connector.VERSION, "The inbound document")
REPORT = Record(outcome.Report, outcome.VERSION, "The report of an attempt")
REJECTION = Record(outcome.Rejection, outcome.VERSION, "A rejection")
WATCH = Record(notice.Watch, notice.VERSION, "The record of a connector's notices")
TOKEN = Record(Token, 1, "A token")
AUDIT_ENTRY = Record(AuditEntry, 1, "An audit entry")
DRAFT = Record(Draft, 1, "A draft")
