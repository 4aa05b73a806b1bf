"""Mutations, and the queue message that carries a batch of them.

Versions: a stored or queued record says which version wrote it. A reader knows its own version and the one before, so that
workers and receivers can be replaced one after the other.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import msgspec

from relay.domain.errors import RelayError

VERSION = 1
"""Version of the envelope. Fields that are added with a default need no new one: a program that does not know them passes them
over. 1 is the first; where a later one changes what a field means, `decode` is where the one before it is translated."""

NEWEST = 2
"""The newest that this program reads. 2 has `answer_by` or `made`: a program that passed them over would let it join a hold, or
map it anew. All others are written as `VERSION`, which older programs read."""

MAX_MUTATIONS = 1_000
"""Most mutations in one message."""

MAX_BYTES = 512 * 1024
"""Largest encoded message, in bytes."""

Direction = Literal["joined", "left"]
Kind = Literal["change", "created", "resume", "replay"]


class Mutation(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One user joined or left one audience.

    The garbage collector does not follow it: what comes from JSON holds no cycles, and a request makes many of these at once.

    index       place in the request, from 0
    user        canonical identifier name → value (`id`, `email`, `email_sha256`, `account.<compartment>`, …)
    fields      every other field that the source sent with it, by the source's names
    customer    the source's customer, if it named one
    unreadable  why it could not be read; then nothing else of it is kept
    done        names of the actions already settled for it, so that a retry repeats only the rest
    made        action → the partner's fields, as its mapping made them of it already; then only these actions are done, and
                nothing is mapped
    """

    index: int
    direction: Direction = "joined"
    user: dict[str, str] = {}
    fields: dict[str, Any] = {}
    customer: int | str | None = None
    unreadable: str | None = None
    done: tuple[str, ...] = ()
    made: dict[str, dict[str, Any]] = {}

    @property
    def user_key(self) -> str:
        """`id`, else the first identifier present: who this is, for the net effect and for finding a user again."""
        if "id" in self.user:
            return self.user["id"]
        return next(iter(self.user.values()), "")


class Replay(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which of an audience's journaled batches are sent again: those accepted since a moment, up to the replay's own place in the
    order. That all of them up to there are sent is what keeps the final state right: whatever came later comes later again.

    since      seconds since the epoch
    until      position of the replay's own message; 0 until its turn has come
    cursor     position of the last journaled batch that was taken; 0: none yet
    sent       mutations that were put in front of it to be sent again, until now
    overtaken  mutations that were left out, since a later one of the same user takes their place
    """

    since: float
    until: int = 0
    cursor: int = 0
    sent: int = 0
    overtaken: int = 0


class Message(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """What one queue message carries: mutations of one audience in order, or that it was created, or that its hold may resume,
    or that journaled batches are to be sent again.

    received_at  seconds since the epoch at which the request came in
    part         place among the messages made from one request for this audience
    name         the audience's name (kind `created`)
    fields       fields of the request's body that we do not know, carried through
    replay       what is sent again (kind `replay`)
    journal_days days for which whoever queues it keeps a copy in the journal; 0: none is kept
    answer_by    until when somebody waits to hear what becomes of it, seconds since the epoch: it never joins a hold, and what
                 of it is not settled is the source's to send again; 0: nobody does
    replayed_at  when a replay that sends it again was asked for, seconds since the epoch; 0: it is not sent again
    """

    version: int
    kind: Kind
    connector: str
    audience: str
    request_id: str
    received_at: float
    part: int = 0
    mutations: tuple[Mutation, ...] = ()
    name: str | None = None
    customer: int | str | None = None
    fields: dict[str, Any] = {}
    replay: Replay | None = None
    journal_days: int = 0
    replayed_at: float = 0
    answer_by: float = 0

    @cached_property
    def encoded(self) -> bytes:
        """The message as it travels: JSON, UTF-8. Made once, whoever asks for it: to know its size, and to send it."""
        return _encoder.encode(self)

    @property
    def wanted_at(self) -> float:
        """Since when somebody waits for it: when its request came in, or when it was asked to be sent again."""
        return self.replayed_at or self.received_at

    @property
    def key(self) -> str:
        """The ordering key. A connector's name holds no slash, so the first one parts the two."""
        return f"{self.connector}/{self.audience}"


class _Kind(msgspec.Struct):
    kind: str
    answer_by: float = 0


def is_change(body: bytes) -> bool:
    """Whether this is the body of a change for whose end nobody waits, by a look that takes less than decoding it."""
    if body.startswith(_CHANGE):
        return True
    try:
        found = _kind.decode(body)
    except msgspec.MsgspecError:
        return False
    return found.kind == "change" and not found.answer_by


_CHANGE = b'{"version":%d,"kind":"change",' % VERSION
"""How `encode` begins one, if nobody waits for its end: one with `answer_by` has another version."""

_kind = msgspec.json.Decoder(_Kind)


class UnknownVersion(RelayError):
    """A record written by a newer program than this one."""


class _Versioned(msgspec.Struct):
    version: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)
_version_decoder = msgspec.json.Decoder(_Versioned)


def encode(message: Message) -> bytes:
    """The message as it travels: JSON, UTF-8."""
    return message.encoded


def decode(body: bytes) -> Message:
    """The message read back, of any version up to `NEWEST`. Raises `UnknownVersion` for one of another, `msgspec.DecodeError` for
    no message at all."""
    try:
        message = _decoder.decode(body)
    except msgspec.ValidationError:
        _require_known(_version_decoder.decode(body).version)  # one that looks different may be newer
        raise
    _require_known(message.version)
    return message


def _require_known(version: int) -> None:
    if not 1 <= version <= NEWEST:
        raise UnknownVersion(f"This message was written as version {version}; this program reads up to version {NEWEST}.")
