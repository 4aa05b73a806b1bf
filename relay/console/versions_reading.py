"""The versions of a document: the list, what changed between two, and what publishing one would bring."""

from __future__ import annotations

import msgspec

from adapters.registry import describe
from relay.backends.interfaces import Backend
from relay.connectors.completeness import missing
from relay.console.editing.diffs import Line, lines_of_diff
from relay.domain.connector import DocumentVersion
from relay.domain.errors import NotFound
from relay.health.journal_loss import journal_losses

MOST_VERSIONS = 50

class Versions(msgspec.Struct, frozen=True):
    """The newest first. running: number of the one that runs; 0: none. older: how many are left out."""

    document: str
    running: int
    listed: tuple[DocumentVersion, ...]
    numbers: tuple[int, ...]
    older: int


class Publication(msgspec.Struct, frozen=True):
    """One version, and what publishing it would bring. back: it is older than the one that runs, and was published before.
    lacking: why connectors of it would not run. gone: connectors that it does not have."""

    version: DocumentVersion
    running: int
    back: bool
    losses: tuple[str, ...]
    lacking: tuple[str, ...]
    gone: tuple[str, ...]

    @property
    def runs(self) -> bool:
        """Whether it is the one that runs."""
        return self.version.number == self.running


def versions_of(backend: Backend, document: str, *, before: int = 0) -> Versions:
    """before: only versions older than this one. Raises `NotFound`."""
    found = backend.connectors.versions(document)[::-1]
    shown = [one for one in found if not before or one.number < before]
    return Versions(
        document=document,
        running=running_number(backend, document),
        listed=tuple(shown[:MOST_VERSIONS]),
        numbers=tuple(one.number for one in found),
        older=max(0, len(shown) - MOST_VERSIONS),
    )


def running_number(backend: Backend, document: str) -> int:
    """Number of the version that runs; 0: none."""
    return next((state.live for state in backend.connectors.states() if state.name == document), 0)


def publication(backend: Backend, document: str, number: int, *, now: float, counted: bool) -> Publication:
    """counted: see `journal_losses`. Raises `NotFound`."""
    found = backend.connectors.versions(document)
    version = next((one for one in found if one.number == number), None)
    if version is None:
        raise NotFound(f"The document '{document}' has no version {number}.")
    running = running_number(backend, document)
    runs_now = next((one for one in found if one.number == running), None)
    names = {connector.name for connector in version.connectors}
    return Publication(
        version=version,
        running=running,
        back=number < running and bool(version.published_at),
        losses=tuple(journal_losses(backend, document, version.connectors, now=now, counted=counted)),
        lacking=tuple(_lacking(backend, version)),
        gone=tuple(one.name for one in runs_now.connectors if one.name not in names) if runs_now else (),
    )


def difference(backend: Backend, document: str, a: int, b: int) -> list[Line]:
    """What changed from version `a` to version `b`. Raises `NotFound`."""
    return lines_of_diff(*(backend.connectors.version(document, number).text for number in (a, b)))


def _lacking(backend: Backend, version: DocumentVersion) -> list[str]:
    found = []
    for connector in version.connectors:
        description = describe(connector.adapter, connector.settings)
        if description is None:
            found.append(f"{connector.name}: this program has no adapter '{connector.adapter}'.")
            continue
        sentences = (one.partition(": diy secrets set ")[0] for one in missing(connector, description, backend.secrets))
        found.extend(f"{connector.name}: {sentence.rstrip('.')}." for sentence in sentences)
    return found
