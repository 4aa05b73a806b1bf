"""What there is of one person, wherever it is kept, and how it is taken away."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, Protocol

import msgspec
from msgspec.structs import replace

from relay.domain.message import Message, Mutation
from relay.domain.outcome import Rejection, hash_user
from relay.domain.person import Person

Place = Literal["queue", "hold", "journal", "rejections"]
PLACES: tuple[Place, ...] = ("queue", "hold", "journal", "rejections")

MOST_KEYS = 20
"""Users that share an identifier who are looked for by their own keys, too. What more of them share is no identifier of
one person (a test address, a shop's phone number)."""


class Trace(msgspec.Struct, frozen=True):
    """One mutation of the person in one place. Carries none of their identifiers.

    at           when its request came in, seconds since the epoch; of a rejection: when it was made
    user_hash    of the user's key (`Rejection.user_hash`)
    identifiers  names of those by which it is the person's; none of a rejection, which keeps a hash only
    reason       why it waits in its hold; the code of its rejection
    action, hint of a rejection
    in_turn      a worker has the message in hand
    """

    place: Place
    connector: str
    audience: str
    request_id: str
    index: int
    direction: str
    at: float
    user_hash: str
    identifiers: tuple[str, ...] = ()
    reason: str = ""
    action: str = ""
    hint: str = ""
    in_turn: bool = False


class Found(msgspec.Struct, frozen=True):
    """What was found of a person.

    traces  oldest first, those of one audience in the order of the queue
    users   how many users carry the identifier, by their keys
    unseen  sentences: what could not be looked into
    """

    traces: tuple[Trace, ...]
    users: int
    unseen: tuple[str, ...] = ()


class Forgotten(msgspec.Struct, frozen=True):
    """What became of a person's traces.

    removed    place → mutations (of the rejections: these) that are gone
    kept       removals that wait for the partner, which has not got them; those in the journal have to be sent again behind what
               brings the user back, by a replay that goes on (reason `replaying`) or by one that is asked for later
    in_turn    what workers had in hand all the time
    unreached  sentences: what else could not be removed now, and what to do
    remains    sentences: what this back end cannot remove at all
    """

    removed: Mapping[Place, int]
    kept: tuple[Trace, ...] = ()
    in_turn: tuple[Trace, ...] = ()
    unreached: tuple[str, ...] = ()
    remains: tuple[str, ...] = ()


class Traces(Protocol):
    """Traces of a person in the queue, in holds, in the journal and among the rejections.

    Theirs is what carries what was typed, and what is of the users, by their keys, of whom a mutation carries it, if they are at
    most `MOST_KEYS`. A rejection keeps the hash of the user's key only. It goes no further: what else these users' mutations
    carry is not searched for, since people can share it.
    """

    def find(self, person: Person) -> Found:
        """Changes nothing."""
        ...

    def forget(self, person: Person, *, compact: bool = False) -> Forgotten:
        """Takes the person out of batches; those of others keep their places. A batch that is left empty goes, and so does an
        empty hold. A removal that waits in the queue or in a hold is kept: without it the partner would keep the user. So is one
        in the journal where a replay goes on, which may have sent the user again, or where the user's key is not known.

        No turn under way writes anything of them back. What comes in meanwhile is accepted as ever. To be repeated after it has
        raised `StoreUnavailable`. compact: rewrites what may hold deleted data, however long all others wait meanwhile.
        """
        ...


def traces_of(person: Person, message: Message, *, place: Place, reason: str = "", in_turn: bool = False) -> list[Trace]:
    """The person's mutations in this message, in order."""
    return [
        Trace(
            place=place,
            connector=message.connector,
            audience=message.audience,
            request_id=message.request_id,
            index=mutation.index,
            direction=mutation.direction,
            at=message.received_at,
            user_hash=hash_user(mutation.user_key),
            identifiers=identifiers,
            reason=reason,
            in_turn=in_turn,
        )
        for mutation in message.mutations
        if (identifiers := person.identifiers(mutation))
    ]


def keys_in(person: Person, message: Message) -> set[str]:
    """The hashes of the keys that the person's mutations in it have (`Trace.user_hash`)."""
    return {hash_user(mutation.user_key) for mutation in message.mutations if person.matches(mutation)}


def trace_of_rejection(rejection: Rejection) -> Trace:
    """The rejection as a trace."""
    return Trace(
        place="rejections",
        connector=rejection.connector,
        audience=rejection.audience,
        request_id=rejection.request_id,
        index=rejection.index,
        direction=rejection.direction,
        at=rejection.at,
        user_hash=rejection.user_hash,
        reason=rejection.code,
        action=rejection.action,
        hint=rejection.hint,
    )


class Met:
    """What is learned of a person by looking.

    keys    of the users whose mutations carry the identifier
    values  the forms in which they carry it
    """

    def __init__(self, person: Person) -> None:
        self._person = person
        self.keys: set[str] = set()
        self.values: set[str] = set()

    def note(self, message: Message) -> None:
        """What this message tells."""
        for mutation in message.mutations:
            if values := self._person.values(mutation):
                self.keys.add(mutation.user_key)
                self.values |= values

    def person(self) -> Person:
        """With all that their users' mutations are; who shares the identifier with many is known by it alone."""
        return self._person.also(self.keys, self.values) if len(self.keys) <= MOST_KEYS else self._person


def rejection_hashes(person: Person, keys: Collection[str]) -> list[str]:
    """Under which hashes the person's rejections are, where their mutations have these keys (hashes): see `Traces`."""
    return sorted(person.rejection_hashes | (set(keys) if len(keys) <= MOST_KEYS else set()))


def split(person: Person, message: Message, *, removals_too: bool = False) -> tuple[Message, Message]:
    """The message without what is to go of the person, and with nothing else. removals_too: those of users whose keys are known
    go, as well. Of another user, by the key, a change that brings them back may stand before it."""
    rest: list[Mutation] = []
    gone: list[Mutation] = []
    for one in message.mutations:
        goes = person.matches(one) and (one.direction == "joined" or (removals_too and person.knows(one)))
        (gone if goes else rest).append(one)
    return replace(message, mutations=tuple(rest)), replace(message, mutations=tuple(gone))


def unreadable(batches: int) -> tuple[str, ...]:
    """The sentence, if there are any."""
    if not batches:
        return ()
    return (f"{batches:,} batches were written by a newer program and cannot be looked into: use that one's `diy`.",)


def in_order(*places: Iterable[Trace]) -> tuple[Trace, ...]:
    """All of them by time. Each place is given in its own order, in which a trace comes no earlier than the ones of its audience
    before it, whatever its time."""
    dated: list[tuple[float, Trace]] = []
    for traces in places:
        latest: dict[tuple[str, str], float] = {}
        for trace in traces:
            key = (trace.connector, trace.audience)
            latest[key] = max(trace.at, latest.get(key, 0.0))
            dated.append((latest[key], trace))
    return tuple(trace for _, trace in sorted(dated, key=lambda one: one[0]))
