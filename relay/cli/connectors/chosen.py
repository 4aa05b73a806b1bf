"""The connector that a command speaks of: stored, in some version, or in a document that is not stored yet."""

from __future__ import annotations

from pathlib import Path

import click

from relay.backends.interfaces import Backend
from relay.cli.connectors.documents import read_file
from relay.connectors.live import document_of
from relay.domain.connector import Connector
from relay.domain.errors import ConfigurationError
from relay.health.asking import chosen_connector, require_may_call

__all__ = ["chosen_connector", "connector_to_ask", "file_option", "require_may_call"]

file_option = click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A document that is not applied yet, instead of NAME. It may be unfinished. With NAME: which of its environments.",
)


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
