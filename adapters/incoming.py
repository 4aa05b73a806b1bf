"""One answer, read from a connection: whole, also what was packed, or cut where it is too long, or not at all.

The parser is llhttp, as Node.js uses it. It refuses what two readers could understand in two ways (RFC 9112, 6.3 and 11.2): two
lengths, a length beside chunks, folded lines, line ends without CR, control characters. What ends a body is its length, its last
chunk, or the end of the connection where the answer says neither.

http.client and urllib3 do the same in ten times the time, most of it for headers as e-mail has them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import httptools
import urllib3
from urllib3.response import DeflateDecoder, GzipDecoder, GzipDecoderState, MultiDecoder

MAX_HEAD_BYTES = 64 * 1024
"""In all headers, with those of interim answers and the trailers."""

MAX_HEADERS = 100
"""Lines in the head of an answer, with its trailers; and interim answers before it."""

_MAX_BETWEEN_BYTES = 2 * MAX_HEAD_BYTES
"""What comes without a byte of a body, and is no header that could be counted: one that never ends, words about a chunk."""

_PIECE = 64 * 1024
_NO_CONTENT = 204
_HTTP = ("1.1", "1.0")


class Broken(ConnectionError):
    """What came is no whole answer. Its text holds nothing of what came."""


class NotHttp(Broken):
    """What came is no answer at all, or one that is refused here, however it goes on."""


class Headers(Mapping[str, str]):
    """Of an answer, found without regard to case. Several of one name are one, joined by commas (RFC 9110, 5.3); `items()` gives
    them one by one, as they came."""

    __slots__ = ("_joined", "_lines")

    def __init__(self, lines: Iterable[tuple[str, str]]) -> None:
        self._lines = tuple(lines)
        self._joined: dict[str, str] = {}
        for name, value in self._lines:
            key = name.lower()
            self._joined[key] = f"{self._joined[key]}, {value}" if key in self._joined else value

    def __getitem__(self, name: str) -> str:
        return self._joined[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._joined

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined)

    def __len__(self) -> int:
        return len(self._joined)

    def items(self) -> ItemsView[str, str]:
        """Line by line."""
        return _Lines(self)


class _Lines(ItemsView[str, str]):
    _mapping: Headers

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._mapping._lines)

    def __len__(self) -> int:
        return len(self._mapping._lines)


class Answer(NamedTuple):
    """content: unpacked; only its beginning if it was cut. reusable: another call can be made on the connection."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    cut: bool = False
    reusable: bool = False


def read(receive: Callable[[], bytes], *, head_only: bool, most: int) -> Answer:
    """The next answer; those that are only on the way to it (1xx) are passed over.

    receive    the next bytes, as many as there are; none: the connection has ended. Raises what it raises
    head_only  it was asked for without its body (HEAD); the connection is not used again then
    most       bytes of its content that are kept. Where there are more, the rest is not waited for

    Raises `Broken`; `NotHttp` and `urllib3.exceptions.DecodeError` (it cannot be unpacked) if more bytes would not mend it.
    """
    incoming = _Incoming(receive, head_only)
    try:
        incoming.read_head()
        pieces = iter(incoming.read_body, b"")
        if "content-encoding" in incoming.headers:
            pieces = _unpacked(incoming, incoming.headers["content-encoding"])
        content, cut = _up_to(most, pieces)
        return Answer(incoming.status, incoming.headers, content, cut, incoming.reusable and not cut)
    finally:
        incoming.end()


def _up_to(most: int, pieces: Iterable[bytes]) -> tuple[bytes, bool]:
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size > most:
            return b"".join(kept)[:most], True
    return kept[0] if len(kept) == 1 else b"".join(kept), False


