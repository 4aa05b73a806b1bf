"""The connector that a command speaks of: stored, in some version, or in a document that is not stored yet."""

from __future__ import annotations

from pathlib import Path

import click

from relay.backends.interfaces import Backend
from relay.cli.connectors.documents import read_file
from relay.connectors.live import document_of, live
from relay.domain.connector import Connector
from relay.domain.errors import ConfigurationError, Conflict, NotFound
from relay.health.wording import moment

file_option = click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A document that is not applied yet, instead of NAME. It may be unfinished. With NAME: which of its environments.",
)


def chosen_connector(backend: Backend, name: str, number: int | None = None) -> Connector:
    """The connector as it runs; in this version; or, where none is published, in the newest. Raises `NotFound`."""
    document = document_of(name)
    if number is None and any(state.name == name and state.live for state in backend.connectors.states()):
        return live(backend.connectors, name)
    version = backend.connectors.version(document, number or backend.connectors.versions(document)[-1].number)
    for connector in version.connectors:
        if connector.name == name:
            return connector
    raise NotFound(f"Version {version.number} of '{document}' has no connector '{name}'.")


def require_may_call(backend: Backend, connector: str, now: float) -> None:
    """While the partner wants not to be called (Retry-After), nobody calls it, not even to ask. Raises `Conflict`. The connector
    need not be a stored one."""
    state = next((state for state in backend.connectors.states() if state.name == connector), None)
    if state is not None and state.not_before > now and state.not_before_reason == "come_back_later":
        raise Conflict(f"The partner of {connector} asked not to be called before {moment(state.not_before)}.")


def connector_to_ask(backend: Backend, name: str, file: Path | None, *, asked: str = "") -> Connector:
    """The connector whose partner is asked: of the file, if there is one, else the stored one of that name. `asked`: the setting
    that is asked for, which the file may lack. `name` may be empty with a file. Raises `DocumentError`, `NotFound`,
    `ConfigurationError`."""
    if file is None:
        return chosen_connector(backend, name)
    from adapters.registry import describe
    from relay.connectors.document import read_to_ask

    connector = read_to_ask(read_file(file), asked, environment=name.partition("@")[2], describe=describe)
    if name and name != connector.name:
        raise ConfigurationError(f"{file} is the document of '{connector.document}', not of '{document_of(name)}'.")
    return connector
