"""What became of a message that somebody waits for, mutation by mutation. Carries no identifier of a person."""

from __future__ import annotations

import msgspec

from relay.domain.outcome import Outcome

VERSION = 1

KEPT_S = 3_600.0
"""So long a reply is kept. Whoever asked waits for a fraction of that; the rest is for a message that the queue holds twice, and
whose second time comes late, since a worker died or was frozen."""

HINT_LENGTH = 300
"""Characters of a hint in a reply."""


class MutationReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of one mutation over all of its actions: rejected if one of them was, else retry if one is left, else delivered
    if one was, else superseded, else skipped. `index`: see `Mutation`."""

    index: int
    outcome: Outcome
    code: str = ""
    hint: str = ""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The end of a message with `Message.answer_by`.

    part       see `Message`
    mutations  one for each of its mutations
    reason     why something is left, as a hold would name it; empty where nothing is
    hint       the same in a sentence
    due_at     when it is worth another try, seconds since the epoch; 0: nobody knows
    """

    version: int
    request_id: str
    part: int
    at: float
    mutations: tuple[MutationReply, ...]
    reason: str = ""
    hint: str = ""
    due_at: float = 0

    @property
    def leaves_something(self) -> bool:
        """Whether something is to be sent again."""
        return any(one.outcome == "retry" for one in self.mutations)

    @property
    def settles_something(self) -> bool:
        """Whether something need not be sent again."""
        return any(one.outcome != "retry" for one in self.mutations)
