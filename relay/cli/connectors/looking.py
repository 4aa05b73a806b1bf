"""`diy connectors list, show, versions, diff`: what is there."""

from __future__ import annotations

import click

from relay.cli.output import iso, moment, show_fields, show_json, show_table, whole
from relay.cli.session import Session, with_state
from relay.connectors.live import all_live, document_of
from relay.domain.connector import DocumentVersion
from relay.domain.errors import NotFound


@click.command("list")
@with_state(json=True)
def list_(session: Session) -> None:
    """All connectors, and how they stand. For what needs someone: diy status.

    \b
    Example:
      diy connectors list --json
    """
    from relay.health.survey import all_states, look

    default = session.backend.connectors.default()
    health = {one.name: one for one in look(session.backend, session.now).connectors}
    states = all_states(session.backend)
    adapters = {connector.name: connector.adapter for connector in all_live(session.backend.connectors)}
    if session.as_json:
        show_json(
            [
                {
                    "name": state.name,
                    "document": document_of(state.name),
                    "adapter": adapters.get(state.name),
                    "version": state.live,
                    "standing": health[state.name].standing.replace(" ", "_"),
                    "enabled": state.enabled,
                    "paused": state.paused,
                    "default": state.name == default,
                    "actions_off": dict(state.actions),
                }
                for state in states
            ]
        )
        return
    show_table(
        ["name", "adapter", "version", "stands", "actions off", "answers at /"],
        [
            [
                state.name,
                adapters.get(state.name),
                state.live or None,
                health[state.name].standing,
                ", ".join(f"{action} ({switch})" for action, switch in state.actions.items()),
                "yes" if state.name == default else None,
            ]
            for state in states
        ],
        empty="No connectors yet: diy connectors apply FILE",
    )


@click.command()
@click.argument("name")
@click.option("--version", "number", type=click.IntRange(1), help="Another version than the one that runs.")
@click.option("--yaml", "only_yaml", is_flag=True, help="Only the document, as it was applied.")
@with_state(json=True)
def show(session: Session, name: str, number: int | None, only_yaml: bool) -> None:
    """The document of a connector. Of the version that runs, else of the newest.

    With --json also every setting as it runs, defaults filled in.

    \b
    Examples:
      diy connectors show pangolin
      diy connectors show pangolin --version 2 --yaml > connector.yaml
    """
    version = _version(session, name, number)
    live = _live_number(session, version.document)
    if session.as_json:
        show_json({**_as_json(version, live), "text": version.text, "connectors": whole(version.connectors)})
        return
    if not only_yaml:
        show_fields(
            [
                ("document", version.document),
                ("version", f"{version.number}{' (runs)' if version.number == live else ''}"),
                ("connectors", ", ".join(connector.name for connector in version.connectors)),
                ("applied", moment(version.at, session.now)),
                ("by", version.by),
                ("note", version.note),
                ("published", moment(version.published_at, session.now)),
            ]
        )
        click.echo()
    click.echo(version.text, nl=not version.text.endswith("\n"))


@click.command()
@click.argument("name")
@with_state(json=True)
def versions(session: Session, name: str) -> None:
    """The versions of a document, oldest first.

    \b
    Example:
      diy connectors versions pangolin
    """
    document = document_of(name)
    found = session.backend.connectors.versions(document)
    live = _live_number(session, document)
    if session.as_json:
        show_json([_as_json(version, live) for version in found])
        return
    show_table(
        ["version", "runs", "applied", "by", "published", "note"],
        [
            [
                version.number,
                "yes" if version.number == live else None,
                moment(version.at, session.now),
                version.by,
                moment(version.published_at, session.now) if version.published_at else "draft",
                version.note,
            ]
            for version in found
        ],
        empty="No versions.",
    )


@click.command()
@click.argument("name")
@click.argument("a", type=click.IntRange(1), required=False)
@click.argument("b", type=click.IntRange(1), required=False)
@with_state(json=True)
def diff(session: Session, name: str, a: int | None, b: int | None) -> None:
    """What changed from version A to version B. Without B: to the newest. Without both: from the one that runs to the newest, or,
    where these are the same, from the one before it.

    \b
    Examples:
      diy connectors diff pangolin
      diy connectors diff pangolin 2 5
    """
    from relay.cli.publishing import open_publishing

    document = document_of(name)
    numbers = [version.number for version in session.backend.connectors.versions(document)]
    after = b or numbers[-1]
    before = a or _live_number(session, document)
    if a is None and (before == after or not before):
        before = max((number for number in numbers if number < after), default=after)
    text = open_publishing(session).diff(document, before, after)
    if session.as_json:
        show_json({"document": document, "from": before, "to": after, "diff": text})
    elif text:
        click.echo(text, nl=False)
    elif a is None and len(numbers) == 1:
        session.note(f"There is only version {after} of {document}.")
    else:
        session.note(f"Versions {before} and {after} of {document} say the same.")


def _version(session: Session, name: str, number: int | None) -> DocumentVersion:
    document = document_of(name)
    found = session.backend.connectors.versions(document)
    wanted = number or _live_number(session, document) or found[-1].number
    version = next((one for one in found if one.number == wanted), None)
    if version is None:
        raise NotFound(f"The document {document!r} has no version {wanted}; it has 1 to {found[-1].number}.")
    if name not in {document, *(connector.name for connector in version.connectors)}:
        raise NotFound(f"Version {wanted} of {document!r} has no connector {name!r}.")
    return version


def _live_number(session: Session, document: str) -> int:
    """Number of the version that runs; 0 if none does."""
    return next((state.live for state in session.backend.connectors.states() if state.name == document), 0)


def _as_json(version: DocumentVersion, live: int) -> dict[str, object]:
    return {
        "document": version.document,
        "version": version.number,
        "runs": version.number == live,
        "applied_at": iso(version.at),
        "by": version.by,
        "note": version.note,
        "published_at": iso(version.published_at),
    }
