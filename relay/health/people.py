"""What is said of a person that was looked for, and of one who is forgotten. No sentence has an identifier in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

from relay.backends.interfaces import Audit, Forgotten, Found, Trace
from relay.backends.interfaces.traces import MOST_KEYS, PLACES, Place
from relay.domain.connector import ConnectorState
from relay.domain.errors import StoreUnavailable
from relay.domain.person import Person
from relay.health.wording import count

_IN: dict[Place, str] = {
    "queue": "in the queue",
    "hold": "in holds",
    "journal": "in the journal",
    "rejections": "among the rejections",
}

REMAINS = (
    "What the partners have: let the DMP remove the user from each audience. That comes through here as any other removal, and "
    "stays in the journal where there is one: forget the user once more afterwards.",
    "What the DMP has: as long as it sends the user, the user comes back.",
    "Exports of rejections that were made before, with hashes. Logs, attempts and the audit hold no identifier.",
)
"""What no back end can remove."""

_NOT_ONE_PERSON = (
    "{:,} users, by their keys, carry this identifier: it does not seem to be one person's. What is of them without it is not "
    "looked for, nor are their rejections."
)

NOBODY = "Nothing here knows this person."


# found


def several(found: Found) -> list[str]:
    """Where the identifier is not of one user only."""
    if found.users > MOST_KEYS:
        return [_NOT_ONE_PERSON.format(found.users)]
    if found.users > 1:
        return [f"{found.users:,} users, by their keys, carry this identifier: all of them are shown."]
    return []


def journaled(found: Found) -> list[str]:
    """What it says that something is in the journal."""
    if not any(trace.place == "journal" for trace in found.traces):
        return []
    return ["What is in the journal, and in no other place, was delivered, overtaken by a later change, or skipped."]


def without_journal(states: Iterable[ConnectorState]) -> list[str]:
    """Where nobody can tell whether the person was delivered."""
    without = [state.name for state in states if not state.journal_since]
    if not without:
        return []
    return [f"No journal is kept by {', '.join(without)}: what was delivered there leaves no trace."]


# to be forgotten


def summary(found: Found) -> list[str]:
    """What forgetting concerns."""
    if not found.traces:
        return [NOBODY]
    numbers = Counter(trace.place for trace in found.traces)
    parts = [f"{numbers[place]:,} {_IN[place]}" for place in PLACES if numbers[place]]
    concerned = sorted({trace.connector for trace in found.traces})
    audiences = len({(trace.connector, trace.audience) for trace in found.traces})
    sentences = [f"Found: {', '.join(parts)}; {count(audiences, 'audience')} of {', '.join(concerned)}."]
    if known_by := sorted({name for trace in found.traces for name in trace.identifiers}):
        sentences.append(f"Known by: {', '.join(known_by)}.")
    if found.users > MOST_KEYS:
        sentences.append(_NOT_ONE_PERSON.format(found.users))
    elif found.users > 1:
        sentences.append(f"{found.users:,} users, by their keys, carry this identifier: all of them would be forgotten.")
    return sentences


def audited(audit: Audit, by: str, person: Person, forget: Callable[[], Forgotten]) -> Forgotten:
    """Forgets, and notes it in any case: what was cut short may have removed a part."""

    def note(detail: str) -> None:
        audit.add(by=by, what="forget user", subject=person.hash, detail=detail)

    try:
        forgotten = forget()
    except BaseException:
        with suppress(StoreUnavailable):
            note("cut short: a part may be removed")
        raise
    parts = [f"{place} {number}" for place, number in forgotten.removed.items()]
    note(", ".join([*parts, f"kept {len(forgotten.kept)}", f"in hand {len(forgotten.in_turn)}"]))
    return forgotten


# forgotten


def told(forgotten: Forgotten, *, again: str = "run the command again") -> list[str]:
    """What became of it. `again`: how the same is done once more, as the reader is asked to."""
    asked = again[0].upper() + again[1:]
    removed = [f"{forgotten.removed[place]:,} {_IN[place]}" for place in PLACES if forgotten.removed[place]]
    sentences = [f"Removed: {', '.join(removed) or 'nothing'}."]
    for key, traces in _by_audience(trace for trace in forgotten.kept if trace.place != "journal"):
        reasons = " and ".join(sorted({trace.reason or "queued" for trace in traces}))
        sentences.append(
            f"Kept: {count(len(traces), 'removal')} of {key} ({reasons}), which the partner has not got yet. Gone once delivered."
        )
    for key, traces in _by_audience(_in_journal(forgotten)):
        if any(trace.reason == "replaying" for trace in traces):
            why = f"which a replay sends again that may have sent the user before. {asked} when the replay has ended."
        else:
            why = (
                "without which a replay could bring users back whose other changes were not searched for. "
                f"{asked} with the ID of each user."
            )
        sentences.append(f"Kept: {count(len(traces), 'removal')} of {key} in the journal, {why}")
    for key, traces in _by_audience(forgotten.in_turn):
        sentences.append(f"A worker has {count(len(traces), 'mutation')} of {key} in hand: {again}, in three minutes at most.")
    return [*sentences, *forgotten.unreached]


def is_unfinished(forgotten: Forgotten) -> bool:
    """Whether it is to be done once more."""
    return bool(forgotten.in_turn or forgotten.unreached or _in_journal(forgotten))


def remains(forgotten: Forgotten) -> list[str]:
    """What is left elsewhere, and stays there."""
    return [*REMAINS, *forgotten.remains]


def _in_journal(forgotten: Forgotten) -> list[Trace]:
    return [trace for trace in forgotten.kept if trace.place == "journal"]


def _by_audience(traces: Iterable[Trace]) -> list[tuple[str, list[Trace]]]:
    found: dict[str, list[Trace]] = {}
    for trace in traces:
        found.setdefault(f"{trace.connector}/{trace.audience}", []).append(trace)
    return sorted(found.items())
