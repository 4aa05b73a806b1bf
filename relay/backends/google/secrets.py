"""`interfaces.Secrets` on Secret Manager, each value kept in memory for a while.

The current value is the latest version. The previous one is the version that the alias `previous` names; every other version is
destroyed. Both are set in an order in which no value is refused at any moment that is to be accepted before and after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from relay.backends.google.secret_versions import LONGEST_ID, MOST_BYTES, SERVICE, SecretVersions
from relay.backends.interfaces import SecretInfo
from relay.backends.secret_names import is_secret_name, require_secret_name, require_secret_value
from relay.configuration import Configuration
from relay.domain.clock import Clock
from relay.domain.errors import ConfigurationError, NotFound, StoreUnavailable
from relay.wide_log import log

if TYPE_CHECKING:
    from google.cloud.secretmanager_v1 import Secret

    from relay.backends.google.channels import Channels

KEPT_S = 60.0
"""A change made by another process is seen after so long at the latest."""

DOWN_FOR_S = 10.0
"""While Secret Manager does not answer, it is asked again after so long, and the last good values are used in between."""

UNUSABLE_FOR_S = 10.0
"""A secret that Secret Manager does not give (its latest version is disabled, a role is missing) is asked for again after so
long: not with every message that needs it, and soon enough for one who has mended it."""

SETTLING_S = 300.0
"""For so long after a change of ours an older version is not taken for the latest: all but reading a version by its number is
only eventually consistent (https://cloud.google.com/secret-manager/docs/reference/consistency)."""

_PREVIOUS = "previous"

_CHANGED = "diy-relay-changed"
"""The annotation that says when a secret was changed: number of its current version, '@', seconds since the epoch."""

_TRIES = 8
_FIRST_PAUSE_S = 0.02

INBOUND = "inbound"
"""The inbound document has the ID that a secret of this name would have."""

_SECRET_NAMED_INBOUND = "inboundSECRET"  # noqa: S105 - an ID


class _Known(NamedTuple):
    """What was found. number: of the current version, 0 if the secret is not set. made_at: when the secret itself was made.
    ours_at: when this process changed it; None if it did not. unusable: why there is a secret and yet no value to be had."""

    values: tuple[str, ...]
    number: int
    made_at: object
    checked_at: float
    ours_at: float | None = None
    unusable: str = ""

    def usable(self) -> tuple[str, ...]:
        """The values. Raises `ConfigurationError`."""
        if self.unusable:
            raise ConfigurationError(self.unusable)
        return self.values


class GoogleSecrets:
    """Used by several threads at once."""

    def __init__(self, channels: Channels, configuration: Configuration, clock: Clock) -> None:
        self._versions = SecretVersions(channels, configuration)
        self._prefix = configuration.secret_prefix
        self._clock = clock
        self._lock = threading.Lock()
        self._changing = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._down_until: float | None = None

    def get(self, name: str) -> tuple[str, ...]:
        secret = self._id(name)
        now = self._clock.monotonic()
        with self._lock:
            known = self._known.get(name)
            if known is not None:
                if now - known.checked_at < KEPT_S or (self._down_until is not None and now < self._down_until):
                    return known.usable()
                # While this thread asks, others go on with what is known.
                known = self._known[name] = known._replace(checked_at=now)
        try:
            found = self._find(name, secret, known)
        except StoreUnavailable as trouble:
            if known is None:
                raise
            self._note_down(name, known, trouble)
            return known.usable()
        with self._lock:
            if self._known.get(name) is known:  # else it was changed here meanwhile
                self._known[name] = found
        self._note_up()
        return found.usable()

    def set(self, name: str, value: str) -> None:
        secret, payload = self._id(name), _payload(name, value)
        with self._changes(name):
            number = self._versions.add(secret, payload)
            described = self._change(secret, lambda described: self._mark(described, number, previous=None))
            self._versions.destroy_before(secret, number)
            self._remember(name, (value,), number, described)

    def rotate(self, name: str, value: str) -> None:
        secret, payload = self._id(name), _payload(name, value)
        with self._changes(name):
            current = self._existing(name, secret)
            if current.values[0] == value:
                return
            self._change(secret, lambda described: self._mark(described, current.number, previous=current.number))
            added = self._versions.add(secret, payload)
            latest, before = added, current.number

            def in_order(described: Secret) -> None:
                # Of several who rotate at once, whoever adds last has the value right before its own as the previous one.
                nonlocal latest, before
                *_, before, latest = sorted({*self._versions.standing(secret), current.number, added})
                self._mark(described, latest, previous=before)

            described = self._change(secret, in_order)
            self._versions.destroy_before(secret, before)
            self._remember(name, self._values(name, secret, latest, before), latest, described)

    def retire(self, name: str) -> None:
        secret = self._id(name)
        with self._changes(name):
            current = self._existing(name, secret)
            described = self._change(secret, lambda described: self._mark(described, current.number, previous=None))
            self._versions.destroy_before(secret, current.number)
            self._remember(name, current.values[:1], current.number, described)

    def delete(self, name: str) -> None:
        secret = self._id(name)
        with self._changes(name):
            existed = self._versions.delete(secret)
            with self._lock:
                self._known[name] = _Known((), 0, None, checked_at=self._clock.monotonic())
        if not existed:
            raise _not_set(name)

    def all(self) -> list[SecretInfo]:
        found = []
        for rest, described in self._versions.all(self._prefix):
            name = _name_of(rest)
            latest = self._versions.latest_made_at(f"{self._prefix}{rest}") if name else None
            if name and latest:
                number, made_at = latest
                marked_number, _, marked_at = described.annotations.get(_CHANGED, "").partition("@")
                found.append(
                    SecretInfo(
                        name=name,
                        # Whoever adds a version by other means leaves the annotation as it is.
                        changed_at=float(marked_at) if marked_number == str(number) else made_at,
                        has_previous=described.version_aliases.get(_PREVIOUS, number) != number,
                    )
                )
        return sorted(found, key=lambda info: info.name)

    # what is stored
    def _existing(self, name: str, secret: str) -> _Known:
        found = self._find(name, secret, self._known.get(name))
        with self._lock:
            self._known[name] = found
        if not found.usable():
            raise _not_set(name)
        return found

    def _find(self, name: str, secret: str, known: _Known | None) -> _Known:
        """The value before the alias: of a rotation in between, it finds the older value twice, and never the newer one alone."""
        now = self._clock.monotonic()
        ours = known if known is not None and known.ours_at is not None and now - known.ours_at < SETTLING_S else None
        latest = None
        try:
            latest = self._versions.read(secret)
            described = self._versions.describe(secret) if latest else None
            if latest is None or described is None:
                return _Known((), 0, None, checked_at=now)
            if ours is not None and latest.number < ours.number and described.create_time == ours.made_at:
                return ours._replace(checked_at=now)
            current = _text(name, latest.payload)
            before = described.version_aliases.get(_PREVIOUS, latest.number)
            values = (current, *(self._values(name, secret, before) if before != latest.number else ()))
        except ConfigurationError as trouble:
            if ours is not None and latest is None:  # the version before may still be the latest, and we have destroyed it
                return ours._replace(checked_at=now)
            return _Known((), 0, None, checked_at=now - KEPT_S + UNUSABLE_FOR_S, unusable=str(trouble))
        return _Known(values if current else (), latest.number, described.create_time, checked_at=now)

    def _values(self, name: str, secret: str, *numbers: int) -> tuple[str, ...]:
        """Those of these versions that still have one."""
        versions = [self._versions.read(secret, number) for number in numbers]
        return tuple(_text(name, version.payload) for version in versions if version is not None and version.payload)

    def _change(self, secret: str, edit: Callable[[Secret], None]) -> Secret:
        """Changes its aliases and annotations. `edit` is called anew with what is stored whenever others were faster."""
        pause = _FIRST_PAUSE_S
        for _ in range(_TRIES):
            described = self._versions.describe(secret)
            if described is not None:
                edit(described)
                if self._versions.change(described):
                    return described
            self._clock.sleep(pause)
            pause *= 2
        raise StoreUnavailable("The secret is being changed or was deleted by others at the same time.")

    def _mark(self, described: Secret, number: int, *, previous: int | None) -> None:
        if previous is None:
            described.version_aliases.pop(_PREVIOUS, None)
        else:
            described.version_aliases[_PREVIOUS] = previous
        described.annotations[_CHANGED] = f"{number}@{self._clock.now()!r}"

    # what is known
    @contextmanager
    def _changes(self, name: str) -> Iterator[None]:
        """One change at a time in this process. After one that failed halfway, what is known of the secret is not relied upon."""
        with self._changing:
            try:
                yield
            except BaseException:
                with self._lock:
                    known = self._known.get(name)
                    if known is not None:
                        self._known[name] = known._replace(checked_at=self._clock.monotonic() - KEPT_S)
                raise

    def _remember(self, name: str, values: tuple[str, ...], number: int, described: Secret) -> None:
        now = self._clock.monotonic()
        with self._lock:
            self._known[name] = _Known(values, number, described.create_time, checked_at=now, ours_at=now)

    def _note_down(self, name: str, known: _Known, trouble: StoreUnavailable) -> None:
        now = self._clock.monotonic()
        with self._lock:
            begins = self._down_until is None
            self._down_until = now + DOWN_FOR_S
            if self._known.get(name) is known:
                self._known[name] = known._replace(checked_at=now - KEPT_S)
        if begins:
            log("secrets_unreachable", "ERROR", service=SERVICE, hint=f"{trouble} The last good values are used.")

    def _note_up(self) -> None:
        with self._lock:
            ends = self._down_until is not None
            self._down_until = None
        if ends:
            log("secrets_reachable_again", service=SERVICE)

    def _id(self, name: str) -> str:
        require_secret_name(name)
        secret = self._prefix + (_SECRET_NAMED_INBOUND if name == INBOUND else name.replace(".", "DOT"))
        if len(secret) > LONGEST_ID:
            raise ConfigurationError(
                f"The secret's name is too long: with {self._prefix!r} before it, and 'DOT' for each dot, it may have "
                f"{LONGEST_ID} characters."
            )
        return secret


def _name_of(rest: str) -> str | None:
    """The name of a secret whose ID is this behind the prefix; None if it is none of these."""
    if rest == _SECRET_NAMED_INBOUND:
        return INBOUND
    name = rest.replace("DOT", ".")
    return name if is_secret_name(name) and name != INBOUND else None


def _payload(name: str, value: str) -> bytes:
    require_secret_value(name, value)
    payload = value.encode()
    if len(payload) > MOST_BYTES:
        raise ConfigurationError(f"The secret {name!r} has {len(payload):,} bytes; {SERVICE} takes {MOST_BYTES:,}.")
    return payload


def _text(name: str, payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        # Without the cause, which holds the value.
        raise ConfigurationError(f"The secret {name!r} in {SERVICE} is not text in UTF-8: set it anew.") from None


def _not_set(name: str) -> NotFound:
    return NotFound(f"The secret {name!r} is not set.")