class _Incoming:
    """An answer on its way. The parser calls what begins with `on_`.

    complete  nothing of it is still to come
    reusable  and the connection may be used for another call
    """

    def __init__(self, receive: Callable[[], bytes], head_only: bool) -> None:
        self._receive = receive
        self._head_only = head_only
        self._lines: list[tuple[str, str]] = []
        self._pieces: list[bytes] = []
        self._without_body = 0
        self._head_bytes = 0
        self._interim = 0
        self._announces_too_much = False
        self.ends_with_connection = False
        self.status = 0
        self.headers: Headers
        self.complete = False
        self.reusable = False
        self._parser = httptools.HttpResponseParser(self)

    def end(self) -> None:
        """They hold each other, and would wait for the garbage collector."""
        del self._parser

    def read_head(self) -> None:
        """Until status and headers are there."""
        while not self.status:
            self._read_on()

    def read_body(self) -> bytes:
        """Some bytes more; none: that was all."""
        while not self._pieces and not self.complete:
            self._read_on()
        found = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        return found

    def _read_on(self) -> None:
        received = self._receive()
        if not received:
            if not self.ends_with_connection:
                raise Broken("The connection ended before the answer did.")
            self.complete = True
            return
        self._without_body += len(received)
        try:
            self._parser.feed_data(received)
        except httptools.HttpParserError:
            if not self.complete:
                raise NotHttp("The answer is not HTTP, or can be understood in two ways.") from None
            self.reusable = False  # something stands behind it that nobody asked for
        if self._without_body > _MAX_BETWEEN_BYTES and not self.complete:
            raise NotHttp("The answer's head is too long.")

    def on_message_begin(self) -> None:
        if self.complete:
            raise NotHttp("Nobody asked for another answer.")

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers as well; `headers` is made before they come.
        self._lines.append((name.decode("latin-1"), value.decode("latin-1").rstrip(" \t")))
        self._head_bytes += len(name) + len(value)
        if len(self._lines) > MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            raise NotHttp("The answer has too many headers.")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._lines.clear()
            self._interim += 1
            if self._interim > MAX_HEADERS:
                raise NotHttp("The answer never comes.")
            return
        headers = Headers(self._lines)
        coding = headers["transfer-encoding"].lower() if "transfer-encoding" in headers else "identity"
        if status < 200 or self._parser.get_http_version() not in _HTTP or coding not in ("chunked", "identity"):
            raise NotHttp("The answer goes on in a way that nobody asked for.")
        self.ends_with_connection = coding == "identity" and "content-length" not in headers
        # A body that must not be there may come yet, and look like the next answer. (What a 304 says is said of another body.)
        self._announces_too_much = status == _NO_CONTENT and (
            "transfer-encoding" in headers or headers.get("content-length", "").strip("0") != ""
        )
        self.headers = headers
        self.status = status
        # What its headers say of a body is said of one that does not come; whether anything else comes is not waited for.
        self.complete = self._head_only

    def on_body(self, piece: bytes) -> None:
        if piece and not self.complete:
            self._without_body = 0
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self.status and not self.complete:
            self.complete = True
            self.reusable = self._parser.should_keep_alive() and not self._announces_too_much


class _Packed(io.RawIOBase):
    """The body, for urllib3."""

    def __init__(self, incoming: _Incoming) -> None:
        self._incoming = incoming
        self.empty = True

    def read(self, _: int = -1, /) -> bytes:
        piece = self._incoming.read_body()
        self.empty = self.empty and not piece
        return piece


def _unpacked(incoming: _Incoming, packing: str) -> Iterator[bytes]:
    """Piece by piece, so that what unpacks to more than is kept is not unpacked to its end."""
    body = _Packed(incoming)
    packed = urllib3.HTTPResponse(body, {"Content-Encoding": packing}, incoming.status, preload_content=False)
    yield from packed.stream(_PIECE, decode_content=True)
    if not body.empty and not _is_whole(packed._decoder):
        raise (Broken if incoming.ends_with_connection else NotHttp)("What was packed has no end.")


def _is_whole(decoder: Any) -> bool:
    """Whether what urllib3 unpacked has come to its end, where it does not ask that itself."""
    if isinstance(decoder, MultiDecoder):
        return all(_is_whole(one) for one in decoder._decoders)
    if isinstance(decoder, GzipDecoder) and decoder._state == GzipDecoderState.SWALLOW_DATA:
        return True  # its end, and something else behind it
    return not isinstance(decoder, GzipDecoder | DeflateDecoder) or decoder._obj.eof
