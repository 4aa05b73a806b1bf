"""`interfaces.Secrets` as files, one a secret, readable by their owner only."""

from __future__ import annotations

from pathlib import Path

import msgspec

from relay.backends.embedded.files import alone_in, remove_durably, replace_atomically
from relay.backends.interfaces import SecretInfo
from relay.backends.secret_names import is_secret_name, require_secret_name, require_secret_value
from relay.domain.clock import Clock
from relay.domain.errors import ConfigurationError, NotFound, StoreUnavailable


class _Stored(msgspec.Struct, frozen=True):
    current: str
    previous: str | None
    changed_at: float


class EmbeddedSecrets:
    """Each method reads or replaces files as a whole; changes by several processes come one after the other."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    def get(self, name: str) -> tuple[str, ...]:
        stored = self._read(name)
        if stored is None:
            return ()
        return (stored.current,) if stored.previous is None else (stored.current, stored.previous)

    def set(self, name: str, value: str) -> None:
        with alone_in(self._directory):
            self._write(name, value, previous=None)

    def rotate(self, name: str, value: str) -> None:
        with alone_in(self._directory):
            current = self._existing(name).current
            if value != current:
                self._write(name, value, previous=current)

    def retire(self, name: str) -> None:
        with alone_in(self._directory):
            self._write(name, self._existing(name).current, previous=None)

    def delete(self, name: str) -> None:
        with alone_in(self._directory):
            self._existing(name)
            path = self._path(name)
            try:
                remove_durably(path)
            except OSError as error:
                raise StoreUnavailable(f"The file {path} cannot be removed.") from error

    def all(self) -> list[SecretInfo]:
        try:
            names = sorted(path.name for path in self._directory.iterdir() if is_secret_name(path.name))
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise StoreUnavailable(f"The directory {self._directory} cannot be read.") from error
        found = [(name, self._read(name)) for name in names]
        return [
            SecretInfo(name=name, changed_at=stored.changed_at, has_previous=stored.previous is not None)
            for name, stored in found
            if stored is not None
        ]

    def _existing(self, name: str) -> _Stored:
        stored = self._read(name)
        if stored is None:
            raise NotFound(f"The secret {name!r} is not set.")
        return stored

    def _read(self, name: str) -> _Stored | None:
        path = self._path(name)
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Stored)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(f"The file {path} cannot be read.") from error
        except msgspec.DecodeError:
            # Without the cause, whose text may quote the file.
            raise ConfigurationError(f"The file {path} is not a secret as `diy secrets set` writes them: set it anew.") from None

    def _write(self, name: str, value: str, *, previous: str | None) -> None:
        path = self._path(name)
        require_secret_value(name, value)
        stored = _Stored(current=value, previous=previous, changed_at=self._clock.now())
        try:
            replace_atomically(path, msgspec.json.encode(stored))
        except OSError as error:
            raise StoreUnavailable(f"The file {path} cannot be written.") from error

    def _path(self, name: str) -> Path:
        require_secret_name(name)
        return self._directory / name
