"""What has to be done now and then, each part tried whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from relay.backends.interfaces import Backend
from relay.connectors.inbound_document import refresh_inbound
from relay.domain.clock import Clock
from relay.domain.errors import StoreUnavailable
from relay.wide_log import log, place_of
from worker.catalog import Catalog
from worker.retention import retire_old


class Tidied(msgspec.Struct, frozen=True):
    """retired: batches that left their holds for their age. failed: names of the parts that did not get to their end.
    passes: whether these failed only because the store could not be reached."""

    retired: int
    failed: tuple[str, ...]
    passes: bool


def tidy_up(backend: Backend, catalog: Catalog, clock: Clock) -> Tidied:
    """Retires old batches from their holds (`retire_old`), deletes old records (`tidy`), and writes the inbound document if
    someone was stopped before he could (`refresh_inbound`). Raises nothing; one log line."""
    began = clock.monotonic()
    retired = 0
    errors: dict[str, Exception] = {}

    def retire() -> None:
        nonlocal retired
        retired = retire_old(backend, catalog, clock)

    parts: dict[str, Callable[[], None]] = {
        "retire_old": retire,
        "tidy": backend.tidy,
        "refresh_inbound": lambda: refresh_inbound(backend),
    }
    for name, part in parts.items():
        try:
            part()
        except Exception as error:
            errors[name] = error
    log(
        "tidied",
        "ERROR" if errors else "INFO",
        retired=retired,
        parts=len(parts),
        failed=list(errors),
        # The text of any other error may hold identifiers.
        hints=[str(error) if isinstance(error, StoreUnavailable) else _described(error) for error in errors.values()],
        duration_ms=round((clock.monotonic() - began) * 1000, 1),
    )
    return Tidied(retired, tuple(errors), all(isinstance(error, StoreUnavailable) for error in errors.values()))


def _described(error: Exception) -> str:
    return f"{type(error).__name__} at {place_of(error)}"
