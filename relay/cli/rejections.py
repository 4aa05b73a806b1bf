"""`diy rejections`: mutations that a partner refused for good."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TextIO

import click

from relay.backends.interfaces import Backend
from relay.cli.output import moment, show_json, show_table
from relay.cli.session import Session, with_state
from relay.domain.errors import ConfigurationError
from relay.health.rejections_csv import Counting, Selection, record, selected, text_of


@click.group()
def rejections() -> None:
    """Mutations that a partner refused for good, and why. A person appears as a hash only."""


@rejections.command("list")
@click.argument("connector", required=False)
@click.option("--audience", metavar="ID", help="Only those of this audience.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest so many.")
@with_state(json=True)
def list_(session: Session, connector: str | None, audience: str | None, limit: int) -> None:
    """The newest rejections, oldest of them first.

    \b
    Example:
      diy rejections list pangolin --limit 20
    """
    if connector is not None:
        session.backend.connectors.state(connector)
    found = session.backend.reports.rejections(connector, limit=limit, audience=audience, newest_first=True)
    newest = [rejection for _, rejection in reversed(found)]
    if session.as_json:
        show_json([record(rejection) for rejection in newest])
        return
    show_table(
        ["at", "connector", "audience", "direction", "action", "code", "hint", "user (sha-256)"],
        [
            [
                moment(one.at, session.now),
                one.connector,
                one.audience,
                one.direction,
                one.action,
                one.code,
                one.hint,
                one.user_hash[:12],
            ]
            for one in newest
        ],
        empty="No rejections.",
    )


@rejections.command()
@click.argument("connector", required=False)
@click.option("--audience", metavar="ID", help="Only those of this audience.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Where to write; standard output unless given. The file is complete once it is there.",
)
@with_state()
def export(session: Session, connector: str | None, audience: str | None, output: Path | None) -> None:
    """All kept rejections as CSV, oldest first.

    Users appear as the SHA-256 of their identifier as it was received: one who has the identifier finds its rows.

    \b
    Example:
      diy rejections export pangolin --output rejections.csv
    """
    if output is None:
        number = _write(sys.stdout, session.backend, connector, audience)
    else:
        number = _write_file(output, session.backend, connector, audience)
    subject = connector or "all connectors"
    session.backend.audit.add(by=session.by, what="export rejections", subject=subject, detail=str(number))
    session.note(f"{number:,} exported")


def _write_file(output: Path, backend: Backend, connector: str | None, audience: str | None) -> int:
    unfinished = output.with_name(f"{output.name}.part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            number = _write(file, backend, connector, audience)
        unfinished.replace(output)
    except OSError as error:
        raise ConfigurationError(f"{output} cannot be written: {error.strerror}.") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
    return number


def _write(file: TextIO, backend: Backend, connector: str | None, audience: str | None) -> int:
    if connector is not None:
        backend.connectors.state(connector)
    rejections = Counting(selected(backend.reports, Selection(connector, audience)))
    for piece in text_of(rejections):
        file.write(piece)
    return rejections.number
