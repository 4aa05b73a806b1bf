"""`diy users`: where one person is found, and how they are taken out of everything that is kept here."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import click

from relay.backends.interfaces import Forgotten, Found, Trace
from relay.backends.interfaces.traces import MOST_KEYS, PLACES, Place
from relay.cli.output import iso, moment, printable, show_json, show_table
from relay.cli.session import Session, with_state
from relay.domain.errors import StoreUnavailable
from relay.domain.person import Person
from relay.health.wording import count

_IN: dict[Place, str] = {
    "queue": "in the queue",
    "hold": "in holds",
    "journal": "in the journal",
    "rejections": "among the rejections",
}

_REMAINS = (
    "What the partners have: let the DMP remove the user from each audience. That comes through here as any other removal.",
    "What the DMP has: as long as it sends the user, the user comes back.",
    "Exports of rejections that were made before, with hashes. Logs, attempts and the audit hold no identifier.",
)
"""What no back end can remove."""

_NOT_ONE_PERSON = (
    "{:,} users, by their keys, carry this identifier: it does not seem to be one person's. What is of them without it is not "
    "looked for, nor are their rejections."
)

_REPLAYING = "which a replay sends again that may have sent the user before. Run the command again when the replay has ended."
_UNKNOWN = (
    "without which a replay could bring users back whose other changes were not searched for. Run the command again with the ID "
    "of each user."
)
"""Why removals stay in the journal, and what to do."""

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
        empty="Nothing here knows this person.",
    )
    session.note(f"SHA-256 of what was typed: {person.hash}")
    for sentence in (*_about(found), *_journals(session), *found.unseen):
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
    for sentence in _summary(found):
        click.echo(sentence)
    if found.traces and not yes:
        click.confirm("Forget this person for good?", abort=True, err=True)
    forgotten = _audited(session, person, lambda: traces.forget(person, compact=compact))
    _show(forgotten)
    if forgotten.in_turn or forgotten.unreached or _in_journal(forgotten):
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


# finding


def _about(found: Found) -> list[str]:
    sentences = []
    if found.users > MOST_KEYS:
        sentences.append(_NOT_ONE_PERSON.format(found.users))
    elif found.users > 1:
        sentences.append(f"{found.users:,} users, by their keys, carry this identifier: all of them are shown.")
    if any(trace.place == "journal" for trace in found.traces):
        sentences.append("What is in the journal, and in no other place, was delivered, overtaken by a later change, or skipped.")
    return sentences


def _journals(session: Session) -> list[str]:
    without = [state.name for state in session.backend.connectors.states() if not state.journal_since]
    if not without:
        return []
    return [f"No journal is kept by {', '.join(without)}: what was delivered there leaves no trace."]


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


# forgetting


def _summary(found: Found) -> list[str]:
    if not found.traces:
        return ["Nothing here knows this person."]
    numbers = Counter(trace.place for trace in found.traces)
    parts = [f"{numbers[place]:,} {_IN[place]}" for place in PLACES if numbers[place]]
    concerned = sorted({trace.connector for trace in found.traces})
    audiences = len({(trace.connector, trace.audience) for trace in found.traces})
    sentences = [f"Found: {', '.join(parts)}; {count(audiences, 'audience')} of {', '.join(concerned)}."]
    if known_by := sorted({name for trace in found.traces for name in trace.identifiers}):
        sentences.append(f"Known by: {printable(', '.join(known_by))}.")
    if found.users > MOST_KEYS:
        sentences.append(_NOT_ONE_PERSON.format(found.users))
    elif found.users > 1:
        sentences.append(f"{found.users:,} users, by their keys, carry this identifier: all of them would be forgotten.")
    return sentences


def _audited(session: Session, person: Person, forget: Callable[[], Forgotten]) -> Forgotten:
    """Noted in any case: what was cut short may have removed a part."""

    def note(detail: str) -> None:
        session.backend.audit.add(by=session.by, what="forget user", subject=person.hash, detail=detail)

    try:
        forgotten = forget()
    except BaseException:
        with suppress(StoreUnavailable):
            note("cut short: a part may be removed")
        raise
    parts = [f"{place} {number}" for place, number in forgotten.removed.items()]
    note(", ".join([*parts, f"kept {len(forgotten.kept)}", f"in hand {len(forgotten.in_turn)}"]))
    return forgotten


def _show(forgotten: Forgotten) -> None:
    removed = [f"{forgotten.removed[place]:,} {_IN[place]}" for place in PLACES if forgotten.removed[place]]
    click.echo(f"Removed: {', '.join(removed) or 'nothing'}.")
    for key, traces in _by_audience(trace for trace in forgotten.kept if trace.place != "journal"):
        reasons = " and ".join(sorted({trace.reason or "queued" for trace in traces}))
        click.echo(
            f"Kept: {count(len(traces), 'removal')} of {key} ({reasons}), which the partner has not got yet. Gone once delivered."
        )
    for key, traces in _by_audience(_in_journal(forgotten)):
        replays = any(trace.reason == "replaying" for trace in traces)
        click.echo(f"Kept: {count(len(traces), 'removal')} of {key} in the journal, {_REPLAYING if replays else _UNKNOWN}")
    for key, traces in _by_audience(forgotten.in_turn):
        click.echo(
            f"A worker has {count(len(traces), 'mutation')} of {key} in hand: run the command again, in three minutes at most."
        )
    for sentence in forgotten.unreached:
        click.echo(sentence)
    click.echo("What remains:")
    for sentence in (*_REMAINS, *forgotten.remains):
        click.echo(f"- {sentence}")


def _in_journal(forgotten: Forgotten) -> list[Trace]:
    return [trace for trace in forgotten.kept if trace.place == "journal"]


def _by_audience(traces: Iterable[Trace]) -> list[tuple[str, list[Trace]]]:
    found: dict[str, list[Trace]] = {}
    for trace in traces:
        found.setdefault(printable(f"{trace.connector}/{trace.audience}"), []).append(trace)
    return sorted(found.items())
