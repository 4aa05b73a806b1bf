"""`interfaces.InboundStore` as one file, which the receiver reads without any database."""

from __future__ import annotations

from pathlib import Path

from relay.backends.embedded.files import alone_in, replace_atomically
from relay.backends.records import INBOUND
from relay.domain.connector import InboundDocument
from relay.domain.errors import StoreUnavailable


class EmbeddedInbound:
    """The file holds secrets by value: readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> InboundDocument | None:
        try:
            return INBOUND.read(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(f"The file {self._path} cannot be read.") from error

    def write(self, document: InboundDocument) -> None:
        with alone_in(self._path.parent):
            try:
                replace_atomically(self._path, INBOUND.write(document))
            except OSError as error:
                raise StoreUnavailable(f"The file {self._path} cannot be written.") from error

    def changed(self) -> object:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(f"The file {self._path} cannot be read.") from error
        return found.st_mtime_ns, found.st_ino, found.st_size
