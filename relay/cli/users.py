"""`diy users`: where one person is found, and how they are taken out of everything that is kept here."""

from __future__ import annotations

import sys
from typing import Any

import click

from relay.backends.interfaces import Found
from relay.cli.output import iso, moment, printable, show_json, show_table
from relay.cli.session import Session, with_state
from relay.domain.person import Person
from relay.health import people

identifier_argument = click.argument("identifier", required=False)


@click.group()
def users() -> None:
    """One person in all that is kept here, by an identifier. It is never shown."""


@users.command()
@identifier_argument
@with_state(json=True)
def find(session: Session, identifier: str | None) -> None:
    """Where a person is found, and why it waits or was rejected.

    Looks into the queue, the holds, the journal and the rejections, and shows the oldest first. IDENTIFIER is an ID, an e-mail
    address, a phone number with its country, any other identifier, or the SHA-256 of one. Without it, or with -, it is asked for
    without an echo, or read from standard input: then no shell remembers it.

    What was delivered is only found where the connector keeps a journal (retention.journal).

    \b
    Examples:
      diy users find
      diy users find u-4711 --json
    """
    person = _person(session, identifier)
    found = session.backend.traces.find(person)
    if session.as_json:
        show_json(_as_json(session, person, found))
        return
    show_table(
        ["at", "connector", "audience", "direction", "where", "why", "known by", "request", "index", "user (sha-256)"],
        [
            [
                moment(trace.at, session.now),
                trace.connector,
                trace.audience,
                trace.direction,
                "queue, in a worker's hands" if trace.in_turn else trace.place,
                trace.reason,
                ", ".join(trace.identifiers),
                trace.request_id,
                trace.index,
                trace.user_hash[:12],
            ]
            for trace in found.traces
        ],
        empty=people.NOBODY,
    )
    session.note(f"SHA-256 of what was typed: {person.hash}")
    without = people.without_journal(session.backend.connectors.states())
    for sentence in (*people.several(found), *people.journaled(found), *without, *found.unseen):
        session.note(sentence)


@users.command()
@identifier_argument
@click.option("--yes", is_flag=True, help="Does not ask.")
@click.option("--compact", is_flag=True, help="Rewrites the embedded database's file, whatever its size; others wait meanwhile.")
@with_state()
def forget(session: Session, identifier: str | None, yes: bool, compact: bool) -> None:
    """Takes a person out of all that is kept here.

    Out of the queue, the holds and the journal; their rejections are deleted; what remains elsewhere is said. IDENTIFIER: see diy
    users find, which shows what this concerns.

    A removal that has not reached the partner is kept, since without it the partner would keep the user; it goes once it is
    delivered. So is one in the journal while a replay sends that again. Others of the same batches stay as they are. Exit code 1:
    something could not be reached now; what to do is said.

    \b
    Examples:
      diy users forget
      pass show request-17 | diy users forget --yes
    """
    if not yes and identifier in (None, "-") and not sys.stdin.isatty():
        raise click.UsageError("Where the identifier comes from standard input, nobody can be asked: add --yes.")
    person = _person(session, identifier)
    traces = session.backend.traces
    found = traces.find(person)
    click.echo(f"SHA-256 of what was typed: {person.hash}")
    for sentence in people.summary(found):
        click.echo(printable(sentence))
    if found.traces and not yes:
        click.confirm("Forget this person for good?", abort=True, err=True)
    forgotten = people.audited(session.backend.audit, session.by, person, lambda: traces.forget(person, compact=compact))
    for sentence in people.told(forgotten):
        click.echo(printable(sentence))
    click.echo("What remains:")
    for sentence in people.remains(forgotten):
        click.echo(f"- {sentence}")
    if people.is_unfinished(forgotten):
        click.get_current_context().exit(1)


def _person(session: Session, identifier: str | None) -> Person:
    if identifier is None or identifier == "-":
        if sys.stdin.isatty():
            identifier = click.prompt("Identifier", hide_input=True, err=True)
        else:
            identifier = sys.stdin.readline()
    else:
        session.note("The shell may remember the identifier; without it, or with -, it is asked for.")
    try:
        return Person(identifier or "")
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _as_json(session: Session, person: Person, found: Found) -> dict[str, Any]:
    return {
        "sha256": person.hash,
        "users": found.users,
        "traces": [
            {
                "place": trace.place,
                "connector": trace.connector,
                "audience": trace.audience,
                "direction": trace.direction,
                "at": iso(trace.at),
                "request_id": trace.request_id,
                "index": trace.index,
                "user_sha256": trace.user_hash,
                "identifiers": list(trace.identifiers),
                "reason": trace.reason,
                "action": trace.action,
                "hint": trace.hint,
                "in_turn": trace.in_turn,
            }
            for trace in found.traces
        ],
        "journals": [
            {"connector": state.name, "since": iso(state.journal_since)} for state in session.backend.connectors.states()
        ],
        "unseen": list(found.unseen),
    }
