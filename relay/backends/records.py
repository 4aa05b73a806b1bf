"""Stored records: msgspec JSON with the version of the program's format that wrote them. The one place that checks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from relay.backends.interfaces import AuditEntry, Draft, Token
from relay.domain import audience, connector, exchange, notice, outcome, reply
from relay.domain.message import UnknownVersion

T = TypeVar("T", bound=msgspec.Struct)
V = TypeVar("V", bound=msgspec.Struct)


class _Versioned(msgspec.Struct):
    version: int


_version = msgspec.json.Decoder(_Versioned)
_encoder = msgspec.json.Encoder()


class Record(Generic[T]):
    """How values of one type are stored. `version`: the newest that this program reads, and the one it writes where the type
    itself does not carry a version."""

    def __init__(self, kind: type[T], version: int, what: str) -> None:
        self._kind = kind
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
        return self._read(self._decoder, stored)

    def reader_with(self, **fixed: Any) -> Callable[[bytes], T]:
        """As `read`, with these values of fields in place of what is stored: what is long and not wanted takes time to read."""
        fields = [field for field in msgspec.structs.fields(self._kind) if field.name not in fixed]
        decoder = msgspec.json.Decoder(msgspec.defstruct("Part", [_declared(field) for field in fields]))

        def read(stored: bytes) -> T:
            return self._kind(**fixed, **msgspec.structs.asdict(self._read(decoder, stored)))

        return read

    def _read(self, decoder: msgspec.json.Decoder[V], stored: bytes) -> V:
        if not self._carries_version:
            self._check(stored)
            return decoder.decode(stored)
        # Looked at once only, which is half the time.
        try:
            value = decoder.decode(stored)
        except msgspec.ValidationError:
            self._check(stored)
            raise
        if value.version > self._version:  # type: ignore[attr-defined]
            self._check(stored)
        return value

    def _check(self, stored: bytes) -> None:
        version = _version.decode(stored).version
        if version > self._version:
            raise UnknownVersion(
                f"{self._what} was written as version {version} by a newer program; this one reads up to version {self._version}."
            )


def _declared(field: msgspec.structs.FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, field.type, msgspec.field(default_factory=field.default_factory)
    if field.default is not msgspec.NODEFAULT:
        return field.name, field.type, field.default
    return field.name, field.type


AUDIENCE = Record(audience.Audience, audience.NEWEST, "An audience's record")
STATE = Record(connector.ConnectorState, connector.VERSION, "A connector's state")
DOCUMENT_VERSION = Record(connector.DocumentVersion, connector.VERSION, "A version of a connector's document")
INBOUND = Record(connector.InboundDocument, connector.VERSION, "The inbound document")
REPORT = Record(outcome.Report, outcome.VERSION, "The report of an attempt")
read_brief_report = REPORT.reader_with(request_ids=(), exceptions=())
EXCHANGES = Record(exchange.Exchanges, exchange.VERSION, "The exchanges of an attempt")
REJECTION = Record(outcome.Rejection, outcome.VERSION, "A rejection")
REPLY = Record(reply.Reply, reply.VERSION, "A reply")
WATCH = Record(notice.Watch, notice.VERSION, "The record of a connector's notices")
TOKEN = Record(Token, 1, "A token")
AUDIT_ENTRY = Record(AuditEntry, 1, "An audit entry")
DRAFT = Record(Draft, 1, "A draft")
